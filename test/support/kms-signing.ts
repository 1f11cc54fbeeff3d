import { constants, createHash, type KeyObject, privateEncrypt, randomBytes, sign } from 'node:crypto';
import type { KmsAnswer, KmsRequest } from './kms-wire.ts';

/** What KMS answers of an asymmetric key, made with the key itself. D/kms/latest/APIReference/API_Sign.html */

export interface KmsSigningKey {
  readonly arn: string;
  readonly spec: 'RSA_3072' | 'ECC_NIST_EDWARDS25519';
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

const MAX_RAW = 4096;

/** Refuses what KMS refuses: another algorithm of this key spec, a message that is too long, a digest for Ed25519. */
export function answerAsKms(keys: readonly KmsSigningKey[]): (request: KmsRequest) => KmsAnswer {
  return ({ operation, body }) => {
    const key = keys.find(({ arn }) => arn === body['KeyId']);
    if (key === undefined) return { error: 'NotFoundException' };
    if (operation === 'GetPublicKey') return { reply: describe(key) };
    if (operation !== 'Sign') return { error: 'UnexpectedOperation' };
    const message = Buffer.from(String(body['Message']), 'base64');
    const signature = signAsKms(key, message, body['MessageType'], body['SigningAlgorithm']);
    return signature === null
      ? { error: 'ValidationException' }
      : { reply: { KeyId: key.arn, Signature: signature.toString('base64') } };
  };
}

export function describe({ arn, spec, publicKey }: KmsSigningKey): object {
  return {
    KeyId: arn,
    KeySpec: spec,
    KeyUsage: 'SIGN_VERIFY',
    PublicKey: publicKey.export({ format: 'der', type: 'spki' }).toString('base64'),
  };
}

function signAsKms(key: KmsSigningKey, message: Buffer, type: unknown, algorithm: unknown): Buffer | null {
  if (type === 'RAW' && message.length > MAX_RAW) return null;
  if (key.spec === 'ECC_NIST_EDWARDS25519') {
    return algorithm === 'ED25519_SHA_512' && type === 'RAW' ? sign(null, message, key.privateKey) : null;
  }
  if (algorithm !== 'RSASSA_PSS_SHA_256') return null;
  const pss = { key: key.privateKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  if (type === 'RAW') return sign('sha256', message, pss);
  return message.length === 32 ? signDigest(key.privateKey, message) : null;
}

/** RSASSA-PSS of a digest (RFC 8017, sections 8.1.1 and 9.1.1): node:crypto signs whole messages only. */
function signDigest(privateKey: KeyObject, digest: Buffer): Buffer {
  const length = (privateKey.asymmetricKeyDetails?.modulusLength ?? 0) / 8;
  const salt = randomBytes(32);
  const hash = sha256(Buffer.alloc(8), digest, salt);
  const block = Buffer.concat([Buffer.alloc(length - 32 - 32 - 2), Buffer.of(1), salt]);
  const mask = mgf1(hash, block.length);
  for (const [i, byte] of mask.entries()) block[i] = (block[i] ?? 0) ^ byte;
  // The number must be smaller than the modulus: its first bit is zero.
  block[0] = (block[0] ?? 0) & 0x7f;
  const encoded = Buffer.concat([block, hash, Buffer.of(0xbc)]);
  return privateEncrypt({ key: privateKey, padding: constants.RSA_NO_PADDING }, encoded);
}

function mgf1(seed: Buffer, length: number): Buffer {
  const blocks = Array.from({ length: Math.ceil(length / 32) }, (_, counter) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(counter);
    return sha256(seed, bytes);
  });
  return Buffer.concat(blocks).subarray(0, length);
}

function sha256(...parts: readonly Uint8Array[]): Buffer {
  return createHash('sha256').update(Buffer.concat(parts)).digest();
}
