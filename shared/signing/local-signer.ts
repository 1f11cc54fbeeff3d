import { createPrivateKey, createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { JWK } from 'jose';
import { z } from 'zod';
import type { RandomFill } from '../envelope/types.ts';
import { ProviderError, SigningError } from '../errors/errors.ts';
import { createPrivateFile, readPrivateFile } from '../providers/local/private-file.ts';
import { describePublicKey, makeCompactJws } from './compact-jws.ts';
import { type PublicKey, readPublicKey } from './public-key.ts';
import type { Signer } from './signer.ts';

/**
 * An Ed25519 key in a file of one machine: a private JSON Web Key (RFC 8037), mode 0600. Whoever reads the file signs as
 * its owner does.
 */

const SEED_BYTES = 32;
/** PKCS #8 of an Ed25519 key up to its 32 bytes (RFC 8410, section 7). */
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

const privateJwk = z.strictObject({
  kty: z.literal('OKP'),
  crv: z.literal('Ed25519'),
  x: z.base64url().length(43),
  d: z.base64url().length(43),
});

export interface LocalSignerOptions {
  readonly keyFile: string;
  /** Given: a key file that is missing is made at the first use; of several that make it at once, all use the one. */
  readonly random?: RandomFill;
}

/** Nothing is read before the first use. */
export function createLocalSigner(options: LocalSignerOptions): Signer {
  let loaded: Promise<LocalKey> | undefined;
  const load = (): Promise<LocalKey> => {
    loaded ??= openOrCreate(options).catch((error: unknown) => {
      loaded = undefined;
      throw error;
    });
    return loaded;
  };
  return {
    async publicKey() {
      const { publicKey } = await load();
      return describePublicKey(publicKey.jwk, publicKey.algorithm, publicKey.kid);
    },
    async sign(typ, payload) {
      const { publicKey, privateKey } = await load();
      return makeCompactJws(typ, payload, {
        algorithm: publicKey.algorithm,
        kid: publicKey.kid,
        sign: async (bytes) => sign(null, bytes, privateKey),
      });
    },
  };
}

/** Makes the key file; throws SIGNING_KEY_EXISTS rather than overwrite one. Returns the public key, with its `kid`. */
export async function createSigningKey({ keyFile, random }: Required<LocalSignerOptions>): Promise<JWK> {
  const seed = Buffer.alloc(SEED_BYTES);
  random(seed);
  try {
    const { x } = publicOf(privateKeyOf(seed));
    const jwk = { kty: 'OKP', crv: 'Ed25519', x, d: seed.toString('base64url') };
    await createPrivateFile(keyFile, Buffer.from(`${JSON.stringify(jwk)}\n`));
  } catch (cause) {
    throw fileError(keyFile, cause);
  } finally {
    seed.fill(0);
  }
  return createLocalSigner({ keyFile }).publicKey();
}

interface LocalKey {
  readonly publicKey: PublicKey;
  readonly privateKey: KeyObject;
}

async function openOrCreate({ keyFile, random }: LocalSignerOptions): Promise<LocalKey> {
  try {
    return await openKey(keyFile);
  } catch (error) {
    if (random === undefined || !isCode(error, 'SIGNING_KEY_NOT_FOUND')) throw error;
  }
  await createSigningKey({ keyFile, random }).catch((error: unknown) => {
    // Another process was first: its key is the one.
    if (!isCode(error, 'SIGNING_KEY_EXISTS')) throw error;
  });
  return openKey(keyFile);
}

async function openKey(keyFile: string): Promise<LocalKey> {
  const bytes = await readPrivateFile(keyFile).catch((cause: unknown) => {
    throw fileError(keyFile, cause);
  });
  const parsed = privateJwk.safeParse(parseJson(bytes));
  bytes.fill(0);
  if (!parsed.success) throw malformed(keyFile, 'it is not the private JSON Web Key of Ed25519');
  const seed = Buffer.from(parsed.data.d, 'base64url');
  const privateKey = privateKeyOf(seed);
  seed.fill(0);
  const jwk = publicOf(privateKey);
  if (jwk.x !== parsed.data.x)
    throw malformed(keyFile, 'its public and its private part do not belong together');
  return { publicKey: await readPublicKey(jwk), privateKey };
}

function privateKeyOf(seed: Uint8Array): KeyObject {
  const der = Buffer.concat([PKCS8_PREFIX, seed]);
  try {
    return createPrivateKey({ key: der, format: 'der', type: 'pkcs8' });
  } finally {
    der.fill(0);
  }
}

function publicOf(privateKey: KeyObject): JWK {
  return createPublicKey(privateKey).export({ format: 'jwk' });
}

function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'));
  } catch {
    // The parser's message would quote the file.
    return undefined;
  }
}

function isCode(error: unknown, code: SigningError['code']): boolean {
  return error instanceof SigningError && error.code === code;
}

function malformed(keyFile: string, why: string): SigningError {
  return new SigningError('SIGNING_KEY_UNSUITABLE', `${keyFile} is no signing key: ${why}`, {
    remedy: 'Restore it from a backup, or correct the path',
  });
}

/** The errors of private files, in the words of a signing key. */
function fileError(keyFile: string, cause: unknown): unknown {
  if (!(cause instanceof ProviderError)) return cause;
  const { message, remedy } = cause;
  const as = (code: SigningError['code'], says: string, advice = remedy) =>
    new SigningError(code, says, {
      cause,
      retryable: cause.retryable,
      ...(advice !== undefined && { remedy: advice }),
    });
  switch (cause.code) {
    case 'KEYSTORE_NOT_FOUND':
      return as(
        'SIGNING_KEY_NOT_FOUND',
        `There is no signing key ${keyFile}`,
        'Correct its path, or make one',
      );
    case 'KEYSTORE_EXISTS':
      return as('SIGNING_KEY_EXISTS', message, 'Use it, or name another path');
    case 'KEYSTORE_PERMISSIONS':
      return as('SIGNING_DENIED', message);
    case 'KEYSTORE_MALFORMED':
      return malformed(keyFile, 'it is too large');
    default:
      return as('SIGNING_UNAVAILABLE', message);
  }
}
