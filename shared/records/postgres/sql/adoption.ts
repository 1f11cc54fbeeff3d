import type { Scope } from '../../record-store.ts';
import type { FieldColumn, TableShape } from '../table.ts';
import type { Statement } from '../transaction.ts';
import { quote, quoteTable } from './identifiers.ts';
import { keyColumns, Parameters } from './range.ts';
import { bytesCell, type Cell, type PageBounds, page, valueCell } from './rows.ts';

/** Fields whose plaintext column is still there. */
export function adoptable(
  shape: TableShape,
): readonly (FieldColumn & { plaintext: { column: string; type: string } })[] {
  return shape.fields.flatMap((field) =>
    field.plaintext === undefined ? [] : [{ ...field, plaintext: field.plaintext }],
  );
}

/**
 * A plaintext column's bytes: bytea as it is, text as UTF-8, char(n) with its padding, others in their text form.
 * Compared as bytes, so that no collation or citext takes different values for equal.
 */
export function plaintextBytes({ column, type }: { readonly column: string; readonly type: string }): string {
  const value = `t.${quote(column)}`;
  if (type === 'bytea') return value;
  if (type === 'text' || type === 'varchar') return `convert_to(${value}, 'UTF8')`;
  // A cast to text strips the padding of char(n); concat writes the value as it is shown.
  const text =
    type === 'bpchar' ? `CASE WHEN ${value} IS NOT NULL THEN concat(${value}) END` : `${value}::text`;
  return `convert_to(${text}, 'UTF8')`;
}

/** A page of keys of records with a plaintext that has no envelope. */
export function plaintextPage(
  shape: TableShape,
  scope: Pick<Scope, 'tenant'>,
  bounds: PageBounds,
): Statement {
  const open = adoptable(shape).map(
    ({ column, plaintext }) => `(t.${quote(plaintext.column)} IS NOT NULL AND t.${quote(column)} IS NULL)`,
  );
  return page(shape, scope, open.join(' OR '), bounds, new Parameters());
}

/** A page of keys of all records, of every tenant. */
export function everyPage(shape: TableShape, bounds: PageBounds): Statement {
  return page({ ...shape, tenant: { fixed: '' } }, { tenant: '' }, 'true', bounds, new Parameters());
}

/** Each field's plaintext and envelope. */
export function plaintextCells(shape: TableShape): readonly Cell[] {
  return shape.fields.flatMap(({ column, form, plaintext }) => [
    plaintext === undefined ? bytesCell('NULL::bytea') : plaintextCell(plaintext),
    valueCell(form, `t.${quote(column)}`),
  ]);
}

function plaintextCell(plaintext: { readonly column: string; readonly type: string }): Cell {
  const bytes = plaintextBytes(plaintext);
  const plain = ['bytea', 'text', 'varchar'].includes(plaintext.type);
  return bytesCell(bytes, `octet_length(${plain ? `t.${quote(plaintext.column)}` : bytes})`);
}

export function tenantNames(table: string, column: string): Statement {
  return {
    text: `SELECT DISTINCT t.${quote(column)}::text AS tenant FROM ${quoteTable(table)} AS t ORDER BY 1`,
  };
}

export function addColumns(table: string, columns: readonly string[]): string {
  const add = columns.map((column) => `ADD COLUMN IF NOT EXISTS ${quote(column)} bytea`);
  return `ALTER TABLE ${quoteTable(table)} ${add.join(', ')}`;
}

/** Never CASCADE: what depends on a column is its owner's to decide. */
export function dropColumns(table: string, columns: readonly string[]): string {
  return `ALTER TABLE ${quoteTable(table)} ${columns.map((column) => `DROP COLUMN IF EXISTS ${quote(column)}`).join(', ')}`;
}

/** A lock that is not to be had soon must not queue up the application's statements behind it. */
export function beginAlter(lockTimeoutMs: number): string {
  return `
BEGIN;
${lockTimeout(lockTimeoutMs)};
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL row_security = off`;
}

export function lockTimeout(milliseconds: number): string {
  return `SET LOCAL lock_timeout = ${Math.trunc(milliseconds)}`;
}

/** The first keeps writers and other changes of the table out, the second readers too. */
export function lockTable(table: string, mode: 'SHARE ROW EXCLUSIVE' | 'ACCESS EXCLUSIVE'): string {
  return `LOCK TABLE ${quoteTable(table)} IN ${mode} MODE`;
}

/** Whether a session that has a lock on the table (or a partition of it) waits for another one on it. */
export function holdersThatWait(table: string): Statement {
  return {
    text: `
WITH locks AS (
  SELECT pid, granted FROM pg_locks
  WHERE locktype = 'relation' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND relation IN (SELECT to_regclass($1) UNION SELECT relid FROM pg_partition_tree(to_regclass($1)))
)
SELECT EXISTS (
  SELECT FROM locks WHERE granted AND pid IN (SELECT pid FROM locks WHERE NOT granted)
) AS waits`,
    values: [quoteTable(table)],
  };
}

/** The oldest transaction that may still write; what later ones write has its xid or a later one. */
export const OLDEST_WRITER: Statement = {
  text: 'SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin',
};

/** This transaction's id, which `age` counts from once it is assigned. */
export const CURRENT_WRITER: Statement = { text: 'SELECT pg_current_xact_id()::text AS xmin' };

/**
 * Opens a cursor over the keys of rows written at most `age` transactions ago, in one scan. A row's xmin has 32
 * bits: rows frozen billions of transactions ago can look new and are then verified once more; a new one never
 * looks old.
 */
export function writtenWithin(shape: TableShape, age: bigint): Statement {
  const keys = keyColumns(shape).map((key) => `${key}::text`);
  return {
    text: `
DECLARE written NO SCROLL CURSOR FOR
SELECT json_build_array(${keys.join(', ')}) AS key FROM ${quoteTable(shape.table)} AS t
WHERE age(t.xmin) <= ${age}`,
  };
}

export function fetchWritten(count: number): Statement {
  return { text: `FETCH ${Math.trunc(count)} FROM written` };
}
