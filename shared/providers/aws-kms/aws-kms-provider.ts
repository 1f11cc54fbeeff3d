import { createSecretKey, type KeyObject } from 'node:crypto';
import {
  DecryptCommand,
  GenerateDataKeyWithoutPlaintextCommand,
  type KMSClient,
  ReEncryptCommand,
} from '@aws-sdk/client-kms';
import type { Clock } from '../../clock/clock.ts';
import { ProviderError } from '../../errors/errors.ts';
import type { Metrics } from '../../metrics/metrics.ts';
import type { KekContext, RootKeyProvider, WrappedKek } from '../root-key-provider.ts';
import { type CallKms, createCalls } from './calls.ts';
import type { KmsClients } from './client.ts';
import { encryptionContext } from './encryption-context.ts';
import { describeRootKey, inspectRootKey, stateOf } from './inspect.ts';
import { regionOf } from './key-arn.ts';
import { createRequestBudget } from './request-budget.ts';
import { createRootKeys, type RootKeysConfig } from './root-keys.ts';
import {
  type KmsCall,
  type KmsOperation,
  leavesStateOpen,
  stateError,
  unsuitable,
  unwrapFailed,
} from './translate-error.ts';

/**
 * Root keys in AWS KMS. They never leave it; a KEK's plaintext does only to be used, by Decrypt. What identities need:
 * kms:GenerateDataKeyWithoutPlaintext to make KEKs, kms:Decrypt to use them, kms:ReEncryptFrom and kms:ReEncryptTo to
 * wrap them anew, kms:DescribeKey for all (a failed call is explained by it), kms:ListKeyRotations for the sweep.
 */
const AWS_KMS_PROVIDER_NAME = 'aws-kms';

const KEK_BYTES = 32;
/** Of CiphertextBlob. D/kms/latest/APIReference/API_Decrypt.html */
const MAX_WRAPPED_BYTES = 6144;

export interface AwsKmsProviderOptions extends RootKeysConfig {
  readonly clients: KmsClients;
  /** Calls that this process makes for one root key; the others wait. */
  readonly requestsPerSecond: number;
  readonly clock: Pick<Clock, 'now'>;
  readonly metrics: Metrics;
}

/** Calls nothing yet. */
export function createAwsKmsProvider(options: AwsKmsProviderOptions): RootKeyProvider {
  const budget = createRequestBudget(options.requestsPerSecond);
  const call = createCalls({ ...options, budget });
  const rootKeys = createRootKeys(options);

  const requireUnwrappable = ({ rootKeyId, wrapped }: WrappedKek): void => {
    const { length } = wrapped;
    if (!rootKeys.isConfigured(rootKeyId) || length === 0 || length > MAX_WRAPPED_BYTES) throw unwrapFailed();
  };

  const generate = (rootKeyId: string, context: KekContext): Promise<WrappedKek> =>
    useRootKeys(call, 'GenerateDataKeyWithoutPlaintext', [rootKeyId], async (client) => {
      const EncryptionContext = encryptionContext(context);
      const reply = await client.send(
        new GenerateDataKeyWithoutPlaintextCommand({
          KeyId: rootKeyId,
          KeySpec: 'AES_256',
          EncryptionContext,
        }),
      );
      return wrappedKek(reply.CiphertextBlob, reply.KeyId, reply.KeyMaterialId, rootKeyId);
    });

  const unwrap = async (wrapped: WrappedKek, context: KekContext): Promise<KeyObject> => {
    requireUnwrappable(wrapped);
    const { rootKeyId } = wrapped;
    return useRootKeys(call, 'Decrypt', [rootKeyId], async (client) => {
      const reply = await client.send(
        new DecryptCommand({
          // KMS would find the key by the blob: naming it refuses a blob that another key made.
          KeyId: rootKeyId,
          CiphertextBlob: wrapped.wrapped,
          EncryptionContext: encryptionContext(context),
        }),
      );
      return ownKek(reply.Plaintext, reply.KeyId === rootKeyId);
    });
  };

  return {
    name: AWS_KMS_PROVIDER_NAME,
    rootKeyFor: (tenant) => rootKeys.forTenant(tenant),
    generateKek: (context) => generate(rootKeys.forTenant(context.tenant), context),

    unwrapKek: unwrap,

    async rewrapKek(wrapped, context) {
      requireUnwrappable(wrapped);
      const from = wrapped.rootKeyId;
      const to = rootKeys.forTenant(context.tenant);
      if (regionOf(from) !== regionOf(to)) throw otherRegion(from, to);
      return useRootKeys(call, 'ReEncrypt', from === to ? [to] : [from, to], async (client) => {
        const reply = await client.send(
          new ReEncryptCommand({
            SourceKeyId: from,
            SourceEncryptionContext: encryptionContext(context),
            CiphertextBlob: wrapped.wrapped,
            DestinationKeyId: to,
            DestinationEncryptionContext: encryptionContext(context),
          }),
        );
        return wrappedKek(reply.CiphertextBlob, reply.KeyId, reply.DestinationKeyMaterialId, to);
      });
    },

    inspectRootKey: (rootKeyId) => inspectRootKey(call, rootKeyId),

    destroyKek: async () => {
      // The root key is shared by all KEKs and stays; the blob, the only copy of this one, is erased by the ledger.
    },

    async check() {
      const checks = [...rootKeys.wrapping].map(async ([rootKeyId, tenant]) => {
        await requireUsable(call, rootKeyId);
        const context = checkContext(tenant);
        // A policy may let KEKs be made and not be used.
        await unwrap(await generate(rootKeyId, context), context);
      });
      await Promise.all(checks);
    },
  };
}

/** A call with root keys. Where KMS names their state only in its text, the state is read again. */
async function useRootKeys<Output>(
  call: CallKms,
  operation: KmsOperation,
  rootKeyIds: KmsCall['rootKeyIds'],
  send: (client: KMSClient) => Promise<Output>,
): Promise<Output> {
  try {
    return await call({ operation, rootKeyIds }, send);
  } catch (error) {
    if (!(error instanceof ProviderError) || !leavesStateOpen(error, { operation, rootKeyIds })) throw error;
    for (const rootKeyId of rootKeyIds) {
      // Where it cannot be read, the first error is all there is to say.
      const state = await describeRootKey(call, rootKeyId).then(stateOf, () => 'ENABLED' as const);
      if (state !== 'ENABLED') throw stateError(state, rootKeyId, error.cause);
    }
    throw error;
  }
}

async function requireUsable(call: CallKms, rootKeyId: string): Promise<void> {
  const metadata = await describeRootKey(call, rootKeyId);
  const state = stateOf(metadata);
  if (state !== 'ENABLED') throw stateError(state, rootKeyId);
  const fits = metadata?.KeyUsage === 'ENCRYPT_DECRYPT' && metadata.KeySpec === 'SYMMETRIC_DEFAULT';
  if (!fits) throw unsuitable(rootKeyId);
}

/** Of a KEK that nobody keeps. A customer's key policy may allow the customer's own tenant only. */
function checkContext(tenant: string | null): KekContext {
  return {
    tenant: tenant ?? 'keyturn-check',
    purpose: 'check',
    keyId: '00000000-0000-0000-0000-000000000000',
    version: 0,
  };
}

function wrappedKek(
  wrapped: Uint8Array | undefined,
  rootKeyId: string | undefined,
  materialId: string | undefined,
  asked: string,
): WrappedKek {
  // A KEK under a root key that is not configured could never be unwrapped again.
  if (wrapped === undefined || rootKeyId !== asked) {
    throw new ProviderError('PROVIDER_UNAVAILABLE', `KMS wrapped nothing, or not with ${asked}`, {
      remedy: 'Check which endpoint answers for KMS (AWS_ENDPOINT_URL_KMS)',
    });
  }
  return { rootKeyId, materialId: materialId ?? null, wrapped };
}

/** The KeyObject has a copy: the bytes are zeroed. The reply's text, from which the SDK read them, cannot be. */
function ownKek(plaintext: Uint8Array | undefined, isFromItsRootKey: boolean): KeyObject {
  try {
    if (plaintext?.length !== KEK_BYTES || !isFromItsRootKey) throw unwrapFailed();
    return createSecretKey(plaintext);
  } finally {
    plaintext?.fill(0);
  }
}

function otherRegion(from: string, to: string): ProviderError {
  return new ProviderError(
    'ROOT_KEY_UNSUITABLE',
    `A KEK under ${from} cannot be wrapped anew under ${to}, which is in another region`,
    {
      remedy:
        "Rotate the tenant's keys instead: new versions are wrapped by the new root key, and the old ones go with their purge",
    },
  );
}
