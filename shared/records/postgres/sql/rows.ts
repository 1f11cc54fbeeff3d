import { LENGTH_HEADER_OFFSET, TAIL_LENGTH } from '../../../envelope/layout.ts';
import type { RecordKey, Scope } from '../../record-store.ts';
import type { KeyRange } from '../cursor.ts';
import type { TableShape } from '../table.ts';
import { prepared, type Statement } from '../transaction.ts';
import { isEnvelope, isTombstone, kidAt } from './envelope.ts';
import { quote, quoteTable } from './identifiers.ts';
import {
  type InputColumn,
  inputRows,
  inRange,
  keyColumns,
  keyInputs,
  NO_TENANT,
  ofTenant,
  onKey,
  Parameters,
  tenantText,
  where,
} from './range.ts';

export interface PageBounds {
  readonly range: KeyRange;
  /** Most keys in the page. */
  readonly limit: number;
  /** Most rows read for it. */
  readonly scan: number;
}

/** A page of keys of stale records. `kid`: 20 bytes. */
export function stalePage(shape: TableShape, scope: Scope, kid: Uint8Array, bounds: PageBounds): Statement {
  const p = new Parameters();
  const active = p.add(kid, 'bytea');
  const stale = shape.fields.map(({ column, form }) => {
    const value = `t.${quote(column)}`;
    return `(${value} IS NOT NULL AND (${kidAt(form, value)}) IS DISTINCT FROM ${active} AND NOT (${isTombstone(form, value)}))`;
  });
  return page(shape, scope, stale.join(' OR '), bounds, p);
}

/**
 * [row number, hit, key …] of rows that are hits, and of the last row that a page may read, as one JSON document:
 * V8 parses that many times faster than the driver parses rows. The database stops reading at `limit` hits.
 *
 * `scan` bounds the rows that a statement reads. So without an index that finds the tenant's rows, the tenant's test
 * is part of the hit: in the WHERE, it would have a statement read the whole table for the rows of a rare tenant.
 */
export function page(
  shape: TableShape,
  scope: Pick<Scope, 'tenant'>,
  hit: string,
  { range, limit, scan }: PageBounds,
  p: Parameters,
): Statement {
  const keys = keyColumns(shape);
  const names = keys.map((_, i) => `k${i}`).join(', ');
  const mine = ofTenant(shape, scope, p);
  const filtered = 'fixed' in shape.tenant || shape.tenant.indexed || mine === NO_TENANT;
  const conditions = [...(filtered ? [mine] : []), ...inRange(shape, range, p)];
  const scanned = p.add(scan, 'int8');
  return {
    text: `
SELECT coalesce(json_agg(json_build_array(s.n, s.hit, ${keys.map((_, i) => `s.k${i}::text`).join(', ')})), '[]') AS page
FROM (
  SELECT * FROM (
    SELECT q.*, row_number() OVER (ORDER BY ${names}) AS n FROM (
      SELECT ${keys.map((key, i) => `${key} AS k${i}`).join(', ')}, (${filtered ? hit : `${mine} AND (${hit})`}) AS hit
      FROM ${quoteTable(shape.table)} AS t
      ${where(conditions)}
      ORDER BY ${keys.join(', ')}
      LIMIT ${scanned}
    ) AS q
  ) AS r
  WHERE r.hit OR r.n = ${scanned}
  LIMIT ${p.add(limit, 'int8')}
) AS s`,
    values: p.values,
  };
}

/** A value that a statement answers with for each record. */
export interface Cell {
  /** Its length as an int4, then its bytes, or those of them that come; -1 for NULL. */
  readonly packed: string;
  /** How many bytes come of a value of this length. */
  bytes(length: number): number;
  /** About how many bytes it has, told without reading them; absent where they are few. */
  readonly size?: string;
}

export function bytesCell(bytes: string, size?: string): Cell {
  const packed = `coalesce(int4send(octet_length(${bytes})) || ${bytes}, ${NULL_CELL})`;
  return { packed, bytes: (length) => length, ...(size === undefined ? {} : { size }) };
}

const NULL_CELL = "'\\xffffffff'::bytea";

/** The byte that a record begins with. */
export const ROW = { missing: 0, here: 1, large: 2 } as const;

/**
 * Records packed into one value, in the order of the keys: a byte of ROW, the tenant as text that a zero byte ends (none
 * where the record set is all one tenant's), and then a cell for each of `cells`. The driver's cost is by result column,
 * not by byte; in base64, which is a third shorter than its bytea. Of a record with more than `largest` bytes only the
 * first byte and its size come.
 */
export function packedRecords(
  shape: TableShape,
  keys: readonly RecordKey[],
  cells: readonly Cell[],
  largest: number,
): Statement {
  const p = new Parameters();
  const rows = inputRows(keyInputs(shape.keys, keys), p);
  const sizes = cells.flatMap(({ size }) => size ?? []);
  const parts = cells.map(({ packed }) => packed);
  if (!('fixed' in shape.tenant)) {
    const tenant = tenantText(shape, p);
    sizes.push(`octet_length(${tenant})`);
    // No text holds a zero byte.
    parts.unshift(`coalesce(${textBytes(tenant)}, ''::bytea) || ${rowByte(0)}`);
  }
  const size = sizes.map((bytes) => `coalesce(${bytes}, 0)::int8`).join(' + ');
  const large =
    sizes.length === 0
      ? ''
      : `WHEN ${size} > ${p.add(largest, 'int8')} THEN ${rowByte(ROW.large)} || int8send(${size})`;
  return prepared({
    text: `
SELECT encode(string_agg(CASE
    WHEN ${keyColumns(shape)[0]} IS NULL THEN ${rowByte(ROW.missing)}
    ${large}
    ELSE ${[rowByte(ROW.here), ...parts].join(' || ')} END, ''::bytea ORDER BY c.i), 'base64') AS packed
FROM ${rows} LEFT JOIN ${quoteTable(shape.table)} AS t ON ${onKey(shape)}`,
    values: p.values,
  });
}

function rowByte(byte: number): string {
  return `'\\x0${byte}'::bytea`;
}

/** The cells of `read`: each field's bytes (of text columns the text's). */
export function recordCells(shape: TableShape): readonly Cell[] {
  return shape.fields.map(({ column, form }) => valueCell(form, `t.${quote(column)}`));
}

/** Envelopes up to this length are read whole: leaving out less is not worth the cutting. */
const WHOLE_BYTES = 200;
/** The lengths of the envelopes up to which the header in front of the ciphertext has two and three bytes. */
const TWO_BYTE_HEADER = LENGTH_HEADER_OFFSET + 2 + 0xff + TAIL_LENGTH;
const THREE_BYTE_HEADER = LENGTH_HEADER_OFFSET + 3 + 0xffff + TAIL_LENGTH;

/**
 * The cells of `readFrames`: each field's frame. Of text columns the whole text, which has its envelope's end at no fixed
 * place in bytes.
 */
export function frameCells(shape: TableShape): readonly Cell[] {
  return shape.fields.map(({ column, form }) => {
    const value = `t.${quote(column)}`;
    if (form === 'text') return valueCell(form, value);
    const length = `octet_length(${value})`;
    const head = `CASE WHEN ${length} <= ${TWO_BYTE_HEADER} THEN ${headBytes(TWO_BYTE_HEADER)}
      WHEN ${length} <= ${THREE_BYTE_HEADER} THEN ${headBytes(THREE_BYTE_HEADER)} ELSE ${headBytes(Number.POSITIVE_INFINITY)} END`;
    const ends = `substr(${value}, 1, ${head}) || substr(${value}, ${length} - ${TAIL_LENGTH - 1})`;
    const frame = `CASE WHEN ${length} <= ${WHOLE_BYTES} THEN ${value} ELSE ${ends} END`;
    return {
      packed: `coalesce(int4send(${length}) || ${frame}, ${NULL_CELL})`,
      bytes: (bytes) => (bytes <= WHOLE_BYTES ? bytes : headBytes(bytes) + TAIL_LENGTH),
    };
  });
}

/** What is before the ciphertext of an envelope of this length that is not read whole. */
function headBytes(length: number): number {
  if (length <= TWO_BYTE_HEADER) return LENGTH_HEADER_OFFSET + 2;
  return LENGTH_HEADER_OFFSET + (length <= THREE_BYTE_HEADER ? 3 : 5);
}

export function valueCell(form: 'bytea' | 'text', value: string): Cell {
  const bytes = form === 'bytea' ? value : textBytes(value);
  // Of the column itself: its length stands in the row, also where the value does not.
  return bytesCell(bytes, `octet_length(${value})`);
}

/** In the client's encoding, which `pg` sets to UTF-8; convert_to would look the encoding up for each row. */
function textBytes(value: string): string {
  return `textsend(${value})`;
}

export interface FieldUpdate {
  readonly column: string;
  /** Of the input's new value; NULL where the record keeps what it has. */
  readonly input: string;
  /** What the column becomes, where that is not the input itself. */
  readonly value?: string;
  /** True for the bytes that are to be replaced; refers to t and c. */
  readonly condition: string;
}

/**
 * One statement for the whole chunk of `count` (of one tenant, or with an input column `tenant`), which answers with
 * the numbers, from 1, of what it wrote; null for all. Rows are locked in key order, so that two chunks with rows in
 * common wait for each other rather than deadlock. A statement that begins after `notAfter` writes nothing; one that began
 * before is a transaction that a census waits for.
 */
export function updateRecords(
  shape: TableShape,
  inputs: readonly InputColumn[],
  updates: readonly FieldUpdate[],
  oneTenant: string | undefined,
  count: number,
  notAfter?: number,
): Statement {
  const p = new Parameters();
  const order = shape.keys.map((_, i) => `c.k${i}`).join(', ');
  const set = updates.map(({ column, input, value = input }) => {
    const kept = `CASE WHEN ${input} IS NULL THEN t.${quote(column)} ELSE ${value} END`;
    return `${quote(column)} = ${updates.length === 1 ? value : kept}`;
  });
  const unchanged = updates.map(({ input, condition }) =>
    updates.length === 1 ? condition : `(${input} IS NULL OR ${condition})`,
  );
  const inTime =
    notAfter === undefined
      ? []
      : [`statement_timestamp() < to_timestamp(${p.add(notAfter, 'float8')} / 1000)`];
  const tenant = `(${tenantText(shape, p)}) COLLATE "C" = ${oneTenant === undefined ? 'c.tenant' : p.add(oneTenant, 'text')}`;
  const statement = {
    text: `
WITH updated AS (
  UPDATE ${quoteTable(shape.table)} AS t SET ${set.join(', ')}
  FROM (SELECT * FROM ${inputRows(inputs, p)} ORDER BY ${order}) AS c
  WHERE ${[onKey(shape), tenant, ...unchanged, ...inTime].join(' AND ')}
  RETURNING c.i
)
SELECT CASE WHEN (SELECT count(*) FROM updated) < ${p.add(count, 'int8')}
  THEN (SELECT coalesce(json_agg(i), '[]') FROM updated) END AS numbers`,
    values: p.values,
  };
  // Which fields a chunk changes depends on its records: there are too many such choices to keep a plan of each.
  return updates.length === shape.fields.length ? prepared(statement) : statement;
}

/** Which of the keys exist, by number from 1. */
export function existing(shape: TableShape, keys: readonly RecordKey[]): Statement {
  const p = new Parameters();
  return {
    text: `
SELECT coalesce(json_agg(c.i), '[]') AS numbers FROM ${inputRows(keyInputs(shape.keys, keys), p)}
WHERE EXISTS (SELECT FROM ${quoteTable(shape.table)} AS t WHERE ${onKey(shape)})`,
    values: p.values,
  };
}

/**
 * The last keys of `count` parts of about the same size, from a sample of about `pages` pages of the table; of a
 * smaller table from all of it. Also the number of rows sampled.
 */
export function sampledBounds(
  shape: TableShape,
  scope: Pick<Scope, 'tenant'> | undefined,
  count: number,
  percent: number,
): Statement {
  const p = new Parameters();
  const keys = keyColumns(shape);
  const names = keys.map((_, i) => `k${i}`);
  const parts = p.add(count, 'int4');
  return {
    text: `
SELECT coalesce(sum(b.n), 0)::int4 AS rows,
  coalesce(json_agg(b.key ORDER BY b.part) FILTER (WHERE b.part < ${parts}), '[]') AS bounds
FROM (
  SELECT r.part, count(*) AS n, (array_agg(json_build_array(${names.map((name) => `r.${name}::text`).join(', ')})
    ORDER BY ${names.map((name) => `r.${name} DESC`).join(', ')}))[1] AS key
  FROM (
    SELECT *, ntile(${parts}) OVER (ORDER BY ${names.join(', ')}) AS part FROM (
      SELECT ${keys.map((key, i) => `${key} AS k${i}`).join(', ')}
      FROM ${quoteTable(shape.table)} AS t TABLESAMPLE SYSTEM (${percent}) REPEATABLE (1)
      ${where(scope === undefined ? [] : [ofTenant(shape, scope, p)])}
    ) AS s
  ) AS r
  GROUP BY r.part
) AS b`,
    values: p.values,
  };
}

/** Pages on disk, of a partitioned table those of its partitions. */
export function tablePages(shape: TableShape): Statement {
  return {
    text: `
SELECT (coalesce(sum(pg_relation_size(relid)), 0) / current_setting('block_size')::int8)::float8 AS pages
FROM (SELECT to_regclass($1) AS relid UNION SELECT relid FROM pg_partition_tree(to_regclass($1))) AS r`,
    values: [quoteTable(shape.table)],
  };
}

/**
 * Counts by class of value: `v` and the version in hex; `f` foreign; `m` malformed; `t` tombstone; `o` another tenant's that is
 * not of the key; NULL for NULL. `first`: of the first field, which every row has once.
 */
export function censusCounts(
  shape: TableShape,
  scope: Scope,
  keyId: Uint8Array,
  range: KeyRange,
  everywhere: boolean,
): Statement {
  const p = new Parameters();
  const mine = ofTenant(shape, scope, p);
  const key = p.add(keyId, 'bytea');
  const classes = shape.fields.map(({ column, form }, i) => {
    const value = `t.${quote(column)}`;
    const kid = kidAt(form, value);
    return `(${i === 0}, CASE WHEN ${value} IS NULL THEN NULL
      WHEN substr(${kid}, 1, 16) = ${key} AND substr(${kid}, 17, 4) <> '\\x00000000'::bytea
        THEN 'v' || encode(substr(${kid}, 17, 4), 'hex')
      WHEN (${mine}) IS NOT TRUE THEN 'o'
      WHEN ${isTombstone(form, value)} THEN 't'
      WHEN ${isEnvelope(form, value)} THEN 'f' ELSE 'm' END)`;
  });
  const conditions = [...(everywhere ? [] : [mine]), ...inRange(shape, range, p)];
  return {
    text: `
SELECT v.first, v.class, count(*)::text AS count
FROM ${quoteTable(shape.table)} AS t CROSS JOIN LATERAL (VALUES ${classes.join(', ')}) AS v(first, class)
${where(conditions)}
GROUP BY v.first, v.class`,
    values: p.values,
  };
}

/**
 * Takes a transaction id of its own: whoever has one that is lower had begun before. (The snapshot's xmax would not
 * do: it follows the last transaction that ENDED, and open ones may stand at it or beyond.)
 */
export const MARK: Statement = {
  text: 'SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_current_xact_id()::text END AS mark',
};

/** The oldest transaction id that is still open. */
export const OLDEST_OPEN: Statement = {
  text: `
SELECT CASE WHEN pg_is_in_recovery() THEN NULL ELSE pg_snapshot_xmin(pg_current_snapshot())::text END AS mark`,
};

export const BEGIN_CENSUS = `
BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
SET LOCAL statement_timeout = 0;
SET LOCAL row_security = off`;
