import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { LedgerStore } from '../audit/outbox.ts';
import type { NewId } from '../clock/clock.ts';
import type { Job } from '../rotation/rotation.ts';
import { createApprovalLedger } from './approval-ledger.ts';
import { itemKeys, STORED_WITH } from './attributes.ts';
import { createAuditLedger, createOutboxes } from './audit-ledger.ts';
import { type AuthenticatedTable, authenticateTable } from './authentication/authenticated-table.ts';
import { type Authenticator, WITHOUT_STATE_KEY } from './authentication/authenticator.ts';
import { createGuard, type Guard } from './authentication/forgery.ts';
import { createCensusLedger } from './census-ledger.ts';
import { createCertificateLedger } from './certificate-ledger.ts';
import { jobSchema } from './items.ts';
import { createKeyLedger } from './key-ledger.ts';
import type { Ledger } from './ledger.ts';
import { createProgressLedger } from './progress-ledger.ts';
import { createQuarantineLedger } from './quarantine-ledger.ts';
import { createRestoreLedger } from './restore-ledger.ts';
import { createOne, type Kind, listAll, readOne, replaceOne } from './stored-items.ts';
import { checkLedgerTable } from './table.ts';
import { createTableClient } from './table-client.ts';

/** Partitions of the list index. */
const JOBS = 'job';
const ENDED_JOBS = 'job-ended';

const JOB: Kind<Job> = {
  name: 'job',
  schema: jobSchema,
  storedWith: STORED_WITH.audited,
  keyOf: ({ jobId }) => itemKeys.job(jobId),
  // Jobs that are over only grow in number: whoever asks for the others does not read them.
  listed: ({ requestedAt, jobId, status }) => ({
    list: status === 'COMPLETED' ? ENDED_JOBS : JOBS,
    order: `${requestedAt}#${jobId}`,
  }),
};

export interface DynamoDbLedgerOptions {
  readonly client: DynamoDBClient;
  readonly tableName: string;
  /** Left out: what is read is not verified, and nothing is written but what was used. For applications. */
  readonly authenticator?: Authenticator;
  readonly newId?: NewId;
  /** Something was found that the pipeline did not write. Must not throw. */
  readonly onForged?: (what: string) => void;
  /** A list leaves out what the pipeline wrote and this release cannot read. Must not throw. */
  readonly onUnreadable?: (what: string) => void;
}

/** The ledger on one DynamoDB table, or any engine that speaks its protocol. `createLedgerTable` makes the table. */
export function createDynamoDbLedger(options: DynamoDbLedgerOptions): LedgerStore {
  const { authenticator = WITHOUT_STATE_KEY, onForged = () => {}, onUnreadable = () => {} } = options;
  const guard = createGuard(authenticator, onForged, onUnreadable);
  const unguarded = createTableClient(options.client, options.tableName, options.newId);
  const on = (table: AuthenticatedTable): Ledger => ({
    ...ledgerOn(table, authenticator, guard),
    check: () => checkLedgerTable(options.client, options.tableName),
  });
  const table = authenticateTable(unguarded, authenticator, guard);
  const audit = createAuditLedger(table, unguarded, authenticator, guard);
  return { ...on(table), ...audit, ...createOutboxes(table, on) };
}

function ledgerOn(
  table: AuthenticatedTable,
  authenticator: Authenticator,
  guard: Guard,
): Omit<Ledger, 'check'> {
  return {
    ...createKeyLedger(table),

    createJob: (job) => createOne(table, JOB, job),
    getJob: async (jobId) => readOne(table, JOB, itemKeys.job(jobId)),
    replaceJob: (job) => replaceOne(table, JOB, job),
    listJobs: async ({ kind, statuses } = {}, onSkipped = () => {}) => {
      const ended = statuses === undefined || statuses.includes('COMPLETED');
      const jobs = [
        ...(await listAll(table, JOB, JOBS, onSkipped)),
        ...(ended ? await listAll(table, JOB, ENDED_JOBS, onSkipped) : []),
      ];
      return newestFirst(jobs).filter(
        (job) =>
          (kind === undefined || job.kind === kind) &&
          (statuses === undefined || statuses.includes(job.status)),
      );
    },

    ...createProgressLedger(table, authenticator, guard),
    ...createCensusLedger(table),
    ...createCertificateLedger(table),
    ...createQuarantineLedger(table),
    ...createRestoreLedger(table),
    ...createApprovalLedger(table),
  };
}

/** Each once: one that moves between the partitions may be seen in both. */
function newestFirst(jobs: readonly Job[]): Job[] {
  const unique = new Map(jobs.map((job) => [job.jobId, job]));
  return [...unique.values()].sort(
    (a, b) => compare(b.requestedAt, a.requestedAt) || compare(b.jobId, a.jobId),
  );
}

/** By code units: the same order on every machine, whatever its locale. */
function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
