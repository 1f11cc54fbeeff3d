import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { calculateJwkThumbprint, decodeProtectedHeader, type JWK } from 'jose';
import { beforeAll, describe, expect, it } from 'vitest';
import { SIGNATURE_ALGORITHMS, type Signer } from '../../shared/signing/signer.ts';
import { verifyJws } from '../../shared/signing/verify-jws.ts';

/** What every signer must do. `another` has a key of its own. */
export interface SignerFixture {
  readonly signer: Signer;
  readonly another: Signer;
}

const TYP = 'keyturn-test+jws';
const PAYLOAD = { version: 2, tenant: 'Zoë & Söhne', nested: { b: [1, null, true], a: '' } };

/** `longest`: bytes of text that the key still signs. */
export function describeSigner(
  name: string,
  makeFixture: () => Promise<SignerFixture>,
  { longest = 20_000 }: { readonly longest?: number } = {},
): void {
  describe(`${name}: signer contract`, () => {
    let signer: Signer;
    let another: Signer;
    let key: JWK;
    let jws: string;
    beforeAll(async () => {
      ({ signer, another } = await makeFixture());
      key = await signer.publicKey();
      jws = await signer.sign(TYP, PAYLOAD);
    });

    it('hands out its public key, named by its thumbprint, and nothing private', async () => {
      expect(SIGNATURE_ALGORITHMS).toContain(key.alg);
      expect(key).toMatchObject({ use: 'sig', kid: await calculateJwkThumbprint(key, 'sha256') });
      for (const member of ['d', 'p', 'q', 'dp', 'dq', 'qi', 'k']) expect(key).not.toHaveProperty(member);
      expect(await signer.publicKey()).toEqual(key);
    });

    it('says in the protected header what was signed, and by which key', () => {
      expect(decodeProtectedHeader(jws)).toEqual({ alg: key.alg, kid: key.kid, typ: TYP });
    });

    it('signs what its public key verifies, and gives back', async () => {
      expect(await verifyJws(jws, TYP, [await another.publicKey(), key])).toEqual(PAYLOAD);
    });

    it('signs what node:crypto alone verifies', () => {
      expect(verifiesByNode(jws, key)).toBe(true);
      const [header, , signature] = jws.split('.');
      const other = Buffer.from('{"version":3}').toString('base64url');
      expect(verifiesByNode([header, other, signature].join('.'), key)).toBe(false);
    });

    it('signs the same bytes whatever the order of the members', async () => {
      const reordered = { nested: { a: '', b: [1, null, true] }, tenant: PAYLOAD.tenant, version: 2 };
      expect((await signer.sign(TYP, reordered)).split('.')[1]).toBe(jws.split('.')[1]);
    });

    it.each([1, 4096, 20_000].filter((length) => length <= longest))(
      'signs a text of %i bytes',
      async (length) => {
        const payload = { text: 'x'.repeat(length) };
        expect(await verifyJws(await signer.sign(TYP, payload), TYP, [key])).toEqual(payload);
      },
    );

    it('signs many at a time', async () => {
      const many = await Promise.all(Array.from({ length: 10 }, (_, n) => signer.sign(TYP, { n })));
      const payloads = await Promise.all(many.map((each) => verifyJws(each, TYP, [key])));
      expect(payloads).toEqual(Array.from({ length: 10 }, (_, n) => ({ n })));
    });

    it("signs what another's key does not verify", async () => {
      const foreign = await another.publicKey();
      expect(foreign.kid).not.toBe(key.kid);
      expect(verifiesByNode(jws, foreign)).toBe(false);
      await expect(verifyJws(jws, TYP, [foreign])).rejects.toMatchObject({ code: 'SIGNING_KEY_NOT_FOUND' });
    });
  });
}

/** RFC 7515, section 5.2, by hand: no line of the code that signs, and no JOSE library. */
export function verifiesByNode(jws: string, jwk: JWK): boolean {
  const [header = '', payload = '', signature = ''] = jws.split('.');
  const bytes = Buffer.from(`${header}.${payload}`, 'ascii');
  const signed = Buffer.from(signature, 'base64url');
  const key: KeyObject = createPublicKey({ key: { ...jwk }, format: 'jwk' });
  if (jwk.kty === 'OKP') return verify(null, bytes, key, signed);
  const pss = { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 32 };
  return verify('sha256', bytes, { key, ...pss }, signed);
}
