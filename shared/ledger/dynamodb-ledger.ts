import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { TenantKey } from '../keyring/key.ts';
import type { Job } from '../rotation/rotation.ts';
import { createApprovalLedger } from './approval-ledger.ts';
import { itemKeys } from './attributes.ts';
import { createCensusLedger } from './census-ledger.ts';
import { jobSchema, tenantKeySchema } from './items.ts';
import type { Ledger } from './ledger.ts';
import { createProgressLedger } from './progress-ledger.ts';
import { createQuarantineLedger } from './quarantine-ledger.ts';
import { createRestoreLedger, scanKeys } from './restore-ledger.ts';
import { createOne, type Kind, listAll, readOne, replaceOne } from './stored-items.ts';
import { checkLedgerTable } from './table.ts';
import { createTableClient } from './table-client.ts';

/** Partitions of the list index. */
const KEYS = 'key';
const JOBS = 'job';
const ENDED_JOBS = 'job-ended';

const KEY: Kind<TenantKey> = {
  name: 'key',
  schema: tenantKeySchema,
  keyOf: ({ tenant, purpose }) => itemKeys.key(tenant, purpose),
  listed: ({ createdAt, keyId }) => ({ list: KEYS, order: `${createdAt}#${keyId}` }),
};

const JOB: Kind<Job> = {
  name: 'job',
  schema: jobSchema,
  keyOf: ({ jobId }) => itemKeys.job(jobId),
  // Jobs that are over only grow in number: whoever asks for the others does not read them.
  listed: ({ requestedAt, jobId, status }) => ({
    list: status === 'COMPLETED' ? ENDED_JOBS : JOBS,
    order: `${requestedAt}#${jobId}`,
  }),
};

/** The ledger on one DynamoDB table, or any engine that speaks its protocol. `createLedgerTable` makes the table. */
export function createDynamoDbLedger(options: {
  readonly client: DynamoDBClient;
  readonly tableName: string;
}): Ledger {
  const table = createTableClient(options.client, options.tableName);
  return {
    createKey: (key) => createOne(table, KEY, key),
    getKey: async (tenant, purpose) => readOne(table, KEY, itemKeys.key(tenant, purpose)),
    replaceKey: (key) => replaceOne(table, KEY, key),
    listKeys: async () => (await listAll(table, KEY, KEYS)).toSorted(byTenantAndPurpose),
    scanKeys: async () => (await scanKeys(table, KEY)).toSorted(byTenantAndPurpose),

    createJob: (job) => createOne(table, JOB, job),
    getJob: async (jobId) => readOne(table, JOB, itemKeys.job(jobId)),
    replaceJob: (job) => replaceOne(table, JOB, job),
    listJobs: async ({ kind, statuses } = {}) => {
      const ended = statuses === undefined || statuses.includes('COMPLETED');
      const jobs = [
        ...(await listAll(table, JOB, JOBS)),
        ...(ended ? await listAll(table, JOB, ENDED_JOBS) : []),
      ];
      return newestFirst(jobs).filter(
        (job) =>
          (kind === undefined || job.kind === kind) &&
          (statuses === undefined || statuses.includes(job.status)),
      );
    },

    ...createProgressLedger(table),
    ...createCensusLedger(table),
    ...createQuarantineLedger(table),
    ...createRestoreLedger(table),
    ...createApprovalLedger(table),
    check: () => checkLedgerTable(options.client, options.tableName),
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
function byTenantAndPurpose(a: TenantKey, b: TenantKey): number {
  return compare(a.tenant, b.tenant) || compare(a.purpose, b.purpose);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
