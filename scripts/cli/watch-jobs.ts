import type { Deps } from '../../shared/deps/deps.ts';
import { calledOffMeanwhile, type Refusal } from '../../shared/rotation/call-off-purge.ts';
import { getJob, getKey } from '../../shared/rotation/change.ts';
import { type RoundProgress, readRoundProgress, sumProgress } from '../../shared/rotation/progress.ts';
import type { JobRequest } from '../../shared/rotation/request-job.ts';
import { isRunning, type Job } from '../../shared/rotation/rotation.ts';
import { mapConcurrently } from './concurrent.ts';

/** Follows jobs to their end by reading the ledger. The stack does the work; this only looks. */

export type Counts = Omit<RoundProgress, 'round'>;

export interface Snapshot {
  readonly job: Job;
  /** The current round's progress; null where the job has no sweep or is in another step. */
  readonly progress: RoundProgress | null;
  /** What has called a purge off that its job does not tell of yet. */
  readonly calledOff: Refusal | null;
}

const FIRST_POLL_MS = 100;
const SLOWEST_POLL_MS = 1_000;
const BACK_OFF = 1.3;
const READERS = 8;

/** Nothing happens to it any more, or not before somebody enables a root key: there is nothing to wait for. */
export function isOver(job: Job): boolean {
  return !isRunning(job.status);
}

/** Resolves with the last snapshot of each, in order. */
export async function watchJobs(
  deps: Deps,
  jobIds: readonly string[],
  show: (snapshots: readonly Snapshot[]) => void,
  signal: AbortSignal,
): Promise<readonly Snapshot[]> {
  let wait = FIRST_POLL_MS;
  let last: readonly (Snapshot | null)[] = jobIds.map(() => null);
  for (;;) {
    const known = last;
    const snapshots = await mapConcurrently([...jobIds.entries()], READERS, async ([i, jobId]) => {
      const before = known[i] ?? null;
      return before !== null && isOver(before.job) ? before : readSnapshot(deps, jobId);
    });
    signal.throwIfAborted();
    show(snapshots);
    if (snapshots.every(({ job }) => isOver(job))) return snapshots;
    last = snapshots;
    await deps.clock.sleep(wait, signal);
    wait = Math.min(SLOWEST_POLL_MS, wait * BACK_OFF);
  }
}

export async function readSnapshot(deps: Deps, jobId: string): Promise<Snapshot> {
  const job = await getJob(deps, jobId);
  const sweeps = job.kind !== 'purge' && job.round > 0;
  return {
    job,
    progress: sweeps ? await readRoundProgress(deps, job, job.round) : null,
    calledOff: await readCalledOff(deps, job),
  };
}

/** The job of a purge says so only after its next look, up to a day later; its key says it at once. */
export async function readCalledOff(deps: Deps, job: Job): Promise<Refusal | null> {
  if (job.kind !== 'purge' || (isOver(job) && job.status !== 'PAUSED')) return null;
  const key = await getKey(deps, job.tenant, job.purpose);
  return calledOffMeanwhile(key, job, deps.clock.now(), deps.config);
}

/** What a request's job did since it was asked for; of a joined one, all of it. */
export async function readCounts(deps: Deps, job: Job, request: JobRequest): Promise<Counts> {
  const before = request.answer === 'resumed' ? request.job.round : 0;
  return countRounds(deps, job, before + 1);
}

export async function countRounds(deps: Deps, job: Job, from = 1): Promise<Counts> {
  const rounds: RoundProgress[] = [];
  if (job.kind !== 'purge') {
    for (let round = from; round <= job.round; round++) {
      rounds.push(await readRoundProgress(deps, job, round));
    }
  }
  return sumProgress(rounds);
}
