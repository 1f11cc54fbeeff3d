import { EnvelopeError } from '../errors/errors.ts';
import { KID_LENGTH } from './layout.ts';

/**
 * What stands in the place of a value that was given up: a CBOR array (RFC 8949) of fixed length, no COSE message. It is
 * shorter than any envelope and begins with another byte, so that nothing is ever both (docs/envelope.md has the table).
 *
 *     array(5): 'keyturn tombstone', 1, the kid, 0("2026-01-31T12:00:00.000Z"), the approval request's id
 */

/** array(5), text(17) 'keyturn tombstone', format version 1, and the head of the 20-byte kid. */
export const TOMBSTONE_PREFIX = Uint8Array.of(0x85, 0x71, ...Buffer.from('keyturn tombstone'), 0x01, 0x54);
/** Tag 0 (RFC 8949 §3.4.1) and the head of its 24-byte text: a time in UTC with milliseconds. */
export const TOMBSTONE_TIME_HEAD = Uint8Array.of(0xc0, 0x78, 0x18);
const TIME_LENGTH = 24;
/** The head of a 32-byte string. */
export const TOMBSTONE_REQUEST_HEAD = Uint8Array.of(0x58, 0x20);
const REQUEST_LENGTH = 32;

const KID_OFFSET = TOMBSTONE_PREFIX.length;
export const TOMBSTONE_TIME_HEAD_OFFSET = KID_OFFSET + KID_LENGTH;
const TIME_OFFSET = TOMBSTONE_TIME_HEAD_OFFSET + TOMBSTONE_TIME_HEAD.length;
export const TOMBSTONE_REQUEST_HEAD_OFFSET = TIME_OFFSET + TIME_LENGTH;
const REQUEST_OFFSET = TOMBSTONE_REQUEST_HEAD_OFFSET + TOMBSTONE_REQUEST_HEAD.length;
export const TOMBSTONE_LENGTH = REQUEST_OFFSET + REQUEST_LENGTH;

/** What a tombstone says of itself. Nothing authenticates it: the audit does. */
export interface Tombstone {
  /** The key that the value was quarantined for. */
  readonly keyId: string;
  /** The version that the value named; null when that could not be told. */
  readonly version: number | null;
  /** When it was given up: ISO 8601 in UTC with milliseconds. */
  readonly at: string;
  /** The approval request: 32 bytes, base64url; null where none was required. */
  readonly requestId: string | null;
}

const NO_REQUEST = Buffer.alloc(REQUEST_LENGTH);
const NO_REQUEST_TEXT = NO_REQUEST.toString('base64url');
const KEY_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{3}Z$/;

/** @throws EnvelopeError ENVELOPE_ARGUMENT */
export function makeTombstone({ keyId, version, at, requestId }: Tombstone): Uint8Array {
  const request = requestId === null ? NO_REQUEST : Buffer.from(requestId, 'base64url');
  if (!KEY_ID.test(keyId)) throw invalid('keyId is not a UUID in its canonical lower-case form');
  if (version !== null && !(Number.isInteger(version) && version >= 1 && version <= 0xffff_ffff)) {
    throw invalid('version is neither null nor an integer from 1 to 4294967295');
  }
  if (!TIME.test(at)) throw invalid('at is not a time in UTC with milliseconds');
  if (request.length !== REQUEST_LENGTH || request.toString('base64url') !== (requestId ?? NO_REQUEST_TEXT)) {
    throw invalid(`requestId is not ${REQUEST_LENGTH} bytes as base64url`);
  }
  const bytes = new Uint8Array(TOMBSTONE_LENGTH);
  bytes.set(TOMBSTONE_PREFIX);
  bytes.set(Buffer.from(keyId.replaceAll('-', ''), 'hex'), KID_OFFSET);
  // 0, which no envelope names, where the version could not be told.
  new DataView(bytes.buffer).setUint32(KID_OFFSET + KID_LENGTH - 4, version ?? 0);
  bytes.set(TOMBSTONE_TIME_HEAD, TOMBSTONE_TIME_HEAD_OFFSET);
  bytes.set(Buffer.from(at, 'latin1'), TIME_OFFSET);
  bytes.set(TOMBSTONE_REQUEST_HEAD, TOMBSTONE_REQUEST_HEAD_OFFSET);
  bytes.set(request, REQUEST_OFFSET);
  return bytes;
}

/** By its length and every byte that the format fixes, as a database does. */
export function isTombstone(value: Uint8Array, start = 0, end = value.length): boolean {
  return (
    end - start === TOMBSTONE_LENGTH &&
    hasBytes(value, start, TOMBSTONE_PREFIX) &&
    hasBytes(value, start + TOMBSTONE_TIME_HEAD_OFFSET, TOMBSTONE_TIME_HEAD) &&
    hasBytes(value, start + TOMBSTONE_REQUEST_HEAD_OFFSET, TOMBSTONE_REQUEST_HEAD)
  );
}

/** null: the value is no tombstone. */
export function readTombstone(value: Uint8Array): Tombstone | null {
  if (!isTombstone(value)) return null;
  const bytes = Buffer.from(value.buffer, value.byteOffset, value.length);
  const hex = bytes.toString('hex', KID_OFFSET, KID_OFFSET + KID_LENGTH - 4);
  const version = bytes.readUInt32BE(KID_OFFSET + KID_LENGTH - 4);
  const request = bytes.toString('base64url', REQUEST_OFFSET);
  return {
    keyId: hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5'),
    version: version === 0 ? null : version,
    at: bytes.toString('latin1', TIME_OFFSET, TIME_OFFSET + TIME_LENGTH),
    requestId: request === NO_REQUEST_TEXT ? null : request,
  };
}

function hasBytes(value: Uint8Array, offset: number, expected: Uint8Array): boolean {
  return expected.every((byte, i) => value[offset + i] === byte);
}

function invalid(message: string): EnvelopeError {
  return new EnvelopeError('ENVELOPE_ARGUMENT', message);
}
