import { addUp } from '../census/add-up.ts';
import { exclusionsOf, type StoreFindings } from '../census/exclusions.ts';
import { keepJobCensus } from '../census/keep-census.ts';
import { mergeResults, shorten } from '../census/search-results.ts';
import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import type { SegmentCensus } from '../ledger/ledger.ts';
import { NO_COUNT } from '../records/census-count.ts';
import { getKey, getRunningJob, timestamp } from './change.ts';
import { noEarlierThan } from './no-earlier.ts';
import type { SegmentTask } from './plan-sweep.ts';
import type { CensusResult, Job, SegmentRef } from './rotation.ts';
import { placeOf } from './served.ts';

/** Of a function's 15 minutes: what a search has not read by then is named, and blocks the purge. */
const SEARCH_MS = 12 * 60 * 1000;

/** Step 6, one part of it: counts a segment's envelopes by version, from the envelopes themselves; or searches a part of a store. */
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
  const counted =
    ref.search === undefined
      ? await countSegment(deps, job, ref)
      : await searchPart(deps, job, ref.search, ref);
  await deps.ledger.putSegmentCensus({
    jobId: job.jobId,
    census: censusName(job.attempt, task.round),
    segment: task.segment,
    recordSet: ref.recordSet,
    ...counted,
    takenAt: countedAt(deps, job),
  });
}

async function countSegment(
  deps: Deps,
  job: Job,
  { recordSet, segment }: SegmentRef,
): Promise<Pick<SegmentCensus, 'count' | 'read'>> {
  const scope = { tenant: job.tenant, keyId: job.keyId };
  const count = await deps.recordSets.store(recordSet).census(scope, segment, reachOf(job));
  // Whoever decides may have another configuration.
  return { count, read: placeOf(deps.config, recordSet) };
}

async function searchPart(
  deps: Deps,
  job: Job,
  store: string,
  { segment }: SegmentRef,
): Promise<Pick<SegmentCensus, 'count' | 'search'>> {
  const scope = { keyId: job.keyId, version: job.from };
  const deadline = deps.clock.now() + SEARCH_MS;
  const result = await deps.recordSets.search(store).search(segment, scope, deadline);
  return { count: NO_COUNT, search: { store, ...shorten(result) } };
}

/** No count is older than the fence, or the barrier, that it waited for: by whichever clock. */
function countedAt({ clock }: Pick<Deps, 'clock'>, { barrierUntil, fencedAt, startedAt }: Job): string {
  return timestamp(noEarlierThan(clock.now(), [barrierUntil, fencedAt, startedAt]));
}

export function reachOf(job: Job): 'tenant' | 'everywhere' {
  return job.kind === 'purge' ? 'everywhere' : 'tenant';
}

/** A census of an earlier attempt never counts for a later one. */
export function censusName(attempt: number, round: number): string {
  return `attempt-${attempt}-round-${round}`;
}

/**
 * Puts the segments' counts together, and keeps the result. Throws when a planned segment was not counted, which is no
 * census, and CENSUS_INCONSISTENT when the numbers do not add up.
 */
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
  const reach = reachOf(job);
  const searched = plan.segments.some(({ search }) => search !== undefined) ? findingsOf(counted) : null;
  const key = await getKey(deps, job.tenant, job.purpose);
  const own = new Set(deps.recordSets.ofKey(job.tenant, job.purpose));
  const census = addUp(counted.map(ofKey(own)), {
    ...{ version: job.from, active, reach },
    at: countedAt(deps, job),
    takenBy: `${job.requestedBy} (job ${job.jobId})`,
    searched,
    excluded: (read) => exclusionsOf({ config: deps.config, key, reach, read, own: [...own], searched }),
  });
  await keepJobCensus(deps, job, round, active, census);
  return census;
}

function findingsOf(counted: readonly SegmentCensus[]): StoreFindings[] {
  const searches = counted.flatMap(({ search }) => (search === undefined ? [] : [search]));
  const stores = [...new Set(searches.map(({ store }) => store))];
  return stores.map((store) => ({
    store,
    ...mergeResults(searches.filter((search) => search.store === store)),
  }));
}

/** What is foreign or malformed in a record set of another purpose is that purpose's. */
export function ofKey(own: ReadonlySet<string>): (segment: SegmentCensus) => SegmentCensus {
  return (segment) =>
    own.has(segment.recordSet)
      ? segment
      : { ...segment, count: { ...segment.count, foreign: 0, malformed: 0 } };
}
