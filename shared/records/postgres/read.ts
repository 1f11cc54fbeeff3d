import { z } from 'zod';
import { fromText } from '../../envelope/text.ts';
import { EnvelopeError, RecordStoreError } from '../../errors/errors.ts';
import type { FieldValue, Frame, RecordKey, StalePage } from '../record-store.ts';
import { formatCursor } from './cursor.ts';
import { type Cell, type PageBounds, packedRecords, ROW } from './sql/rows.ts';
import type { FieldColumn, TableShape } from './table.ts';
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

/**
 * What `convert` makes of each key's row, in order; null where the row is gone. `values`: one a cell. Beyond what it
 * makes, one statement's answer is held at a time.
 */
export async function queryPacked<T>(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
  cells: readonly Cell[],
  convert: (key: RecordKey, tenant: string, values: readonly (Frame | null)[]) => T,
): Promise<(T | null)[]> {
  const fixedTenant = 'fixed' in shape.tenant ? shape.tenant.fixed : null;
  const records: (T | null)[] = keys.map(() => null);
  /** Reads these of the keys; returns those that are larger, with their sizes. */
  const query = async (part: readonly number[], largest: number): Promise<readonly Large[]> => {
    const partKeys = part.map((i) => keys[i] ?? []);
    const { rows } = await db.query(packedRecords(shape, partKeys, cells, largest));
    const answer = new PackedAnswer(Buffer.from(packedSchema.parse(rows)[0].packed, 'base64'));
    const large: Large[] = [];
    for (const i of part) {
      const row = answer.byte();
      if (row === ROW.large) large.push({ i, size: answer.size() });
      else if (row === ROW.here) {
        const tenant = fixedTenant ?? answer.text();
        records[i] = convert(
          keys[i] ?? [],
          tenant,
          cells.map((cell) => answer.value(cell)),
        );
      } else if (row !== ROW.missing) throw unexpected();
    }
    answer.end();
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

/** Reads what `packedRecords` packed, from its start to its end. Values are views of it. */
class PackedAnswer {
  readonly #bytes: Buffer;
  #at = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  byte(): number {
    return this.#bytes.readUInt8(this.#at++);
  }

  size(): number {
    const size = this.#bytes.readBigInt64BE(this.#at);
    this.#at += 8;
    return Number(size);
  }

  /** Empty for a row without a tenant, which is nobody's: no tenant's name is empty. */
  text(): string {
    const start = this.#at;
    while (this.byte() !== 0);
    return this.#bytes.toString('utf8', start, this.#at - 1);
  }

  value(cell: Cell): Frame | null {
    const length = this.#bytes.readInt32BE(this.#at);
    this.#at += 4;
    if (length < 0) return null;
    const come = cell.bytes(length);
    // Not a Buffer's subarray, which takes several times as long.
    const bytes = new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + this.#at, come);
    this.#at += come;
    if (this.#at > this.#bytes.length) throw unexpected();
    return { bytes, omitted: length - come };
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw unexpected();
  }
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
