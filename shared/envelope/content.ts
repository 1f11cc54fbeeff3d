import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto';
import { TAG_LENGTH } from './layout.ts';

/**
 * AES-256-GCM with a 96-bit IV and a 128-bit tag (A256GCM, RFC 9053 §4.1; NIST SP 800-38D). Each DEK encrypts once,
 * so its IV cannot repeat. `createSecretKey` first: a Buffer passed as the key is several times slower.
 */
export function encryptContent(
  dek: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  plaintext: Uint8Array,
  /** Where ciphertext and tag go: 16 bytes more than the plaintext has. */
  target: Uint8Array,
  offset: number,
): void {
  const cipher = createCipheriv('aes-256-gcm', createSecretKey(dek), iv);
  cipher.setAAD(aad);
  target.set(cipher.update(plaintext), offset);
  cipher.final();
  target.set(cipher.getAuthTag(), offset + plaintext.length);
}

/** The plaintext, or undefined when the tag does not fit: nothing unauthenticated is returned. */
export function decryptContent(
  dek: Uint8Array,
  iv: Uint8Array,
  aad: Uint8Array,
  /** The ciphertext and its tag. */
  ciphertext: Uint8Array,
): Uint8Array | undefined {
  const length = ciphertext.length - TAG_LENGTH;
  const decipher = createDecipheriv('aes-256-gcm', createSecretKey(dek), iv);
  decipher.setAAD(aad);
  decipher.setAuthTag(ciphertext.subarray(length));
  const plaintext = decipher.update(ciphertext.subarray(0, length));
  try {
    decipher.final();
    return plaintext;
  } catch {
    plaintext.fill(0);
    return undefined;
  }
}
