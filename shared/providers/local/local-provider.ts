import { ProviderError } from '../../errors/errors.ts';
import type { KekContext, RootKeyProvider, WrappedKek } from '../root-key-provider.ts';
import { type KeystoreOptions, openKeystore, readKeystore } from './keystore.ts';
import { readPrivateFile } from './private-file.ts';
import { contextBytes, KEY_BYTES, sealKey, unsealKey } from './seal-key.ts';
import { ownSecretKey } from './secret.ts';

/**
 * Root keys from a keystore file, for ONE machine: development, trials, a single server. The root keys are in this
 * process's memory, anyone who has the file and its secret has every key, there is no audit of their use, and two
 * machines do not share it. Use a KMS for anything more.
 */
export const LOCAL_PROVIDER_NAME = 'local';

/** Opens the keystore. Throws KEYSTORE_NOT_FOUND, _PERMISSIONS, _MALFORMED or _LOCKED. */
export async function createLocalProvider(options: KeystoreOptions): Promise<RootKeyProvider> {
  const { active, rootKeys } = await openKeystore(options);
  const { keystorePath, secret, random } = options;
  const rootKey = rootKeys.get(active);
  if (rootKey === undefined) throw missing(keystorePath);
  /** Wraps the KEK and erases its plaintext. */
  const wrap = (kek: Uint8Array, context: KekContext): WrappedKek => {
    try {
      const wrapped = sealKey(kek, rootKey, kekContext(active, context), random);
      return { rootKeyId: active, materialId: null, wrapped };
    } finally {
      kek.fill(0);
    }
  };
  const unwrap = ({ rootKeyId, wrapped }: WrappedKek, context: KekContext): Uint8Array => {
    const key = rootKeys.get(rootKeyId);
    const kek = key === undefined ? null : unsealKey(wrapped, key, kekContext(rootKeyId, context));
    // One message for all causes: it must not tell an attacker which part was wrong.
    if (kek === null)
      throw new ProviderError('UNWRAP_FAILED', 'The wrapped KEK does not unwrap in this context');
    return kek;
  };
  return {
    name: LOCAL_PROVIDER_NAME,
    generateKek: async (context) => {
      const kek = new Uint8Array(KEY_BYTES);
      random(kek);
      return wrap(kek, context);
    },
    unwrapKek: async (wrapped, context) => ownSecretKey(unwrap(wrapped, context)),
    rootKeyFor: () => active,
    rewrapKek: async (wrapped, context) => wrap(unwrap(wrapped, context), context),
    inspectRootKey: async (rootKeyId) => ({
      rootKeyId,
      state: rootKeys.has(rootKeyId) ? 'ENABLED' : 'NOT_FOUND',
      materialId: null,
      materialExpiresAt: null,
      deletionAt: null,
      automaticRotation: null,
    }),
    destroyKek: async () => {
      // The root key is shared by all KEKs and stays; the blob, the only copy of this one, is erased by the ledger.
    },
    check: async () => {
      // The keys are in memory, but a keystore that others can read, or that is gone, is no longer safe to go on with.
      const keystore = await readKeystore(keystorePath);
      if ('keyFilePath' in secret) (await readPrivateFile(secret.keyFilePath)).fill(0);
      if (!keystore.rootKeys.some(({ id }) => id === active)) throw missing(keystorePath);
    },
  };
}

function kekContext(rootKeyId: string, { tenant, purpose, keyId, version }: KekContext): Uint8Array {
  return contextBytes('keyturn kek v1', [rootKeyId, tenant, purpose, keyId, version]);
}

function missing(keystorePath: string): ProviderError {
  return new ProviderError(
    'ROOT_KEY_NOT_FOUND',
    `${keystorePath} no longer has the root key that is in use`,
    {
      remedy: 'Restore the keystore from a backup',
    },
  );
}
