import { isDeepStrictEqual } from 'node:util';
import { RotationError } from '../errors/errors.ts';
import type { ServedTable } from '../keyring/key.ts';
import type { SegmentCensus } from '../ledger/ledger.ts';
import { addCounts, NO_COUNT } from '../records/census-count.ts';
import type { CensusCount } from '../records/record-store.ts';
import type { CensusCoverage, CensusResult, Exclusion } from '../rotation/rotation.ts';
import type { StoreFindings } from './exclusions.ts';
import { countBySearch } from './second-count.ts';
import { undeclaredOf } from './undeclared.ts';

/** What a census is about, besides its counts. */
export interface CensusFrame extends Pick<CensusResult, 'takenBy' | 'reach'> {
  /** The version that is left. */
  readonly version: number;
  readonly active: number;
  /** The end of the count. */
  readonly at: string;
  /** null: no store was searched. */
  readonly searched: readonly StoreFindings[] | null;
  /** What was not read, by what was. */
  excluded(read: Readonly<Record<string, ServedTable>>): readonly Exclusion[];
}

/** Pure. Throws CENSUS_INCONSISTENT where the numbers do not add up: nothing may be decided by them. */
export function addUp(segments: readonly SegmentCensus[], frame: CensusFrame): CensusResult {
  const { version, active, reach, searched } = frame;
  // A map: a record set may be named `constructor`, which every object has already.
  const parts = new Map<string, SegmentCensus[]>();
  for (const segment of segments) {
    if (segment.search !== undefined) continue;
    parts.set(segment.recordSet, [...(parts.get(segment.recordSet) ?? []), segment]);
  }
  const covered = [...parts].map(([recordSet, of]): [string, CensusCoverage] => {
    const place = placeRead(of);
    const count = of.map((segment) => segment.count).reduce(addCounts, NO_COUNT);
    const onVersionBySearch = countBySearch(place, searched);
    const others = othersOf(recordSet, count, reach);
    return [
      recordSet,
      { ...place, ...count, others, ...(onVersionBySearch === undefined ? {} : { onVersionBySearch }) },
    ];
  });
  const coverage = Object.fromEntries(covered);
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
    coverage,
    excluded: frame.excluded(coverage),
    undeclared: searched === null ? null : undeclaredOf(searched),
    onVersion: sum((count) => count.versions[String(version)] ?? 0),
    stale: sum(namedBy) - current + malformed + foreign,
    malformed,
    foreign,
  };
}

/** Where all of them counted. A deployment may have come between two, and then it is not known of the record set's rows. */
function placeRead(segments: readonly SegmentCensus[]): ServedTable {
  const [first, ...others] = segments.map(({ read }) => read);
  const same = first !== undefined && others.every((read) => isDeepStrictEqual(read, first));
  return same ? first : { store: '', table: '', columns: [] };
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
