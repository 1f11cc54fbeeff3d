import type { KeyObject } from 'node:crypto';
import { v4 as uuidV4 } from 'uuid';
import { z } from 'zod';
import type { RandomFill } from '../../envelope/types.ts';
import { ProviderError } from '../../errors/errors.ts';
import { createPrivateFile, readPrivateFile, replacePrivateFile } from './private-file.ts';
import { contextBytes, KEY_BYTES, sealKey, unsealKey } from './seal-key.ts';
import {
  type Derivation,
  derivationSchema,
  deriveKey,
  type KeystoreSecret,
  newDerivation,
  ownSecretKey,
} from './secret.ts';

/**
 * The keystore: one JSON file with the root keys of one machine, each wrapped by a key that is derived from a
 * passphrase or a key file. Losing the file, or its secret, loses all that was encrypted under it: back up both,
 * and apart from each other.
 */

const keystoreSchema = z.strictObject({
  format: z.literal('keyturn-keystore'),
  formatVersion: z.literal(1),
  derivation: derivationSchema,
  /** The root key that wraps new KEKs; the others still unwrap. */
  active: z.string(),
  rootKeys: z
    .array(z.strictObject({ id: z.string().regex(/^local:[0-9a-f-]{36}$/), wrapped: z.base64url() }))
    .min(1)
    .max(1000),
});
type Keystore = z.infer<typeof keystoreSchema>;

export interface OpenKeystore {
  readonly active: string;
  readonly rootKeys: ReadonlyMap<string, KeyObject>;
}

export interface KeystoreOptions {
  readonly keystorePath: string;
  readonly secret: KeystoreSecret;
  readonly random: RandomFill;
}

/** Makes a keystore with one root key, mode 0600, and returns that key's id. Throws KEYSTORE_EXISTS rather than overwrite. */
export async function initKeystore({ keystorePath, secret, random }: KeystoreOptions): Promise<string> {
  const id = `local:${randomUuid(random)}`;
  const rootKey = new Uint8Array(KEY_BYTES);
  random(rootKey);
  const rootKeys = new Map([[id, ownSecretKey(rootKey)]]);
  await createPrivateFile(keystorePath, await lockKeystore({ active: id, rootKeys }, secret, random));
  return id;
}

/** The root keys of the keystore. Throws KEYSTORE_NOT_FOUND, _PERMISSIONS, _MALFORMED or _LOCKED. */
export async function openKeystore({
  keystorePath,
  secret,
}: Pick<KeystoreOptions, 'keystorePath' | 'secret'>): Promise<OpenKeystore> {
  const keystore = await readKeystore(keystorePath);
  const lock = await deriveKey(secret, keystore.derivation);
  const rootKeys = new Map<string, KeyObject>();
  for (const { id, wrapped } of keystore.rootKeys) {
    const bytes = unsealKey(Buffer.from(wrapped, 'base64url'), lock, rootKeyContext(id));
    if (bytes === null) {
      throw new ProviderError('KEYSTORE_LOCKED', `The passphrase or key file does not open ${keystorePath}`, {
        remedy: 'Give the one that it was made with; a changed keystore file fails in the same way',
      });
    }
    rootKeys.set(id, ownSecretKey(bytes));
  }
  return { active: keystore.active, rootKeys };
}

/** Puts the same root keys under another passphrase or key file. Whoever has the old file still opens it with the old one. */
export async function changeKeystoreSecret(
  options: KeystoreOptions & { readonly newSecret: KeystoreSecret },
): Promise<void> {
  const opened = await openKeystore(options);
  await replacePrivateFile(
    options.keystorePath,
    await lockKeystore(opened, options.newSecret, options.random),
  );
}

/** Reads the file and checks its rights and form; opens nothing. */
export async function readKeystore(keystorePath: string): Promise<Keystore> {
  const text = (await readPrivateFile(keystorePath)).toString('utf8');
  const parsed = keystoreSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    const where = parsed.error.issues.map((issue) => issue.path.join('.') || 'the whole file').join(', ');
    throw malformed(keystorePath, `not valid at ${where}`);
  }
  const keystore = parsed.data;
  if (!keystore.rootKeys.some(({ id }) => id === keystore.active)) {
    throw malformed(keystorePath, 'its active root key is missing');
  }
  return keystore;
}

async function lockKeystore(
  { active, rootKeys }: OpenKeystore,
  secret: KeystoreSecret,
  random: RandomFill,
): Promise<Uint8Array> {
  const derivation: Derivation = newDerivation(secret, random);
  const lock = await deriveKey(secret, derivation);
  const keystore: Keystore = {
    format: 'keyturn-keystore',
    formatVersion: 1,
    derivation,
    active,
    rootKeys: [...rootKeys].map(([id, key]) => ({ id, wrapped: wrapRootKey(id, key, lock, random) })),
  };
  return Buffer.from(`${JSON.stringify(keystore, null, 2)}\n`);
}

function wrapRootKey(id: string, key: KeyObject, lock: KeyObject, random: RandomFill): string {
  const bytes = key.export();
  try {
    return Buffer.from(sealKey(bytes, lock, rootKeyContext(id), random)).toString('base64url');
  } finally {
    bytes.fill(0);
  }
}

function rootKeyContext(id: string): Uint8Array {
  return contextBytes('keyturn root key v1', [id]);
}

/** UUIDv4 (RFC 9562, section 5.4) from the randomness that was passed in. */
function randomUuid(random: RandomFill): string {
  const bytes = new Uint8Array(16);
  random(bytes);
  return uuidV4({ random: bytes });
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    // The parser's message would quote the file.
    return undefined;
  }
}

function malformed(path: string, what: string): ProviderError {
  return new ProviderError('KEYSTORE_MALFORMED', `${path} is not a keystore of this version: ${what}`, {
    remedy: 'Restore it from a backup, or correct the path',
  });
}
