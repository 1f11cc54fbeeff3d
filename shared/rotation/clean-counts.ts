import type { Config } from '../config/schema.ts';
import type { Deps } from '../deps/deps.ts';
import type { KeyVersion, ServedTable, TenantKey } from '../keyring/key.ts';
import type { Refusal } from './call-off-purge.ts';
import type { CensusResult } from './rotation.ts';
import { describeTables, unreadTables } from './served.ts';

/**
 * Which tables the counts covered that found nothing on a version and from which its grace, and the holds of backups, are
 * counted. Backups have a table that was declared later as it was, whatever was on the version there.
 */
export interface CleanCounts {
  /** By the census of the job that retired it. */
  readonly atRetirement: readonly ServedTable[];
  /** By the count of a purge that began its grace anew since. */
  readonly since: readonly ServedTable[];
}

export async function findCleanCounts(
  { ledger }: Pick<Deps, 'ledger'>,
  { retiredBy, seen }: Pick<KeyVersion, 'retiredBy' | 'seen'>,
): Promise<CleanCounts> {
  const census = retiredBy === null ? null : ((await ledger.getJob(retiredBy))?.census ?? null);
  const cleanAt = seen?.cleanAt ?? null;
  // From before a retirement that was taken back since, it says nothing of what was written in between.
  const stands = cleanAt !== null && (census === null || cleanAt > census.takenAt);
  return {
    atRetirement: census === null ? [] : coveredBy(census),
    since: stands ? (seen?.besides ?? []) : [],
  };
}

/** Pure. What a census read, and what it was told to be out of service: that no envelope is left there is the operator's word. */
export function coveredBy({ coverage, excluded }: CensusResult): readonly ServedTable[] {
  return [...Object.values(coverage), ...excluded.filter(({ why }) => why === 'RETIRED')];
}

/** Pure. The columns of `tables` that are not among `covered`. */
export function leftOf(
  tables: readonly ServedTable[],
  covered: readonly ServedTable[],
): readonly ServedTable[] {
  return tables.flatMap(({ store, table, columns }) => {
    const same = covered.filter((other) => other.store === store && other.table === table);
    const known = new Set(same.flatMap((other) => other.columns));
    const left = columns.filter((column) => !known.has(column));
    return left.length === 0 ? [] : [{ store, table, columns: left }];
  });
}

/** Pure. What the key serves, is not out of service, and the census did not read: its numbers decide nothing. */
export function whyNotCounted(
  key: Pick<TenantKey, 'serves'>,
  config: Config,
  { coverage }: Pick<CensusResult, 'coverage'>,
): Refusal | null {
  const unread = unreadTables(key, config, Object.values(coverage));
  if (unread.length === 0) return null;
  const message = `The count did not read ${describeTables(unread)}, which the key served`;
  return { code: 'RECORD_SET_CHANGED', message };
}
