import { RecordStoreError } from '../errors/errors.ts';

/** Cursors and segments as text: one letter for the kind, then JSON that only the store which made it reads. */
export type OpaqueKind = 'c' | 's';

export function encodeOpaque(kind: OpaqueKind, value: unknown): string {
  return kind + Buffer.from(JSON.stringify(value), 'utf8').toString('base64url');
}

/** Throws RECORD_KEY_INVALID where it is of another kind, or no JSON. */
export function decodeOpaque(kind: OpaqueKind, text: string): unknown {
  const what = kind === 'c' ? 'A cursor' : 'A segment';
  if (!text.startsWith(kind)) throw notOurs(what);
  try {
    return JSON.parse(Buffer.from(text.slice(1), 'base64url').toString('utf8'));
  } catch {
    throw notOurs(what);
  }
}

export function notOurs(what: string): RecordStoreError {
  return new RecordStoreError('RECORD_KEY_INVALID', `${what} is not one that this record store made.`);
}
