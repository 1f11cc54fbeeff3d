import type { ServedTable } from '../keyring/key.ts';
import type { CensusResult } from '../rotation/rotation.ts';
import type { StoreFindings } from './exclusions.ts';
import { addCounts } from './search-results.ts';

/**
 * The second count of declared columns. A census reads a table range of keys after range of keys, and a row whose key is
 * changed meanwhile may be in none of them; a search of the store reads each table at once, and finds it. Pure.
 */

/**
 * How many values of these columns are on the version; null: the table is larger than what a search reads in its time;
 * undefined: the search did not take each of them for declared.
 */
export function countBySearch(
  { store, table, columns }: ServedTable,
  searched: readonly StoreFindings[] | null,
): number | null | undefined {
  const declared = (searched ?? [])
    .filter((result) => result.store === store)
    .flatMap((result) => result.declared)
    .filter((each) => each.table === table);
  let total: number | null = 0;
  for (const column of columns) {
    const found = declared.find((each) => each.column === column);
    if (found === undefined) return undefined;
    total = addCounts(total, found.onVersion);
  }
  return columns.length === 0 ? undefined : total;
}

/** Record sets with values on the version that the ranges do not have, for people; null: there is none. */
export function describeFoundBySearch({ coverage }: Pick<CensusResult, 'coverage'>): string | null {
  const found = Object.entries(coverage).flatMap(([recordSet, { onVersionBySearch = 0 }]) =>
    (onVersionBySearch ?? 0) > 0 ? [`${recordSet} (${onVersionBySearch})`] : [],
  );
  return found.length === 0 ? null : found.join(', ');
}

/** Record sets that a search of another configuration, or an earlier release, did not take for declared. */
export function notReadBySearch({ coverage }: Pick<CensusResult, 'coverage'>): readonly string[] {
  return Object.entries(coverage).flatMap(([recordSet, { onVersionBySearch }]) =>
    onVersionBySearch === undefined ? [recordSet] : [],
  );
}
