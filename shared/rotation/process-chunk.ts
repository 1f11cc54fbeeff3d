import type { Deps } from '../deps/deps.ts';
import { KeyError, RotationError } from '../errors/errors.ts';
import type { ChunkReport, PageRef, QuarantinedRecord } from '../ledger/ledger.ts';
import type { ChunkMessage } from '../queue/work-queue.ts';
import type { RecordKey } from '../records/record-store.ts';
import { adoptRecords } from './adopt-records.ts';
import { type BatchSizes, createBatchSizes } from './batch-sizes.ts';
import { getJob, timestamp } from './change.ts';
import { rewrapRecords } from './rewrap-records.ts';
import { passing, pausedBy } from './root-key-trouble.ts';
import { isRunning, type Job } from './rotation.ts';

/** What happened to the records of a chunk. Those in none of the counts were skipped: current, changed or gone. */
export interface ChunkResult {
  /** Records whose envelopes were replaced (or made, by an adoption). */
  readonly changed: number;
  /** Records set aside, each once, with every field that could not be worked on. */
  readonly quarantined: readonly QuarantinedField[];
}

/** The same for a batch, and the bytes of the values that were read for it. */
export interface BatchResult extends ChunkResult {
  readonly bytes: number;
}

export interface QuarantinedField {
  readonly key: RecordKey;
  readonly field: string;
  readonly code: string;
  readonly version: number | null;
}

/** Where a chunk is counted, and with what. */
export interface ChunkOutcome {
  readonly page: PageRef;
  readonly report: ChunkReport;
}

/**
 * The worker: rewraps, re-encrypts or seals a chunk's records. Everything in it may be repeated: a record that is
 * done is skipped. The outcome is to be reported; null for a chunk that is not counted.
 */
export async function processChunk(
  deps: Deps,
  message: ChunkMessage,
  jobs: JobCache,
): Promise<ChunkOutcome | null> {
  let job = await jobs.get(message.jobId);
  if (!job.recordSets.includes(message.recordSet)) {
    // One that was declared while the job ran, and that this worker does not know of yet.
    jobs.forget(message.jobId);
    job = await jobs.get(message.jobId);
  }
  assertOfJob(job, message);
  // At rest, or called off: not touched and not counted. The attempt that takes the job up lists what is left.
  if (job.status === 'PAUSED' || job.status === 'CANCELLED') return null;
  const result = await workUnlessPaused(deps, job, message, jobs);
  if (result === null) return null;
  for (const field of result.quarantined) {
    await deps.ledger.putQuarantined(quarantinedRecord(deps, job, message.recordSet, field));
  }
  if (message.progress === null) return null;
  const { round, segment, page, chunk, planned } = message.progress;
  const quarantined = Math.min(
    new Set(result.quarantined.map(({ key }) => JSON.stringify(key))).size,
    planned,
  );
  const rewrapped = Math.min(result.changed, planned - quarantined);
  return {
    page: { jobId: job.jobId, round, segment, page },
    report: { chunk, counts: { rewrapped, quarantined, skipped: planned - rewrapped - quarantined } },
  };
}

/** The queue is not authenticated: a message may name no other tenant's or record set's records than its job's. */
function assertOfJob(job: Job, { tenant, recordSet }: ChunkMessage): void {
  if (job.tenant !== tenant || !job.recordSets.includes(recordSet)) {
    throw new RotationError('MESSAGE_INVALID', `A chunk names records that job ${job.jobId} is not about`);
  }
  // An adoption seals what stands beside an empty column: once it is over, only a new request may do that again.
  if (job.kind === 'purge' || (job.kind === 'adopt' && job.status === 'COMPLETED')) {
    throw new RotationError('MESSAGE_INVALID', `Job ${job.jobId} is a ${job.kind} that has no chunks`);
  }
}

/** Null: the job rests now, because its root key cannot be used. No record of the chunk has failed. */
async function workUnlessPaused(
  deps: Deps,
  job: Job,
  message: ChunkMessage,
  jobs: JobCache,
): Promise<ChunkResult | null> {
  try {
    return await workInBatches(deps, job, message, jobs.batchSizes);
  } catch (error) {
    if (!(await pausedBy(deps, job.jobId, error))) throw passing(error);
    jobs.forget(job.jobId);
    return null;
  }
}

async function workInBatches(
  deps: Deps,
  job: Job,
  message: ChunkMessage,
  sizes: BatchSizes,
): Promise<ChunkResult> {
  const work = job.kind === 'adopt' ? adoptRecords : rewrapRecords;
  const quarantined: QuarantinedField[] = [];
  let changed = 0;
  for (let start = 0; start < message.keys.length; ) {
    const keys = message.keys.slice(start, start + sizes.next(message.recordSet));
    const result = await work(deps, job, message.recordSet, keys);
    sizes.learn(message.recordSet, keys.length, result.bytes);
    changed += result.changed;
    quarantined.push(...result.quarantined);
    start += keys.length;
  }
  return { changed, quarantined };
}

/** Counts chunks of one page once each, in one write: they are usually received together. */
export async function reportOutcomes(
  deps: Pick<Deps, 'ledger' | 'clock'>,
  outcomes: readonly ChunkOutcome[],
): Promise<void> {
  const [first] = outcomes;
  if (first === undefined) return;
  const reports = new Map<number, ChunkReport>();
  for (const { report } of outcomes) {
    const same = reports.get(report.chunk);
    reports.set(report.chunk, same === undefined ? report : mergeReports(same, report));
  }
  await deps.ledger.reportChunks(first.page, [...reports.values()], timestamp(deps.clock.now()));
}

/** Pure. A chunk that came twice in one batch: each of its records was changed by one of the two, if by any. */
export function mergeReports({ chunk, counts: a }: ChunkReport, { counts: b }: ChunkReport): ChunkReport {
  const planned = a.rewrapped + a.skipped + a.quarantined;
  const quarantined = Math.max(a.quarantined, b.quarantined);
  const rewrapped = Math.min(a.rewrapped + b.rewrapped, planned - quarantined);
  return { chunk, counts: { rewrapped, quarantined, skipped: planned - rewrapped - quarantined } };
}

/** What a worker keeps from one chunk to the next. */
export interface JobCache {
  get(jobId: string): Promise<Job>;
  forget(jobId: string): void;
  readonly batchSizes: BatchSizes;
}

/** Jobs in work at one time in one process; more only cost more reads. */
const CACHED_JOBS = 100;
/** How long a worker goes on with a job that was paused. */
const JOB_AGE_MS = 5_000;

/**
 * What a worker needs of a job (its key, mode and versions) never changes once its sweep has begun, but for the pause:
 * so it is read every few seconds and not once a chunk.
 */
export function createJobCache(deps: Pick<Deps, 'ledger' | 'clock'>): JobCache {
  const jobs = new Map<string, { readonly job: Job; readonly at: number }>();
  return {
    batchSizes: createBatchSizes(),
    forget: (jobId) => jobs.delete(jobId),
    async get(jobId) {
      const now = deps.clock.now();
      const cached = jobs.get(jobId);
      // A clock that was set back must not keep it for ever.
      if (cached !== undefined && Math.abs(now - cached.at) < JOB_AGE_MS) return cached.job;
      jobs.delete(jobId);
      const job = await getJob(deps, jobId);
      const [oldest] = jobs.keys();
      if (jobs.size >= CACHED_JOBS && oldest !== undefined) jobs.delete(oldest);
      // Whether an adoption is over, or a job goes on again, is looked at each time: a chunk that is taken for one of a
      // job at rest is not counted, and would not come again.
      if (job.round > 0 && job.kind === 'rotate' && isRunning(job.status)) jobs.set(jobId, { job, at: now });
      return job;
    },
  };
}

function quarantinedRecord(
  deps: Deps,
  job: Job,
  recordSet: string,
  field: QuarantinedField,
): QuarantinedRecord {
  return {
    keyId: job.keyId,
    tenant: job.tenant,
    purpose: job.purpose,
    recordSet,
    recordId: field.key,
    field: field.field,
    code: field.code,
    version: field.version,
    jobId: job.jobId,
    at: timestamp(deps.clock.now()),
  };
}

export interface WriteFence {
  /** Throws KEY_UNAVAILABLE when too much time has passed. */
  assertFresh(): void;
  /** For the store: it may be frozen, or try again, after that. Milliseconds since the epoch. */
  readonly notAfter: number;
}

/**
 * A worker is a writer too: from when it was given the active version until it writes, no more time may pass than the
 * propagation barrier allows for. A process that was frozen in mid-chunk must not write a version that was retired since.
 * The longer of two times counts: a wall clock that was set back in between makes the chunk no younger, and one that never
 * goes back may stand still while the machine sleeps.
 */
export function createWriteFence({ clock, config }: Pick<Deps, 'clock' | 'config'>): WriteFence {
  const began = { wall: clock.now(), monotonic: clock.monotonic() };
  const limit = config.rotation.maxTransactionSeconds;
  return {
    notAfter: began.wall + limit * 1000,
    assertFresh() {
      const wall = clock.now() - began.wall;
      if (wall < 0 || Math.max(wall, clock.monotonic() - began.monotonic) > limit * 1000) {
        throw new KeyError(
          'KEY_UNAVAILABLE',
          'The chunk took longer than maxTransactionSeconds; it is tried again',
          {
            retryable: true,
          },
        );
      }
    },
  };
}
