import { RecordStoreError } from '../../errors/errors.ts';
import { decodeOpaque, encodeOpaque, notOurs } from '../opaque-text.ts';
import type { RecordKey } from '../record-store.ts';
import { assertCanonical, type IdentifierType } from './values.ts';

/**
 * Cursors and segments as text: a letter for the kind, then base64url JSON of keys. A segment is the range
 * (from, to], open where it says null, so that neighbours share a bound and new rows fall into exactly one.
 */

export interface KeyRange {
  /** Exclusive. */
  readonly from: RecordKey | null;
  /** Inclusive. */
  readonly to: RecordKey | null;
}

export interface KeyColumn {
  /** As the database spells it. */
  readonly column: string;
  readonly type: IdentifierType;
}

export function formatCursor(key: RecordKey): string {
  return encodeOpaque('c', key);
}

export function formatSegment({ from, to }: KeyRange): string {
  return encodeOpaque('s', [from, to]);
}

export function parseCursor(cursor: string, columns: readonly KeyColumn[]): RecordKey {
  const key = parseKey(decodeOpaque('c', cursor), columns);
  if (key === null) throw notOurs('A cursor');
  return key;
}

export function parseSegment(segment: string, columns: readonly KeyColumn[]): KeyRange {
  const range = decodeOpaque('s', segment);
  if (!Array.isArray(range) || range.length !== 2) throw notOurs('A segment');
  return { from: parseKey(range[0], columns), to: parseKey(range[1], columns) };
}

/** Throws unless it is a key of these columns. */
export function assertKey(key: RecordKey, columns: readonly KeyColumn[]): void {
  if (key.length !== columns.length) {
    throw new RecordStoreError(
      'RECORD_KEY_INVALID',
      `A record key has ${key.length} parts; the table's key has ${columns.length}.`,
    );
  }
  for (let i = 0; i < columns.length; i++) {
    const part = columns[i];
    if (part !== undefined) assertCanonical(part.type, key[i] ?? '', part.column);
  }
}

function parseKey(value: unknown, columns: readonly KeyColumn[]): RecordKey | null {
  if (value === null) return null;
  if (!Array.isArray(value) || !value.every((part) => typeof part === 'string'))
    throw notOurs('A cursor or segment');
  assertKey(value, columns);
  return value;
}
