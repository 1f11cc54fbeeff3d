import { RotationError } from '../errors/errors.ts';
import type { SegmentCensus } from '../ledger/ledger.ts';
import { addCounts, NO_COUNT } from '../records/census-count.ts';
import type { CensusCount } from '../records/record-store.ts';
import type { CensusCoverage, CensusResult } from '../rotation/rotation.ts';

/** What a census is about, besides its counts. */
export interface CensusFrame extends Pick<CensusResult, 'takenBy' | 'reach' | 'excluded' | 'undeclared'> {
  /** The version that is left. */
  readonly version: number;
  readonly active: number;
  /** The end of the count. */
  readonly at: string;
  /** Where a record set's values stand. */
  place(recordSet: string): Pick<CensusCoverage, 'store' | 'table' | 'columns'>;
}

/** Pure. Throws CENSUS_INCONSISTENT where the numbers do not add up: nothing may be decided by them. */
export function addUp(segments: readonly SegmentCensus[], frame: CensusFrame): CensusResult {
  const { version, active, reach } = frame;
  // A map: a record set may be named `constructor`, which every object has already.
  const counts = new Map<string, CensusCount>();
  for (const { recordSet, count, search } of segments) {
    if (search === undefined) {
      counts.set(recordSet, addCounts(counts.get(recordSet) ?? NO_COUNT, count));
    }
  }
  const covered = [...counts].map(([recordSet, count]): [string, CensusCoverage] => [
    recordSet,
    { ...frame.place(recordSet), ...count, others: othersOf(recordSet, count, reach) },
  ]);
  const sum = (pick: (count: CensusCount) => number) =>
    covered.reduce((total, [, count]) => total + pick(count), 0);
  const malformed = sum((count) => count.malformed);
  const foreign = sum((count) => count.foreign);
  const current = sum((count) => count.versions[String(active)] ?? 0);
  // The earliest segment's time: nothing that was written later is claimed to be covered.
  const [takenAt = frame.at] = [...segments.map((segment) => segment.takenAt), frame.at].sort();
  return {
    takenAt,
    takenBy: frame.takenBy,
    reach,
    coverage: Object.fromEntries(covered),
    excluded: frame.excluded,
    undeclared: frame.undeclared,
    onVersion: sum((count) => count.versions[String(version)] ?? 0),
    stale: sum(namedBy) - current + malformed + foreign,
    malformed,
    foreign,
  };
}

/** Values that are none of the key's. Of the tenant's own rows there are none: each has to be accounted for. */
function othersOf(recordSet: string, count: CensusCount, reach: CensusResult['reach']): number {
  const { values, foreign, malformed, tombstones } = count;
  const others = values - namedBy(count) - foreign - malformed - tombstones;
  if (others < 0 || (others > 0 && reach === 'tenant')) {
    throw new RotationError(
      'CENSUS_INCONSISTENT',
      `The census of ${recordSet} read ${values} values and accounts for ${values - others} of them`,
      { remedy: 'Take it again. If that happens again, report it: nothing is decided by such a census.' },
    );
  }
  return others;
}

function namedBy({ versions }: CensusCount): number {
  return Object.values(versions).reduce((a, b) => a + b, 0);
}
