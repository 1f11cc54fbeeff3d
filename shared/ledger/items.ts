import { z } from 'zod';
import { LedgerError } from '../errors/errors.ts';
import {
  type CanaryUse,
  HOLD_REASONS,
  type Hold,
  type KeyVersion,
  SUSPENSION_REASONS,
  type TenantKey,
} from '../keyring/key.ts';
import { VERSION_STATES } from '../keyring/states.ts';
import {
  BLOCKER_CODES,
  JOB_GOALS,
  JOB_KINDS,
  JOB_STATUSES,
  type Job,
  PAUSE_REASONS,
  ROTATION_MODES,
} from '../rotation/rotation.ts';
import { type Item, unmarshalItem } from './attribute-values.ts';
import type {
  PagePlan,
  PageProgress,
  QuarantinedRecord,
  RoundPlan,
  SegmentCensus,
  SegmentProgress,
} from './ledger.ts';

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

const wrappedKek = z.object({
  rootKeyId: text,
  // Versions that were written before materials were recorded have none.
  materialId: text.nullable().default(null),
  wrapped: z.instanceof(Uint8Array),
});

// Defaults: items of earlier releases have no such attribute.
const keyVersion = z.object({
  version: z.int().min(1),
  state: z.enum(VERSION_STATES),
  wrapped: wrappedKek.nullable(),
  formerWrapped: wrappedKek.nullable().default(null),
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
}) satisfies z.ZodType<KeyVersion>;

const canaryUse = z.object({
  version: z.int().min(1),
  at: timestamp,
  recordSet: text.nullable(),
  recordId: z.array(text).nullable(),
  field: text.nullable(),
}) satisfies z.ZodType<CanaryUse>;

const hold = z.object({
  holdId: text,
  versions: z.array(z.int().min(1)),
  reason: z.enum(HOLD_REASONS),
  store: text.nullable(),
  note: text.nullable(),
  by: text,
  at: timestamp,
  until: timestamp.nullable(),
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
  endedEpoch: count.nullable(),
  canary: canaryUse.nullable(),
  holds: z.array(hold),
  createdAt: timestamp,
  serves: z.array(z.object({ store: text, table: text, columns: z.array(text) })),
  versions: z.record(z.string().regex(/^[1-9][0-9]*$/), keyVersion),
}) satisfies z.ZodType<TenantKey>;

const censusResult = z.object({
  takenAt: timestamp,
  reach: z.enum(['tenant', 'everywhere']),
  coverage: z.record(z.string(), censusCount),
  onVersion: count,
  stale: count,
  malformed: count,
  foreign: count,
});

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
  completedAt: timestamp.nullable(),
  purgeNotBefore: timestamp.nullable(),
  restoreEpoch: count,
  blocker: z.object({ code: z.enum(BLOCKER_CODES), message: text, at: timestamp }).nullable(),
  pause: z
    .object({ reason: z.enum(PAUSE_REASONS), rootKeyId: text.nullable(), at: timestamp })
    .nullable()
    .default(null),
  census: censusResult.nullable(),
  approvalId: text.nullable(),
  cancelled: z.object({ by: text, at: timestamp }).nullable(),
  revision: z.int().min(1),
}) satisfies z.ZodType<Job>;

export const roundSchema = z.object({
  jobId: text,
  round: count,
  segments: z.array(z.object({ index: count, recordSet: text, segment: text })),
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

export const pageSchema = z
  .object({
    ...pagePlanShape,
    ...counts,
    /** A number set; DynamoDB has no empty one. */
    done: z.array(count).default([]),
    updatedAt: timestamp,
  })
  .transform(({ done, rewrapped, skipped, quarantined, updatedAt, ...plan }): PageProgress => {
    const planned = plan.chunks.reduce((sum, chunk) => sum + chunk.records, 0);
    return {
      plan,
      planned,
      rewrapped,
      skipped,
      quarantined,
      updatedAt,
      done: done.toSorted((a, b) => a - b),
    };
  });

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

/** Throws LEDGER_ITEM_INVALID naming the attribute, never its value. */
export function parseItem<T>(schema: z.ZodType<T>, item: Item, what: string): T {
  const parsed = schema.safeParse(unmarshalItem(item));
  if (parsed.success) return parsed.data;
  const names = parsed.error.issues.map((issue) => issue.path.join('.'));
  throw new LedgerError(
    'LEDGER_ITEM_INVALID',
    `The ledger's item of a ${what} has no valid ${[...new Set(names)].join(', ')}`,
    { remedy: 'It was written by another version of Keyturn or changed by hand: restore it from a backup' },
  );
}
