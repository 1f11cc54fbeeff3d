import { isDeepStrictEqual } from 'node:util';
import type { Config } from '../config/schema.ts';
import type { Deps } from '../deps/deps.ts';
import type { ServedTable, TenantKey } from '../keyring/key.ts';
import { changeKey } from './change.ts';

/**
 * Where a key's envelopes may stand. The configuration says only where they may stand now; the key remembers every
 * table that it ever served, so that a purge does not take a table that was taken out of the file for one that was
 * counted.
 */

/** Writes down what the configuration says now. To be called before anything is sealed, and again by every sweep. */
export async function registerServed(
  deps: Pick<Deps, 'ledger' | 'config' | 'recordSets'>,
  tenant: string,
  purpose: string,
): Promise<TenantKey> {
  const declared = declaredTables(deps.config, deps.recordSets.ofKey(tenant, purpose));
  return changeKey(deps, tenant, purpose, (key) => addServed(key, declared));
}

export function declaredTables(config: Config, recordSets: readonly string[]): ServedTable[] {
  return recordSets.flatMap((name) => {
    const set = config.recordSets[name];
    if (set === undefined) return [];
    return [{ store: set.store, table: set.table, columns: set.fields.map(({ column }) => column) }];
  });
}

/** Where a record set's values stand. */
export function placeOf(config: Config, recordSet: string): ServedTable {
  const [place] = declaredTables(config, [recordSet]);
  return place ?? { store: '', table: '', columns: [] };
}

/** Pure. It only grows. The same object when everything is known already. */
export function addServed(key: TenantKey, declared: readonly ServedTable[]): TenantKey {
  const serves = mergeTables([...key.serves, ...declared]);
  return isDeepStrictEqual(serves, key.serves) ? key : { ...key, serves, revision: key.revision + 1 };
}

/**
 * Pure. What the key served and nobody reads any more: tables or columns that no record set declares and that are
 * not declared as retired. `tables`: what is read; left out: all that is declared.
 */
export function unreadTables(
  key: Pick<TenantKey, 'serves'>,
  config: Config,
  tables: readonly ServedTable[] = declaredTables(config, Object.keys(config.recordSets)),
): ServedTable[] {
  const read = mergeTables(tables);
  return key.serves.flatMap(({ store, table, columns }) => {
    const same = (other: { store: string; table: string }) => other.store === store && other.table === table;
    const found = read.find(same)?.columns ?? [];
    const retired = config.retired.filter(same);
    if (retired.some((entry) => entry.columns === undefined)) return [];
    const known = new Set([...found, ...retired.flatMap((entry) => entry.columns ?? [])]);
    const left = columns.filter((column) => !known.has(column));
    return left.length === 0 ? [] : [{ store, table, columns: left }];
  });
}

/**
 * Pure. What these record sets declare now and `read`, by record set, has not: they were declared since, or counted
 * by a process of another configuration.
 */
export function unreadSets(
  config: Config,
  recordSets: readonly string[],
  read: Readonly<Record<string, ServedTable>>,
): UnreadSet[] {
  return recordSets.flatMap((recordSet) => {
    const { store, table, columns } = placeOf(config, recordSet);
    const place = Object.hasOwn(read, recordSet) ? read[recordSet] : undefined;
    const same = place?.store === store && place.table === table;
    const left = columns.filter((column) => !same || !place.columns.includes(column));
    return left.length === 0 ? [] : [{ recordSet, columns: left }];
  });
}

export interface UnreadSet {
  readonly recordSet: string;
  readonly columns: readonly string[];
}

export function describeSet({ recordSet, columns }: UnreadSet): string {
  return `${recordSet} (${columns.join(', ')})`;
}

export function describeTables(tables: readonly ServedTable[]): string {
  return tables.map(({ store, table, columns }) => `${table} in ${store} (${columns.join(', ')})`).join('; ');
}

function mergeTables(tables: readonly ServedTable[]): ServedTable[] {
  const merged = new Map<string, ServedTable>();
  for (const { store, table, columns } of tables) {
    const name = JSON.stringify([store, table]);
    const known = merged.get(name)?.columns ?? [];
    merged.set(name, { store, table, columns: [...new Set([...known, ...columns])].sort() });
  }
  return [...merged.values()].sort((a, b) => compare(a.store, b.store) || compare(a.table, b.table));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
