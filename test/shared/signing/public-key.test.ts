import { generateKeyPairSync } from 'node:crypto';
import { calculateJwkThumbprint, type JWK } from 'jose';
import { expect, test } from 'vitest';
import { readPublicKey } from '../../../shared/signing/public-key.ts';

const makeKey = (): JWK => generateKeyPairSync('ed25519').publicKey.export({ format: 'jwk' });

test('a key is read once, whatever else stands in its JWK; another one is another, also of more than are kept', async () => {
  const keys = Array.from({ length: 150 }, makeKey);
  for (const key of [...keys, ...keys]) {
    const read = await readPublicKey({ ...key, kid: 'not its own' });
    expect(read.jwk).toEqual(key);
    expect(read.kid).toBe(await calculateJwkThumbprint(key, 'sha256'));
    expect(read.keyObject.export({ format: 'jwk' })).toEqual(key);
    expect(await readPublicKey(key)).toBe(read);
  }
});
