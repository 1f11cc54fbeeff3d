import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import { changeJob, getKey, getRunningJob, moveJob, requireRunning, timestamp } from './change.ts';
import type { Job, SegmentRef } from './rotation.ts';

/** What the state machine's Map runs over. */
export interface SegmentTask {
  readonly jobId: string;
  readonly round: number;
  readonly segment: number;
}

/** Step 4 begins: fixes the round's segments once, so that every repeat works on the same ones. */
export async function planSweep(
  deps: Deps,
  jobId: string,
): Promise<{ round: number; segments: SegmentTask[] }> {
  const { tenant, purpose } = await getRunningJob(deps, jobId);
  // Read before anything is listed: restores that ended in this epoch are covered by this sweep.
  const { restoreEpoch } = await getKey(deps, tenant, purpose);
  const job = await changeJob(deps, jobId, (current) => {
    requireRunning(current);
    const begun =
      current.status === 'SWEEPING' || current.status === 'BARRIER' || current.status === 'CENSUS';
    if (begun) return current;
    const preparing = current.status === 'REQUESTED' ? moveJob(current, 'PREPARING') : current;
    return moveJob(preparing, 'SWEEPING', {
      round: current.round + 1,
      restoreEpoch,
      startedAt: current.startedAt ?? timestamp(deps.clock.now()),
    });
  });
  return { round: job.round, segments: await planRound(deps, job) };
}

export async function planRound(deps: Deps, job: Job): Promise<SegmentTask[]> {
  const stored = await deps.ledger.getRound(job.jobId, job.round);
  const segments =
    stored?.segments ??
    (
      await deps.ledger.createRound({
        jobId: job.jobId,
        round: job.round,
        segments: await cutSegments(deps, job),
        createdAt: timestamp(deps.clock.now()),
      })
    ).item.segments;
  return segments.map(({ index }) => ({ jobId: job.jobId, round: job.round, segment: index }));
}

/** A purge reads every row of every table that the key may serve; a sweep reads the tenant's. */
async function cutSegments(deps: Deps, job: Job): Promise<SegmentRef[]> {
  const refs: SegmentRef[] = [];
  for (const recordSet of job.recordSets) {
    const store = deps.recordSets.store(recordSet);
    const segments =
      job.kind === 'purge'
        ? await store.segmentsEverywhere(job.segments)
        : await store.segments({ tenant: job.tenant, keyId: job.keyId }, job.segments);
    for (const segment of segments) refs.push({ index: refs.length, recordSet, segment });
  }
  // Nothing to read is nothing proved.
  if (refs.length === 0)
    throw new RotationError('ROTATION_STATE', `Job ${job.jobId} has no record set to read`);
  return job.kind === 'purge' ? [...refs, ...(await cutSearches(deps, job, refs.length))] : refs;
}

/** And what no record set declares, in every store. */
async function cutSearches(deps: Deps, job: Job, first: number): Promise<SegmentRef[]> {
  const refs: SegmentRef[] = [];
  for (const store of deps.recordSets.stores) {
    for (const segment of await deps.recordSets.search(store).parts(job.segments)) {
      refs.push({ index: first + refs.length, recordSet: '', segment, search: store });
    }
  }
  return refs;
}
