import { z } from 'zod';
import { fromText } from '../../envelope/text.ts';
import { EnvelopeError, RecordStoreError } from '../../errors/errors.ts';
import type { FieldValue, RecordKey, StalePage } from '../record-store.ts';
import { formatCursor } from './cursor.ts';
import type { PageBounds, packedRecords } from './sql/rows.ts';
import type { FieldColumn } from './table.ts';
import type { Queryable, Statement } from './transaction.ts';

/** A call is answered in statements of about this much data: a text of 512 MB is the most that V8 holds. */
export const BUDGET_BYTES = 32 * 1024 * 1024;

const pageSchema = z.array(z.object({ page: z.array(z.unknown()) }));

export async function queryPage(db: Queryable, statement: Statement, bounds: PageBounds): Promise<StalePage> {
  const { rows } = await db.query(statement);
  const page = pageSchema.parse(rows)[0]?.page ?? [];
  const keys: RecordKey[] = [];
  let last: RecordKey | undefined;
  let read = 0;
  for (const entry of page) {
    const [number, hit, ...key] = Array.isArray(entry) ? entry : [];
    if (typeof number !== 'number' || !isKey(key)) throw unexpected();
    if (hit === true) keys.push(key);
    last = key;
    read = number;
  }
  // Otherwise the database came to the end of the range.
  const more = keys.length >= bounds.limit || read >= bounds.scan;
  return { keys, cursor: more && last !== undefined ? formatCursor(last) : null };
}

export function isKey(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((part) => typeof part === 'string');
}

const packedSchema = z.tuple([z.object({ count: z.int(), packed: z.instanceof(Buffer) })]);

/** The cells of each key's row, in order; null where the row is gone. */
export async function queryPacked(
  db: Queryable,
  keys: readonly RecordKey[],
  cells: number,
  statement: (keys: readonly RecordKey[], budget: number) => ReturnType<typeof packedRecords>,
): Promise<(FieldValue[] | null)[]> {
  const records: (FieldValue[] | null)[] = [];
  while (records.length < keys.length) {
    const rest = records.length === 0 ? keys : keys.slice(records.length);
    const { rows } = await db.query(statement(rest, BUDGET_BYTES));
    const [{ count, packed }] = packedSchema.parse(rows);
    unpack(packed, count, cells, records);
  }
  return records;
}

function unpack(packed: Buffer, count: number, cells: number, into: (FieldValue[] | null)[]): void {
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (packed[at++] === 0) {
      into.push(null);
      continue;
    }
    const values: FieldValue[] = [];
    for (let j = 0; j < cells; j++) {
      const length = packed.readInt32BE(at);
      at += 4;
      values.push(length < 0 ? null : packed.subarray(at, at + length));
      if (length > 0) at += length;
    }
    into.push(values);
  }
  if (at !== packed.length) throw unexpected();
}

/** A stored value as envelope bytes. Text that is not base64url comes as it is, and will be refused as malformed. */
export function fieldValue({ form }: FieldColumn, stored: FieldValue | undefined): FieldValue {
  if (stored === null || stored === undefined || form === 'bytea') return stored ?? null;
  try {
    return fromText(Buffer.from(stored.buffer, stored.byteOffset, stored.length).toString('utf8'));
  } catch (error) {
    if (error instanceof EnvelopeError) return stored;
    throw error;
  }
}

export function unexpected(): RecordStoreError {
  return new RecordStoreError(
    'STORE_FAILED',
    'The database answered in another shape than it was asked for.',
  );
}
