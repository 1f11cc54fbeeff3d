import { randomFillSync } from 'node:crypto';
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createLocalSigner, createSigningKey } from '../../../shared/signing/local-signer.ts';
import { verifyJws } from '../../../shared/signing/verify-jws.ts';
import { describeSigner } from '../../contracts/signer.ts';

const random = (buffer: Uint8Array): void => {
  randomFillSync(buffer);
};
const TYP = 'keyturn-test+jws';
/** RFC 8037, appendix A.1. */
const RFC_8037 = {
  kty: 'OKP',
  crv: 'Ed25519',
  d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A',
  x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo',
};

let root: string;
let keyFile: string;
let files = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'keyturn-signing-'));
});
beforeEach(() => {
  files += 1;
  keyFile = join(root, `${files}.jwk`);
});
afterAll(() => rm(root, { recursive: true, force: true }));

describeSigner('local', async () => {
  const make = async (name: string) => {
    const path = join(root, `contract-${name}.jwk`);
    await createSigningKey({ keyFile: path, random });
    return createLocalSigner({ keyFile: path });
  };
  return { signer: await make('one'), another: await make('two') };
});

describe('the key file', () => {
  it('is made for its owner only, and never overwritten', async () => {
    const key = await createSigningKey({ keyFile, random });
    expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
    const bytes = await readFile(keyFile);
    expect(key).toEqual(await createLocalSigner({ keyFile }).publicKey());
    await expect(createSigningKey({ keyFile, random })).rejects.toMatchObject({
      name: 'SigningError',
      code: 'SIGNING_KEY_EXISTS',
    });
    expect(await readFile(keyFile)).toEqual(bytes);
  });

  it('is made at the first use where that was asked for, one for all who come at once', async () => {
    const signers = Array.from({ length: 10 }, () => createLocalSigner({ keyFile, random }));
    const keys = await Promise.all(signers.map((signer) => signer.publicKey()));
    expect(new Set(keys.map(({ kid }) => kid)).size).toBe(1);
    expect((await readdir(root)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
    const jws = await Promise.all(signers.map((signer) => signer.sign(TYP, {})));
    for (const each of jws) await expect(verifyJws(each, TYP, keys.slice(0, 1))).resolves.toEqual({});
  });

  it('is missed where it was not, and found once it is there', async () => {
    const signer = createLocalSigner({ keyFile });
    await expect(signer.sign(TYP, {})).rejects.toMatchObject({ code: 'SIGNING_KEY_NOT_FOUND' });
    const key = await createSigningKey({ keyFile, random });
    expect(await signer.publicKey()).toEqual(key);
  });

  it.each([0o640, 0o604, 0o644])('is refused with mode %o, with the command that helps', async (mode) => {
    await createSigningKey({ keyFile, random });
    await chmod(keyFile, mode);
    await expect(createLocalSigner({ keyFile, random }).publicKey()).rejects.toMatchObject({
      code: 'SIGNING_DENIED',
      remedy: `chmod 600 '${keyFile}'`,
    });
  });

  const { d, x, ...kind } = RFC_8037;
  it.each([
    ['not JSON', '{'],
    ['empty', ''],
    ['without its private part', JSON.stringify({ ...kind, x })],
    ['with more in it', JSON.stringify({ ...kind, x, d, extra: 1 })],
    ['of another curve', JSON.stringify({ ...kind, crv: 'X25519', x, d })],
    ['with another public part', JSON.stringify({ ...kind, x: d, d })],
    ['too large', ' '.repeat(1024 * 1024 + 1)],
  ])('is refused when it is %s, without a trace of it in the error', async (_, text) => {
    await writeFile(keyFile, text, { mode: 0o600 });
    const error: unknown = await createLocalSigner({ keyFile, random })
      .publicKey()
      .catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'SIGNING_KEY_UNSUITABLE' });
    expect(`${String(error)}${JSON.stringify(error)}`).not.toContain(d);
    expect(await readFile(keyFile, 'utf8')).toBe(text);
  });

  it('gives the public key and thumbprint of RFC 8037', async () => {
    await writeFile(keyFile, JSON.stringify(RFC_8037), { mode: 0o600 });
    expect(await createLocalSigner({ keyFile }).publicKey()).toEqual({
      ...kind,
      x,
      // Appendix A.3.
      kid: 'kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k',
      alg: 'EdDSA',
      use: 'sig',
    });
  });
});
