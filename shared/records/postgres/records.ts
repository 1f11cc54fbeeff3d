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
import { frameCells, type PageBounds, packedRecords, recordCells, tenantBytes } from './sql/rows.ts';
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

export async function readRecords(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
): Promise<(StoredRecord | null)[]> {
  for (const key of keys) assertKey(key, shape.keys);
  const cells = recordCells(shape);
  const rows = await queryPacked(db, keys, shape.fields.length + 1, (part, largest) =>
    packedRecords(shape, part, cells, largest),
  );
  return rows.map((row, i) => {
    const key = keys[i];
    if (row === null || key === undefined) return null;
    const values = shape.fields.map((field, f) => fieldValue(field, row[f + 1]));
    return { key, tenant: tenantOf(row), values };
  });
}

export async function readFrames(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
): Promise<(FramedRecord | null)[]> {
  for (const key of keys) assertKey(key, shape.keys);
  const cells = frameCells(shape);
  const rows = await queryPacked(db, keys, shape.fields.length + 1, (part, largest) =>
    packedRecords(shape, part, cells, largest),
  );
  return rows.map((row, i) => {
    const key = keys[i];
    if (row === null || key === undefined) return null;
    return { key, tenant: tenantOf(row), frames: shape.fields.map((field, f) => frameOf(field, row[f + 1])) };
  });
}

const LENGTH_BYTES = 4;

function frameOf(field: FieldColumn, stored: FieldValue | undefined): Frame | null {
  if (field.form === 'text') {
    const bytes = fieldValue(field, stored);
    return bytes === null ? null : { bytes, omitted: 0 };
  }
  if (stored === null || stored === undefined) return null;
  const bytes = stored.subarray(LENGTH_BYTES);
  const length = new DataView(stored.buffer, stored.byteOffset, LENGTH_BYTES).getUint32(0);
  return { bytes, omitted: length - bytes.length };
}

export async function readPlaintext(
  db: Queryable,
  shape: TableShape,
  keys: readonly RecordKey[],
): Promise<(PlaintextRecord | null)[]> {
  for (const key of keys) assertKey(key, shape.keys);
  const cells = plaintextCells(shape);
  const rows = await queryPacked(db, keys, cells.length + 1, (part, largest) =>
    packedRecords(shape, part, (p) => [tenantBytes(shape, p), ...cells], largest),
  );
  return rows.map((row, i) => {
    const key = keys[i];
    if (row === null || key === undefined) return null;
    return {
      key,
      tenant: tenantOf(row),
      plaintext: shape.fields.map((_, f) => row[1 + 2 * f] ?? null),
      values: shape.fields.map((field, f) => fieldValue(field, row[2 + 2 * f])),
    };
  });
}

/** The first cell. A row without a tenant is nobody's: no tenant's name is empty. */
export function tenantOf(row: readonly (Uint8Array | null)[]): string {
  const bytes = row[0];
  return bytes ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8') : '';
}
