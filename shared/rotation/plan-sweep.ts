import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import { changeJob, moveJob, requireRunning, timestamp } from './change.ts';
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
  const job = await changeJob(deps, jobId, (current) => {
    requireRunning(current);
    const begun =
      current.status === 'SWEEPING' || current.status === 'BARRIER' || current.status === 'CENSUS';
    if (begun) return current;
    const preparing = current.status === 'REQUESTED' ? moveJob(current, 'PREPARING') : current;
    return moveJob(preparing, 'SWEEPING', {
      round: current.round + 1,
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
  return refs;
}
