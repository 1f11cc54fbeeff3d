import { KID_FROM_END, TAIL_LENGTH } from '../../envelope/layout.ts';
import type {
  FieldValue,
  Frame,
  FrameChange,
  FramedRecord,
  PlaintextRecord,
  RecordKey,
  StoredRecord,
} from '../record-store.ts';
import { assertKey, parseCursor, parseSegment } from './cursor.ts';
import { fieldValue, queryPacked } from './read.ts';
import { plaintextCells } from './sql/adoption.ts';
import type { Parameters } from './sql/range.ts';
import {
  type Cell,
  FRAME_LENGTH_BYTES,
  frameCells,
  type PageBounds,
  packedRecords,
  recordCells,
} from './sql/rows.ts';
import type { FieldColumn, TableShape } from './table.ts';
import type { Queryable } from './transaction.ts';

export function pageBounds(
  shape: TableShape,
  segment: string,
  after: string | null,
  limit: number,
  until: string | undefined,
  scanRows: number,
): PageBounds {
  const { from, to } = parseSegment(segment, shape.keys);
  const range = {
    from: after === null ? from : parseCursor(after, shape.keys),
    to: until === undefined ? to : parseCursor(until, shape.keys),
  };
  return { range, limit, scan: Math.max(scanRows, limit) };
}

/** Throws for what no record of this table can be, or a change that names a field there is not. */
export function assertChanges(
  shape: TableShape,
  changes: readonly {
    readonly key: RecordKey;
    readonly changes: readonly { readonly field: number }[];
  }[],
): void {
  for (const change of changes) {
    assertKey(change.key, shape.keys);
    if (
      change.changes.length === 0 ||
      change.changes.some(({ field }) => shape.fields[field] === undefined)
    ) {
      throw new RangeError('A change names no field, or one that the record set does not have.');
    }
  }
}

/** Throws unless each frame stays what it is but for its recipient. */
export function assertFrames(shape: TableShape, records: readonly FrameChange[]): void {
  for (const { changes } of records) {
    for (const { field, before, after } of changes) {
      if (shape.fields[field]?.form === 'text') continue;
      const kept = before.bytes.length - KID_FROM_END;
      const same =
        kept >= TAIL_LENGTH - KID_FROM_END &&
        before.omitted === after.omitted &&
        before.bytes.length === after.bytes.length &&
        Buffer.compare(before.bytes.subarray(0, kept), after.bytes.subarray(0, kept)) === 0;
      if (!same) throw new RangeError('A frame may change in its recipient only.');
    }
  }
}

export function readRecords(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
): Promise<(StoredRecord | null)[]> {
  return readPacked(db, shape, keys, recordCells(shape), 1, (key, tenant, cells) => ({
    key,
    tenant,
    values: shape.fields.map((field, f) => fieldValue(field, cells[1 + f])),
  }));
}

export function readFrames(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
): Promise<(FramedRecord | null)[]> {
  return readPacked(db, shape, keys, frameCells(shape), 1, (key, tenant, cells) => ({
    key,
    tenant,
    frames: shape.fields.map((field, f) => frameOf(field, cells[1 + f])),
  }));
}

export function readPlaintext(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
): Promise<(PlaintextRecord | null)[]> {
  return readPacked(db, shape, keys, plaintextCells(shape), 2, (key, tenant, cells) => ({
    key,
    tenant,
    plaintext: shape.fields.map((_, f) => cells[1 + 2 * f] ?? null),
    values: shape.fields.map((field, f) => fieldValue(field, cells[2 + 2 * f])),
  }));
}

/** `cells`: the tenant, then `each` of every field. */
async function readPacked<T>(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
  cells: (p: Parameters) => readonly Cell[],
  each: number,
  record: (key: RecordKey, tenant: string, cells: readonly FieldValue[]) => T,
): Promise<(T | null)[]> {
  for (const key of keys) assertKey(key, shape.keys);
  return queryPacked(
    db,
    keys,
    1 + each * shape.fields.length,
    (part, largest) => packedRecords(shape, part, cells, largest),
    (key, values) => record(key, tenantOf(values[0]), values),
  );
}

function frameOf(field: FieldColumn, stored: FieldValue | undefined): Frame | null {
  if (field.form === 'text') {
    const bytes = fieldValue(field, stored);
    return bytes === null ? null : { bytes, omitted: 0 };
  }
  if (stored === null || stored === undefined) return null;
  const bytes = stored.subarray(FRAME_LENGTH_BYTES);
  const length = new DataView(stored.buffer, stored.byteOffset, FRAME_LENGTH_BYTES).getUint32(0);
  return { bytes, omitted: length - bytes.length };
}

/** A row without a tenant is nobody's: no tenant's name is empty. */
function tenantOf(bytes: FieldValue | undefined): string {
  return bytes ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : '';
}
