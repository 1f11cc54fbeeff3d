import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';
import type { RandomFill } from '../../envelope/types.ts';

/**
 * A 32-byte key under another one: AES-256-GCM with a random 96-bit nonce (NIST SP 800-38D, section 8.2.2: at most
 * 2^32 under one key; a keystore wraps a few, a root key one for each key version).
 * Bytes: format 1, nonce 12, ciphertext 32, tag 16.
 */

const ALGORITHM = 'aes-256-gcm';
const FORMAT = 1;
const NONCE = 12;
const TAG = 16;
export const KEY_BYTES = 32;
const LENGTH = 1 + NONCE + KEY_BYTES + TAG;

export function sealKey(
  key: Uint8Array,
  under: KeyObject,
  context: Uint8Array,
  random: RandomFill,
): Uint8Array {
  const nonce = new Uint8Array(NONCE);
  random(nonce);
  const cipher = createCipheriv(ALGORITHM, under, nonce, { authTagLength: TAG });
  cipher.setAAD(context);
  const ciphertext = Buffer.concat([cipher.update(key), cipher.final()]);
  return new Uint8Array(Buffer.concat([Uint8Array.of(FORMAT), nonce, ciphertext, cipher.getAuthTag()]));
}

/** Null when anything is not what was sealed. The caller zeroes the key after use. */
export function unsealKey(sealed: Uint8Array, under: KeyObject, context: Uint8Array): Buffer | null {
  if (sealed.length !== LENGTH || sealed[0] !== FORMAT) return null;
  const decipher = createDecipheriv(ALGORITHM, under, sealed.subarray(1, 1 + NONCE), { authTagLength: TAG });
  decipher.setAAD(context);
  decipher.setAuthTag(sealed.subarray(-TAG));
  const key = decipher.update(sealed.subarray(1 + NONCE, -TAG));
  try {
    decipher.final();
    return key;
  } catch {
    key.fill(0);
    return null;
  }
}

/** Authenticated data from a list of texts and numbers. JSON of a flat list is unambiguous. */
export function contextBytes(purpose: string, parts: readonly (string | number)[]): Uint8Array {
  return Buffer.from(JSON.stringify([purpose, ...parts]), 'utf8');
}
