import type { KMSClient } from '@aws-sdk/client-kms';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deployedRootKey } from '../../../shared/deps/compose.ts';
import { ProviderError } from '../../../shared/errors/errors.ts';
import {
  type AwsKmsProviderOptions,
  createAwsKmsProvider,
} from '../../../shared/providers/aws-kms/aws-kms-provider.ts';
import { createKmsClients } from '../../../shared/providers/aws-kms/client.ts';
import { encryptionContext } from '../../../shared/providers/aws-kms/encryption-context.ts';
import type { KekContext, RootKeyProvider } from '../../../shared/providers/root-key-provider.ts';
import { type KmsAnswer, type KmsWire, startKmsWire } from '../../support/kms-wire.ts';

const arn = (id: string, region = 'eu-central-1') => `arn:aws:kms:${region}:111122223333:key/${id}`;
const ROOT_KEY = arn('00000000-0000-4000-8000-00000000000a');
const TENANT_KEY = arn('00000000-0000-4000-8000-00000000000b');
const FORMER_KEY = arn('00000000-0000-4000-8000-00000000000c');
const FOREIGN_KEY = arn('00000000-0000-4000-8000-00000000000d');

const CONTEXT: KekContext = {
  tenant: 'acme',
  purpose: 'default',
  keyId: '01900000-0000-7000-8000-000000000001',
  version: 3,
};
const BLOB = Buffer.from('SECRET blob');
const WRAPPED = { rootKeyId: ROOT_KEY, materialId: 'm1', wrapped: BLOB };
const KEK = Buffer.alloc(32, 9);

let wire: KmsWire;
beforeAll(async () => {
  wire = await startKmsWire();
});
afterAll(() => wire.close());
beforeEach(() => {
  wire.requests.length = 0;
});

/** What was counted, and the sum of each. */
let counted: Record<string, number>;

function makeProvider(
  options: Partial<AwsKmsProviderOptions> & { maxAttempts?: number } = {},
): RootKeyProvider {
  counted = {};
  const { maxAttempts = 1, ...given } = options;
  let now = 0;
  return createAwsKmsProvider({
    rootKey: ROOT_KEY,
    tenantRootKeys: { byok: TENANT_KEY },
    formerRootKeys: [FORMER_KEY],
    clients: clientsOf(maxAttempts),
    requestsPerSecond: 1000,
    clock: { now: () => (now += 5) },
    metrics: {
      add: (name, value) => {
        counted[name] = (counted[name] ?? 0) + value;
      },
    },
    ...given,
  });
}

function clientsOf(maxAttempts: number) {
  return createKmsClients(settingsOf(maxAttempts));
}

function settingsOf(maxAttempts: number) {
  const credentials = { accessKeyId: 'test', secretAccessKey: 'test' };
  return { endpoint: wire.endpoint, credentials, maxAttempts };
}

/** The same answer to every request of an operation. */
function answers(byOperation: Readonly<Record<string, KmsAnswer>>): void {
  wire.answer = ({ operation }) => byOperation[operation] ?? { error: 'UnexpectedOperation' };
}

const blob = (bytes: Uint8Array) => Buffer.from(bytes).toString('base64');
const GENERATED = { CiphertextBlob: blob(BLOB), KeyId: ROOT_KEY, KeyMaterialId: 'm2' };
const described = (metadata: object) => ({
  reply: {
    KeyMetadata: {
      KeyId: 'id',
      KeyUsage: 'ENCRYPT_DECRYPT',
      KeySpec: 'SYMMETRIC_DEFAULT',
      KeyState: 'Enabled',
      Origin: 'AWS_KMS',
      CurrentKeyMaterialId: 'm2',
      ...metadata,
    },
  },
});

async function failureOf(use: Promise<unknown>): Promise<ProviderError> {
  const thrown: unknown = await use.then(
    () => 'it did not fail',
    (error: unknown) => error,
  );
  if (!(thrown instanceof ProviderError)) throw new Error(`No ProviderError: ${String(thrown)}`);
  return thrown;
}

describe('what is sent to KMS, and recorded of its answer', () => {
  it('has KEKs made without their plaintext, by the root key of the tenant', async () => {
    answers({ GenerateDataKeyWithoutPlaintext: { reply: GENERATED } });
    const wrapped = await makeProvider().generateKek(CONTEXT);
    expect(wrapped).toEqual({ rootKeyId: ROOT_KEY, materialId: 'm2', wrapped: new Uint8Array(BLOB) });
    expect(wire.requests).toEqual([
      {
        operation: 'GenerateDataKeyWithoutPlaintext',
        body: {
          KeyId: ROOT_KEY,
          KeySpec: 'AES_256',
          EncryptionContext: {
            'keyturn:tenant': 'acme',
            'keyturn:purpose': 'default',
            'keyturn:key-id': CONTEXT.keyId,
            'keyturn:version': '3',
          },
        },
      },
    ]);
    expect(counted).toEqual({ KmsCalls: 1, KmsLatency: 5 });
  });

  it("takes a tenant's own root key by what the configuration says, whatever the tenant is called", () => {
    const provider = makeProvider();
    expect(provider.rootKeyFor('byok')).toBe(TENANT_KEY);
    for (const tenant of ['acme', 'constructor', '__proto__'])
      expect(provider.rootKeyFor(tenant)).toBe(ROOT_KEY);
  });

  it('names the recorded root key to Decrypt', async () => {
    answers({ Decrypt: { reply: { Plaintext: blob(KEK), KeyId: FORMER_KEY } } });
    const kek = await makeProvider().unwrapKek({ ...WRAPPED, rootKeyId: FORMER_KEY }, CONTEXT);
    expect(kek.export().equals(KEK)).toBe(true);
    const EncryptionContext = encryptionContext(CONTEXT);
    expect(wire.requests[0]?.body).toEqual({
      KeyId: FORMER_KEY,
      CiphertextBlob: blob(BLOB),
      EncryptionContext,
    });
  });

  it('wraps anew by ReEncrypt, from the recorded root key to the current one, in one and the same context', async () => {
    const reply = { CiphertextBlob: blob(KEK), KeyId: TENANT_KEY, SourceKeyMaterialId: 'm1' };
    answers({ ReEncrypt: { reply: { ...reply, DestinationKeyMaterialId: 'm7' } } });
    const context = { ...CONTEXT, tenant: 'byok' };
    const rewrapped = await makeProvider().rewrapKek({ ...WRAPPED, rootKeyId: FORMER_KEY }, context);
    expect(rewrapped).toEqual({ rootKeyId: TENANT_KEY, materialId: 'm7', wrapped: new Uint8Array(KEK) });
    expect(wire.requests[0]?.body).toEqual({
      SourceKeyId: FORMER_KEY,
      SourceEncryptionContext: encryptionContext(context),
      CiphertextBlob: blob(BLOB),
      DestinationKeyId: TENANT_KEY,
      DestinationEncryptionContext: encryptionContext(context),
    });
  });

  it('goes to the region of the key', async () => {
    const regions: string[] = [];
    const clients = {
      of(region: string): KMSClient {
        regions.push(region);
        return clientsOf(1).of(region);
      },
      destroy() {},
    };
    const far = arn('00000000-0000-4000-8000-00000000000e', 'us-gov-west-1');
    answers({ GenerateDataKeyWithoutPlaintext: { reply: { ...GENERATED, KeyId: far } } });
    await makeProvider({ clients, tenantRootKeys: { byok: far } }).generateKek({
      ...CONTEXT,
      tenant: 'byok',
    });
    expect(regions).toEqual(['us-gov-west-1']);
  });

  it('is never an alias, nor a key that was not asked for', async () => {
    for (const KeyId of ['arn:aws:kms:eu-central-1:111122223333:alias/root', FOREIGN_KEY, undefined]) {
      answers({ GenerateDataKeyWithoutPlaintext: { reply: { ...GENERATED, KeyId } } });
      const error = await failureOf(makeProvider().generateKek(CONTEXT));
      expect(error).toMatchObject({ code: 'PROVIDER_UNAVAILABLE', retryable: false });
    }
  });
});

describe('a KEK that KMS must not be asked for', () => {
  const refused = { code: 'UNWRAP_FAILED', message: 'The wrapped KEK does not unwrap in this context' };

  it.each([
    ['under a root key that is not configured', { ...WRAPPED, rootKeyId: FOREIGN_KEY }],
    ['under an alias', { ...WRAPPED, rootKeyId: 'alias/root' }],
    ['of no bytes', { ...WRAPPED, wrapped: new Uint8Array() }],
    ['of more bytes than KMS takes', { ...WRAPPED, wrapped: new Uint8Array(6145) }],
  ])('is refused %s, before any call', async (_, wrapped) => {
    const provider = makeProvider();
    expect(await failureOf(provider.unwrapKek(wrapped, CONTEXT))).toMatchObject(refused);
    expect(await failureOf(provider.rewrapKek(wrapped, CONTEXT))).toMatchObject(refused);
    expect(wire.requests).toEqual([]);
  });

  it('is not wrapped anew across regions: its plaintext would have to leave KMS', async () => {
    const far = arn('00000000-0000-4000-8000-00000000000e', 'us-east-1');
    const provider = makeProvider({ rootKey: far, formerRootKeys: [ROOT_KEY] });
    expect(await failureOf(provider.rewrapKek(WRAPPED, CONTEXT))).toMatchObject({
      code: 'ROOT_KEY_UNSUITABLE',
      remedy: expect.stringContaining('Rotate'),
    });
    expect(wire.requests).toEqual([]);
  });
});

describe('the plaintext of a KEK', () => {
  it('is zeroed once the KeyObject has it, and where it is no KEK', async () => {
    const plaintexts: Uint8Array[] = [];
    const clients = {
      of(region: string): KMSClient {
        const client = clientsOf(1).of(region);
        client.middlewareStack.add((next) => async (args) => {
          const result = await next(args);
          if ('Plaintext' in result.output && result.output.Plaintext)
            plaintexts.push(result.output.Plaintext);
          return result;
        });
        return client;
      },
      destroy() {},
    };
    for (const bytes of [KEK, KEK.subarray(1)]) {
      answers({ Decrypt: { reply: { Plaintext: blob(bytes), KeyId: ROOT_KEY } } });
      await makeProvider({ clients })
        .unwrapKek(WRAPPED, CONTEXT)
        .catch(() => null);
    }
    expect(plaintexts.map((bytes) => [...bytes])).toEqual([Array(32).fill(0), Array(31).fill(0)]);
  });

  it.each([
    ['of another length', { Plaintext: blob(KEK.subarray(1)), KeyId: ROOT_KEY }],
    ['that is missing', { KeyId: ROOT_KEY }],
    ['from another root key', { Plaintext: blob(KEK), KeyId: FOREIGN_KEY }],
  ])('is not handed out where it is none: %s', async (_, reply) => {
    answers({ Decrypt: { reply } });
    expect(await failureOf(makeProvider().unwrapKek(WRAPPED, CONTEXT))).toMatchObject({
      code: 'UNWRAP_FAILED',
    });
  });
});

const ERRORS: readonly (readonly [string, ProviderError['code'], boolean, number])[] = [
  ['ThrottlingException', 'PROVIDER_THROTTLED', true, 400],
  ['TooManyRequestsException', 'PROVIDER_THROTTLED', true, 429],
  ['SomethingNewException', 'PROVIDER_THROTTLED', true, 429],
  ['KMSInternalException', 'PROVIDER_UNAVAILABLE', true, 500],
  ['KeyUnavailableException', 'PROVIDER_UNAVAILABLE', true, 500],
  ['DependencyTimeoutException', 'PROVIDER_UNAVAILABLE', true, 503],
  ['ServiceUnavailable', 'PROVIDER_UNAVAILABLE', true, 503],
  ['AccessDeniedException', 'PROVIDER_DENIED', false, 400],
  ['UnrecognizedClientException', 'PROVIDER_DENIED', false, 400],
  ['InvalidSignatureException', 'PROVIDER_DENIED', false, 400],
  // Credentials that are renewed are no refusal: what is cached must go on being served.
  ['ExpiredTokenException', 'PROVIDER_UNAVAILABLE', true, 400],
  ['DisabledException', 'ROOT_KEY_DISABLED', false, 400],
  ['NotFoundException', 'ROOT_KEY_NOT_FOUND', false, 400],
  ['InvalidKeyUsageException', 'ROOT_KEY_UNSUITABLE', false, 400],
  ['LimitExceededException', 'PROVIDER_LIMIT', false, 400],
  ['SomethingNewException', 'PROVIDER_UNAVAILABLE', false, 400],
];

describe('errors of KMS', () => {
  it.each(ERRORS)('%s is %s, retryable: %s', async (error, code, retryable, status) => {
    wire.answer = () => ({ error, status });
    const failure = await failureOf(makeProvider().generateKek(CONTEXT));
    expect(failure).toMatchObject({ code, retryable, remedy: expect.any(String) });
    expect(counted).toMatchObject({ KmsCalls: 1, KmsErrors: 1, KmsLatency: 5 });
    expect(counted['KmsDenied'] ?? 0).toBe(code === 'PROVIDER_DENIED' ? 1 : 0);
    expect(counted['KmsThrottled'] ?? 0).toBe(code === 'PROVIDER_THROTTLED' ? 1 : 0);
  });

  it.each(['InvalidCiphertextException', 'IncorrectKeyException', 'ValidationException'])(
    '%s of an unwrap is UNWRAP_FAILED, without a trace of which it was',
    async (error) => {
      answers({ Decrypt: { error }, ReEncrypt: { error } });
      const provider = makeProvider();
      for (const use of [provider.unwrapKek(WRAPPED, CONTEXT), provider.rewrapKek(WRAPPED, CONTEXT)]) {
        const failure = await failureOf(use);
        expect(failure).toMatchObject({ code: 'UNWRAP_FAILED', retryable: false });
        expect(failure).not.toHaveProperty('cause');
      }
    },
  );

  it('never show the wrapped KEK, the context or the text of KMS', async () => {
    for (const [error, , , status] of ERRORS) {
      wire.answer = () => ({ error, status });
      const provider = makeProvider();
      for (const use of [provider.unwrapKek(WRAPPED, CONTEXT), provider.rewrapKek(WRAPPED, CONTEXT)]) {
        const { message, remedy } = await failureOf(use);
        expect(`${message} ${remedy}`).not.toMatch(/SECRET|acme|01900000/);
        expect(message).not.toContain(blob(BLOB));
      }
    }
  });

  it('of the network are an outage', async () => {
    wire.answer = () => 'hang up';
    const outage = { code: 'PROVIDER_UNAVAILABLE', retryable: true };
    expect(await failureOf(makeProvider().generateKek(CONTEXT))).toMatchObject(outage);
    const clients = createKmsClients({ endpoint: 'http://127.0.0.1:1', maxAttempts: 1 });
    expect(await failureOf(makeProvider({ clients }).generateKek(CONTEXT))).toMatchObject(outage);
  });

  it('that never come are an outage after the time-out', async () => {
    wire.answer = () => 'no answer';
    const requestHandler = { requestTimeout: 50, throwOnRequestTimeout: true };
    const clients = createKmsClients({ ...settingsOf(2), requestHandler });
    expect(await failureOf(makeProvider({ clients }).generateKek(CONTEXT))).toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      message: expect.stringContaining('TimeoutError'),
      retryable: true,
    });
    expect(wire.requests).toHaveLength(2);
  });

  it('of missing credentials are an outage too', async () => {
    const credentials = async () => {
      throw Object.assign(new Error('no source has them'), { name: 'CredentialsProviderError' });
    };
    const clients = createKmsClients({ endpoint: wire.endpoint, credentials, maxAttempts: 1 });
    expect(await failureOf(makeProvider({ clients }).generateKek(CONTEXT))).toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      retryable: true,
    });
  });
});

describe('a call that the state of the root key does not allow', () => {
  const invalid = { error: 'KMSInvalidStateException' } as const;

  it.each([
    ['PendingDeletion', 'ROOT_KEY_PENDING_DELETION', false],
    ['PendingReplicaDeletion', 'ROOT_KEY_PENDING_DELETION', false],
    ['PendingImport', 'ROOT_KEY_PENDING_IMPORT', false],
    ['Disabled', 'ROOT_KEY_DISABLED', false],
    ['Unavailable', 'PROVIDER_UNAVAILABLE', true],
    ['Creating', 'PROVIDER_UNAVAILABLE', true],
    ['SomethingNew', 'PROVIDER_UNAVAILABLE', true],
    // An external key store fails so while its key stays enabled.
    ['Enabled', 'PROVIDER_UNAVAILABLE', true],
  ])('is explained by reading the state again: %s is %s', async (KeyState, code, retryable) => {
    answers({ Decrypt: invalid, DescribeKey: described({ KeyState }) });
    expect(await failureOf(makeProvider().unwrapKek(WRAPPED, CONTEXT))).toMatchObject({ code, retryable });
  });

  it('is an outage where the state cannot be read', async () => {
    answers({ Decrypt: invalid, DescribeKey: { error: 'AccessDeniedException' } });
    expect(await failureOf(makeProvider().unwrapKek(WRAPPED, CONTEXT))).toMatchObject({
      code: 'PROVIDER_UNAVAILABLE',
      retryable: true,
    });
  });

  it('names the one of two root keys that is in the way', async () => {
    const former = { ...WRAPPED, rootKeyId: FORMER_KEY };
    for (const error of ['KMSInvalidStateException', 'DisabledException']) {
      wire.answer = ({ operation, body }) =>
        operation === 'ReEncrypt'
          ? { error }
          : described({ KeyState: body['KeyId'] === ROOT_KEY ? 'Disabled' : 'Enabled' });
      expect(await failureOf(makeProvider().rewrapKek(former, CONTEXT))).toMatchObject({
        code: 'ROOT_KEY_DISABLED',
        message: `The root key ${ROOT_KEY} is disabled`,
      });
    }
  });
});

describe('retries', () => {
  it('go on through throttling and outages, and count as one call', async () => {
    wire.answer = (_, nth) =>
      nth === 1 ? { error: 'KMSInternalException', status: 500 } : { reply: GENERATED };
    await expect(makeProvider({ maxAttempts: 3 }).generateKek(CONTEXT)).resolves.toBeDefined();
    expect(wire.requests).toHaveLength(2);
    expect(counted).toEqual({ KmsCalls: 1, KmsLatency: 5 });
    wire.requests.length = 0;
    wire.answer = (_, nth) => (nth === 1 ? { error: 'ThrottlingException' } : { reply: GENERATED });
    await expect(makeProvider({ maxAttempts: 3 }).generateKek(CONTEXT)).resolves.toBeDefined();
    expect(wire.requests).toHaveLength(2);
  });

  it.each(['LimitExceededException', 'AccessDeniedException', 'DisabledException'])(
    'are not made after %s',
    async (error) => {
      wire.answer = () => ({ error });
      await failureOf(makeProvider({ maxAttempts: 3 }).generateKek(CONTEXT));
      expect(wire.requests).toHaveLength(1);
    },
  );

  it('wait longer and send less after a throttle: the adaptive mode of the SDK', async () => {
    const strategy = await createKmsClients().of('eu-central-1').config.retryStrategy();
    expect(strategy).toHaveProperty('mode', 'adaptive');
  });
});

describe('the budget', () => {
  it('spreads the calls of a process, also those to inspect', async () => {
    wire.answer = ({ operation }) => (operation === 'DescribeKey' ? described({}) : { reply: GENERATED });
    const provider = makeProvider({ requestsPerSecond: 10, clock: performance });
    const began = performance.now();
    const uses = [1, 2, 3].flatMap(() => [provider.generateKek(CONTEXT), provider.inspectRootKey(ROOT_KEY)]);
    await Promise.all(uses);
    expect(performance.now() - began).toBeGreaterThan(490);
    // Waiting for the budget is no slowness of KMS: of all calls together it is 1.5 s.
    expect(counted['KmsLatency']).toBeLessThan(1_490);
  });
});

describe('the state of a root key', () => {
  const inspect = () => makeProvider().inspectRootKey(ROOT_KEY);

  it('is what DescribeKey says; its date of deletion too', async () => {
    answers({ DescribeKey: described({ KeyState: 'PendingDeletion', DeletionDate: 1_800_000_000 }) });
    expect(await inspect()).toEqual({
      rootKeyId: ROOT_KEY,
      state: 'PENDING_DELETION',
      materialId: 'm2',
      materialExpiresAt: null,
      deletionAt: '2027-01-15T08:00:00.000Z',
      automaticRotation: null,
    });
    expect(wire.requests).toHaveLength(1);
  });

  it('has the current material and the earliest expiry of any that still unwraps, over all pages', async () => {
    const pages = [
      { Rotations: [{ KeyMaterialId: 'm1', KeyMaterialState: 'NON_CURRENT', ValidTo: 1_800_000_000 }] },
      {
        Rotations: [
          { KeyMaterialId: 'm2', KeyMaterialState: 'CURRENT', ValidTo: 1_900_000_000 },
          { KeyMaterialId: 'm3', KeyMaterialState: 'PENDING_ROTATION', ValidTo: 1_700_000_000 },
        ],
      },
    ];
    wire.answer = ({ operation, body }) => {
      if (operation === 'DescribeKey') {
        return described({ Origin: 'EXTERNAL', ValidTo: 1_850_000_000, CurrentKeyMaterialId: undefined });
      }
      expect(body).toMatchObject({ KeyId: ROOT_KEY, IncludeKeyMaterial: 'ALL_KEY_MATERIAL' });
      const first = body['Marker'] === undefined;
      return {
        reply: first
          ? { ...pages[0], Truncated: true, NextMarker: 'next' }
          : { ...pages[1], Truncated: false },
      };
    };
    expect(await inspect()).toMatchObject({
      materialId: 'm2',
      materialExpiresAt: '2027-01-15T08:00:00.000Z',
    });
    expect(wire.requests).toHaveLength(3);
  });

  it.each([
    ['may not list its material', { error: 'AccessDeniedException' }],
    ['asks a KMS that cannot', { error: 'UnsupportedOperationException' }],
    ['asks an emulator that does not know how', { error: 'InternalFailure', status: 501 }],
  ])('is told without its material by an identity that %s', async (_, refusal) => {
    answers({ DescribeKey: described({ Origin: 'EXTERNAL' }), ListKeyRotations: refusal });
    expect(await inspect()).toMatchObject({ state: 'ENABLED', materialId: 'm2', materialExpiresAt: null });
  });

  it.each([
    ['on', { reply: { KeyRotationEnabled: true } }, true],
    ['off', { reply: { KeyRotationEnabled: false } }, false],
    ['not to be told', { error: 'AccessDeniedException' }, null],
  ])('says that automatic rotation is %s', async (_, GetKeyRotationStatus, automaticRotation) => {
    answers({ DescribeKey: described({}), GetKeyRotationStatus });
    expect(await inspect()).toMatchObject({ state: 'ENABLED', automaticRotation });
  });

  it('is an error, and not a guess, while KMS cannot be asked', async () => {
    answers({ DescribeKey: { error: 'ThrottlingException' } });
    expect(await failureOf(inspect())).toMatchObject({ code: 'PROVIDER_THROTTLED' });
    answers({
      DescribeKey: described({ Origin: 'EXTERNAL' }),
      ListKeyRotations: { error: 'ThrottlingException' },
    });
    expect(await failureOf(inspect())).toMatchObject({ code: 'PROVIDER_THROTTLED' });
  });

  it('is not asked for under a name that may mean another key tomorrow', async () => {
    for (const rootKeyId of ['alias/root', '00000000-0000-4000-8000-00000000000a']) {
      expect(await makeProvider().inspectRootKey(rootKeyId)).toMatchObject({ rootKeyId, state: 'NOT_FOUND' });
    }
    expect(wire.requests).toEqual([]);
  });
});

describe('check', () => {
  /** Decrypt answers with the context only in which the KEK was made. */
  function kms(decrypt?: KmsAnswer): void {
    const made = new Map<unknown, string>();
    wire.answer = ({ operation, body }) => {
      const { KeyId, EncryptionContext } = body;
      if (operation === 'DescribeKey') return described({});
      if (operation === 'Decrypt') {
        if (decrypt !== undefined) return decrypt;
        return made.get(KeyId) === JSON.stringify(EncryptionContext)
          ? { reply: { Plaintext: blob(KEK), KeyId } }
          : { error: 'InvalidCiphertextException' };
      }
      made.set(KeyId, JSON.stringify(EncryptionContext));
      return { reply: { ...GENERATED, KeyId } };
    };
  }

  it('asks for every root key that wraps, has one KEK made by each, for a tenant that its policy lets in, and unwraps it', async () => {
    kms();
    await makeProvider().check();
    const unwrapped = wire.requests.filter(({ operation }) => operation === 'Decrypt');
    expect(unwrapped.map(({ body }) => body['KeyId']).sort()).toEqual([ROOT_KEY, TENANT_KEY].sort());
    const made = wire.requests.filter(({ operation }) => operation === 'GenerateDataKeyWithoutPlaintext');
    const tenantOf = ({ body }: (typeof made)[number]) => Object(body['EncryptionContext'])['keyturn:tenant'];
    expect(new Map(made.map((request) => [request.body['KeyId'], tenantOf(request)]))).toEqual(
      new Map([
        [ROOT_KEY, 'keyturn-check'],
        [TENANT_KEY, 'byok'],
      ]),
    );
  });

  it('fails on a key that makes KEKs and does not let them be unwrapped', async () => {
    kms({ error: 'AccessDeniedException' });
    const provider = makeProvider({ tenantRootKeys: {} });
    expect(await failureOf(provider.check())).toMatchObject({ code: 'PROVIDER_DENIED' });
  });

  it.each([
    ['disabled', { KeyState: 'Disabled' }, 'ROOT_KEY_DISABLED'],
    ['for signatures', { KeyUsage: 'SIGN_VERIFY', KeySpec: 'RSA_2048' }, 'ROOT_KEY_UNSUITABLE'],
    ['asymmetric', { KeySpec: 'RSA_2048' }, 'ROOT_KEY_UNSUITABLE'],
  ])('fails on a key that is %s, before it is used', async (_, metadata, code) => {
    answers({ DescribeKey: described(metadata) });
    expect(await failureOf(makeProvider().check())).toMatchObject({ code });
    expect(wire.requests.every(({ operation }) => operation === 'DescribeKey')).toBe(true);
  });
});

describe('the root key of a deployment', () => {
  it('is named by the environment, and refused where it is none', () => {
    expect(deployedRootKey({ KEYTURN_ROOT_KEY_ARN: ROOT_KEY })).toBe(ROOT_KEY);
    for (const KEYTURN_ROOT_KEY_ARN of [undefined, '', 'alias/root', `${ROOT_KEY} `]) {
      expect(() => deployedRootKey({ KEYTURN_ROOT_KEY_ARN })).toThrow(
        expect.objectContaining({ code: 'ENVIRONMENT_INVALID', remedy: expect.any(String) }),
      );
    }
  });
});
