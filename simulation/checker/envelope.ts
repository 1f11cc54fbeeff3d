import { createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';

/** Reads envelopes and tombstones by docs/envelope.md alone. */

export interface Named {
  readonly keyId: string;
  readonly version: number;
}

export interface Parsed extends Named {
  readonly iv: Uint8Array;
  /** With its tag. */
  readonly ciphertext: Uint8Array;
  readonly wrappedDek: Uint8Array;
  /** Everything before the recipient: what a rewrap must leave as it is. */
  readonly body: Uint8Array;
}

export interface Place {
  readonly tenant: string;
  readonly recordSet: string;
  readonly id: readonly string[];
  readonly field: string;
}

/** Tag 96, an array of 4, protected {1: 3}, unprotected {5: 12 bytes}. */
const HEAD = Buffer.from('d8608443a10103a1054c', 'hex');
/** An array of 1 recipient, of 3 parts, its headers up to the kid's 20 bytes. */
const RECIPIENT = Buffer.from('818340a201240454', 'hex');
/** A string of 40. */
const WRAPPED = Buffer.from('5828', 'hex');
const TAIL = 70;
const TAG = 16;

/** null: the bytes are not exactly one envelope. */
export function parseEnvelope(bytes: Uint8Array): Parsed | null {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const tail = all.length - TAIL;
  if (tail < HEAD.length + 12 + 1 + TAG) return null;
  if (HEAD.compare(all, 0, HEAD.length) !== 0) return null;
  if (RECIPIENT.compare(all, tail, tail + RECIPIENT.length) !== 0) return null;
  if (WRAPPED.compare(all, all.length - 42, all.length - 40) !== 0) return null;
  const begin = beginOfString(all, HEAD.length + 12, tail);
  if (begin === null) return null;
  const version = all.readUInt32BE(all.length - 46);
  if (version === 0) return null;
  return {
    keyId: uuidOf(all.subarray(all.length - 62, all.length - 46)),
    version,
    iv: all.subarray(HEAD.length, HEAD.length + 12),
    ciphertext: all.subarray(begin, tail),
    wrappedDek: all.subarray(all.length - 40),
    body: all.subarray(0, tail),
  };
}

/** Where the byte string that begins at `at` and ends at `end` has its first byte; null: no such string, or a longer head than it needs. */
function beginOfString(all: Buffer, at: number, end: number): number | null {
  const head = all[at] ?? 0;
  if (head >= 0x50 && head <= 0x57) return head - 0x40 === end - at - 1 ? at + 1 : null;
  const sizes = [
    { head: 0x58, bytes: 1, least: 24 },
    { head: 0x59, bytes: 2, least: 0x100 },
    { head: 0x5a, bytes: 4, least: 0x1_0000 },
  ];
  const size = sizes.find((one) => one.head === head);
  if (size === undefined || at + 1 + size.bytes > end) return null;
  const length = all.readUIntBE(at + 1, size.bytes);
  const begin = at + 1 + size.bytes;
  return length >= size.least && begin + length === end ? begin : null;
}

function uuidOf(bytes: Buffer): string {
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

/** The plaintext, or null: another key, other bytes, another place. */
export function decrypt({ iv, ciphertext, wrappedDek }: Parsed, kek: KeyObject, place: Place): Buffer | null {
  const dek = unwrap(kek, wrappedDek);
  if (dek === null) return null;
  const end = ciphertext.length - TAG;
  const decipher = createDecipheriv('aes-256-gcm', createSecretKey(dek), iv);
  decipher.setAAD(aadOf(place));
  decipher.setAuthTag(ciphertext.subarray(end));
  const plaintext = decipher.update(ciphertext.subarray(0, end));
  try {
    decipher.final();
    return plaintext;
  } catch {
    return null;
  }
}

/** RFC 3394; OpenSSL's own. */
function unwrap(kek: KeyObject, wrapped: Uint8Array): Buffer | null {
  const decipher = createDecipheriv('id-aes256-wrap', kek, Buffer.alloc(8, 0xa6));
  try {
    return Buffer.concat([decipher.update(wrapped), decipher.final()]);
  } catch {
    return null;
  }
}

/** The Enc_structure: `["Encrypt", h'a10103', external_aad]`. */
function aadOf({ tenant, recordSet, id, field }: Place): Buffer {
  const external = array([text(tenant), text(recordSet), array(id.map(text)), text(field)]);
  return array([text('Encrypt'), byteString(Buffer.from('a10103', 'hex')), byteString(external)]);
}

function array(items: readonly Buffer[]): Buffer {
  return Buffer.concat([head(0x80, items.length), ...items]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'utf8');
  return Buffer.concat([head(0x60, bytes.length), bytes]);
}

function byteString(bytes: Buffer): Buffer {
  return Buffer.concat([head(0x40, bytes.length), bytes]);
}

/** CBOR's shortest head. */
function head(type: number, length: number): Buffer {
  if (length < 24) return Buffer.from([type | length]);
  if (length < 0x100) return Buffer.from([type | 24, length]);
  if (length < 0x1_0000) return Buffer.from([type | 25, length >>> 8, length & 0xff]);
  const long = Buffer.alloc(5);
  long[0] = type | 26;
  long.writeUInt32BE(length, 1);
  return long;
}

export interface Tombstone extends Named {
  /** base64url; null: all zero. */
  readonly requestId: string | null;
}

const STONE = Buffer.from('85716b65797475726e20746f6d6273746f6e650154', 'hex');

/** null: it is none. */
export function parseTombstone(bytes: Uint8Array): Tombstone | null {
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (all.length !== 102 || STONE.compare(all, 0, STONE.length) !== 0) return null;
  const request = all.subarray(70);
  return {
    keyId: uuidOf(all.subarray(21, 37)),
    version: all.readUInt32BE(37),
    requestId: request.every((byte) => byte === 0) ? null : request.toString('base64url'),
  };
}
