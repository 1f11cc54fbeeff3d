import { createPublicKey, type KeyObject } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { z } from 'zod';
import { SigningError } from '../errors/errors.ts';
import type { SignatureAlgorithm } from './signer.ts';

/** Public keys that signatures are verified with. The algorithm comes from the key alone, never from what was signed. */

const MIN_RSA_BITS = 3072;

const publicJwk = z.discriminatedUnion('kty', [
  z.object({ kty: z.literal('OKP'), crv: z.literal('Ed25519'), x: z.base64url() }),
  z.object({ kty: z.literal('RSA'), n: z.base64url(), e: z.base64url() }),
]);

export interface PublicKey {
  /** Only the members that make the key. */
  readonly jwk: JWK;
  readonly algorithm: SignatureAlgorithm;
  /** Its thumbprint, computed: what a JWK says of its own `kid` counts for nothing. */
  readonly kid: string;
  readonly keyObject: KeyObject;
}

/**
 * Every approval is verified with the same few keys: importing them anew each time takes as long as verifying does. By all
 * members that make the key.
 */
const known = new Map<string, PublicKey>();
const MOST_KNOWN = 100;

/** Throws SIGNING_KEY_UNSUITABLE for any other key than Ed25519, or RSA of 3072 bits or more. */
export async function readPublicKey(given: JWK): Promise<PublicKey> {
  const parsed = publicJwk.safeParse(given);
  if (!parsed.success) throw unsuitable(`kty ${String(given.kty)}, crv ${String(given.crv ?? 'none')}`);
  const name = JSON.stringify(parsed.data);
  const before = known.get(name);
  if (before !== undefined) return before;
  const key = await makePublicKey(parsed.data);
  if (known.size >= MOST_KNOWN) known.clear();
  known.set(name, key);
  return key;
}

async function makePublicKey(jwk: z.infer<typeof publicJwk>): Promise<PublicKey> {
  const keyObject = importKey(jwk);
  const bits = keyObject.asymmetricKeyDetails?.modulusLength;
  if (bits !== undefined && bits < MIN_RSA_BITS) throw unsuitable(`RSA of ${bits} bits`);
  return Object.freeze({
    jwk: Object.freeze(jwk),
    algorithm: jwk.kty === 'OKP' ? 'EdDSA' : 'PS256',
    kid: await calculateJwkThumbprint(jwk, 'sha256'),
    keyObject,
  });
}

function importKey(jwk: z.infer<typeof publicJwk>): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' });
  } catch (cause) {
    throw unsuitable(`${jwk.kty}, but not a valid key`, cause);
  }
}

function unsuitable(is: string, cause?: unknown): SigningError {
  return new SigningError('SIGNING_KEY_UNSUITABLE', `The public key is unsuitable: ${is}`, {
    cause,
    remedy: 'Give an Ed25519 key, or an RSA key of 3072 bits or more, as a JSON Web Key',
  });
}
