import { compactVerify, decodeProtectedHeader, type JWK } from 'jose';
import { z } from 'zod';
import { SigningError } from '../errors/errors.ts';
import { canonicalBytes } from './canonical-json.ts';
import { type PublicKey, readPublicKey } from './public-key.ts';
import { SIGNATURE_ALGORITHMS } from './signer.ts';

/** What a protected header of ours has, and nothing else: no key of its own, no address of one, no extension. */
const headerSchema = z.strictObject({
  alg: z.enum(SIGNATURE_ALGORITHMS),
  kid: z.string(),
  typ: z.string(),
});

/**
 * The payload of a compact JWS that one of the keys signed as a statement of this `typ`. Throws SIGNATURE_INVALID for
 * anything that is not exactly that, SIGNING_KEY_NOT_FOUND where the JWS names none of the keys, and
 * SIGNING_KEY_UNSUITABLE for a key of another kind among them. Whoever gives the keys answers for them.
 */
export async function verifyJws(
  jws: string,
  typ: string,
  publicKeys: readonly JWK[],
): Promise<Record<string, unknown>> {
  const keys = await Promise.all(publicKeys.map(readPublicKey));
  const header = readHeader(jws);
  if (header.typ !== typ) throw invalid(`it is of the type "${header.typ}", not "${typ}"`);
  const key = keys.find(({ kid }) => kid === header.kid);
  if (key === undefined) {
    throw new SigningError(
      'SIGNING_KEY_NOT_FOUND',
      `None of the given keys is ${header.kid}, which signed it`,
      {
        remedy: 'Give the public key of whoever signed it, from where you trust it to come from',
      },
    );
  }
  return readPayload(await verifiedBytes(jws, key));
}

function readHeader(jws: string): z.infer<typeof headerSchema> {
  // One text for one statement: no padding, no stray bits in the last character of a part.
  const parts = jws.split('.');
  if (parts.length !== 3 || !parts.every(isBase64url)) throw invalid('it is no JWS in compact form');
  try {
    return headerSchema.parse(decodeProtectedHeader(jws));
  } catch (cause) {
    throw invalid('its protected header is not of the form that is signed here', cause);
  }
}

function isBase64url(part: string): boolean {
  return part !== '' && Buffer.from(part, 'base64url').toString('base64url') === part;
}

async function verifiedBytes(jws: string, { algorithm, keyObject }: PublicKey): Promise<Uint8Array> {
  try {
    return (await compactVerify(jws, keyObject, { algorithms: [algorithm] })).payload;
  } catch (cause) {
    throw invalid('the signature does not belong to this content and key', cause);
  }
}

function readPayload(bytes: Uint8Array): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes));
  } catch (cause) {
    throw invalid('its content is not JSON', cause);
  }
  // Two texts for one value, as a member that stands twice, could be read in two ways.
  if (!isObject(value) || !Buffer.from(canonicalBytes(value)).equals(bytes)) {
    throw invalid('its content is not a canonical JSON object (RFC 8785)');
  }
  return value;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid(why: string, cause?: unknown): SigningError {
  return new SigningError('SIGNATURE_INVALID', `The signed statement is not valid: ${why}`, { cause });
}
