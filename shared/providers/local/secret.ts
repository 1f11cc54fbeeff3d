import { createSecretKey, hkdf, type KeyObject, scrypt } from 'node:crypto';
import { promisify } from 'node:util';
import { z } from 'zod';
import type { RandomFill } from '../../envelope/types.ts';
import { ProviderError } from '../../errors/errors.ts';
import { createPrivateFile, readPrivateFile } from './private-file.ts';
import { KEY_BYTES } from './seal-key.ts';

/** What opens a keystore: a passphrase, or a file of 32 random bytes. */
export type KeystoreSecret = { readonly passphrase: string } | { readonly keyFilePath: string };

export const MIN_PASSPHRASE_LENGTH = 12;
const SALT_BYTES = 32;

const salt = z.base64url().length(43);

/**
 * How the secret becomes a key; stands in the keystore. scrypt (RFC 7914): 128 MiB and some 0.4 s a guess. The
 * bounds keep a forged file from asking for less, or for all memory.
 */
export const derivationSchema = z.discriminatedUnion('name', [
  z.strictObject({
    name: z.literal('scrypt'),
    N: z.union([z.literal(2 ** 17), z.literal(2 ** 18), z.literal(2 ** 19), z.literal(2 ** 20)]),
    r: z.literal(8),
    p: z.literal(1),
    salt,
  }),
  z.strictObject({ name: z.literal('hkdf-sha256'), salt }),
]);
export type Derivation = z.infer<typeof derivationSchema>;

const deriveByScrypt = promisify<string, Uint8Array, number, object, Buffer>(scrypt);
const deriveByHkdf = promisify(hkdf);

export function newDerivation(secret: KeystoreSecret, random: RandomFill): Derivation {
  const bytes = new Uint8Array(SALT_BYTES);
  random(bytes);
  const text = Buffer.from(bytes).toString('base64url');
  if ('keyFilePath' in secret) return { name: 'hkdf-sha256', salt: text };
  if (secret.passphrase.length < MIN_PASSPHRASE_LENGTH) {
    throw new ProviderError(
      'KEYSTORE_LOCKED',
      `The passphrase is shorter than ${MIN_PASSPHRASE_LENGTH} characters`,
      { remedy: 'Use a longer one: six random words, or a key file' },
    );
  }
  return { name: 'scrypt', N: 2 ** 17, r: 8, p: 1, salt: text };
}

/** The key that wraps the root keys. Throws KEYSTORE_LOCKED when the keystore wants the other kind of secret. */
export async function deriveKey(secret: KeystoreSecret, derivation: Derivation): Promise<KeyObject> {
  const saltBytes = Buffer.from(derivation.salt, 'base64url');
  if (derivation.name === 'scrypt') {
    if (!('passphrase' in secret)) throw wrongKind('a passphrase');
    const { N, r, p } = derivation;
    // RFC 8265, section 4.2: the same passphrase typed on two systems is the same text.
    const passphrase = secret.passphrase.normalize('NFC');
    const maxmem = 2 * 128 * N * r;
    return ownSecretKey(await deriveByScrypt(passphrase, saltBytes, KEY_BYTES, { N, r, p, maxmem }));
  }
  if (!('keyFilePath' in secret)) throw wrongKind('a key file');
  const bytes = await readKeyFile(secret.keyFilePath);
  try {
    return ownSecretKey(
      Buffer.from(await deriveByHkdf('sha256', bytes, saltBytes, 'keyturn keystore v1', KEY_BYTES)),
    );
  } finally {
    bytes.fill(0);
  }
}

/** Makes a key file: 32 random bytes, mode 0600. Throws KEYSTORE_EXISTS rather than overwrite one. */
export async function initKeyFile(path: string, random: RandomFill): Promise<void> {
  const bytes = new Uint8Array(KEY_BYTES);
  random(bytes);
  try {
    await createPrivateFile(path, bytes);
  } finally {
    bytes.fill(0);
  }
}

/** The KeyObject has a copy: the bytes are zeroed. */
export function ownSecretKey(bytes: Uint8Array): KeyObject {
  try {
    return createSecretKey(bytes);
  } finally {
    bytes.fill(0);
  }
}

async function readKeyFile(path: string): Promise<Buffer> {
  const bytes = await readPrivateFile(path);
  if (bytes.length === KEY_BYTES) return bytes;
  const length = bytes.length;
  bytes.fill(0);
  throw new ProviderError('KEYSTORE_MALFORMED', `The key file ${path} has ${length} bytes, not ${KEY_BYTES}`);
}

function wrongKind(wanted: string): ProviderError {
  return new ProviderError('KEYSTORE_LOCKED', `This keystore is opened by ${wanted}`, {
    remedy: `Give it ${wanted}`,
  });
}
