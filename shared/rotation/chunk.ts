import { asciiJson } from '../queue/ascii-json.ts';
import type { RecordKey } from '../records/record-store.ts';

/** SQS bills a message by 64 KiB; this leaves room for the rest of it. */
export const CHUNK_KEY_BYTES = 60_000;

/**
 * Cuts keys into chunks of at most `size` keys and CHUNK_KEY_BYTES of JSON, at most `most` chunks. `rest`: keys
 * were left over. A single key that is larger than the limit gets a chunk of its own (SQS takes 1 MiB).
 */
export function cutChunks(
  keys: readonly RecordKey[],
  size: number,
  most: number,
): { readonly chunks: readonly (readonly RecordKey[])[]; readonly rest: boolean } {
  const chunks: RecordKey[][] = [];
  let current: RecordKey[] = [];
  let bytes = 0;
  for (const key of keys) {
    const keyBytes = asciiJson(key).length + 1;
    if (current.length > 0 && (current.length === size || bytes + keyBytes > CHUNK_KEY_BYTES)) {
      chunks.push(current);
      if (chunks.length === most) return { chunks, rest: true };
      current = [];
      bytes = 0;
    }
    current.push(key);
    bytes += keyBytes;
  }
  if (current.length > 0) chunks.push(current);
  return { chunks, rest: false };
}
