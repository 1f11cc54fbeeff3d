import { createSecretKey, KeyObject } from 'node:crypto';
import { EnvelopeError } from '../errors/errors.ts';
import { KID_LENGTH } from './layout.ts';
import type { Kek } from './types.ts';

const KEY_ID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const KEY_LENGTH = 32;
const MAX_VERSION = 0xffff_ffff;

export interface KekInput {
  readonly keyId: string;
  readonly version: number;
  /** 32 bytes, or a secret KeyObject of them. Bytes are copied: the caller may zero its own afterwards. */
  readonly key: Uint8Array | KeyObject;
}

/**
 * A key-encryption key that the other functions take.
 *
 * @throws EnvelopeError ENVELOPE_ARGUMENT when a part has the wrong shape. No message contains key bytes.
 */
export function createKek({ keyId, version, key }: KekInput): Kek {
  return Object.freeze({ keyId, version, kid: kidOf(keyId, version), key: secretKey(key) });
}

/**
 * The 20 bytes that name a key version in an envelope: the UUID's 16 bytes, then the version as a big-endian uint32.
 *
 * @throws EnvelopeError ENVELOPE_ARGUMENT
 */
export function kidOf(keyId: string, version: number): Uint8Array {
  if (typeof keyId !== 'string' || !KEY_ID.test(keyId)) {
    throw new EnvelopeError('ENVELOPE_ARGUMENT', 'keyId is not a UUID in its canonical lower-case form');
  }
  if (!Number.isInteger(version) || version < 1 || version > MAX_VERSION) {
    throw new EnvelopeError('ENVELOPE_ARGUMENT', 'version is not an integer from 1 to 4294967295');
  }
  const kid = new Uint8Array(KID_LENGTH);
  kid.set(Buffer.from(keyId.replaceAll('-', ''), 'hex'));
  new DataView(kid.buffer).setUint32(16, version);
  return kid;
}

/**
 * The key id and version that a kid names.
 *
 * @throws EnvelopeError ENVELOPE_MALFORMED when it is not 20 bytes, or names version 0.
 */
export function parseKid(kid: Uint8Array): { readonly keyId: string; readonly version: number } {
  if (!(kid instanceof Uint8Array) || kid.length !== KID_LENGTH) {
    throw new EnvelopeError('ENVELOPE_MALFORMED', `a kid is ${KID_LENGTH} bytes`);
  }
  const version = new DataView(kid.buffer, kid.byteOffset).getUint32(16);
  if (version === 0) throw new EnvelopeError('ENVELOPE_MALFORMED', 'a kid names version 1 or later');
  const hex = Buffer.from(kid.buffer, kid.byteOffset, 16).toString('hex');
  const keyId = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  return { keyId, version };
}

function secretKey(key: Uint8Array | KeyObject): KeyObject {
  if (key instanceof KeyObject) {
    if (key.type === 'secret' && key.symmetricKeySize === KEY_LENGTH) return key;
  } else if (key instanceof Uint8Array && key.length === KEY_LENGTH) {
    return createSecretKey(key);
  }
  throw new EnvelopeError(
    'ENVELOPE_ARGUMENT',
    `key is not ${KEY_LENGTH} bytes, nor a secret KeyObject of them`,
  );
}
