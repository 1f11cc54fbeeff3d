import { z } from 'zod';
import { fromText } from '../../envelope/text.ts';
import { EnvelopeError, RecordStoreError } from '../../errors/errors.ts';
import type { FieldValue, RecordKey, StalePage } from '../record-store.ts';
import { formatCursor } from './cursor.ts';
import type { PageBounds } from './sql/rows.ts';
import type { FieldColumn } from './table.ts';
import type { Queryable, Statement } from './transaction.ts';

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

/** Records of one statement, and the bytes of one from which it is read by a statement of its own: 64 MB at most. */
const PACKED_RECORDS = 1_000;
const LARGE_BYTES = 64 * 1024;

const packedSchema = z.tuple([z.object({ packed: z.instanceof(Buffer) })]);

type Row = FieldValue[] | null | 'large';

/** The cells of each key's row, in order; null where the row is gone. */
export async function queryPacked(
  db: Queryable,
  keys: readonly RecordKey[],
  cells: number,
  statement: (keys: readonly RecordKey[], largest: number) => Statement,
): Promise<(FieldValue[] | null)[]> {
  const records: (FieldValue[] | null)[] = [];
  const query = async (part: readonly RecordKey[], largest: number): Promise<Row[]> => {
    const [{ packed }] = packedSchema.parse((await db.query(statement(part, largest))).rows);
    return unpack(packed, part.length, cells);
  };
  for (let start = 0; start < keys.length; start += PACKED_RECORDS) {
    const part = keys.slice(start, start + PACKED_RECORDS);
    for (const [i, row] of (await query(part, LARGE_BYTES)).entries()) {
      const [alone = null] =
        row === 'large' ? await query(part.slice(i, i + 1), Number.MAX_SAFE_INTEGER) : [row];
      if (alone === 'large') throw unexpected();
      records.push(alone);
    }
  }
  return records;
}

function unpack(packed: Buffer, count: number, cells: number): Row[] {
  const rows: Row[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const kind = packed.readUInt8(at++);
    if (kind !== 1) {
      rows.push(kind === 0 ? null : 'large');
      continue;
    }
    const values: FieldValue[] = [];
    for (let j = 0; j < cells; j++) {
      const length = packed.readInt32BE(at);
      at += 4;
      values.push(length < 0 ? null : packed.subarray(at, at + length));
      if (length > 0) at += length;
    }
    rows.push(values);
  }
  if (at !== packed.length) throw unexpected();
  return rows;
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
