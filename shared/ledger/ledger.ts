import type { Approval, ApprovalRequest, ApprovalVoid } from '../approvals/approval.ts';
import type { StoredCertificate } from '../certificates/certificate.ts';
import type { CanaryUse, ServedTable, TenantKey, Timestamp } from '../keyring/key.ts';
import type { CensusCount } from '../records/record-store.ts';
import type { SearchResult } from '../records/store-search.ts';
import type { Restore } from '../rotation/restore.ts';
import type { Job, JobKind, JobStatus, SegmentRef, StoredCensus } from '../rotation/rotation.ts';

/**
 * The port to the ledger: keys, jobs, progress, quarantine. Every change is one write to one item,
 * conditional wherever a decision hangs on it (census counts and quarantine entries overwrite only themselves), so that
 * a crash leaves no half-done state and a repeat is a no-op. Reads are strongly consistent, except the
 * lists (`listKeys`, `listJobs`, `listApprovalRequests`), which are for people and never justify a step. These lists leave out an
 * item that cannot be verified, and tell of it, so that what is wrong with one tenant stops no other; every other read
 * throws STATE_FORGED. Every failure is a LedgerError.
 */

/** `created` when this call wrote it; `exists` with what stood there already. */
export type CreateResult<T> =
  | { readonly status: 'created'; readonly item: T }
  | { readonly status: 'exists'; readonly item: T };

/** Told of each item that a list leaves out because it cannot be verified. `what` is for people, never a record's id. */
export type OnSkipped = (what: string) => void;

export interface PageRef {
  readonly jobId: string;
  readonly round: number;
  readonly segment: number;
  readonly page: number;
}

/** The plan of one page of a segment's sweep: written before its chunks are queued, so that a crash can queue them again. */
export interface PagePlan {
  readonly jobId: string;
  readonly round: number;
  readonly segment: number;
  /** From 0. */
  readonly page: number;
  /** Store cursor where the page begins; null: the segment's start. */
  readonly after: string | null;
  readonly chunks: readonly {
    /** Records planned in this chunk. */
    readonly records: number;
    /** Store cursor right after its last record. */
    readonly until: string;
  }[];
  /** Where the next page begins; null: the segment is listed to its end. */
  readonly next: string | null;
}

/** What a worker did with a chunk. rewrapped + skipped + quarantined = the chunk's planned records. */
export interface ChunkCounts {
  readonly rewrapped: number;
  readonly skipped: number;
  readonly quarantined: number;
}

export interface ChunkReport {
  /** Its index in the page's plan. */
  readonly chunk: number;
  readonly counts: ChunkCounts;
}

export interface PageProgress extends ChunkCounts {
  readonly plan: PagePlan;
  /** Sum over the plan's chunks. */
  readonly planned: number;
  /** Chunk numbers (index into plan.chunks) that were reported. */
  readonly done: readonly number[];
  readonly updatedAt: Timestamp;
}

/** A segment's finished pages, rolled up. Only pages below `lowWater`, all of them finished, are in its sums. */
export interface SegmentProgress extends ChunkCounts {
  readonly jobId: string;
  readonly round: number;
  readonly segment: number;
  readonly lowWater: number;
  readonly planned: number;
  /** Every page below lowWater is finished and the last of them had `next: null`. */
  readonly finished: boolean;
  readonly updatedAt: Timestamp;
}

/** The segments of one round, fixed once. */
export interface RoundPlan {
  readonly jobId: string;
  readonly round: number;
  readonly segments: readonly SegmentRef[];
  readonly createdAt: Timestamp;
}

export interface SegmentCensus {
  readonly jobId: string;
  /** One name a census, e.g. `attempt-1-round-2`: a repeated segment overwrites its own count only. */
  readonly census: string;
  readonly segment: number;
  /** Empty where a store was searched. */
  readonly recordSet: string;
  readonly count: CensusCount;
  /** Where it was counted, by the configuration of the process that did. Earlier releases did not say. */
  readonly read?: ServedTable;
  /** Instead of a count: what a part of a store holds that nobody declared. Earlier releases did not say what was. */
  readonly search?: Omit<SearchResult, 'declared'> &
    Partial<Pick<SearchResult, 'declared'>> & { readonly store: string };
  readonly takenAt: Timestamp;
}

export interface QuarantinedRecord {
  readonly keyId: string;
  readonly tenant: string;
  readonly purpose: string;
  readonly recordSet: string;
  readonly recordId: readonly string[];
  readonly field: string;
  /** Code of the error that set it aside. */
  readonly code: string;
  /** The version its envelope names; null when that cannot be told. */
  readonly version: number | null;
  readonly jobId: string;
  readonly at: Timestamp;
}

export interface Ledger {
  /** Create-only on (tenant, purpose). */
  createKey(key: TenantKey): Promise<CreateResult<TenantKey>>;
  getKey(tenant: string, purpose: string): Promise<TenantKey | null>;
  /**
   * Writes `key` (whose revision is one more than the stored one's), on condition that nothing was marked as used since it
   * was read. Throws REVISION_CONFLICT.
   */
  replaceKey(key: TenantKey): Promise<void>;
  /** In order of tenant and purpose. */
  listKeys(onSkipped?: OnSkipped): Promise<readonly TenantKey[]>;
  /**
   * Sets the key's canary, and nothing else: all that an application may write. No revision and no MAC covers it, so that
   * a forged one calls a purge off and can do no more. False: there is no such key.
   */
  markUsed(tenant: string, purpose: string, use: CanaryUse): Promise<boolean>;
  /** Takes back what was marked, before a version is fenced anew. False: by now something else is marked. */
  clearUsed(tenant: string, purpose: string, use: CanaryUse): Promise<boolean>;
  /** All of them, strongly consistent: reads the whole table, so it is for what must not miss one. */
  scanKeys(): Promise<readonly TenantKey[]>;

  /** Create-only on jobId. */
  createJob(job: Job): Promise<CreateResult<Job>>;
  getJob(jobId: string): Promise<Job | null>;
  /** As replaceKey. */
  replaceJob(job: Job): Promise<void>;
  /** Newest first. */
  listJobs(
    filter?: { readonly kind?: JobKind; readonly statuses?: readonly JobStatus[] },
    onSkipped?: OnSkipped,
  ): Promise<readonly Job[]>;

  /** Create-only on (job, round). */
  createRound(plan: RoundPlan): Promise<CreateResult<RoundPlan>>;
  getRound(jobId: string, round: number): Promise<RoundPlan | null>;

  /** Create-only on (job, round, segment, page). */
  createPage(plan: PagePlan, at: Timestamp): Promise<CreateResult<PagePlan>>;
  /**
   * Counts each chunk once, all of one page in one write: ADD, on condition that the page's set holds none of them
   * yet. Those that were reported before are left out. Returns the numbers that this call counted. Throws
   * LEDGER_NOT_FOUND, and then counts none, when a chunk was never planned.
   */
  reportChunks(page: PageRef, reports: readonly ChunkReport[], at: Timestamp): Promise<readonly number[]>;
  /** Pages from number `from` on, in order, at most `limit`. */
  listPages(
    jobId: string,
    round: number,
    segment: number,
    from: number,
    limit: number,
  ): Promise<readonly PageProgress[]>;
  /** All zero with lowWater 0 where nothing was rolled up yet. */
  getSegment(jobId: string, round: number, segment: number): Promise<SegmentProgress>;
  listSegments(jobId: string, round: number): Promise<readonly SegmentProgress[]>;
  /** Writes the roll-up on condition that the stored low-water mark is still `expectedLowWater`. False: it was not. */
  advanceSegment(next: SegmentProgress, expectedLowWater: number): Promise<boolean>;

  /** Create-only on (key, time, id). */
  putStoredCensus(census: StoredCensus): Promise<CreateResult<StoredCensus>>;
  /** Of one key, newest first. */
  listStoredCensuses(keyId: string, limit: number): Promise<readonly StoredCensus[]>;
  /** By its id alone; for people: eventually consistent, as the lists. */
  findStoredCensus(censusId: string): Promise<StoredCensus | null>;

  putSegmentCensus(census: SegmentCensus): Promise<void>;
  listSegmentCensus(jobId: string, census: string): Promise<readonly SegmentCensus[]>;

  /** Idempotent on (key, record set, record, field). */
  putQuarantined(record: QuarantinedRecord): Promise<void>;
  listQuarantined(keyId: string): Promise<readonly QuarantinedRecord[]>;
  /** Deleting what is not there is a no-op. */
  deleteQuarantined(
    record: Pick<QuarantinedRecord, 'keyId' | 'recordSet' | 'recordId' | 'field'>,
  ): Promise<void>;

  /** Create-only on (key, version). */
  createCertificate(certificate: StoredCertificate): Promise<CreateResult<StoredCertificate>>;
  getCertificate(keyId: string, version: number): Promise<StoredCertificate | null>;

  /** Create-only on requestId. */
  createApprovalRequest(request: ApprovalRequest): Promise<CreateResult<ApprovalRequest>>;
  getApprovalRequest(requestId: string): Promise<ApprovalRequest | null>;
  /** Those that expire at `expiresFrom` or later (all of them where it is left out), the last to expire first, at most `limit`. */
  listApprovalRequests(
    filter?: { readonly expiresFrom?: Timestamp; readonly limit?: number },
    onSkipped?: OnSkipped,
  ): Promise<readonly ApprovalRequest[]>;
  /** Create-only on requestId: the first reason stands. */
  voidApprovalRequest(entry: ApprovalVoid): Promise<CreateResult<ApprovalVoid>>;
  getApprovalVoid(requestId: string): Promise<ApprovalVoid | null>;
  /** Create-only on (requestId, approver). */
  createApproval(approval: Approval): Promise<CreateResult<Approval>>;
  /** In order of the approvers' names. */
  listApprovals(requestId: string): Promise<readonly Approval[]>;

  /** Create-only on restoreId. */
  createRestore(restore: Restore): Promise<CreateResult<Restore>>;
  getRestore(restoreId: string): Promise<Restore | null>;
  /** As replaceKey. */
  replaceRestore(restore: Restore): Promise<void>;
  /** Newest first; strongly consistent. */
  listRestores(): Promise<readonly Restore[]>;

  /** Throws when the table is missing or out of reach. */
  check(): Promise<void>;
}
