import type { JWK } from 'jose';
import { canonicalBytes } from './canonical-json.ts';
import type { SignatureAlgorithm } from './signer.ts';

/** How a JWS is put together (RFC 7515, section 7.1): the same for every key that signs. */

export interface SigningKey {
  readonly algorithm: SignatureAlgorithm;
  /** The JWK thumbprint of the public key (RFC 7638). */
  readonly kid: string;
  /** The signature over the bytes, as RFC 7518 or RFC 8037 wants it. */
  readonly sign: (bytes: Uint8Array) => Promise<Uint8Array>;
}

export async function makeCompactJws(typ: string, payload: object, key: SigningKey): Promise<string> {
  const header = canonicalBytes({ alg: key.algorithm, kid: key.kid, typ });
  const input = `${base64url(header)}.${base64url(canonicalBytes(payload))}`;
  return `${input}.${base64url(await key.sign(Buffer.from(input, 'ascii')))}`;
}

/** As it is handed out: nothing but what a verifier needs. */
export function describePublicKey(jwk: JWK, algorithm: SignatureAlgorithm, kid: string): JWK {
  return { ...jwk, alg: algorithm, kid, use: 'sig' };
}

function base64url(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64url');
}
