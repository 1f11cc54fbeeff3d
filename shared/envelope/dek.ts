import { createCipheriv, createDecipheriv, type KeyObject } from 'node:crypto';

/*
 * AES Key Wrap of one DEK, by OpenSSL (RFC 3394): for a single key it is faster than aes-key-wrap.ts, whose 24
 * calls only pay when many keys share them. Tests hold the two to the same bytes.
 */

const INITIAL_VALUE = Buffer.alloc(8, 0xa6);

export function wrapDek(kek: KeyObject, dek: Uint8Array): Uint8Array {
  const cipher = createCipheriv('id-aes256-wrap', kek, INITIAL_VALUE);
  const wrapped = cipher.update(dek);
  cipher.final();
  return wrapped;
}

/** The DEK, or undefined when the wrapping is not one of this KEK's. */
export function unwrapDek(kek: KeyObject, wrapped: Uint8Array): Uint8Array | undefined {
  const decipher = createDecipheriv('id-aes256-wrap', kek, INITIAL_VALUE);
  try {
    const dek = decipher.update(wrapped);
    decipher.final();
    return dek;
  } catch {
    return undefined;
  }
}
