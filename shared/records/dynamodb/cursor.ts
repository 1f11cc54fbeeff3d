import { decodeOpaque, encodeOpaque, notOurs } from '../opaque-text.ts';
import type { RecordKey } from '../record-store.ts';
import { type KeyAttribute, keyItem } from './attributes.ts';

/**
 * Cursors and segments as text: a letter for the kind, then base64url JSON. A cursor is the key that it stands right
 * after: DynamoDB goes on after any key, whether the item is still there or not.
 */

export type Segment =
  /** Part `part` of `of` of a parallel scan. */
  | { readonly kind: 'scan' | 'index'; readonly part: number; readonly of: number }
  /** The tenant's items, in a table whose partition key is the tenant. */
  | { readonly kind: 'partition' };

/** DynamoDB's limit of a parallel scan. */
const MOST_PARTS = 1_000_000;

export function formatCursor(key: RecordKey): string {
  return encodeOpaque('c', key);
}

export function parseCursor(cursor: string, attributes: readonly KeyAttribute[]): RecordKey {
  const key = decodeOpaque('c', cursor);
  if (!Array.isArray(key) || !key.every((part) => typeof part === 'string')) throw notOurs('A cursor');
  keyItem(key, attributes);
  return key;
}

export function formatSegment(segment: Segment): string {
  return encodeOpaque(
    's',
    segment.kind === 'partition' ? ['partition'] : [segment.kind, segment.part, segment.of],
  );
}

export function parseSegment(text: string): Segment {
  const parts = decodeOpaque('s', text);
  const [kind, part, of] = Array.isArray(parts) ? parts : [];
  if (kind === 'partition' && part === undefined) return { kind };
  if (!(kind === 'scan' || kind === 'index') || !Number.isInteger(part) || !Number.isInteger(of)) {
    throw notOurs('A segment');
  }
  if (part < 0 || part >= of || of > MOST_PARTS) throw notOurs('A segment');
  return { kind, part, of };
}
