import type { DeclaredColumn, FoundColumn, SearchResult, Unsearched } from '../records/store-search.ts';

/** As a part was stored. */
export type PartResult = Omit<SearchResult, 'declared'> & Partial<Pick<SearchResult, 'declared'>>;

/** The results of a search in parts, put together and kept short enough for an item of the ledger. Pure. */

/** Of one store; a column's counts may come from several parts. */
export function mergeResults(results: readonly PartResult[]): SearchResult {
  const found = merge(
    results.flatMap((result) => result.found),
    ({ table, column }) => [table, column],
    (a, b) => ({
      ...a,
      envelopes: a.envelopes + b.envelopes,
      ofKey: a.ofKey + b.ofKey,
      onVersion: a.onVersion + b.onVersion,
      ...sumMore(a, b),
    }),
  );
  const unsearched = merge(
    results.flatMap((result) => result.unsearched),
    ({ table, reason }) => [table, reason],
    (a, b) => ({ ...a, columns: [...new Set([...a.columns, ...b.columns])], ...sumMore(a, b) }),
  );
  const declared = merge(
    results.flatMap((result): readonly DeclaredColumn[] => result.declared ?? []),
    ({ table, column }) => [table, column],
    (a, b) => ({ ...a, onVersion: addCounts(a.onVersion, b.onVersion) }),
  );
  return shorten({ found, declared, unsearched });
}

/** Of what was not read whole, null. */
export function addCounts(a: number | null, b: number | null): number | null {
  return a === null || b === null ? null : a + b;
}

function merge<T>(all: readonly T[], nameOf: (each: T) => readonly string[], add: (a: T, b: T) => T): T[] {
  const merged = new Map<string, T>();
  for (const each of all) {
    const name = JSON.stringify(nameOf(each));
    const known = merged.get(name);
    merged.set(name, known === undefined ? each : add(known, each));
  }
  return [...merged.values()];
}

function sumMore(a: { readonly more?: number }, b: { readonly more?: number }): { readonly more?: number } {
  const more = (a.more ?? 0) + (b.more ?? 0);
  return more === 0 ? {} : { more };
}

/** Most columns or tables that are named. */
const NAMED = 200;
/** Most columns of one table that are named. */
const COLUMNS = 50;

/**
 * Names the first of very many, those that decide about a purge before all others, and counts the rest. In the order of
 * their names, however the search was cut into parts: two censuses that found the same say the same.
 */
export function shorten({ found, declared, unsearched }: SearchResult): SearchResult {
  const columns = [...found].sort(
    (a, b) =>
      Number(a.more !== undefined) - Number(b.more !== undefined) ||
      b.onVersion - a.onVersion ||
      b.ofKey - a.ofKey ||
      byName(a, b),
  );
  const tables = [...unsearched].sort((a, b) => rank(a) - rank(b) || byName(a, b));
  const named = columns.slice(0, NAMED).sort(byName);
  return {
    found: [...named, ...restOfFound(columns.slice(NAMED))],
    declared: [...declared].sort(byName),
    unsearched: [...tables.slice(0, NAMED), ...restOfUnsearched(tables.slice(NAMED))].map((each) => ({
      ...each,
      columns: shortenColumns(each.columns),
    })),
  };
}

interface Named {
  readonly table: string;
  readonly column?: string;
  readonly reason?: string;
}

function byName(a: Named, b: Named): number {
  return (
    compare(a.table, b.table) ||
    compare(a.column ?? '', b.column ?? '') ||
    compare(a.reason ?? '', b.reason ?? '')
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** What ran out of time first, and what stands for others last. */
function rank({ reason, more }: Unsearched): number {
  return more !== undefined ? 2 : reason === 'TIME' ? 0 : 1;
}

function restOfFound(rest: readonly FoundColumn[]): FoundColumn[] {
  if (rest.length === 0) return [];
  const sum = (part: 'envelopes' | 'ofKey' | 'onVersion') =>
    rest.reduce((total, each) => total + each[part], 0);
  return [
    {
      ...{ table: '', column: '', materialized: rest.every(({ materialized }) => materialized) },
      ...{ envelopes: sum('envelopes'), ofKey: sum('ofKey'), onVersion: sum('onVersion') },
      more: rest.reduce((total, { more = 1 }) => total + more, 0),
    },
  ];
}

function restOfUnsearched(rest: readonly Unsearched[]): Unsearched[] {
  const reasons = [...new Set(rest.map(({ reason }) => reason))];
  return reasons.map((reason) => {
    const more = rest
      .filter((each) => each.reason === reason)
      .reduce((total, each) => total + (each.more ?? 1), 0);
    return { table: '', columns: [], reason, more };
  });
}

function shortenColumns(columns: readonly string[]): readonly string[] {
  const counted = columns.map((column) => MORE.exec(column)?.[1]);
  const names = columns.filter((_, i) => counted[i] === undefined).sort(compare);
  const more = counted.reduce((total, n) => total + Number(n ?? 0), Math.max(0, names.length - COLUMNS));
  return more === 0 ? names : [...names.slice(0, COLUMNS), `(${more} more)`];
}

/** What a list of columns that was shortened before ends with. */
const MORE = /^\(([0-9]+) more\)$/;
