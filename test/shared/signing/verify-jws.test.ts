import { createPrivateKey, generateKeyPairSync, randomFillSync, sign } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { compactVerify, type JWK } from 'jose';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeCompactJws } from '../../../shared/signing/compact-jws.ts';
import { createLocalSigner, createSigningKey } from '../../../shared/signing/local-signer.ts';
import { readPublicKey } from '../../../shared/signing/public-key.ts';
import type { Signer } from '../../../shared/signing/signer.ts';
import { verifyJws } from '../../../shared/signing/verify-jws.ts';
import { verifiesByNode } from '../../contracts/signer.ts';

const TYP = 'keyturn-test+jws';
const INVALID = { name: 'SigningError', code: 'SIGNATURE_INVALID', retryable: false };

let folder: string;
let signer: Signer;
let key: JWK;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'keyturn-jws-'));
  const keyFile = join(folder, 'key.jwk');
  key = await createSigningKey({ keyFile, random: (buffer) => void randomFillSync(buffer) });
  signer = createLocalSigner({ keyFile });
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const base64url = (value: unknown): string =>
  Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url');

describe('published vectors', () => {
  // RFC 8037, appendix A.1, A.2 and A.4: the key, and the JWS over "Example of Ed25519 signing".
  const x = '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo';
  const d = 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A';
  const jwk = { kty: 'OKP', crv: 'Ed25519', x };
  const vector =
    'eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.' +
    'hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg';

  it('RFC 8037, appendix A.4: the same key and input give its signature', async () => {
    const [header = '', payload = '', signature] = vector.split('.');
    const privateKey = createPrivateKey({ key: { ...jwk, d }, format: 'jwk' });
    const made = sign(null, Buffer.from(`${header}.${payload}`), privateKey).toString('base64url');
    expect(made).toBe(signature);
    expect(verifiesByNode(vector, jwk)).toBe(true);
    const { keyObject } = await readPublicKey(jwk);
    const { payload: bytes } = await compactVerify(vector, keyObject, { algorithms: ['EdDSA'] });
    expect(Buffer.from(bytes).toString()).toBe('Example of Ed25519 signing');
  });

  it('RFC 8037, appendix A.3: its thumbprint, whatever the JWK says of itself', async () => {
    const { kid } = await readPublicKey({ ...jwk, kid: 'mine', alg: 'none' });
    expect(kid).toBe('kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k');
  });

  it('what has no type and no key id, as that JWS, is no statement of ours', async () => {
    await expect(verifyJws(vector, TYP, [jwk])).rejects.toMatchObject(INVALID);
  });
});

describe('a JWS that is not exactly what was signed', () => {
  it('is refused when any one character is another', async () => {
    const jws = await signer.sign(TYP, { tenant: 'acme', version: 7 });
    for (let at = 0; at < jws.length; at++) {
      for (const other of ['A', '_', '.', '=', ' ', '+']) {
        if (jws[at] === other) continue;
        const changed = jws.slice(0, at) + other + jws.slice(at + 1);
        await expect(verifyJws(changed, TYP, [key]), `${at} ${other}`).rejects.toMatchObject({
          code: expect.stringMatching(/^(SIGNATURE_INVALID|SIGNING_KEY_NOT_FOUND)$/),
        });
      }
    }
  });

  it('is refused when it is cut, or has more', async () => {
    const jws = await signer.sign(TYP, {});
    for (const other of ['', jws.slice(0, -1), jws.slice(1), `${jws}.`, `${jws}.A`, `${jws}\n`, ` ${jws}`]) {
      await expect(verifyJws(other, TYP, [key])).rejects.toMatchObject(INVALID);
    }
  });

  it('is refused as any other text', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string(), async (text) => {
        await expect(verifyJws(text, TYP, [key])).rejects.toMatchObject(INVALID);
      }),
    );
  });

  it('is refused as a statement of another type', async () => {
    const jws = await signer.sign('keyturn-approval+jws', {});
    await expect(verifyJws(jws, TYP, [key])).rejects.toMatchObject(INVALID);
  });
});

describe('an algorithm', () => {
  it('is never what the header says: "none", and an HMAC with the public key, are refused', async () => {
    for (const alg of ['none', 'HS256', 'RS256', 'PS256', 'ES256']) {
      const forged = `${base64url({ alg, kid: key.kid, typ: TYP })}.${base64url('{}')}.`;
      for (const jws of [forged, `${forged}AAAA`]) {
        await expect(verifyJws(jws, TYP, [key])).rejects.toMatchObject(INVALID);
      }
    }
  });

  it.each([
    ['a short RSA key', generateKeyPairSync('rsa', { modulusLength: 2048 })],
    ['an elliptic curve', generateKeyPairSync('ec', { namedCurve: 'P-256' })],
    ['X25519, which only agrees on keys', generateKeyPairSync('x25519')],
  ])('has no place for %s', async (_, { publicKey }) => {
    const jwk = publicKey.export({ format: 'jwk' });
    await expect(verifyJws('a.b.c', TYP, [jwk])).rejects.toMatchObject({ code: 'SIGNING_KEY_UNSUITABLE' });
  });

  it('has no place for a key that is none', async () => {
    for (const jwk of [{}, { kty: 'oct', k: 'AAAA' }, { kty: 'OKP', crv: 'Ed25519', x: 'AAAA' }]) {
      await expect(verifyJws('a.b.c', TYP, [jwk])).rejects.toMatchObject({ code: 'SIGNING_KEY_UNSUITABLE' });
    }
  });
});

describe('what was rightly signed, but could be read in two ways', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const jwk: JWK = publicKey.export({ format: 'jwk' });
  const signText = (header: unknown, payload: string): string => {
    const input = `${base64url(header)}.${base64url(payload)}`;
    return `${input}.${sign(null, Buffer.from(input), privateKey).toString('base64url')}`;
  };
  const headerOf = async () => ({ alg: 'EdDSA', kid: (await readPublicKey(jwk)).kid, typ: TYP });

  it.each([
    ['a member twice', '{"version":1,"version":2}'],
    ['members out of order', '{"b":1,"a":2}'],
    ['white space', '{"a": 1}'],
    ['a number written otherwise', '{"a":1.0}'],
    ['a byte order mark', '\ufeff{}'],
    ['no object', '[1]'],
    ['no JSON', 'text'],
    ['nothing', ''],
  ])('is refused: %s', async (_, payload) => {
    const jws = signText(await headerOf(), payload);
    expect(verifiesByNode(jws, jwk)).toBe(true);
    await expect(verifyJws(jws, TYP, [jwk])).rejects.toMatchObject(INVALID);
  });

  it.each([
    ['a key of its own', { jwk }],
    ['an extension', { crit: ['b64'], b64: false }],
    ['a content type', { cty: 'json' }],
  ])('is refused with %s in the header', async (_, more) => {
    const jws = signText({ ...(await headerOf()), ...more }, '{}');
    await expect(verifyJws(jws, TYP, [jwk])).rejects.toMatchObject(INVALID);
    await expect(verifyJws(signText(await headerOf(), '{}'), TYP, [jwk])).resolves.toEqual({});
  });

  it('gives back any JSON object that was signed', async () => {
    const { kid } = await headerOf();
    await fc.assert(
      fc.asyncProperty(fc.dictionary(fc.string(), fc.jsonValue()), async (payload) => {
        const plain: object = JSON.parse(JSON.stringify(payload));
        const jws = await makeCompactJws(TYP, plain, {
          algorithm: 'EdDSA',
          kid,
          sign: async (bytes) => sign(null, bytes, privateKey),
        });
        expect(await verifyJws(jws, TYP, [jwk])).toEqual(plain);
      }),
    );
  });
});
