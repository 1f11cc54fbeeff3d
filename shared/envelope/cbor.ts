/**
 * The few CBOR items that an envelope and its context need, in the deterministic encoding of RFC 8949 §4.2.1:
 * definite lengths, and the shortest head.
 */

export const BYTE_STRING = 0x40;
export const TEXT_STRING = 0x60;
export const ARRAY = 0x80;

/** Bytes of the head of a string or array of this length. Lengths stay under 2^32 here. */
export function headLength(length: number): number {
  if (length < 24) return 1;
  if (length < 0x100) return 2;
  return length < 0x1_0000 ? 3 : 5;
}

/** Writes the head of a string or array at `offset`, and returns the offset after it. */
export function writeHead(target: Uint8Array, offset: number, majorType: number, length: number): number {
  const bytes = headLength(length);
  if (bytes === 1) {
    target[offset] = majorType | length;
    return offset + 1;
  }
  // Additional information 24, 25 and 26: one, two and four length bytes follow (RFC 8949 §3).
  target[offset] = majorType | (bytes === 2 ? 24 : bytes === 3 ? 25 : 26);
  for (let at = offset + bytes - 1, rest = length; at > offset; at--, rest >>>= 8) target[at] = rest & 0xff;
  return offset + bytes;
}
