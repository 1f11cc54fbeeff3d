import { RecordStoreError } from '../../errors/errors.ts';
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
  return encode('c', key);
}

export function parseCursor(cursor: string, attributes: readonly KeyAttribute[]): RecordKey {
  const key = decode('c', cursor);
  if (!Array.isArray(key) || !key.every((part) => typeof part === 'string')) throw invalid('A cursor');
  keyItem(key, attributes);
  return key;
}

export function formatSegment(segment: Segment): string {
  return encode('s', segment.kind === 'partition' ? ['partition'] : [segment.kind, segment.part, segment.of]);
}

export function parseSegment(text: string): Segment {
  const parts = decode('s', text);
  const [kind, part, of] = Array.isArray(parts) ? parts : [];
  if (kind === 'partition' && part === undefined) return { kind };
  if (!(kind === 'scan' || kind === 'index') || !Number.isInteger(part) || !Number.isInteger(of)) {
    throw invalid('A segment');
  }
  if (part < 0 || part >= of || of > MOST_PARTS) throw invalid('A segment');
  return { kind, part, of };
}

function encode(kind: string, value: unknown): string {
  return kind + Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');
}

function decode(kind: string, text: string): unknown {
  const what = kind === 'c' ? 'A cursor' : 'A segment';
  if (!text.startsWith(kind)) throw invalid(what);
  try {
    return JSON.parse(Buffer.from(text.slice(1), 'base64url').toString('utf8'));
  } catch {
    throw invalid(what);
  }
}

function invalid(what: string): RecordStoreError {
  return new RecordStoreError('RECORD_KEY_INVALID', `${what} is not one that this record store made.`);
}
