/**
 * Where every byte of an envelope is (COSE_Encrypt, RFC 9052 §5.1; docs/envelope.md has the table).
 *
 *     header prefix | iv | length header | ciphertext and tag | tail
 *     10              12   1, 2, 3 or 5    16 and more          70
 *
 * Only the length header and the ciphertext vary, so what follows them is found from the END of the envelope:
 * that is how a database reads the key version, and replaces the recipient, without parsing CBOR.
 */

/** Tag 96, array(4), protected h'a10103' ({alg: A256GCM}), then {5: and the head of a 12-byte string. */
export const HEADER_PREFIX = Uint8Array.of(0xd8, 0x60, 0x84, 0x43, 0xa1, 0x01, 0x03, 0xa1, 0x05, 0x4c);

export const IV_OFFSET = 10;
export const IV_LENGTH = 12;
export const LENGTH_HEADER_OFFSET = IV_OFFSET + IV_LENGTH;

/** The AES-GCM tag, the last 16 bytes of the ciphertext string (RFC 9053 §4.1). */
export const TAG_LENGTH = 16;

export const KID_LENGTH = 20;
export const DEK_LENGTH = 32;
/** RFC 3394: one 8-byte block more than the key that it wraps. */
export const WRAPPED_DEK_LENGTH = 40;

/** array(1) of array(3): h'', {1: -5 (A256KW), 4: and the head of a 20-byte string. The kid follows. */
export const TAIL_PREFIX = Uint8Array.of(0x81, 0x83, 0x40, 0xa2, 0x01, 0x24, 0x04, 0x54);
/** The head of a 40-byte string, between the kid and the wrapped DEK. */
export const WRAPPED_DEK_HEAD = Uint8Array.of(0x58, 0x28);
export const TAIL_LENGTH = TAIL_PREFIX.length + KID_LENGTH + WRAPPED_DEK_HEAD.length + WRAPPED_DEK_LENGTH;

/** Distances back from the end of the envelope to the first byte of each part. */
export const WRAPPED_DEK_FROM_END = WRAPPED_DEK_LENGTH;
export const WRAPPED_DEK_HEAD_FROM_END = WRAPPED_DEK_FROM_END + WRAPPED_DEK_HEAD.length;
export const KID_FROM_END = WRAPPED_DEK_HEAD_FROM_END + KID_LENGTH;
/** The last 4 of the kid's bytes: the key version, a big-endian uint32. */
export const VERSION_FROM_END = WRAPPED_DEK_HEAD_FROM_END + 4;

/** 64 MiB: an envelope is one field of a record, held in memory whole. */
export const MAX_PLAINTEXT_LENGTH = 64 * 1024 * 1024;

interface LengthHeader {
  /** The first byte; for the form without length bytes, the lowest of a range (0x40 + length). */
  readonly firstByte: number;
  /** Bytes of the whole header. */
  readonly bytes: number;
  /** The ciphertext lengths (tag included) for which this form is the shortest, and so the only one allowed. */
  readonly min: number;
  readonly max: number;
}

/** The heads of the ciphertext's byte string: shortest form only (RFC 8949 §4.2.1). Sorted by length. */
export const LENGTH_HEADERS = [
  { firstByte: 0x40, bytes: 1, min: TAG_LENGTH, max: 23 },
  { firstByte: 0x58, bytes: 2, min: 24, max: 0xff },
  { firstByte: 0x59, bytes: 3, min: 0x100, max: 0xffff },
  { firstByte: 0x5a, bytes: 5, min: 0x1_0000, max: MAX_PLAINTEXT_LENGTH + TAG_LENGTH },
] as const satisfies readonly LengthHeader[];

/** An empty plaintext: a one-byte length header and nothing but the tag. */
export const MIN_ENVELOPE_LENGTH = LENGTH_HEADER_OFFSET + 1 + TAG_LENGTH + TAIL_LENGTH;
/** An envelope without its ciphertext, of the shortest length header. */
export const MIN_FRAME_LENGTH = LENGTH_HEADER_OFFSET + 1 + TAIL_LENGTH;
export const MAX_ENVELOPE_LENGTH = LENGTH_HEADER_OFFSET + 5 + MAX_PLAINTEXT_LENGTH + TAG_LENGTH + TAIL_LENGTH;
