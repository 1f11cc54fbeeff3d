import { KID_FROM_END, TAIL_LENGTH } from '../../envelope/layout.ts';
import type {
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
import { type Cell, frameCells, type PageBounds, recordCells } from './sql/rows.ts';
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
        beginSame(before.bytes, after.bytes, kept);
      if (!same) throw new RangeError('A frame may change in its recipient only.');
    }
  }
}

/** For the some ten bytes of a frame, views of both and Buffer.compare take longer. */
function beginSame(a: Uint8Array, b: Uint8Array, length: number): boolean {
  for (let at = 0; at < length; at++) if (a[at] !== b[at]) return false;
  return true;
}

export function readRecords(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
): Promise<(StoredRecord | null)[]> {
  return readPacked(db, shape, keys, recordCells(shape), (key, tenant, values) => ({
    key,
    tenant,
    values: shape.fields.map((field, f) => fieldValue(field, values[f]?.bytes)),
  }));
}

export function readFrames(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
): Promise<(FramedRecord | null)[]> {
  const asTheyCome = shape.fields.every(({ form }) => form === 'bytea');
  return readPacked(db, shape, keys, frameCells(shape), (key, tenant, frames) => ({
    key,
    tenant,
    frames: asTheyCome ? frames : shape.fields.map((field, f) => frameOf(field, frames[f] ?? null)),
  }));
}

export function readPlaintext(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
): Promise<(PlaintextRecord | null)[]> {
  return readPacked(db, shape, keys, plaintextCells(shape), (key, tenant, values) => ({
    key,
    tenant,
    plaintext: shape.fields.map((_, f) => values[2 * f]?.bytes ?? null),
    values: shape.fields.map((field, f) => fieldValue(field, values[2 * f + 1]?.bytes)),
  }));
}

async function readPacked<T>(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
  cells: readonly Cell[],
  convert: (key: RecordKey, tenant: string, values: readonly (Frame | null)[]) => T,
): Promise<(T | null)[]> {
  for (const key of keys) assertKey(key, shape.keys);
  return queryPacked(db, shape, keys, cells, convert);
}

function frameOf(field: FieldColumn, frame: Frame | null): Frame | null {
  if (field.form === 'bytea' || frame === null) return frame;
  const bytes = fieldValue(field, frame.bytes);
  return bytes === null ? null : { bytes, omitted: 0 };
}
