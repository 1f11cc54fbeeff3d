import type { Deps } from '../deps/deps.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { SearchResult, SearchScope } from '../records/store-search.ts';
import type { CensusResult, UndeclaredColumn } from '../rotation/rotation.ts';
import type { StoreFindings } from './exclusions.ts';
import { mergeResults } from './search-results.ts';

/** Columns that hold envelopes and that no record set declares: what a census by the configuration never sees. */

/** Searches a store now. `version` 0: no version in particular. */
export async function findUndeclared(
  deps: Pick<Deps, 'recordSets' | 'config'>,
  store: string,
  { keyId }: Pick<TenantKey, 'keyId'>,
  version: number,
  deadline = Number.POSITIVE_INFINITY,
): Promise<StoreFindings> {
  const search = deps.recordSets.search(store);
  const results: SearchResult[] = [];
  for (const part of await search.parts(deps.config.rotation.segments)) {
    const scope: SearchScope = { keyId, version };
    results.push(await search.search(part, scope, deadline));
  }
  return { store, ...mergeResults(results) };
}

export function undeclaredOf(findings: readonly StoreFindings[]): UndeclaredColumn[] {
  return findings.flatMap(({ store, found }) => found.map((column) => ({ store, ...column })));
}

export interface UndeclaredBlocker {
  readonly code: 'UNDECLARED_ENVELOPES';
  readonly message: string;
}

/**
 * Pure. What of this keeps a version from its destruction; null: nothing. Envelopes of the key that no sweep ever brings to
 * another version, and whatever could not be looked at in time. A materialized view is a copy that its next refresh makes
 * anew and that nobody can declare, so it counts while it has the version itself. Envelopes of other keys are theirs.
 */
export function undeclaredBlocker(
  census: Pick<CensusResult, 'undeclared' | 'excluded'>,
): UndeclaredBlocker | null {
  const code = 'UNDECLARED_ENVELOPES';
  if (census.undeclared === null) {
    return { code, message: 'Nothing was searched for columns that hold envelopes and are not declared' };
  }
  const held = census.undeclared.filter(
    ({ ofKey, onVersion, materialized }) => onVersion > 0 || (ofKey > 0 && !materialized),
  );
  if (held.length > 0) {
    const names = held.map((column) => `${nameOfColumn(column)} (${column.ofKey})`);
    return {
      code,
      message: `Columns hold envelopes of the key and no record set declares them: ${listed(names)}`,
    };
  }
  const late = census.excluded.filter(({ why }) => why === 'TIME');
  if (late.length === 0) return null;
  const names = late.map(({ store, table }) => `${store}.${table}`);
  return {
    code,
    message: `These could not be searched for envelopes in the time of one call: ${listed(names)}`,
  };
}

/** `store.schema.table.column` */
export function nameOfColumn({
  store,
  table,
  column,
}: Pick<UndeclaredColumn, 'store' | 'table' | 'column'>): string {
  return `${store}.${table}.${column}`;
}

const LISTED = 10;

function listed(names: readonly string[]): string {
  const more = names.length > LISTED ? ` and ${names.length - LISTED} more` : '';
  return names.slice(0, LISTED).join(', ') + more;
}
