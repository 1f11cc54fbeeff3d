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

/** Most records that one statement reads. */
const PACKED_RECORDS = 1_000;
/** A record with more bytes is named with its size first, and then read together with as many as fit PACKED_BYTES. */
const LARGE_BYTES = 8 * 1024;
/** Of one statement's records, unless it is one alone. The driver holds an answer in about four times its bytes. */
const PACKED_BYTES = PACKED_RECORDS * LARGE_BYTES;

const packedSchema = z.tuple([z.object({ packed: z.string() })]);

type Cells = readonly FieldValue[];

/** The cells of a row, null where it is gone, or how large it is. */
type Row = Cells | null | number;

/**
 * What `convert` makes of the cells of each key's row, in order; null where the row is gone. Beyond what it makes,
 * one statement's answer is held at a time.
 */
export async function queryPacked<T>(
  db: Queryable,
  keys: readonly RecordKey[],
  cells: number,
  statement: (keys: readonly RecordKey[], largest: number) => Statement,
  convert: (key: RecordKey, cells: Cells) => T,
): Promise<(T | null)[]> {
  const records: (T | null)[] = keys.map(() => null);
  /** Reads these of the keys; returns those that are larger, with their sizes. */
  const query = async (part: readonly number[], largest: number): Promise<readonly Large[]> => {
    const partKeys = part.map((i) => keys[i] ?? []);
    const [{ packed }] = packedSchema.parse((await db.query(statement(partKeys, largest))).rows);
    const large: Large[] = [];
    for (const [n, row] of unpack(Buffer.from(packed, 'base64'), part.length, cells).entries()) {
      const i = part[n] ?? 0;
      if (typeof row === 'number') large.push({ i, size: row });
      else if (row !== null) records[i] = convert(keys[i] ?? [], row);
    }
    return large;
  };
  for (let start = 0; start < keys.length; start += PACKED_RECORDS) {
    const part = keys.slice(start, start + PACKED_RECORDS).map((_, n) => start + n);
    for (const group of groupsOf(await query(part, LARGE_BYTES))) {
      const largest = group.reduce((most, { size }) => Math.max(most, size), 0);
      const grown = await query(
        group.map(({ i }) => i),
        largest,
      );
      // Somebody wrote it in between.
      for (const { i } of grown) await query([i], Number.MAX_SAFE_INTEGER);
    }
  }
  return records;
}

interface Large {
  /** Index of the key. */
  readonly i: number;
  readonly size: number;
}

function* groupsOf(list: readonly Large[]): Generator<readonly Large[]> {
  let group: Large[] = [];
  let bytes = 0;
  for (const large of list) {
    if (group.length > 0 && bytes + large.size > PACKED_BYTES) {
      yield group;
      group = [];
      bytes = 0;
    }
    group.push(large);
    bytes += large.size;
  }
  if (group.length > 0) yield group;
}

function unpack(packed: Buffer, count: number, cells: number): Row[] {
  const rows: Row[] = [];
  let at = 0;
  for (let i = 0; i < count; i++) {
    const kind = packed.readUInt8(at++);
    if (kind === 0) {
      rows.push(null);
      continue;
    }
    if (kind === 2) {
      rows.push(Number(packed.readBigInt64BE(at)));
      at += 8;
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
