import { HEADER_PREFIX } from '../../shared/envelope/layout.ts';
import { RecordStoreError } from '../../shared/errors/errors.ts';
import type {
  DeclaredColumn,
  FoundColumn,
  SearchResult,
  SearchScope,
  StoreSearch,
} from '../../shared/records/store-search.ts';
import { kidAt, type MemoryRecordStore } from './record-store.ts';

/** A search of record stores in memory, held to the same contract as PostgreSQL's: all rows of a table at one instant. */

export interface SearchedTable {
  readonly table: string;
  /** By field. */
  readonly columns: readonly string[];
  readonly declared: readonly string[];
  readonly store: Pick<MemoryRecordStore, 'rows'>;
}

const ALL = 'all';

export function createMemorySearch(
  store: string,
  tables: readonly SearchedTable[],
  now: () => number,
): StoreSearch {
  return {
    store,
    parts: async () => [ALL],
    async search(part, scope, deadline): Promise<SearchResult> {
      if (part !== ALL) throw new RecordStoreError('RECORD_KEY_INVALID', 'Not made by this search');
      if (now() >= deadline) {
        const unsearched = tables.map(({ table, columns }) => ({ table, columns, reason: 'TIME' as const }));
        return { found: [], declared: [], unsearched };
      }
      return {
        found: tables.flatMap((table) => undeclaredIn(table, scope)),
        declared: scope.version === 0 ? [] : tables.flatMap((table) => declaredIn(table, scope)),
        unsearched: [],
      };
    },
  };
}

function undeclaredIn(searched: SearchedTable, scope: SearchScope): FoundColumn[] {
  const { table, columns, declared } = searched;
  return columns.flatMap((column) => {
    if (declared.includes(column)) return [];
    const envelopes = valuesOf(searched, column).filter((value) =>
      HEADER_PREFIX.every((byte, i) => value[i] === byte),
    );
    if (envelopes.length === 0) return [];
    const mine = envelopes.filter((value) => kidAt(value)?.keyId === scope.keyId);
    const onVersion = scope.version === 0 ? 0 : mine.filter((value) => isOn(value, scope)).length;
    const counts = { envelopes: envelopes.length, ofKey: mine.length, onVersion };
    return [{ table, column, materialized: false, ...counts }];
  });
}

function declaredIn(searched: SearchedTable, scope: SearchScope): DeclaredColumn[] {
  return searched.declared.map((column) => ({
    table: searched.table,
    column,
    onVersion: valuesOf(searched, column).filter((value) => isOn(value, scope)).length,
  }));
}

function valuesOf({ columns, store }: SearchedTable, column: string): Uint8Array[] {
  const field = columns.indexOf(column);
  return [...store.rows.values()].flatMap(({ values }) => values[field] ?? []);
}

function isOn(value: Uint8Array, { keyId, version }: SearchScope): boolean {
  const kid = kidAt(value);
  return kid?.keyId === keyId && kid.version === version;
}
