import { z } from 'zod';
import {
  APPROVAL_ACTIONS,
  type Approval,
  type ApprovalRequest,
  type ApprovalVoid,
} from '../approvals/approval.ts';
import type { StoredCertificate } from '../certificates/certificate.ts';
import { LedgerError } from '../errors/errors.ts';
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

/** What each kind of item must look like when it is read. Attributes besides (keys, index) are dropped. */

const count = z.int().min(0);
const text = z.string();
const timestamp = z.iso.datetime();
const byText = z.record(z.string(), count);

const censusCount = z.object({
  rows: count,
  values: count,
  versions: byText,
  foreign: count,
  malformed: count,
  tombstones: count,
});

export const wrappedKekSchema = z.object({
  rootKeyId: text,
  // Versions that were written before materials were recorded have none.
  materialId: text.nullable().default(null),
  wrapped: z.instanceof(Uint8Array),
});

// Defaults: items of earlier releases have no such attribute.
const keyVersion = z.object({
  version: z.int().min(1),
  state: z.enum(VERSION_STATES),
  wrapped: wrappedKekSchema.nullable(),
  formerWrapped: wrappedKekSchema.nullable().default(null),
  suspended: z
    .object({ reason: z.enum(SUSPENSION_REASONS), rootKeyId: text.nullable(), at: timestamp })
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
  seen: z.object({ at: timestamp, cleanAt: timestamp.nullable() }).nullable(),
  erased: z.array(z.object({ rootKeyId: text, materialId: text.nullable() })).nullable(),
  approvedBy: text.nullable(),
  agreement: z.object({ required: z.int().min(0), approvers: z.array(text) }).nullable(),
}) satisfies z.ZodType<KeyVersion>;

const hold = z.object({
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

export const tenantKeySchema = z.object({
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
  serves: z.array(z.object({ store: text, table: text, columns: z.array(text) })),
  versions: z.record(z.string().regex(/^[1-9][0-9]*$/), keyVersion),
}) satisfies z.ZodType<TenantKey>;

const foundColumn = z.object({
  table: text,
  column: text,
  materialized: z.boolean(),
  envelopes: count,
  ofKey: count,
  onVersion: count,
  more: z.exactOptional(count),
}) satisfies z.ZodType<FoundColumn>;

const unsearched = z.object({
  table: text,
  columns: z.array(text),
  reason: z.enum(UNSEARCHED_REASONS),
  more: z.exactOptional(count),
}) satisfies z.ZodType<Unsearched>;

const censusResult = z.object({
  takenAt: timestamp,
  takenBy: text,
  reach: z.enum(['tenant', 'everywhere']),
  coverage: z.record(
    z.string(),
    censusCount.extend({ store: text, table: text, columns: z.array(text), others: count }),
  ),
  excluded: z.array(
    z.object({
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

export const storedCensusSchema = z.object({
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

export const jobSchema = z.object({
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
  times: z.object({ barrierSeconds: count, graceSeconds: count, stallSeconds: count }),
  requestedBy: text,
  requestedAt: timestamp,
  startedAt: timestamp.nullable(),
  barrierUntil: timestamp.nullable(),
  fencedAt: timestamp.nullable(),
  completedAt: timestamp.nullable(),
  purgeNotBefore: timestamp.nullable(),
  restoreEpoch: count,
  blocker: z.object({ code: z.enum(BLOCKER_CODES), message: text, at: timestamp }).nullable(),
  pause: z
    .object({ reason: z.enum(PAUSE_REASONS), rootKeyId: text.nullable(), by: text.nullable(), at: timestamp })
    .nullable()
    .default(null),
  census: censusResult.nullable(),
  approvalId: text.nullable(),
  cancelled: z.object({ by: text, at: timestamp }).nullable(),
  revision: z.int().min(1),
}) satisfies z.ZodType<Job>;

export const restoreSchema = z.object({
  restoreId: text,
  store: text,
  backupTime: timestamp,
  status: z.enum(RESTORE_STATUSES),
  keys: count.nullable(),
  requestedBy: text,
  begunAt: timestamp,
  readyAt: timestamp.nullable(),
  endedAt: timestamp.nullable(),
  refusal: text.nullable(),
  revision: z.int().min(1),
}) satisfies z.ZodType<Restore>;

export const roundSchema = z.object({
  jobId: text,
  round: count,
  segments: z.array(
    z.object({ index: count, recordSet: text, segment: text, search: z.exactOptional(text) }),
  ),
  createdAt: timestamp,
}) satisfies z.ZodType<RoundPlan>;

const pagePlanShape = {
  jobId: text,
  round: count,
  segment: count,
  page: count,
  after: text.nullable(),
  chunks: z.array(z.object({ records: count, until: text })),
  next: text.nullable(),
};

export const pagePlanSchema = z.object(pagePlanShape) satisfies z.ZodType<PagePlan>;

const counts = { rewrapped: count, skipped: count, quarantined: count };

/** A page as it stands in its item: what its reports say is read by page-reports.ts. */
export const pageSchema = z.object({
  ...pagePlanShape,
  createdAt: timestamp,
  // Sets; DynamoDB has no empty one.
  done: z.array(count).default([]),
  reports: z.array(text).default([]),
});
export type StoredPage = z.output<typeof pageSchema>;

export const segmentSchema = z.object({
  jobId: text,
  round: count,
  segment: count,
  lowWater: count,
  planned: count,
  finished: z.boolean(),
  ...counts,
  updatedAt: timestamp,
}) satisfies z.ZodType<SegmentProgress>;

export const segmentCensusSchema = z.object({
  jobId: text,
  census: text,
  segment: count,
  recordSet: text,
  count: censusCount,
  search: z.exactOptional(
    z.object({ store: text, found: z.array(foundColumn), unsearched: z.array(unsearched) }),
  ),
  takenAt: timestamp,
}) satisfies z.ZodType<SegmentCensus>;

export const quarantinedSchema = z.object({
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

export const approvalRequestSchema = z.object({
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

export const storedCertificateSchema = z.object({
  tenant: text,
  purpose: text,
  keyId: text,
  version: z.int().min(1),
  issuedAt: timestamp,
  jws: text,
}) satisfies z.ZodType<StoredCertificate>;

export const approvalVoidSchema = z.object({
  requestId: text,
  at: timestamp,
  why: text,
}) satisfies z.ZodType<ApprovalVoid>;

export const approvalSchema = z.object({
  requestId: text,
  approver: text,
  breakGlass: z.boolean(),
  at: timestamp,
  jws: text,
}) satisfies z.ZodType<Approval>;

/** Throws LEDGER_ITEM_INVALID naming the attribute, never its value. */
export function parseItem<T>(schema: z.ZodType<T>, item: Item, what: string): T {
  const parsed = schema.safeParse(unmarshalItem(withReadableCanary(item)));
  if (parsed.success) return parsed.data;
  const names = parsed.error.issues.map((issue) => issue.path.join('.'));
  throw new LedgerError(
    'LEDGER_ITEM_INVALID',
    `The ledger's item of a ${what} has no valid ${[...new Set(names)].join(', ')}`,
    { remedy: 'It was written by another version of Keyturn or changed by hand: restore it from a backup' },
  );
}
