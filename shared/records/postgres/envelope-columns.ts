import { crc32 } from 'node:zlib';
import type pg from 'pg';
import { z } from 'zod';
import type { Clock } from '../../clock/clock.ts';
import { systemClock } from '../../clock/system.ts';
import { kidOf } from '../../envelope/kek.ts';
import { MIN_ENVELOPE_LENGTH } from '../../envelope/layout.ts';
import { RecordStoreError } from '../../errors/errors.ts';
import type { ServedTable } from '../../keyring/key.ts';
import { decodeOpaque, encodeOpaque, notOurs } from '../opaque-text.ts';
import type {
  DeclaredColumn,
  FoundColumn,
  SearchResult,
  SearchScope,
  StoreSearch,
  Unsearched,
} from '../store-search.ts';
import { awaitEarlierWriters } from './census.ts';
import { sqlState, translate } from './failures.ts';
import type { Form } from './sql/envelope.ts';
import { quoteTable } from './sql/identifiers.ts';
import {
  COLUMNS_AT_ONCE,
  DATABASE_BYTES,
  envelopeCounts,
  objectIds,
  SEARCHED_TABLES,
  type SearchedColumn,
} from './sql/search.ts';
import { asQueryable, inTransaction, NO_QUERY_TIMEOUT } from './transaction.ts';

export interface PostgresSearchOptions {
  /** Name of the store. */
  readonly store: string;
  /** What the record sets of this store declare. */
  readonly declared: readonly Pick<ServedTable, 'table' | 'columns'>[];
  readonly pool: pg.Pool;
  readonly clock?: Clock;
  /** How long a search waits for transactions that began before it. Default 30 s. */
  readonly openTransactionWaitMs?: number;
}

/** A part is for a function of its own only where there is so much to read. */
const PART_BYTES = 256 * 1024 * 1024;
/** Characters of the shortest envelope as base64url. */
const MIN_TEXT_LENGTH = Math.ceil((MIN_ENVELOPE_LENGTH * 4) / 3);
const KEY_ID_LENGTH = 16;
/** The largest statement_timeout. */
const LONGEST_MS = 2_147_483_647;

/**
 * Looks into every bytea and text column of every table, partitioned table and materialized view of the database: the undeclared
 * ones of a table in one pass and one snapshot, then the declared ones in another. docs/decisions/0027 says what it does not look into.
 */
export function createPostgresSearch(options: PostgresSearchOptions): StoreSearch {
  const { store, declared, pool, clock = systemClock } = options;
  const db = asQueryable(pool);
  const guard = async <T>(work: () => Promise<T>, table = '*'): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      const passwordRotates = typeof pool.options.password === 'function';
      throw translate(error, { recordSet: store, table, passwordRotates, searched: true });
    }
  };
  const listTables = async (): Promise<readonly Candidate[]> => {
    const { rows } = await db.query(SEARCHED_TABLES);
    const known = await declaredColumns(declared, async (names) => (await db.query(objectIds(names))).rows);
    return tablesSchema.parse(rows).map(({ table }) => candidate(table, known));
  };

  return {
    store,
    parts: (count) =>
      guard(async () => {
        const [{ bytes }] = bytesSchema.parse((await db.query(DATABASE_BYTES)).rows);
        const of = Math.max(1, Math.min(Math.trunc(count), Math.ceil(bytes / PART_BYTES)));
        return Array.from({ length: of }, (_, part) => encodeOpaque('s', { part, of }));
      }),

    search: (text, scope, deadline) =>
      guard(async () => {
        const { part, of } = parsePart(text);
        await awaitEarlierWriters(db, `Store "${store}"`, options.openTransactionWaitMs ?? 30_000, clock);
        const found: FoundColumn[] = [];
        const declaredHere: DeclaredColumn[] = [];
        const unsearched: Unsearched[] = [];
        const listed = await listTables();
        // Whatever name it has by now, and also where it was made since the parts were cut, it is in one of them.
        const ours = listed.filter(({ oid }) => crc32(String(oid)) % of === part);
        // First what nobody declares: without it there is no purge. The second count of what is declared has the time that is left.
        for (const [table, wanted] of [
          ...ours.map((table) => [table, table.columns.filter((column) => !column.declared)] as const),
          ...(scope.version === 0 ? [] : ours).map(
            (table) => [table, table.columns.filter((column) => column.declared)] as const,
          ),
        ]) {
          for (let from = 0; from < wanted.length; from += COLUMNS_AT_ONCE) {
            const columns = wanted.slice(from, from + COLUMNS_AT_ONCE);
            const result = await guard(() => searchTable(table, columns, scope, deadline), table.label);
            found.push(...result.found);
            declaredHere.push(...result.declared);
            unsearched.push(...result.unsearched);
          }
        }
        for (const table of ours) {
          unsearched.push(...table.unsearched);
          if (scope.version > 0) declaredHere.push(...notCounted(table, table.uncounted));
        }
        assertUnmoved(store, ours, listed, await listTables());
        return { found, declared: declaredHere, unsearched };
      }),
  };

  async function searchTable(
    table: Candidate,
    columns: readonly SearchedColumn[],
    scope: SearchScope,
    deadline: number,
  ): Promise<SearchResult> {
    const not = (names: readonly string[], reason: Unsearched['reason']): readonly Unsearched[] =>
      names.length === 0 ? [] : [{ table: table.label, columns: names, reason }];
    const namesOf = (which: (column: SearchedColumn) => boolean) =>
      columns.filter(which).map(({ name }) => name);
    // The census counts the declared ones, however large the table is; this would have been their second count.
    const late = (): SearchResult => ({
      found: [],
      declared: notCounted(
        table,
        namesOf(({ declared: isKnown }) => isKnown),
      ),
      unsearched: not(
        namesOf(({ declared: isKnown }) => !isKnown),
        'TIME',
      ),
    });
    const left = Math.floor(deadline - clock.now());
    if (left <= 0) return late();
    const kid = kidOf(scope.keyId, Math.max(scope.version, 1));
    const statement = envelopeCounts(table, columns, kid.subarray(0, KEY_ID_LENGTH), kid);
    const milliseconds = left < LONGEST_MS ? left : 0;
    try {
      const { rows } = await inTransaction(pool, beginSearch(milliseconds), (within) =>
        within.query({ ...statement, query_timeout: NO_QUERY_TIMEOUT }),
      );
      const [counts = {}] = countsSchema.parse(rows);
      const found = columns.flatMap(({ name, declared: isKnown }, i): FoundColumn[] => {
        const envelopes = isKnown ? 0 : (counts[`e${i}`] ?? 0);
        if (envelopes === 0) return [];
        const onVersion = scope.version === 0 ? 0 : (counts[`v${i}`] ?? 0);
        const { label, materialized } = table;
        return [
          { table: label, column: name, materialized, envelopes, ofKey: counts[`k${i}`] ?? 0, onVersion },
        ];
      });
      const read = columns.flatMap(({ name }, i): DeclaredColumn[] => {
        const onVersion = counts[`v${i}`] ?? 0;
        const names = scope.version === 0 ? [] : table.declaredAs(name);
        return names.map((as) => ({ table: as, column: name, onVersion }));
      });
      return { found, declared: read, unsearched: [] };
    } catch (error) {
      const state = sqlState(error) ?? '';
      // Dropped since it was listed, or renamed: that is looked at when all is read.
      if (state === '42P01') return { found: [], declared: [], unsearched: [] };
      if (state === '57014' && milliseconds > 0) return late();
      if (state === '42501') {
        const names = columns.map(({ name }) => name);
        return { found: [], declared: [], unsearched: not(names, 'RIGHTS') };
      }
      throw error;
    }
  }
}

/** Read only, and what hides rows from this role fails instead. 0: no limit. */
function beginSearch(milliseconds: number): string {
  return `
BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
SET LOCAL statement_timeout = ${milliseconds};
SET LOCAL row_security = off`;
}

const typeSchema = z.object({ type: z.string(), category: z.string(), length: z.int() });
const tableSchema = z.object({
  oid: z.int(),
  schema: z.string(),
  name: z.string(),
  kind: z.enum(['r', 'p', 'm', 'f']),
  populated: z.boolean(),
  rowSecurity: z.boolean(),
  usable: z.boolean(),
  /** Of a partitioned table: each leaf's ancestors, itself among them. */
  leaves: z.array(z.array(z.int())),
  columns: z.array(
    typeSchema.extend({
      name: z.string(),
      element: typeSchema.nullable(),
      maxLength: z.int().nullable(),
      canSelect: z.boolean(),
    }),
  ),
});
const tablesSchema = z.array(z.object({ table: tableSchema }));
const bytesSchema = z.tuple([z.object({ bytes: z.number() })]);
const countsSchema = z.array(z.record(z.string(), z.number()));
const partSchema = z.object({ part: z.int().min(0), of: z.int().min(1) });

type Table = z.output<typeof tableSchema>;
type TypeOf = z.output<typeof typeSchema>;

interface Candidate {
  readonly oid: number;
  /** What is read by reading it: its partitions, at any depth. */
  readonly members: ReadonlySet<number>;
  /** `schema.table`, as messages name it. */
  readonly label: string;
  readonly schema: string;
  readonly name: string;
  readonly partitioned: boolean;
  readonly materialized: boolean;
  /** To be searched. */
  readonly columns: readonly SearchedColumn[];
  readonly unsearched: readonly Unsearched[];
  /** Declared columns that this role cannot read here: those of a partition, by its root. */
  readonly uncounted: readonly string[];
  /** The names of the tables in the configuration that declare this column, here or in a part of this table. */
  declaredAs(column: string): readonly string[];
}

/** What record sets declare: for each table, by its object id, the names that the configuration has for it and its columns. */
type Declared = ReadonlyMap<number, readonly Pick<ServedTable, 'table' | 'columns'>[]>;

function notCounted(table: Candidate, columns: readonly string[]): DeclaredColumn[] {
  return columns.flatMap((column) =>
    table.declaredAs(column).map((as) => ({ table: as, column, onVersion: null })),
  );
}

/** What is to be searched of a table, and what cannot be. */
function candidate(table: Table, known: Declared): Candidate {
  const label = `${table.schema}.${table.name}`;
  const { schema, name } = table;
  const members = new Set(table.leaves.flat().filter((oid) => oid !== table.oid));
  const base = {
    oid: table.oid,
    members,
    label,
    schema,
    name,
    partitioned: table.kind === 'p',
    materialized: table.kind === 'm',
  };
  const tree = [...new Set([table.oid, ...table.leaves.flat()])].flatMap((oid) => known.get(oid) ?? []);
  const declaredAs = (column: string) => [
    ...new Set(tree.filter(({ columns }) => columns.includes(column)).map((each) => each.table)),
  ];
  const none = (unsearched: readonly Unsearched[], notRead: readonly string[] = []): Candidate => ({
    ...base,
    ...{ columns: [], unsearched, uncounted: notRead, declaredAs },
  });
  // Without rows until it is refreshed.
  if (!table.populated) return none([]);
  const columns: SearchedColumn[] = [];
  const undeclared: string[] = [];
  const uncounted: string[] = [];
  const left: Record<'RIGHTS' | 'TYPE', string[]> = { RIGHTS: [], TYPE: [] };
  for (const column of table.columns) {
    const form = formOf(column);
    if (isDeclared(table, column.name, known)) {
      // A census of what is of another type fails.
      if (form !== 'bytea' && form !== 'text') continue;
      if (column.canSelect && table.usable) columns.push({ name: column.name, form, declared: true });
      else uncounted.push(column.name);
      continue;
    }
    if (form === null || (column.maxLength !== null && column.maxLength < MIN_TEXT_LENGTH)) continue;
    if (!column.canSelect || !table.usable) left.RIGHTS.push(column.name);
    else if (form === 'inside') left.TYPE.push(column.name);
    else {
      undeclared.push(column.name);
      columns.push({ name: column.name, form, declared: false });
    }
  }
  const all = [...undeclared, ...left.RIGHTS, ...left.TYPE];
  if (all.length === 0 && columns.length === 0) return none([], uncounted);
  const hidden = table.kind === 'f' ? 'FOREIGN' : table.rowSecurity ? 'ROW_SECURITY' : null;
  if (hidden !== null) {
    const declared = columns.filter((column) => column.declared).map((column) => column.name);
    const names = all.length === 0 ? [] : [{ table: label, columns: all, reason: hidden } as const];
    return none(names, [...uncounted, ...declared]);
  }
  const unsearched = (['RIGHTS', 'TYPE'] as const)
    .filter((reason) => left[reason].length > 0)
    .map((reason) => ({ table: label, columns: left[reason], reason }));
  return { ...base, columns, unsearched, uncounted, declaredAs };
}

/**
 * What was renamed, detached from a partitioned table or attached to one meanwhile may have been read neither before nor
 * after it. New tables and dropped ones hide nothing.
 */
function assertUnmoved(
  store: string,
  searched: readonly Candidate[],
  before: readonly Candidate[],
  after: readonly Candidate[],
): void {
  const wereTables = new Set(before.map(({ oid }) => oid));
  const areTables = new Set(after.map(({ oid }) => oid));
  const areMembers = new Set(after.flatMap(({ members }) => [...members]));
  const isMoved = ({ oid, label, members }: Candidate): boolean => {
    const now = after.find((each) => each.oid === oid);
    if (now === undefined) return areMembers.has(oid);
    const attached = [...now.members].some((each) => !members.has(each) && wereTables.has(each));
    const detached = [...members].some(
      (each) => !now.members.has(each) && (areTables.has(each) || areMembers.has(each)),
    );
    return now.label !== label || attached || detached;
  };
  const moved = searched.filter(isMoved).map(({ label }) => label);
  if (moved.length === 0) return;
  throw new RecordStoreError(
    'STORE_BUSY',
    `Store "${store}": renamed, detached or attached while it was searched: ${moved.slice(0, 5).join(', ')}`,
    { retryable: true, remedy: 'Try again when tables are not moved about.' },
  );
}

/** By itself, or by every leaf of it or a table above that leaf. */
function isDeclared({ oid, leaves }: Table, column: string, known: Declared): boolean {
  const has = (table: number) => known.get(table)?.some(({ columns }) => columns.includes(column)) ?? false;
  return has(oid) || (leaves.length > 0 && leaves.every((ancestors) => ancestors.some(has)));
}

/** Categories of pg_type (PostgreSQL documentation, system catalogs) that never hold text or bytes of an envelope's length. */
const HARMLESS = new Set(['B', 'D', 'E', 'G', 'I', 'N', 'R', 'T', 'V']);
const HARMLESS_TYPES = new Set(['tsvector', 'tsquery']);

/** How an envelope may stand in a column of this type; `inside`: as a part of its value; null: it cannot. */
function formOf(type: TypeOf & { readonly element?: TypeOf | null }): Form | 'inside' | null {
  if (type.element !== undefined && type.element !== null) {
    return formOf(type.element) === null ? null : 'inside';
  }
  if (type.type === 'bytea') return 'bytea';
  // Of fixed length, like uuid: too short.
  if (type.length > 0 || HARMLESS.has(type.category) || HARMLESS_TYPES.has(type.type)) return null;
  return type.category === 'S' ? 'text' : 'inside';
}

async function declaredColumns(
  declared: PostgresSearchOptions['declared'],
  find: (tables: readonly string[]) => Promise<readonly unknown[]>,
): Promise<Declared> {
  const names = [...new Set(declared.map(({ table }) => quoteTable(table)))];
  const rows = z.array(z.object({ name: z.string(), oid: z.number() })).parse(await find(names));
  const ids = new Map(rows.map(({ name, oid }) => [name, oid]));
  const known = new Map<number, Pick<ServedTable, 'table' | 'columns'>[]>();
  for (const each of declared) {
    const id = ids.get(quoteTable(each.table));
    if (id !== undefined) known.set(id, [...(known.get(id) ?? []), each]);
  }
  return known;
}

function parsePart(text: string): z.output<typeof partSchema> {
  const parsed = partSchema.safeParse(decodeOpaque('s', text));
  if (!parsed.success) throw notOurs('A part of a search');
  return parsed.data;
}
