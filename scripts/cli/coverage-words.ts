import type { CensusCoverage } from '../../shared/rotation/rotation.ts';
import { count } from './format.ts';

/** What a census found in one record set, each with its number: they add up to the values that were read. Pure. */
export function coverageParts({
  versions,
  foreign,
  malformed,
  tombstones,
  others,
}: Pick<CensusCoverage, 'versions' | 'foreign' | 'malformed' | 'tombstones' | 'others'>): string[] {
  const parts: (readonly [number, string])[] = [
    ...Object.entries(versions).map(([version, values]) => [values, `on version ${version}`] as const),
    [foreign, 'of another key'],
    [malformed, malformed === 1 ? 'that is no envelope' : 'that are no envelopes'],
    [tombstones, 'given up'],
    [others, 'of other keys or tenants'],
  ];
  return parts.filter(([values]) => values > 0).map(([values, words]) => `${count(values)} ${words}`);
}
