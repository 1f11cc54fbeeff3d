import { createCipheriv, createDecipheriv, createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import { kidOf } from '../envelope/index.ts';
import { KeyError } from '../errors/errors.ts';

/**
 * The key check: a public fingerprint of a KEK, to know that the provider returned the very bytes that were proved.
 *
 * It reveals nothing that helps: HMAC-SHA-256 is a pseudorandom function of its key (RFC 2104; NIST SP 800-107), and
 * the KEK is 256 uniformly random bits, so that finding it from the check is an exhaustive search of 2^256. The label
 * separates it from every other use: no AES operation under the KEK has anything to do with it. (A check of a
 * passphrase or of any guessable key would be an oracle for guesses; that is why it is only for KEKs.) Truncation to
 * 16 bytes leaves a chance of 2^-128 that other bytes have the same check.
 */
const LABEL = 'keyturn key check v1';
const LENGTH = 16;

/** RFC 3394, section 2.2.3.1. */
const AES_KW_IV = Buffer.alloc(8, 0xa6);
const AES_KW = 'id-aes256-wrap';

/** 22 characters of base64url. */
export function keyCheck(kek: KeyObject, keyId: string, version: number): string {
  const mac = createHmac('sha256', kek).update(LABEL).update(kidOf(keyId, version)).digest();
  return mac.subarray(0, LENGTH).toString('base64url');
}

/**
 * Step 2 of a rotation, on a KEK that was just unwrapped: it wraps and unwraps, and it is the one that was proved
 * before (`expected`; null: none was). Returns its check. Throws KEY_CHECK_FAILED.
 */
export function proveKek(kek: KeyObject, keyId: string, version: number, expected: string | null): string {
  const check = keyCheck(kek, keyId, version);
  if (!wrapsAndUnwraps(kek) || (expected !== null && check !== expected)) {
    throw keyCheckFailed(keyId, version);
  }
  return check;
}

export function keyCheckFailed(keyId: string, version: number): KeyError {
  return new KeyError(
    'KEY_CHECK_FAILED',
    `The provider returned other bytes for version ${version} of key ${keyId}`,
    {
      remedy:
        'Stop and look into it: the ledger or the root key was changed. Nothing was encrypted under these bytes',
    },
  );
}

function wrapsAndUnwraps(kek: KeyObject): boolean {
  const probe = Buffer.alloc(32, 0x5a);
  const wrap = createCipheriv(AES_KW, kek, AES_KW_IV);
  const wrapped = Buffer.concat([wrap.update(probe), wrap.final()]);
  const unwrap = createDecipheriv(AES_KW, kek, AES_KW_IV);
  const unwrapped = Buffer.concat([unwrap.update(wrapped), unwrap.final()]);
  return unwrapped.length === probe.length && timingSafeEqual(unwrapped, probe) && !wrapped.includes(probe);
}
