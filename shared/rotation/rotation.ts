import type { Timestamp } from '../keyring/key.ts';
import type { CensusCount } from '../records/record-store.ts';
import { type FoundColumn, UNSEARCHED_REASONS } from '../records/store-search.ts';

/**
 * What a rotation is and every status it can have. A purge and an adoption are jobs of the same shape: a plan,
 * chunks, a census, an end.
 */

export const JOB_KINDS = ['rotate', 'purge', 'adopt'] as const;
export type JobKind = (typeof JOB_KINDS)[number];

export const JOB_GOALS = [
  /** A new version takes over. Also of a purge and an adoption, which activate none. */
  'NEW_VERSION',
  /** A RETIRING version is activated again, and all records are brought back to it. */
  'ROLLBACK',
  /** No version is activated: records are brought to the active one, as after a restore. */
  'RESWEEP',
] as const;
export type JobGoal = (typeof JOB_GOALS)[number];

export const ROTATION_MODES = ['rewrap', 're-encrypt'] as const;
export type RotationMode = (typeof ROTATION_MODES)[number];

export const JOB_STATUSES = [
  /** Written down; its execution has not begun. */
  'REQUESTED',
  /** The new version is made, proved or activated (rotate); the version is being fenced (purge). */
  'PREPARING',
  /** Records are listed, queued and worked on. */
  'SWEEPING',
  /** Waits until no writer can still hold the old version. */
  'BARRIER',
  /** Counts by reading the envelopes. */
  'CENSUS',
  /** Done. A rotation: the old version is retired and waits for its purge. A purge: the version is destroyed. */
  'COMPLETED',
  /** Stopped with a named blocker; a repeated request goes on from there. */
  'BLOCKED',
  /** At rest until what it waits for is there again: see `pause`. Nothing of it has failed. */
  'PAUSED',
  /** A person called it off. Nothing of what it did is undone but what could not stay half done. */
  'CANCELLED',
] as const;
export type JobStatus = (typeof JOB_STATUSES)[number];

export const JOB_TRANSITIONS = {
  REQUESTED: ['PREPARING', 'BLOCKED', 'PAUSED', 'CANCELLED'],
  PREPARING: ['SWEEPING', 'CENSUS', 'BLOCKED', 'PAUSED', 'CANCELLED'],
  SWEEPING: ['BARRIER', 'CENSUS', 'BLOCKED', 'PAUSED', 'CANCELLED'],
  BARRIER: ['CENSUS', 'BLOCKED', 'PAUSED', 'CANCELLED'],
  CENSUS: ['SWEEPING', 'COMPLETED', 'BLOCKED', 'PAUSED', 'CANCELLED'],
  /** Only an adoption and a re-sweep: plaintext, or restored records, may have come since. */
  COMPLETED: ['REQUESTED'],
  /** COMPLETED: the last write of its work had been made when it was stopped, or when the pause came. */
  BLOCKED: ['REQUESTED', 'COMPLETED', 'CANCELLED'],
  PAUSED: ['REQUESTED', 'COMPLETED', 'CANCELLED'],
  /** Asked for once more. COMPLETED: the last write of its work had been made when it was cancelled. */
  CANCELLED: ['REQUESTED', 'COMPLETED'],
} as const satisfies Record<JobStatus, readonly JobStatus[]>;

/** Statuses of a job that an execution works on. */
export const RUNNING_STATUSES = [
  'REQUESTED',
  'PREPARING',
  'SWEEPING',
  'BARRIER',
  'CENSUS',
] as const satisfies readonly JobStatus[];

export function isRunning(status: JobStatus): boolean {
  const running: readonly JobStatus[] = RUNNING_STATUSES;
  return running.includes(status);
}

export const PAUSE_REASONS = [
  /** A root key of the job's key cannot be used. It goes on by itself when it can be. */
  'ROOT_KEY',
  /** A person said so, and only a person takes it up again. */
  'PERSON',
  /** A purge: its version waits, fenced, for people's approvals. They take it up. */
  'APPROVAL',
] as const;
export type PauseReason = (typeof PAUSE_REASONS)[number];

/** Of a purge whose version is fenced, and that people have to agree to. */
export function waitsForApproval({ status, pause }: Pick<Job, 'status' | 'pause'>): boolean {
  return status === 'PAUSED' && pause?.reason === 'APPROVAL';
}

export interface Pause {
  readonly reason: PauseReason;
  /** The root key that it waits for; null for another reason. */
  readonly rootKeyId: string | null;
  /** The person who said so; null for another reason. */
  readonly by: string | null;
  readonly at: Timestamp;
}

export const BLOCKER_CODES = [
  /** Records stay on an old version after the last round. */
  'STALE_RECORDS',
  /** Quarantined records still need the version. */
  'QUARANTINED_RECORDS',
  /** Values that cannot be read as envelopes stand in the tenant's records. */
  'MALFORMED_RECORDS',
  /** Plaintext is left (adopt). */
  'PLAINTEXT_LEFT',
  /** An application asked for the version during its purge. */
  'VERSION_IN_USE',
  /** A table that the key served is not declared any more, or is empty though it was not. */
  'RECORD_SET_CHANGED',
  /** A hold stands on the version: a backup contains it, a store is being restored, or a person said so. */
  'HELD',
  /** Columns hold envelopes and no record set declares them. */
  'UNDECLARED_ENVELOPES',
  /** The key changed under the job: a restore, another state, another rotation that came first. */
  'KEY_CHANGED',
  /** The version that a rollback goes back to is not RETIRING any more: it is being purged, or gone. */
  'VERSION_NOT_RETIRING',
  /** The key's item has no room for the version that a rotation was to make. */
  'KEY_FULL',
  /** Transactions that began before the barrier are still open. */
  'OPEN_TRANSACTIONS',
  /** A step failed for good, as in an outage; `message` has the error's code. */
  'STEP_FAILED',
] as const;
export type BlockerCode = (typeof BLOCKER_CODES)[number];

export interface Blocker {
  readonly code: BlockerCode;
  /** For people: counts, versions, record sets; never a value. */
  readonly message: string;
  readonly at: Timestamp;
}

/** The times that a job keeps, fixed when it is requested. Seconds. */
export interface JobTimes {
  /**
   * Cache age + clock skew + longest transaction, counted from the activation. Of a purge, counted from when its version
   * was fenced, and as long as the rehearsal if that is longer.
   */
  readonly barrierSeconds: number;
  readonly graceSeconds: number;
  readonly stallSeconds: number;
}

/** One item of the ledger. */
export interface Job {
  readonly jobId: string;
  readonly kind: JobKind;
  readonly tenant: string;
  readonly purpose: string;
  readonly keyId: string;
  /** rotate: the version it leaves; of a re-sweep the active one. purge: the version to destroy. adopt: 0. */
  readonly from: number;
  /** rotate: the version it brings the records to; 0 until it is made. purge, adopt: 0. */
  readonly to: number;
  /** rotate only; adopt seals. */
  readonly mode: RotationMode;
  readonly goal: JobGoal;
  readonly recordSets: readonly string[];
  readonly status: JobStatus;
  /** 1 for the first execution; one more each time a job that stopped or rested is taken up again. */
  readonly attempt: number;
  /** The current sweep, 1 for the first; 0 before it. */
  readonly round: number;
  readonly maxRounds: number;
  readonly chunkSize: number;
  readonly segments: number;
  /** Most records listed a second, over all segments; null: no limit. It may change while the job runs. */
  readonly recordsPerSecond: number | null;
  readonly times: JobTimes;
  readonly requestedBy: string;
  readonly requestedAt: Timestamp;
  readonly startedAt: Timestamp | null;
  readonly barrierUntil: Timestamp | null;
  /** purge: the fence that `barrierUntil` and `restoreEpoch` belong to, by the version's `destroyPendingAt`; null: none yet. */
  readonly fencedAt: Timestamp | null;
  readonly completedAt: Timestamp | null;
  readonly purgeNotBefore: Timestamp | null;
  /** The key's restore epoch when its purge, or its present sweep, began. */
  readonly restoreEpoch: number;
  readonly blocker: Blocker | null;
  /** Why it rests; null unless it is PAUSED. */
  readonly pause: Pause | null;
  readonly census: CensusResult | null;
  /** purge: the approval request that it waits for, or was approved by. */
  readonly approvalId: string | null;
  readonly cancelled: { readonly by: string; readonly at: Timestamp } | null;
  readonly revision: number;
}

/** What was counted of one record set. */
export interface CensusCoverage extends CensusCount {
  readonly store: string;
  readonly table: string;
  /** Those that every part of the count read; none where the parts read different ones, or do not say. */
  readonly columns: readonly string[];
  /** Values that are neither the key's nor to be judged by it: in rows of other tenants, or of other purposes. */
  readonly others: number;
  /**
   * Values on the version that is left, counted once more by the search, which reads each table whole: the others are sums
   * over ranges of keys. Null: the table is larger than what it reads in its time. Left out: it did not look there.
   */
  readonly onVersionBySearch?: number | null;
}

export const EXCLUSION_REASONS = [
  ...UNSEARCHED_REASONS,
  /** The key served it once, and the configuration lists it as retired. */
  'RETIRED',
  /** The key served it once, and no record set declares it any more. */
  'NOT_DECLARED',
  /** Declared after it was planned what is read, or by another configuration than that of whoever counted. */
  'DECLARED_SINCE',
  /** A record set that the key cannot serve: of another purpose, or fixed to another tenant. */
  'OTHER_KEY',
  /** Rows of other tenants in the tables that were read. */
  'OTHER_TENANTS',
  /** Columns that no record set declares were not looked for. */
  'NOT_SEARCHED',
  /** Tables of the account that no record set names: DynamoDB has no list of those that matter. */
  'OTHER_TABLES',
  /** Backups, snapshots, replicas and logs of the store: never read. */
  'BACKUPS',
] as const;
export type ExclusionReason = (typeof EXCLUSION_REASONS)[number];

/** What a census did not read. */
export interface Exclusion {
  readonly store: string;
  /** Empty: not a single table, but what the reason says of the whole store. */
  readonly table: string;
  /** Empty: all of them. */
  readonly columns: readonly string[];
  readonly why: ExclusionReason;
  /** It stands for so many more tables, whose names are left out: there are too many of them. */
  readonly more?: number;
}

/** Envelopes in a column that no record set declares. */
export interface UndeclaredColumn extends FoundColumn {
  readonly store: string;
}

/** What a census found, what it covered and what it did not. It says "these were read", never "unused". */
export interface CensusResult {
  readonly takenAt: Timestamp;
  /** Who asked: a person, or the job. */
  readonly takenBy: string;
  readonly reach: 'tenant' | 'everywhere';
  /** By record set. values = the sum of versions + foreign + malformed + tombstones + others, in each. */
  readonly coverage: Readonly<Record<string, CensusCoverage>>;
  readonly excluded: readonly Exclusion[];
  /** null: such columns were not looked for. */
  readonly undeclared: readonly UndeclaredColumn[] | null;
  /** Values on the version that is left. */
  readonly onVersion: number;
  /** Values not on the active version, whatever they are on. */
  readonly stale: number;
  readonly malformed: number;
  readonly foreign: number;
}

/** A census that was kept: one item of the ledger, create-only. */
export interface StoredCensus {
  readonly censusId: string;
  readonly keyId: string;
  readonly tenant: string;
  readonly purpose: string;
  /** The key's active version then. */
  readonly active: number;
  /** The version that `onVersion` counts. */
  readonly version: number;
  readonly restoreEpoch: number;
  /** Of a job's census; null: somebody asked for it by itself. */
  readonly jobId: string | null;
  readonly attempt: number | null;
  readonly round: number | null;
  readonly result: CensusResult;
}

/** A disjoint part of one record set; `segment` is the store's opaque text. */
export interface SegmentRef {
  /** Position in the plan, from 0. */
  readonly index: number;
  /** Empty where a store is searched. */
  readonly recordSet: string;
  readonly segment: string;
  /** Of a purge: the store in which this part is searched for columns that nobody declared. */
  readonly search?: string;
}
