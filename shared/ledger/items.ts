import { z } from 'zod';
import {
  APPROVAL_ACTIONS,
  type Approval,
  type ApprovalRequest,
  type ApprovalVoid,
} from '../approvals/approval.ts';
import type { StoredCertificate } from '../certificates/certificate.ts';
import { UnreadableItemError } from '../errors/errors.ts';
import {
  HOLD_REASONS,
  type Hold,
  type KeyVersion,
  SUSPENSION_REASONS,
  type TenantKey,
} from '../keyring/key.ts';
import { VERSION_STATES } from '../keyring/states.ts';
import { type FoundColumn, UNSEARCHED_REASONS, type Unsearched } from '../records/store-search.ts';
import { RESTORE_STATUSES, type Restore } from '../rotation/restore.ts';
import {
  BLOCKER_CODES,
  type CensusResult,
  EXCLUSION_REASONS,
  JOB_GOALS,
  JOB_KINDS,
  JOB_STATUSES,
  type Job,
  PAUSE_REASONS,
  ROTATION_MODES,
  type StoredCensus,
} from '../rotation/rotation.ts';
import { type Item, unmarshalItem } from './attribute-values.ts';
import { readCanary, withReadableCanary } from './canary-text.ts';
import type { PagePlan, QuarantinedRecord, RoundPlan, SegmentCensus, SegmentProgress } from './ledger.ts';

/**
 * What each kind of item must look like when it is read. What an item has beside this and beside what it is stored with
 * (attributes.ts) is refused, also inside its parts: a newer release wrote it, it may be what forbids the next step, and
 * whoever replaced the item without it would erase it.
 */

const exactly = z.strictObject;
const count = z.int().min(0);
const text = z.string();
const timestamp = z.iso.datetime();
const byText = z.record(z.string(), count);

const censusCount = exactly({
  rows: count,
  values: count,
  versions: byText,
  foreign: count,
  malformed: count,
  tombstones: count,
});

export const wrappedKekSchema = exactly({
  rootKeyId: text,
  // Versions that were written before materials were recorded have none.
  materialId: text.nullable().default(null),
  wrapped: z.instanceof(Uint8Array),
});

const servedTable = exactly({ store: text, table: text, columns: z.array(text) });

// Defaults: items of earlier releases have no such attribute.
const keyVersion = exactly({
  version: z.int().min(1),
  state: z.enum(VERSION_STATES),
  wrapped: wrappedKekSchema.nullable(),
  formerWrapped: wrappedKekSchema.nullable().default(null),
  suspended: exactly({ reason: z.enum(SUSPENSION_REASONS), rootKeyId: text.nullable(), at: timestamp })
    .nullable()
    .default(null),
  provider: text,
  check: text.nullable(),
  createdAt: timestamp,
  provedAt: timestamp.nullable(),
  activatedAt: timestamp.nullable(),
  retiringAt: timestamp.nullable(),
  purgeNotBefore: timestamp.nullable(),
  destroyPendingAt: timestamp.nullable(),
  destroyAuthorizedAt: timestamp.nullable(),
  destroyedAt: timestamp.nullable(),
  retiredBy: text.nullable(),
  seen: exactly({
    at: timestamp,
    cleanAt: timestamp.nullable(),
    besides: z.exactOptional(z.array(servedTable)),
  }).nullable(),
  erased: z.array(exactly({ rootKeyId: text, materialId: text.nullable() })).nullable(),
  approvedBy: text.nullable(),
  agreement: exactly({ required: z.int().min(0), approvers: z.array(text) }).nullable(),
}) satisfies z.ZodType<KeyVersion>;

const hold = exactly({
  holdId: text,
  versions: z.array(z.int().min(1)),
  reason: z.enum(HOLD_REASONS),
  store: text.nullable(),
  note: text.nullable(),
  by: text,
  at: timestamp,
  until: timestamp.nullable(),
  endedEpoch: count.nullable(),
}) satisfies z.ZodType<Hold>;

export const tenantKeySchema = exactly({
  keyId: z.uuid(),
  tenant: text,
  purpose: text,
  active: count,
  revision: z.int().min(1),
  rotationId: text.nullable(),
  restoreEpoch: count,
  activations: count,
  canary: z.unknown().optional().transform(readCanary),
  holds: z.array(hold),
  createdAt: timestamp,
  serves: z.array(servedTable),
  versions: z.record(z.string().regex(/^[1-9][0-9]*$/), keyVersion),
}) satisfies z.ZodType<TenantKey>;

const foundColumn = exactly({
  table: text,
  column: text,
  materialized: z.boolean(),
  envelopes: count,
  ofKey: count,
  onVersion: count,
  more: z.exactOptional(count),
}) satisfies z.ZodType<FoundColumn>;

const unsearched = exactly({
  table: text,
  columns: z.array(text),
  reason: z.enum(UNSEARCHED_REASONS),
  more: z.exactOptional(count),
}) satisfies z.ZodType<Unsearched>;

const censusResult = exactly({
  takenAt: timestamp,
  takenBy: text,
  reach: z.enum(['tenant', 'everywhere']),
  coverage: z.record(
    z.string(),
    censusCount.extend({
      ...servedTable.shape,
      others: count,
      onVersionBySearch: z.exactOptional(count.nullable()),
    }),
  ),
  excluded: z.array(
    exactly({
      store: text,
      table: text,
      columns: z.array(text),
      why: z.enum(EXCLUSION_REASONS),
      more: z.exactOptional(count),
    }),
  ),
  undeclared: z.array(foundColumn.extend({ store: text })).nullable(),
  onVersion: count,
  stale: count,
  malformed: count,
  foreign: count,
}) satisfies z.ZodType<CensusResult>;

export const storedCensusSchema = exactly({
  censusId: text,
  keyId: z.uuid(),
  tenant: text,
  purpose: text,
  active: count,
  version: count,
  restoreEpoch: count,
  jobId: text.nullable(),
  attempt: count.nullable(),
  round: count.nullable(),
  result: censusResult,
}) satisfies z.ZodType<StoredCensus>;

export const jobSchema = exactly({
  jobId: text,
  kind: z.enum(JOB_KINDS),
  tenant: text,
  purpose: text,
  keyId: text,
  from: count,
  to: count,
  mode: z.enum(ROTATION_MODES),
  goal: z.enum(JOB_GOALS),
  recordSets: z.array(text),
  status: z.enum(JOB_STATUSES),
  attempt: count,
  round: count,
  maxRounds: count,
  chunkSize: count,
  segments: count,
  recordsPerSecond: z.int().min(1).nullable(),
  times: exactly({ barrierSeconds: count, graceSeconds: count, stallSeconds: count }),
  requestedBy: text,
  requestedAt: timestamp,
  startedAt: timestamp.nullable(),
  barrierUntil: timestamp.nullable(),
  fencedAt: timestamp.nullable(),
  completedAt: timestamp.nullable(),
  purgeNotBefore: timestamp.nullable(),
  restoreEpoch: count,
  blocker: exactly({ code: z.enum(BLOCKER_CODES), message: text, at: timestamp }).nullable(),
  pause: exactly({
    reason: z.enum(PAUSE_REASONS),
    rootKeyId: text.nullable(),
    by: text.nullable(),
    at: timestamp,
  })
    .nullable()
    .default(null),
  census: censusResult.nullable(),
  approvalId: text.nullable(),
  cancelled: exactly({ by: text, at: timestamp }).nullable(),
  revision: z.int().min(1),
}) satisfies z.ZodType<Job>;

export const restoreSchema = exactly({
  restoreId: text,
  store: text,
  backupTime: timestamp,
  // Those of earlier releases have none.
  backupEnd: timestamp.nullable().default(null),
  status: z.enum(RESTORE_STATUSES),
  keys: count.nullable(),
  requestedBy: text,
  begunAt: timestamp,
  readyAt: timestamp.nullable(),
  endedAt: timestamp.nullable(),
  refusal: text.nullable(),
  revision: z.int().min(1),
}) satisfies z.ZodType<Restore>;

export const roundSchema = exactly({
  jobId: text,
  round: count,
  segments: z.array(exactly({ index: count, recordSet: text, segment: text, search: z.exactOptional(text) })),
  createdAt: timestamp,
}) satisfies z.ZodType<RoundPlan>;

const pagePlanShape = {
  jobId: text,
  round: count,
  segment: count,
  page: count,
  after: text.nullable(),
  chunks: z.array(exactly({ records: count, until: text })),
  next: text.nullable(),
};

export const pagePlanSchema = exactly(pagePlanShape) satisfies z.ZodType<PagePlan>;

const counts = { rewrapped: count, skipped: count, quarantined: count };

/** A page as it stands in its item: what its reports say is read by page-reports.ts. */
export const pageSchema = exactly({
  ...pagePlanShape,
  createdAt: timestamp,
  // Sets; DynamoDB has no empty one.
  done: z.array(count).default([]),
  reports: z.array(text).default([]),
});
export type StoredPage = z.output<typeof pageSchema>;

export const segmentSchema = exactly({
  jobId: text,
  round: count,
  segment: count,
  lowWater: count,
  planned: count,
  finished: z.boolean(),
  ...counts,
  updatedAt: timestamp,
}) satisfies z.ZodType<SegmentProgress>;

export const segmentCensusSchema = exactly({
  jobId: text,
  census: text,
  segment: count,
  recordSet: text,
  count: censusCount,
  read: z.exactOptional(servedTable),
  search: z.exactOptional(
    exactly({
      store: text,
      found: z.array(foundColumn),
      declared: z.exactOptional(z.array(exactly({ table: text, column: text, onVersion: count.nullable() }))),
      unsearched: z.array(unsearched),
    }),
  ),
  takenAt: timestamp,
}) satisfies z.ZodType<SegmentCensus>;

export const quarantinedSchema = exactly({
  keyId: text,
  tenant: text,
  purpose: text,
  recordSet: text,
  recordId: z.array(text),
  field: text,
  code: text,
  version: count.nullable(),
  jobId: text,
  at: timestamp,
}) satisfies z.ZodType<QuarantinedRecord>;

export const approvalRequestSchema = exactly({
  requestId: text,
  action: z.enum(APPROVAL_ACTIONS),
  tenant: text,
  purpose: text,
  keyId: text,
  version: count,
  restoreEpoch: count,
  subject: text,
  expiresAt: timestamp,
  requestedBy: text,
  requestedAt: timestamp,
  summary: text,
  evidence: z.record(z.string(), z.unknown()),
}) satisfies z.ZodType<ApprovalRequest>;

export const storedCertificateSchema = exactly({
  tenant: text,
  purpose: text,
  keyId: text,
  version: z.int().min(1),
  issuedAt: timestamp,
  jws: text,
}) satisfies z.ZodType<StoredCertificate>;

export const approvalVoidSchema = exactly({
  requestId: text,
  at: timestamp,
  why: text,
}) satisfies z.ZodType<ApprovalVoid>;

export const approvalSchema = exactly({
  requestId: text,
  approver: text,
  breakGlass: z.boolean(),
  at: timestamp,
  jws: text,
}) satisfies z.ZodType<Approval>;

/** What is needed to read an item. */
export interface Readable<T> {
  /** For messages. */
  readonly name: string;
  readonly schema: z.ZodType<T>;
  /** Names of the attributes that it is stored with, and which say nothing of it: of STORED_WITH. */
  readonly storedWith: ReadonlySet<string>;
}

/** Throws LEDGER_ITEM_INVALID naming the kind of item and the attribute, never its value. */
export function parseItem<T>(kind: Readable<T>, item: Item): T {
  const own = Object.entries(withReadableCanary(item)).filter(([name]) => !kind.storedWith.has(name));
  return parseFields(kind, unmarshalItem(Object.fromEntries(own)));
}

/** As parseItem, of plain values. */
export function parseFields<T>({ name, schema }: Pick<Readable<T>, 'name' | 'schema'>, fields: object): T {
  const parsed = schema.safeParse(fields);
  if (parsed.success) return parsed.data;
  const { issues } = parsed.error;
  const unknown = issues.flatMap(unknownNames);
  if (unknown.length > 0) {
    throw new UnreadableItemError(
      `An item of the ledger (${name}) has what this release does not know: ${listed(unknown)}`,
      { remedy: 'A newer release of Keyturn wrote it: deploy that release, or finish the deployment.' },
    );
  }
  throw new UnreadableItemError(
    `An item of the ledger (${name}) has no valid ${listed(issues.map(({ path }) => path.join('.')))}`,
    {
      remedy:
        'A newer release of Keyturn wrote it, which is to be deployed, or it was changed by hand: restore it from a backup.',
    },
  );
}

/** Of attributes, with where they are. Of several forms the one that only lacks them is meant. */
function unknownNames(issue: z.core.$ZodIssue): string[] {
  if (issue.code === 'invalid_union') {
    const known = issue.errors.find((form) => form.every(({ code }) => code === 'unrecognized_keys')) ?? [];
    return known.flatMap(unknownNames).map((name) => [...issue.path, name].join('.'));
  }
  if (issue.code !== 'unrecognized_keys') return [];
  return issue.keys.map((name) => [...issue.path, name].join('.'));
}

function listed(names: readonly string[]): string {
  return [...new Set(names)].join(', ');
}
