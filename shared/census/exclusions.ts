import type { Config } from '../config/schema.ts';
import type { ServedTable, TenantKey } from '../keyring/key.ts';
import type { SearchResult } from '../records/store-search.ts';
import type { CensusResult, Exclusion, ExclusionReason } from '../rotation/rotation.ts';

/** What a census did not read, and why: the other half of what it covered. Pure. */

export type StoreFindings = SearchResult & { readonly store: string };

export interface ExclusionScope {
  readonly config: Config;
  readonly key: Pick<TenantKey, 'serves'>;
  readonly reach: CensusResult['reach'];
  /** What was read, by record set. */
  readonly read: Readonly<Record<string, ServedTable>>;
  /** Record sets that the key may serve, as the configuration is now. */
  readonly own: readonly string[];
  /** null: no store was searched. */
  readonly searched: readonly StoreFindings[] | null;
}

export function exclusionsOf(scope: ExclusionScope): Exclusion[] {
  return [
    ...servedAndUnread(scope),
    ...otherRecordSets(scope),
    ...searchedAsDeclared(scope),
    ...(scope.reach === 'tenant' ? otherTenants(scope) : []),
    ...notSearched(scope),
    ...Object.keys(scope.config.stores).map((store) => wholeStore(store, 'BACKUPS')),
  ];
}

/** Columns that the key served once and that no record set which was read has. */
function servedAndUnread({ config, key, read, reach, own }: ExclusionScope): Exclusion[] {
  return key.serves.flatMap(({ store, table, columns }) => {
    const sets = Object.entries(config.recordSets).filter(
      ([, set]) => set.store === store && set.table === table,
    );
    const fieldsOf = (names: (name: string) => boolean) =>
      new Set(sets.filter(([name]) => names(name)).flatMap(([, set]) => set.fields.map((f) => f.column)));
    const wasRead = columnsRead(read, { store, table });
    const declared = fieldsOf(() => true);
    const late = fieldsOf((name) => isLate({ reach, own }, name));
    const retired = config.retired.filter((entry) => entry.store === store && entry.table === table);
    const isRetired = (column: string) =>
      retired.some((entry) => entry.columns === undefined || entry.columns.includes(column));
    const why = (column: string): ExclusionReason =>
      isRetired(column)
        ? 'RETIRED'
        : late.has(column)
          ? 'DECLARED_SINCE'
          : declared.has(column)
            ? 'OTHER_KEY'
            : 'NOT_DECLARED';
    const left = columns.filter((column) => !wasRead.has(column));
    return (['RETIRED', 'NOT_DECLARED', 'DECLARED_SINCE', 'OTHER_KEY'] as const).flatMap((reason) => {
      const of = left.filter((column) => why(column) === reason);
      return of.length === 0 ? [] : [{ store, table, columns: of, why: reason }];
    });
  });
}

/** Whether it would have been read, had it been declared when that was planned. A purge reads every record set. */
function isLate({ reach, own }: Pick<ExclusionScope, 'reach' | 'own'>, recordSet: string): boolean {
  return reach === 'everywhere' || own.includes(recordSet);
}

/** Declared and not read: of another purpose, or another tenant's; or declared too late. */
function otherRecordSets({ config, key, read, reach, own }: ExclusionScope): Exclusion[] {
  return Object.entries(config.recordSets).flatMap(([name, { store, table, fields }]) => {
    const served = key.serves.find((each) => each.store === store && each.table === table);
    const wasRead = columnsRead(read, { store, table });
    const columns = fields
      .map(({ column }) => column)
      .filter((column) => !wasRead.has(column) && !served?.columns.includes(column));
    const late = Object.hasOwn(read, name) || isLate({ reach, own }, name);
    const why = late ? 'DECLARED_SINCE' : 'OTHER_KEY';
    return columns.length === 0 ? [] : [{ store, table, columns, why }];
  });
}

/** What a search took as declared, by a configuration that neither the count nor this process has: nobody counted it. */
function searchedAsDeclared({ config, read, searched }: ExclusionScope): Exclusion[] {
  return (searched ?? []).flatMap(({ store, declared }) => {
    const tables = [...new Set(declared.map(({ table }) => table))];
    return tables.flatMap((table) => {
      const wasRead = columnsRead(read, { store, table });
      const here = Object.values(config.recordSets)
        .filter((set) => set.store === store && set.table === table)
        .flatMap(({ fields }) => fields.map(({ column }) => column));
      const columns = declared
        .filter((each) => each.table === table && !wasRead.has(each.column) && !here.includes(each.column))
        .map(({ column }) => column);
      return columns.length === 0 ? [] : [{ store, table, columns, why: 'DECLARED_SINCE' as const }];
    });
  });
}

function otherTenants({ config, read }: ExclusionScope): Exclusion[] {
  return Object.entries(read).flatMap(([name, { store, table, columns }]) => {
    const set = config.recordSets[name];
    if (set === undefined || 'fixed' in set.tenant || columns.length === 0) return [];
    return [{ store, table, columns, why: 'OTHER_TENANTS' as const }];
  });
}

function columnsRead(
  read: ExclusionScope['read'],
  { store, table }: Pick<ServedTable, 'store' | 'table'>,
): ReadonlySet<string> {
  const places = Object.values(read).filter((place) => place.store === store && place.table === table);
  return new Set(places.flatMap(({ columns }) => columns));
}

function notSearched({ config, searched }: ExclusionScope): Exclusion[] {
  if (searched === null) {
    return Object.keys(config.stores).map((store) => wholeStore(store, 'NOT_SEARCHED'));
  }
  const names = searched.map(({ store }) => store);
  const others = Object.entries(config.stores).flatMap(([store, { type }]) => {
    if (!names.includes(store)) return [wholeStore(store, 'NOT_SEARCHED')];
    return type === 'dynamodb' ? [wholeStore(store, 'OTHER_TABLES')] : [];
  });
  const left = searched.flatMap(({ store, unsearched }) =>
    unsearched.map(({ reason, ...rest }): Exclusion => ({ store, ...rest, why: reason })),
  );
  return [...left, ...others];
}

function wholeStore(store: string, why: ExclusionReason): Exclusion {
  return { store, table: '', columns: [], why };
}
