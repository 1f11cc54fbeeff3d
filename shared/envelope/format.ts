import { EnvelopeError } from '../errors/errors.ts';
import { BYTE_STRING, headLength, writeHead } from './cbor.ts';
import { envelopeFailure } from './failures.ts';
import {
  HEADER_PREFIX,
  KID_FROM_END,
  LENGTH_HEADER_OFFSET,
  MAX_PLAINTEXT_LENGTH,
  MIN_ENVELOPE_LENGTH,
  MIN_FRAME_LENGTH,
  TAG_LENGTH,
  TAIL_LENGTH,
  TAIL_PREFIX,
  VERSION_FROM_END,
  WRAPPED_DEK_FROM_END,
  WRAPPED_DEK_HEAD,
  WRAPPED_DEK_HEAD_FROM_END,
} from './layout.ts';
import { isTombstone } from './tombstone.ts';

const HEADER_WORDS = [word32(HEADER_PREFIX, 0), word32(HEADER_PREFIX, 4), word16(HEADER_PREFIX, 8)] as const;
const TAIL_WORDS = [word32(TAIL_PREFIX, 0), word32(TAIL_PREFIX, 4), word16(WRAPPED_DEK_HEAD, 0)] as const;

/** What `findCiphertext` returns for bytes that are not an envelope. */
export const MALFORMED = -1;

/**
 * Where the ciphertext of the envelope that lies in bytes[start, end) begins, or MALFORMED when those bytes are
 * not exactly one envelope: every byte that the format fixes is compared, and the lengths must add up. The
 * ciphertext ends TAIL_LENGTH bytes before `end`. A number, not an object: batches call this once a record.
 *
 * `omitted`: of a frame, the length of the ciphertext, which was left out between the length header and the tail.
 */
export function findCiphertext(bytes: Uint8Array, start: number, end: number, omitted = 0): number {
  const length = end - start;
  if (length < MIN_FRAME_LENGTH || length + omitted < MIN_ENVELOPE_LENGTH) return MALFORMED;
  if (!hasFixedBytes(bytes, start, end) || versionAt(bytes, end) === 0) return MALFORMED;
  return findInLengthHeader(bytes, start + LENGTH_HEADER_OFFSET, end - TAIL_LENGTH, omitted);
}

/** The key version that the envelope ending at `end` names. */
export function versionAt(bytes: Uint8Array, end: number): number {
  return word32(bytes, end - VERSION_FROM_END) >>> 0;
}

/** Moves the envelope ending at `end` to another version of its key. */
export function writeVersion(bytes: Uint8Array, end: number, version: number): void {
  const at = end - VERSION_FROM_END;
  bytes[at] = version >>> 24;
  bytes[at + 1] = version >>> 16;
  bytes[at + 2] = version >>> 8;
  bytes[at + 3] = version;
}

export interface EnvelopeParts {
  readonly ciphertextOffset: number;
  readonly plaintextLength: number;
  readonly kid: Uint8Array;
  readonly wrappedDek: Uint8Array;
}

/**
 * The parts of one envelope, as views of it.
 *
 * @throws EnvelopeError ENVELOPE_ARGUMENT for what is not a Uint8Array, RECORD_TOMBSTONED for a value that was given up,
 * ENVELOPE_MALFORMED for what else is no envelope.
 */
export function parseEnvelope(envelope: Uint8Array): EnvelopeParts {
  if (!(envelope instanceof Uint8Array)) {
    throw new EnvelopeError('ENVELOPE_ARGUMENT', 'envelope is not a Uint8Array');
  }
  const end = envelope.length;
  const ciphertextOffset = findCiphertext(envelope, 0, end);
  if (ciphertextOffset === MALFORMED) {
    throw envelopeFailure(isTombstone(envelope) ? 'RECORD_TOMBSTONED' : 'ENVELOPE_MALFORMED');
  }
  return {
    ciphertextOffset,
    plaintextLength: end - TAIL_LENGTH - TAG_LENGTH - ciphertextOffset,
    kid: envelope.subarray(end - KID_FROM_END, end - WRAPPED_DEK_HEAD_FROM_END),
    wrappedDek: envelope.subarray(end - WRAPPED_DEK_FROM_END),
  };
}

export interface EnvelopeFrame {
  readonly envelope: Uint8Array;
  readonly ciphertextOffset: number;
}

/** An envelope with every byte that the format fixes; IV, ciphertext, kid and wrapped DEK are still zero. */
export function frameEnvelope(plaintextLength: number): EnvelopeFrame {
  const ciphertextLength = plaintextLength + TAG_LENGTH;
  const ciphertextOffset = LENGTH_HEADER_OFFSET + headLength(ciphertextLength);
  const end = ciphertextOffset + ciphertextLength + TAIL_LENGTH;
  const envelope = new Uint8Array(end);
  envelope.set(HEADER_PREFIX);
  writeHead(envelope, LENGTH_HEADER_OFFSET, BYTE_STRING, ciphertextLength);
  envelope.set(TAIL_PREFIX, end - TAIL_LENGTH);
  envelope.set(WRAPPED_DEK_HEAD, end - WRAPPED_DEK_HEAD_FROM_END);
  return { envelope, ciphertextOffset };
}

/** The offset after a length header that says exactly what lies between it and the tail, in the shortest form. */
function findInLengthHeader(bytes: Uint8Array, offset: number, tail: number, omitted: number): number {
  const variable = tail - offset + omitted;
  const head = variable <= 1 + 23 ? 1 : variable <= 2 + 0xff ? 2 : variable <= 3 + 0xffff ? 3 : 5;
  const length = variable - head;
  // No form fits when one byte less would do for the head, and one more would not do for the rest.
  if (headLength(length) !== head || length > MAX_PLAINTEXT_LENGTH + TAG_LENGTH) return MALFORMED;
  // A frame leaves out all of the ciphertext or nothing.
  if (omitted !== 0 && omitted !== length) return MALFORMED;
  const first = bytes[offset] ?? 0;
  let said = first - BYTE_STRING;
  if (head === 2) said = first === 0x58 ? (bytes[offset + 1] ?? 0) : MALFORMED;
  else if (head === 3) said = first === 0x59 ? word16(bytes, offset + 1) : MALFORMED;
  else if (head === 5) said = first === 0x5a ? word32(bytes, offset + 1) : MALFORMED;
  return said === length ? offset + head : MALFORMED;
}

/** HEADER_PREFIX, TAIL_PREFIX and WRAPPED_DEK_HEAD, four bytes a comparison. */
function hasFixedBytes(bytes: Uint8Array, start: number, end: number): boolean {
  const tail = end - TAIL_LENGTH;
  return (
    word32(bytes, start) === HEADER_WORDS[0] &&
    word32(bytes, start + 4) === HEADER_WORDS[1] &&
    word16(bytes, start + 8) === HEADER_WORDS[2] &&
    word32(bytes, tail) === TAIL_WORDS[0] &&
    word32(bytes, tail + 4) === TAIL_WORDS[1] &&
    word16(bytes, end - WRAPPED_DEK_HEAD_FROM_END) === TAIL_WORDS[2]
  );
}

/** Four bytes as a signed big-endian integer: these fold into registers, where a loop over the bytes would not. */
export function word32(bytes: Uint8Array, at: number): number {
  return (word16(bytes, at) << 16) | word16(bytes, at + 2);
}

function word16(bytes: Uint8Array, at: number): number {
  return ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
}
