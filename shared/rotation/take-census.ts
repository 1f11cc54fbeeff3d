import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import type { SegmentCensus } from '../ledger/ledger.ts';
import { addCounts, NO_COUNT } from '../records/census-count.ts';
import type { CensusCount } from '../records/record-store.ts';
import { getRunningJob, timestamp } from './change.ts';
import type { SegmentTask } from './plan-sweep.ts';
import type { CensusResult, Job } from './rotation.ts';

/** Step 6, one part of it: counts a segment's envelopes by version, from the envelopes themselves. */
export async function takeCensus(deps: Deps, task: SegmentTask): Promise<void> {
  const job = await getRunningJob(deps, task.jobId);
  const plan = await deps.ledger.getRound(task.jobId, task.round);
  const ref = plan?.segments[task.segment];
  if (ref === undefined) {
    throw new RotationError(
      'ROTATION_STATE',
      `Job ${task.jobId} has no segment ${task.segment} in round ${task.round}`,
    );
  }
  const scope = { tenant: job.tenant, keyId: job.keyId };
  const count = await deps.recordSets.store(ref.recordSet).census(scope, ref.segment, reachOf(job));
  await deps.ledger.putSegmentCensus({
    jobId: job.jobId,
    census: censusName(job.attempt, task.round),
    segment: task.segment,
    recordSet: ref.recordSet,
    count,
    takenAt: timestamp(deps.clock.now()),
  });
}

export function reachOf(job: Job): 'tenant' | 'everywhere' {
  return job.kind === 'purge' ? 'everywhere' : 'tenant';
}

/** A census of an earlier attempt never counts for a later one. */
export function censusName(attempt: number, round: number): string {
  return `attempt-${attempt}-round-${round}`;
}

/** Puts the segments' counts together. Throws when a planned segment was not counted: that is no census. */
export async function readCensus(deps: Deps, job: Job, round: number, active: number): Promise<CensusResult> {
  const plan = await deps.ledger.getRound(job.jobId, round);
  if (plan === null) throw new RotationError('ROTATION_STATE', `Job ${job.jobId} has no round ${round}`);
  const counted = await deps.ledger.listSegmentCensus(job.jobId, censusName(job.attempt, round));
  const missing = plan.segments.filter(({ index }) => !counted.some(({ segment }) => segment === index));
  if (missing.length > 0) {
    throw new RotationError(
      'ROTATION_STATE',
      `${missing.length} segments of job ${job.jobId} were not counted`,
    );
  }
  const own = new Set(deps.recordSets.ofKey(job.tenant, job.purpose));
  return addUp(counted.map(ofKey(own)), reachOf(job), job.from, active, timestamp(deps.clock.now()));
}

/** What is foreign or malformed in a record set of another purpose is that purpose's. */
function ofKey(own: ReadonlySet<string>): (segment: SegmentCensus) => SegmentCensus {
  return (segment) =>
    own.has(segment.recordSet)
      ? segment
      : { ...segment, count: { ...segment.count, foreign: 0, malformed: 0 } };
}

/** Pure. */
export function addUp(
  segments: readonly SegmentCensus[],
  reach: 'tenant' | 'everywhere',
  version: number,
  active: number,
  at: string,
): CensusResult {
  // A map: a record set may be named `constructor`, which every object has already.
  const counts = new Map<string, CensusCount>();
  for (const { recordSet, count } of segments)
    counts.set(recordSet, addCounts(counts.get(recordSet) ?? NO_COUNT, count));
  const coverage = Object.fromEntries(counts);
  const sum = (pick: (count: CensusCount) => number) =>
    Object.values(coverage).reduce((total, count) => total + pick(count), 0);
  const malformed = sum((count) => count.malformed);
  const foreign = sum((count) => count.foreign);
  const current = sum((count) => count.versions[String(active)] ?? 0);
  const named = sum((count) => Object.values(count.versions).reduce((a, b) => a + b, 0));
  // The earliest segment's time: nothing that was written later is claimed to be covered.
  const [takenAt = at] = [...segments.map((segment) => segment.takenAt), at].sort();
  return {
    takenAt,
    reach,
    coverage,
    onVersion: sum((count) => count.versions[String(version)] ?? 0),
    stale: named - current + malformed + foreign,
    malformed,
    foreign,
  };
}
