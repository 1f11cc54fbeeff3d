import { constants, publicEncrypt, randomBytes } from 'node:crypto';
import {
  CancelKeyDeletionCommand,
  CreateKeyCommand,
  type CreateKeyCommandInput,
  DeleteImportedKeyMaterialCommand,
  DisableKeyCommand,
  EnableKeyCommand,
  GetParametersForImportCommand,
  ImportKeyMaterialCommand,
  KMSClient,
  RotateKeyOnDemandCommand,
  ScheduleKeyDeletionCommand,
} from '@aws-sdk/client-kms';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { systemClock } from '../../shared/clock/system.ts';
import { silentMetrics } from '../../shared/metrics/metrics.ts';
import { createAwsKmsProvider } from '../../shared/providers/aws-kms/aws-kms-provider.ts';
import { createKmsClients } from '../../shared/providers/aws-kms/client.ts';
import type { RootKeyProvider } from '../../shared/providers/root-key-provider.ts';
import { describeRootKeyProvider } from '../contracts/root-key-provider.ts';
import { describeRootKeyStates } from '../contracts/root-key-states.ts';
import { CREDENTIALS, clientOf, REGION, startLocalEmu, startMoto } from './support/emulators.ts';
import type { Emulator } from './support/server.ts';

const CONTEXT = {
  tenant: 'acme',
  purpose: 'default',
  keyId: '01900000-0000-7000-8000-000000000001',
  version: 1,
};

interface Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
}

interface RootKeys {
  readonly rootKey: string;
  readonly tenantRootKeys?: Readonly<Record<string, string>>;
  readonly formerRootKeys?: readonly string[];
}

/** The provider as composed, but for the endpoint, the identity and the number of attempts. */
function providerOf(
  { endpoint }: Emulator,
  rootKeys: RootKeys,
  settings: { readonly credentials?: Credentials; readonly maxAttempts?: number } = {},
): RootKeyProvider {
  return createAwsKmsProvider({
    tenantRootKeys: {},
    formerRootKeys: [],
    ...rootKeys,
    clients: createKmsClients({ endpoint, credentials: CREDENTIALS, ...settings }),
    requestsPerSecond: 1000,
    clock: systemClock,
    metrics: silentMetrics,
  });
}

function administer(emulator: Emulator) {
  const kms = new KMSClient(clientOf(emulator));
  return {
    kms,
    async createKey(input: CreateKeyCommandInput = {}): Promise<string> {
      const { KeyMetadata } = await kms.send(
        new CreateKeyCommand({ KeyUsage: 'ENCRYPT_DECRYPT', KeySpec: 'SYMMETRIC_DEFAULT', ...input }),
      );
      return KeyMetadata?.Arn ?? '';
    },
    disable: (KeyId: string) => kms.send(new DisableKeyCommand({ KeyId })),
    enable: (KeyId: string) => kms.send(new EnableKeyCommand({ KeyId })),
    rotate: (KeyId: string) => kms.send(new RotateKeyOnDemandCommand({ KeyId })),
  };
}

/** Made on first use, so that suites which begin at different times share one. */
function once<Value>(make: () => Promise<Value>): () => Promise<Value> {
  let made: Promise<Value> | undefined;
  return () => {
    made ??= make();
    return made;
  };
}

const emulators: Emulator[] = [];
async function started(emulator: Promise<Emulator>): Promise<Emulator> {
  const running = await emulator;
  emulators.push(running);
  return running;
}
const localEmu = once(() =>
  started(startLocalEmu({ IAM_ENFORCEMENT: '1', ROOT_ACCESS_KEYS: CREDENTIALS.accessKeyId })),
);
const throttlingLocalEmu = once(() =>
  started(startLocalEmu({ SIMULATE_THROTTLING: '1', KMS_THROTTLE_RATE: '1' })),
);
const moto = once(() => started(startMoto()));
afterAll(async () => {
  for (const emulator of emulators) await emulator.stop();
});

async function contractFixture(emulator: Emulator) {
  const { createKey } = administer(emulator);
  const rootKey = await createKey();
  return {
    provider: providerOf(emulator, { rootKey }),
    another: providerOf(emulator, { rootKey: await createKey() }),
    unknownRootKeyId: rootKey.replace(/[^/]*$/, '00000000-0000-4000-8000-000000000000'),
  };
}

describeRootKeyProvider('aws-kms on LocalEmu', async () => contractFixture(await localEmu()));

describeRootKeyProvider('aws-kms on moto', async () => contractFixture(await moto()), {
  changedBytes: 'moto looks the key up in the blob, and denies access to one that is not there',
  otherRootKeys: 'moto decrypts with the key that the blob names, and answers AccessDenied to another KeyId',
});

// Not on moto: it lets a disabled key be used.
describeRootKeyStates('aws-kms on LocalEmu', async () => {
  const emulator = await localEmu();
  const admin = administer(emulator);
  const rootKey = await admin.createKey();
  return {
    provider: providerOf(emulator, { rootKey }),
    disable: async () => void (await admin.disable(rootKey)),
    enable: async () => void (await admin.enable(rootKey)),
    scheduleDeletion: async () =>
      void (await admin.kms.send(new ScheduleKeyDeletionCommand({ KeyId: rootKey, PendingWindowInDays: 7 }))),
    cancelDeletion: async () => {
      await admin.kms.send(new CancelKeyDeletionCommand({ KeyId: rootKey }));
      await admin.enable(rootKey);
    },
    denied: providerOf(emulator, { rootKey }, { credentials: await userWithoutRights(emulator) }),
    throttled: providerOf(await throttlingLocalEmu(), { rootKey }, { maxAttempts: 2 }),
  };
});

/** IAM's query API by hand: two calls. The emulator reads the access key of the signature, and no more of it. */
async function userWithoutRights({ endpoint }: Emulator): Promise<Credentials> {
  const iam = async (parameters: Record<string, string>): Promise<string> => {
    const scope = `${CREDENTIALS.accessKeyId}/20260101/${REGION}/iam/aws4_request`;
    const Authorization = `AWS4-HMAC-SHA256 Credential=${scope}, SignedHeaders=host, Signature=0`;
    const body = new URLSearchParams({ Version: '2010-05-08', ...parameters });
    const reply = await fetch(endpoint, { method: 'POST', headers: { Authorization }, body });
    const text = await reply.text();
    if (!reply.ok) throw new Error(`${parameters['Action']}: ${text}`);
    return text;
  };
  const UserName = 'nobody';
  await iam({ Action: 'CreateUser', UserName });
  const made = await iam({ Action: 'CreateAccessKey', UserName });
  const textOf = (name: string) => new RegExp(`<${name}>([^<]+)</${name}>`).exec(made)?.[1] ?? '';
  return { accessKeyId: textOf('AccessKeyId'), secretAccessKey: textOf('SecretAccessKey') };
}

describe('root keys that change (LocalEmu)', () => {
  let emulator: Emulator;
  let admin: ReturnType<typeof administer>;
  beforeAll(async () => {
    emulator = await localEmu();
    admin = administer(emulator);
  });

  it('rewraps under the new root key, which alone then unwraps', async () => {
    const [former, rootKey] = [await admin.createKey(), await admin.createKey()];
    const wrapped = await providerOf(emulator, { rootKey: former }).generateKek(CONTEXT);
    const provider = providerOf(emulator, { rootKey, formerRootKeys: [former] });
    const kek = await provider.unwrapKek(wrapped, CONTEXT);
    const rewrapped = await provider.rewrapKek(wrapped, CONTEXT);
    expect(rewrapped.rootKeyId).toBe(rootKey);
    await admin.disable(former);
    expect((await provider.unwrapKek(rewrapped, CONTEXT)).equals(kek)).toBe(true);
    await expect(provider.unwrapKek(wrapped, CONTEXT)).rejects.toMatchObject({ code: 'ROOT_KEY_DISABLED' });
  });

  it('says which of the two root keys of a rewrap is in the way', async () => {
    const [former, rootKey] = [await admin.createKey(), await admin.createKey()];
    const wrapped = await providerOf(emulator, { rootKey: former }).generateKek(CONTEXT);
    const provider = providerOf(emulator, { rootKey, formerRootKeys: [former] });
    for (const disabled of [former, rootKey]) {
      await admin.disable(disabled);
      await expect(provider.rewrapKek(wrapped, CONTEXT)).rejects.toMatchObject({
        code: 'ROOT_KEY_DISABLED',
        message: `The root key ${disabled} is disabled`,
      });
      await admin.enable(disabled);
    }
  });

  it("moves a tenant's KEK to the tenant's own root key, and leaves the others", async () => {
    const [rootKey, own] = [await admin.createKey(), await admin.createKey()];
    const before = providerOf(emulator, { rootKey });
    const wrapped = await before.generateKek(CONTEXT);
    const provider = providerOf(emulator, { rootKey, tenantRootKeys: { acme: own } });
    expect((await provider.rewrapKek(wrapped, CONTEXT)).rootKeyId).toBe(own);
    const other = { ...CONTEXT, tenant: 'globex' };
    const stays = await provider.rewrapKek(await before.generateKek(other), other);
    expect(stays.rootKeyId).toBe(rootKey);
    // Who can write into the ledger cannot name a root key of their own.
    await expect(before.unwrapKek(await provider.rewrapKek(wrapped, CONTEXT), CONTEXT)).rejects.toMatchObject(
      {
        code: 'UNWRAP_FAILED',
      },
    );
  });

  it('notices new material after a rotation of the root key, and opens what the former material wrapped', async () => {
    const rootKey = await admin.createKey();
    const provider = providerOf(emulator, { rootKey });
    const wrapped = await provider.generateKek(CONTEXT);
    const kek = await provider.unwrapKek(wrapped, CONTEXT);
    const { materialId } = await provider.inspectRootKey(rootKey);
    await admin.rotate(rootKey);
    const after = await provider.inspectRootKey(rootKey);
    expect(materialId).toEqual(expect.any(String));
    expect(after.materialId).toEqual(expect.any(String));
    expect(after.materialId).not.toBe(materialId);
    const rewrapped = await provider.rewrapKek(wrapped, CONTEXT);
    for (const each of [wrapped, rewrapped]) {
      expect((await provider.unwrapKek(each, CONTEXT)).equals(kek)).toBe(true);
    }
  });

  it('goes through the life of imported material: none, imported, deleted', async () => {
    const rootKey = await admin.createKey({ Origin: 'EXTERNAL' });
    const provider = providerOf(emulator, { rootKey });
    const refusal = { code: 'ROOT_KEY_PENDING_IMPORT', retryable: false };
    expect(await provider.inspectRootKey(rootKey)).toMatchObject({ state: 'PENDING_IMPORT' });
    // Its state is all that LocalEmu has of it: a use of the key without material breaks LocalEmu itself.
    await expect(provider.check()).rejects.toMatchObject(refusal);

    await importMaterial(admin.kms, rootKey, randomBytes(32));
    expect(await provider.inspectRootKey(rootKey)).toMatchObject({ state: 'ENABLED' });
    const wrapped = await provider.generateKek(CONTEXT);
    await expect(provider.unwrapKek(wrapped, CONTEXT)).resolves.toBeDefined();

    await admin.kms.send(new DeleteImportedKeyMaterialCommand({ KeyId: rootKey }));
    expect(await provider.inspectRootKey(rootKey)).toMatchObject({ state: 'PENDING_IMPORT' });
    await expect(provider.check()).rejects.toMatchObject(refusal);
  });

  it('refuses a key that does not encrypt symmetrically before anything is wrapped by it', async () => {
    const rootKey = await admin.createKey({ KeyUsage: 'ENCRYPT_DECRYPT', KeySpec: 'RSA_2048' });
    await expect(providerOf(emulator, { rootKey }).check()).rejects.toMatchObject({
      code: 'ROOT_KEY_UNSUITABLE',
    });
  });
});

async function importMaterial(kms: KMSClient, KeyId: string, material: Buffer): Promise<void> {
  const { PublicKey = new Uint8Array(), ImportToken } = await kms.send(
    new GetParametersForImportCommand({
      KeyId,
      WrappingAlgorithm: 'RSAES_OAEP_SHA_256',
      WrappingKeySpec: 'RSA_2048',
    }),
  );
  const key = { key: Buffer.from(PublicKey), format: 'der', type: 'spki' } as const;
  const oaep = { padding: constants.RSA_PKCS1_OAEP_PADDING, oaepHash: 'sha256' };
  const EncryptedKeyMaterial = publicEncrypt({ ...key, ...oaep }, material);
  const ExpirationModel = 'KEY_MATERIAL_DOES_NOT_EXPIRE';
  await kms.send(new ImportKeyMaterialCommand({ KeyId, ImportToken, EncryptedKeyMaterial, ExpirationModel }));
}

describe('root keys that rotate (moto)', () => {
  it('reads the list of rotations, whose entries there name no material', async () => {
    const emulator = await moto();
    const { createKey, rotate } = administer(emulator);
    const rootKey = await createKey();
    const provider = providerOf(emulator, { rootKey });
    const wrapped = await provider.generateKek(CONTEXT);
    const kek = await provider.unwrapKek(wrapped, CONTEXT);
    await rotate(rootKey);
    expect(await provider.inspectRootKey(rootKey)).toMatchObject({ state: 'ENABLED', materialId: null });
    const rewrapped = await provider.rewrapKek(wrapped, CONTEXT);
    expect((await provider.unwrapKek(rewrapped, CONTEXT)).equals(kek)).toBe(true);
  });
});
