import { constants, createHash, createPublicKey, verify } from 'node:crypto';
import {
  GetPublicKeyCommand,
  type GetPublicKeyCommandOutput,
  type KMSClient,
  SignCommand,
  type SignCommandInput,
} from '@aws-sdk/client-kms';
import type { JWK } from 'jose';
import { SigningError } from '../errors/errors.ts';
import { translateError } from '../providers/aws-kms/translate-error.ts';
import { describePublicKey, makeCompactJws } from './compact-jws.ts';
import { type PublicKey, readPublicKey } from './public-key.ts';
import type { SignatureAlgorithm, Signer } from './signer.ts';

/**
 * An asymmetric key in AWS KMS: the private key never leaves it, and its key policy says who may sign.
 * D/kms/latest/APIReference/API_Sign.html
 */

/** Bytes that KMS takes as they are. */
const MAX_RAW = 4096;

const KEY_SPECS: Readonly<Record<string, SignatureAlgorithm>> = {
  RSA_3072: 'PS256',
  RSA_4096: 'PS256',
  ECC_NIST_EDWARDS25519: 'EdDSA',
};

/** KMS's name of each. */
const KMS_ALGORITHMS = {
  EdDSA: 'ED25519_SHA_512',
  PS256: 'RSASSA_PSS_SHA_256',
} as const satisfies Record<SignatureAlgorithm, string>;

export interface KmsSignerOptions {
  /** Of the key's region. */
  readonly client: KMSClient;
  readonly keyArn: string;
}

/** Nothing is asked of KMS before the first use. The public key is asked for once: that of a KMS key never changes. */
export function createKmsSigner({ client, keyArn }: KmsSignerOptions): Signer {
  let fetched: Promise<PublicKey> | undefined;
  const fetchKey = (): Promise<PublicKey> => {
    fetched ??= fetchPublicKey(client, keyArn).catch((error: unknown) => {
      fetched = undefined;
      throw error;
    });
    return fetched;
  };
  return {
    async publicKey() {
      const { jwk, algorithm, kid } = await fetchKey();
      return describePublicKey(jwk, algorithm, kid);
    },
    async sign(typ, payload) {
      const key = await fetchKey();
      return makeCompactJws(typ, payload, {
        algorithm: key.algorithm,
        kid: key.kid,
        sign: (bytes) => signBytes(client, keyArn, key, bytes),
      });
    },
  };
}

async function fetchPublicKey(client: KMSClient, keyArn: string): Promise<PublicKey> {
  let reply: GetPublicKeyCommandOutput;
  try {
    reply = await client.send(new GetPublicKeyCommand({ KeyId: keyArn }));
  } catch (cause) {
    throw signingError(cause, 'GetPublicKey', keyArn);
  }
  const spec = reply.KeySpec ?? 'unknown';
  const algorithm = Object.hasOwn(KEY_SPECS, spec) ? KEY_SPECS[spec] : undefined;
  if (algorithm === undefined || reply.KeyUsage !== 'SIGN_VERIFY') {
    throw unsuitable(keyArn, `its key spec is ${spec} and its key usage ${reply.KeyUsage ?? 'unknown'}`);
  }
  if (reply.KeyId !== keyArn) throw unsuitable(keyArn, 'KMS answered for another key');
  const key = await readPublicKey(importSpki(reply.PublicKey, keyArn));
  if (key.algorithm !== algorithm) throw unsuitable(keyArn, `its public key is not ${spec}`);
  return key;
}

function importSpki(bytes: Uint8Array | undefined, keyArn: string): JWK {
  try {
    const key = Buffer.from(bytes ?? new Uint8Array());
    return createPublicKey({ key, format: 'der', type: 'spki' }).export({ format: 'jwk' });
  } catch (cause) {
    throw unsuitable(keyArn, 'KMS gave no public key of it', cause);
  }
}

async function signBytes(
  client: KMSClient,
  keyArn: string,
  key: PublicKey,
  bytes: Uint8Array,
): Promise<Uint8Array> {
  let signature: Uint8Array | undefined;
  try {
    const SigningAlgorithm = KMS_ALGORITHMS[key.algorithm];
    const message = messageOf(bytes, key.algorithm, keyArn);
    const reply = await client.send(new SignCommand({ KeyId: keyArn, SigningAlgorithm, ...message }));
    signature = reply.Signature;
  } catch (cause) {
    throw signingError(cause, 'Sign', keyArn);
  }
  // Before it is stored anywhere as evidence.
  if (signature === undefined || !isSignature(signature, bytes, key)) {
    throw new SigningError(
      'SIGNATURE_INVALID',
      `What KMS signed with ${keyArn} does not verify with its public key`,
    );
  }
  return signature;
}

/** Of a digest the signature is the same, and only PS256 lets KMS take one (Ed25519 of a digest is another algorithm). */
function messageOf(
  bytes: Uint8Array,
  algorithm: SignatureAlgorithm,
  keyArn: string,
): Pick<SignCommandInput, 'Message' | 'MessageType'> {
  if (bytes.length <= MAX_RAW) return { Message: bytes, MessageType: 'RAW' };
  if (algorithm === 'PS256') {
    return { Message: createHash('sha256').update(bytes).digest(), MessageType: 'DIGEST' };
  }
  throw unsuitable(keyArn, `KMS signs at most ${MAX_RAW} bytes with Ed25519, and the statement is longer`);
}

function isSignature(signature: Uint8Array, bytes: Uint8Array, { algorithm, keyObject }: PublicKey): boolean {
  if (algorithm === 'EdDSA') return verify(null, bytes, keyObject, signature);
  // RFC 7518, section 3.5: the salt is as long as the hash.
  const padding = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  return verify('sha256', bytes, { key: keyObject, ...padding }, signature);
}

function unsuitable(keyArn: string, why: string, cause?: unknown): SigningError {
  return new SigningError('SIGNING_KEY_UNSUITABLE', `The KMS key ${keyArn} cannot sign here: ${why}`, {
    cause,
    remedy:
      'Use a KMS key with the key usage SIGN_VERIFY and the key spec RSA_3072 (or RSA_4096, ECC_NIST_EDWARDS25519)',
  });
}

/** The errors of KMS, in the words of a signing key. */
function signingError(cause: unknown, operation: 'GetPublicKey' | 'Sign', keyArn: string): SigningError {
  if (cause instanceof SigningError) return cause;
  // Disabled, or waiting for its deletion: signing knows no state that passes by itself.
  if (cause instanceof Error && cause.name === 'KMSInvalidStateException') {
    return unsuitable(keyArn, 'its state does not allow it', cause);
  }
  const error = translateError(cause, { operation, rootKeyIds: [keyArn] });
  const as = (code: SigningError['code'], says: string, remedy: string) =>
    new SigningError(code, says, { cause, remedy, retryable: error.retryable });
  switch (error.code) {
    case 'ROOT_KEY_NOT_FOUND':
      return as(
        'SIGNING_KEY_NOT_FOUND',
        `The KMS key ${keyArn} does not exist`,
        'Check its account, region and id',
      );
    case 'ROOT_KEY_DISABLED':
      return unsuitable(keyArn, 'it is disabled', cause);
    case 'ROOT_KEY_UNSUITABLE':
      return unsuitable(keyArn, 'it is no key that signs', cause);
    case 'PROVIDER_DENIED':
      return as(
        'SIGNING_DENIED',
        error.message,
        "Check the key's policy and the IAM policy of this identity",
      );
    default:
      return as(
        'SIGNING_UNAVAILABLE',
        `${operation} with the KMS key ${keyArn} failed: ${error.message}`,
        error.remedy ?? 'Try again later',
      );
  }
}
