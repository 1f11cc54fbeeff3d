import { generateKeyPairSync } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deployedSigningKey, openSigner } from '../../../shared/deps/signer.ts';
import { SigningError } from '../../../shared/errors/errors.ts';
import { createKmsClients } from '../../../shared/providers/aws-kms/client.ts';
import { createKmsSigner } from '../../../shared/signing/kms-signer.ts';
import type { Signer } from '../../../shared/signing/signer.ts';
import { verifyJws } from '../../../shared/signing/verify-jws.ts';
import { describeSigner } from '../../contracts/signer.ts';
import { answerAsKms, type KmsSigningKey, describe as replyOf } from '../../support/kms-signing.ts';
import { type KmsAnswer, type KmsWire, startKmsWire } from '../../support/kms-wire.ts';

const REGION = 'eu-central-1';
const arn = (id: number) => `arn:aws:kms:${REGION}:111122223333:key/00000000-0000-4000-8000-00000000000${id}`;
const TYP = 'keyturn-test+jws';

const rsa = (id: number): KmsSigningKey => ({
  arn: arn(id),
  spec: 'RSA_3072',
  ...generateKeyPairSync('rsa', { modulusLength: 3072 }),
});
const ed25519 = (id: number): KmsSigningKey => ({
  arn: arn(id),
  spec: 'ECC_NIST_EDWARDS25519',
  ...generateKeyPairSync('ed25519'),
});
const KEYS = [rsa(1), rsa(2), ed25519(3), ed25519(4)] as const;
const [RSA, OTHER_RSA, ED25519] = KEYS;

let wire: KmsWire;
beforeAll(async () => {
  wire = await startKmsWire();
  wire.answer = answerAsKms(KEYS);
});
afterAll(() => wire.close());
beforeEach(() => {
  wire.requests.length = 0;
  wire.answer = answerAsKms(KEYS);
});

function signerOf(keyArn: string): Signer {
  return createKmsSigner({ client: clients().of(REGION), keyArn });
}

function clients() {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return createKmsClients({ endpoint: wire.endpoint, credentials, maxAttempts: 1 });
}

async function failureOf(use: Promise<unknown>): Promise<SigningError> {
  const thrown: unknown = await use.then(
    () => 'it did not fail',
    (error: unknown) => error,
  );
  if (!(thrown instanceof SigningError)) throw new Error(`No SigningError: ${String(thrown)}`);
  return thrown;
}

describeSigner('KMS, RSA_3072', async () => ({ signer: signerOf(arn(1)), another: signerOf(arn(2)) }));
describeSigner(
  'KMS, ECC_NIST_EDWARDS25519',
  async () => ({ signer: signerOf(arn(3)), another: signerOf(arn(4)) }),
  // With the protected header it is a little more on the wire, and 4,096 bytes are the most.
  { longest: 2048 },
);

describe('what is asked of KMS', () => {
  it('is nothing before the first use, and the public key once', async () => {
    const signer = signerOf(arn(1));
    expect(wire.requests).toEqual([]);
    await Promise.all([signer.publicKey(), signer.sign(TYP, {}), signer.sign(TYP, {})]);
    await signer.sign(TYP, {});
    expect(wire.requests.map(({ operation }) => operation).sort()).toEqual([
      'GetPublicKey',
      ...Array(3).fill('Sign'),
    ]);
    for (const { body } of wire.requests) expect(body['KeyId']).toBe(arn(1));
  });

  it('is asked for again after a failure', async () => {
    const signer = signerOf(arn(1));
    wire.answer = () => ({ error: 'KMSInternalException', status: 500 });
    expect(await failureOf(signer.publicKey())).toMatchObject({ code: 'SIGNING_UNAVAILABLE' });
    wire.answer = answerAsKms(KEYS);
    await expect(signer.publicKey()).resolves.toMatchObject({ alg: 'PS256' });
  });

  it('is a digest where the statement is longer than KMS takes, and is refused for Ed25519', async () => {
    const long = { text: 'x'.repeat(4096) };
    await signerOf(arn(1)).sign(TYP, {});
    const signer = signerOf(arn(1));
    const jws = await signer.sign(TYP, long);
    await expect(verifyJws(jws, TYP, [await signer.publicKey()])).resolves.toEqual(long);
    const types = wire.requests.flatMap(({ body }) => body['MessageType'] ?? []);
    expect(types).toEqual(['RAW', 'DIGEST']);
    const asked = wire.requests.length;
    expect(await failureOf(signerOf(arn(3)).sign(TYP, long))).toMatchObject({
      code: 'SIGNING_KEY_UNSUITABLE',
      message: expect.stringContaining('4096 bytes'),
    });
    expect(wire.requests.slice(asked).map(({ operation }) => operation)).toEqual(['GetPublicKey']);
  });
});

describe('a KMS key that is not one for this', () => {
  it.each<[string, object]>([
    ['RSA_2048', { KeySpec: 'RSA_2048' }],
    ['an elliptic curve', { KeySpec: 'ECC_NIST_P256' }],
    ['symmetric', { KeySpec: 'SYMMETRIC_DEFAULT', KeyUsage: 'ENCRYPT_DECRYPT' }],
    ['for encryption', { KeyUsage: 'ENCRYPT_DECRYPT' }],
    ['without a public key', { PublicKey: undefined }],
    ['with a public key that is none', { PublicKey: 'AAAA' }],
    ['with a public key of another kind', { PublicKey: Object(replyOf(ED25519)).PublicKey }],
    ['another one than was asked for', replyOf(OTHER_RSA)],
  ])('is refused: %s', async (_, change) => {
    wire.answer = () => ({ reply: { ...replyOf(RSA), ...change } });
    const error = await failureOf(signerOf(arn(1)).sign(TYP, {}));
    expect(error).toMatchObject({ code: 'SIGNING_KEY_UNSUITABLE', retryable: false });
    expect(wire.requests.map(({ operation }) => operation)).toEqual(['GetPublicKey']);
  });

  it('a signature that does not verify is not handed out', async () => {
    const kms = answerAsKms(KEYS);
    for (const reply of [{ Signature: Buffer.alloc(384).toString('base64') }, {}]) {
      wire.answer = (request) => (request.operation === 'Sign' ? { reply } : kms(request));
      expect(await failureOf(signerOf(arn(1)).sign(TYP, {}))).toMatchObject({ code: 'SIGNATURE_INVALID' });
    }
  });
});

describe('errors of KMS', () => {
  const ERRORS: readonly (readonly [string, SigningError['code'], boolean, KmsAnswer])[] = [
    ['no such key', 'SIGNING_KEY_NOT_FOUND', false, { error: 'NotFoundException' }],
    ['disabled', 'SIGNING_KEY_UNSUITABLE', false, { error: 'DisabledException' }],
    ['waiting for its deletion', 'SIGNING_KEY_UNSUITABLE', false, { error: 'KMSInvalidStateException' }],
    ['of another use', 'SIGNING_KEY_UNSUITABLE', false, { error: 'InvalidKeyUsageException' }],
    ['denied', 'SIGNING_DENIED', false, { error: 'AccessDeniedException' }],
    ['throttled', 'SIGNING_UNAVAILABLE', true, { error: 'ThrottlingException' }],
    ['an outage', 'SIGNING_UNAVAILABLE', true, { error: 'KMSInternalException', status: 500 }],
    ['a lost connection', 'SIGNING_UNAVAILABLE', true, 'hang up'],
    ['a limit', 'SIGNING_UNAVAILABLE', false, { error: 'LimitExceededException' }],
  ];

  it.each(ERRORS)('%s: %s, retryable %s', async (_, code, retryable, answer) => {
    const kms = answerAsKms(KEYS);
    for (const operation of ['GetPublicKey', 'Sign']) {
      wire.answer = (request) => (request.operation === operation ? answer : kms(request));
      const error = await failureOf(signerOf(arn(1)).sign(TYP, { tenant: 'SECRET' }));
      expect(error).toMatchObject({ code, retryable });
      expect(error.message).toContain(arn(1));
      expect(`${error.message} ${error.remedy}`).not.toMatch(/SECRET|root key/i);
    }
  });
});

describe('what signs, by the configuration', () => {
  const parts = (environment = {}) => ({
    environment,
    random: () => {
      throw new Error('No key is made in this test');
    },
    kmsClients: clients(),
  });
  const awsKms = {
    type: 'aws-kms' as const,
    tenantRootKeys: {},
    formerRootKeys: [],
    requestsPerSecond: 100,
  };

  it('is the KMS key that it names, or else the one of the deployment', async () => {
    const named = openSigner({ provider: awsKms, signing: { type: 'aws-kms', key: arn(3) } }, parts());
    expect(await named.publicKey()).toMatchObject({ alg: 'EdDSA' });
    for (const signing of [undefined, { type: 'aws-kms' as const }]) {
      const deployed = openSigner({ provider: awsKms, signing }, parts({ KEYTURN_SIGNING_KEY_ARN: arn(1) }));
      expect(await deployed.publicKey()).toMatchObject({ alg: 'PS256' });
    }
  });

  it('fails at the start where there is none, naming the variable', () => {
    for (const value of [undefined, '', 'alias/signing', `${arn(1)} `]) {
      expect(() => deployedSigningKey({ KEYTURN_SIGNING_KEY_ARN: value })).toThrow(
        expect.objectContaining({ code: 'ENVIRONMENT_INVALID', remedy: expect.any(String) }),
      );
    }
    expect(() => openSigner({ provider: awsKms, signing: undefined }, parts())).toThrow(
      /KEYTURN_SIGNING_KEY_ARN is not set/,
    );
  });
});
