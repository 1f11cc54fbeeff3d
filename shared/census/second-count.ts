import type { ServedTable } from '../keyring/key.ts';
import type { CensusResult } from '../rotation/rotation.ts';
import type { StoreFindings } from './exclusions.ts';

/**
 * The second count of declared columns. A census reads a table range of keys after range of keys, and a row whose key is
 * changed meanwhile may be in none of them; a search of the store reads each table at once, and finds it. Pure.
 */

/** How many values of these columns are on the version; undefined: not each of them was read so. */
export function countBySearch(
  { store, table, columns }: ServedTable,
  searched: readonly StoreFindings[] | null,
): number | undefined {
  const declared = (searched ?? [])
    .filter((result) => result.store === store)
    .flatMap((result) => result.declared)
    .filter((each) => each.table === table);
  let total = 0;
  for (const column of columns) {
    const found = declared.find((each) => each.column === column);
    if (found === undefined) return undefined;
    total += found.onVersion;
  }
  return columns.length === 0 ? undefined : total;
}

/** Record sets with values on the version that the ranges do not have, for people; null: there is none. */
export function describeFoundBySearch({ coverage }: Pick<CensusResult, 'coverage'>): string | null {
  const found = Object.entries(coverage).flatMap(([recordSet, { onVersionBySearch = 0 }]) =>
    onVersionBySearch > 0 ? [`${recordSet} (${onVersionBySearch})`] : [],
  );
  return found.length === 0 ? null : found.join(', ');
}

/** Record sets that were counted in ranges only. */
export function notReadBySearch({ coverage }: Pick<CensusResult, 'coverage'>): readonly string[] {
  return Object.entries(coverage).flatMap(([recordSet, { onVersionBySearch }]) =>
    onVersionBySearch === undefined ? [recordSet] : [],
  );
}
