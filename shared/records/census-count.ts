import type { CensusCount } from './record-store.ts';

export const NO_COUNT: CensusCount = {
  rows: 0,
  values: 0,
  versions: {},
  foreign: 0,
  malformed: 0,
  tombstones: 0,
};

export function addCounts(a: CensusCount, b: CensusCount): CensusCount {
  const versions: Record<string, number> = { ...a.versions };
  for (const [version, count] of Object.entries(b.versions))
    versions[version] = (versions[version] ?? 0) + count;
  return {
    rows: a.rows + b.rows,
    values: a.values + b.values,
    versions,
    foreign: a.foreign + b.foreign,
    malformed: a.malformed + b.malformed,
    tombstones: a.tombstones + b.tombstones,
  };
}
