import { createHash, createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import { describePublicKey, makeCompactJws } from '../../shared/signing/compact-jws.ts';
import { readPublicKey } from '../../shared/signing/public-key.ts';
import type { Signer } from '../../shared/signing/signer.ts';

/** Who approves in a simulation. Their keys are the same in every run, and kept nowhere: they need not be secret. */
export const APPROVERS = ['ada', 'bob', 'cyd'] as const;

/** PKCS #8 of an Ed25519 key up to its 32 bytes (RFC 8410, section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

interface Ed25519Jwk {
  readonly kty: 'OKP';
  readonly crv: 'Ed25519';
  readonly x: string;
}

/** A signer whose Ed25519 key is made from its name, in memory. */
export function createMemorySigner(name: string): Signer & { readonly jwk: Ed25519Jwk } {
  const privateKey = privateKeyOf(name);
  const jwk = publicJwkOf(privateKey);
  const kid = thumbprint(jwk);
  return {
    jwk,
    publicKey: async () => describePublicKey({ ...jwk }, 'EdDSA', kid),
    sign: (typ, payload) =>
      makeCompactJws(typ, payload, {
        algorithm: 'EdDSA',
        kid,
        sign: async (bytes) => sign(null, bytes, privateKey),
      }),
  };
}

const signers = APPROVERS.map((name) => [name, createMemorySigner(`approver ${name}`)] as const);

/** By approver. Made once a process of the machine: a simulation changes nothing in them. */
export const APPROVER_SIGNERS: Readonly<Record<string, Signer>> = Object.fromEntries(signers);

/** The service's own; it changes as little. */
export const SERVICE_SIGNER: Signer = createMemorySigner('service');

// What is known of them is kept: every seed finds it so, whichever ran before it in this process.
for (const signer of [SERVICE_SIGNER, ...Object.values(APPROVER_SIGNERS)])
  await readPublicKey(await signer.publicKey());

/** For `approvals.approvers` of a configuration. */
export const CONFIGURED_APPROVERS: Readonly<Record<string, { readonly publicKey: Ed25519Jwk }>> =
  Object.fromEntries(signers.map(([name, { jwk }]) => [name, { publicKey: jwk }]));

function privateKeyOf(name: string): KeyObject {
  const seed = createHash('sha256').update(`simulation ${name}`).digest();
  return createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
}

function publicJwkOf(privateKey: KeyObject): Ed25519Jwk {
  const { x } = createPublicKey(privateKey).export({ format: 'jwk' });
  if (x === undefined) throw new Error('An Ed25519 key without x');
  return { kty: 'OKP', crv: 'Ed25519', x };
}

/** RFC 7638, section 3: the required members in the order of their names. */
function thumbprint({ crv, kty, x }: Ed25519Jwk): string {
  return createHash('sha256').update(JSON.stringify({ crv, kty, x })).digest('base64url');
}
