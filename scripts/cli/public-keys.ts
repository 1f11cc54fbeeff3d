import type { JWK } from 'jose';
import { z } from 'zod';
import { CliError } from './cli-error.ts';
import { readInputText } from './read-input.ts';

const jwk = z.looseObject({ kty: z.string() });
const keyFile = z.union([z.object({ keys: z.array(jwk).min(1) }), jwk]);

/** The public keys of a file: a JSON Web Key, or a set of them (RFC 7517). Throws INPUT_NOT_FOUND or INPUT_INVALID. */
export async function readPublicKeys(file: string): Promise<readonly JWK[]> {
  const parsed = keyFile.safeParse(parseJson(await readInputText(file)));
  if (!parsed.success) {
    throw new CliError('INPUT_INVALID', `${file} is no JSON Web Key, nor a set of them`, {
      remedy: '`keyturn certificate key` prints one.',
    });
  }
  return 'keys' in parsed.data ? z.array(jwk).parse(parsed.data.keys) : [parsed.data];
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
