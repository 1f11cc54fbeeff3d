import { randomFillSync } from 'node:crypto';
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RandomFill } from '../../../shared/envelope/types.ts';
import { changeKeystoreSecret, initKeystore } from '../../../shared/providers/local/keystore.ts';
import { createLocalProvider } from '../../../shared/providers/local/local-provider.ts';
import { initKeyFile } from '../../../shared/providers/local/secret.ts';
import { describeRootKeyProvider } from '../../contracts/root-key-provider.ts';

const random: RandomFill = (buffer) => {
  randomFillSync(buffer);
};
const PASSPHRASE = 'correct horse battery staple';
const CONTEXT = {
  tenant: 'acme',
  purpose: 'default',
  keyId: '01900000-0000-7000-8000-000000000001',
  version: 1,
};

let root: string;
let dir: string;
let folders = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'keyturn-keystore-'));
});
beforeEach(async () => {
  folders += 1;
  dir = join(root, String(folders));
  await mkdir(dir);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function makeWithKeyFile(name: string) {
  const keyFilePath = join(dir, `${name}.key`);
  const options = { keystorePath: join(dir, `${name}.json`), secret: { keyFilePath }, random };
  await initKeyFile(keyFilePath, random);
  await initKeystore(options);
  return { options, keyFilePath, provider: await createLocalProvider(options) };
}

async function makeWithPassphrase() {
  const options = { keystorePath: join(dir, 'keystore.json'), secret: { passphrase: PASSPHRASE }, random };
  await initKeystore(options);
  return { options, provider: await createLocalProvider(options) };
}

describeRootKeyProvider('local', async () => {
  dir = await mkdtemp(join(root, 'contract-'));
  return {
    provider: (await makeWithKeyFile('one')).provider,
    another: (await makeWithKeyFile('two')).provider,
    unknownRootKeyId: 'local:00000000-0000-0000-0000-000000000000',
  };
});

describe('the secret', () => {
  it('opens the keystore by passphrase, in a new process too', async () => {
    const { provider, options } = await makeWithPassphrase();
    const wrapped = await provider.generateKek(CONTEXT);
    const reopened = await createLocalProvider(options);
    const kek = await reopened.unwrapKek(wrapped, CONTEXT);
    expect(kek.equals(await provider.unwrapKek(wrapped, CONTEXT))).toBe(true);
    expect(wrapped.rootKeyId).toMatch(/^local:[0-9a-f-]{36}$/);
  });

  it('is refused when it is another, without a trace of it in the error', async () => {
    const { options } = await makeWithPassphrase();
    const wrong = 'another passphrase, also long';
    const error: unknown = await createLocalProvider({ ...options, secret: { passphrase: wrong } }).catch(
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ code: 'KEYSTORE_LOCKED' });
    expect(error).not.toHaveProperty('cause');
    expect(JSON.stringify([String(error), Object(error).remedy])).not.toContain(wrong);
    const keyFilePath = join(dir, 'other.key');
    await initKeyFile(keyFilePath, random);
    await expect(createLocalProvider({ ...options, secret: { keyFilePath } })).rejects.toMatchObject({
      code: 'KEYSTORE_LOCKED',
      message: expect.stringContaining('a passphrase'),
    });
    const withKey = await makeWithKeyFile('with-key');
    await expect(createLocalProvider({ ...withKey.options, secret: { keyFilePath } })).rejects.toMatchObject({
      code: 'KEYSTORE_LOCKED',
    });
    await expect(
      createLocalProvider({ ...withKey.options, secret: { passphrase: PASSPHRASE } }),
    ).rejects.toMatchObject({ code: 'KEYSTORE_LOCKED', message: expect.stringContaining('a key file') });
  });

  it('is the same passphrase in either Unicode form', async () => {
    const keystorePath = join(dir, 'keystore.json');
    await initKeystore({ keystorePath, secret: { passphrase: 'schlüssel-wörter' }, random });
    const decomposed = 'schlüssel-wörter'.normalize('NFD');
    await expect(
      createLocalProvider({ keystorePath, secret: { passphrase: decomposed }, random }),
    ).resolves.toBeDefined();
  });

  it('must have 12 characters when the keystore is made', async () => {
    const keystorePath = join(dir, 'keystore.json');
    await expect(
      initKeystore({ keystorePath, secret: { passphrase: 'elevenchars' }, random }),
    ).rejects.toMatchObject({
      code: 'KEYSTORE_LOCKED',
      message: expect.stringContaining('12 characters'),
    });
    expect(await readdir(dir)).toEqual([]);
  });

  it('can be changed: the root keys stay, the old secret opens no more', async () => {
    const { provider, options } = await makeWithPassphrase();
    const wrapped = await provider.generateKek(CONTEXT);
    const keyFilePath = join(dir, 'new.key');
    await initKeyFile(keyFilePath, random);
    await changeKeystoreSecret({ ...options, newSecret: { keyFilePath } });
    await expect(createLocalProvider(options)).rejects.toMatchObject({ code: 'KEYSTORE_LOCKED' });
    const changed = await createLocalProvider({ ...options, secret: { keyFilePath } });
    await expect(changed.unwrapKek(wrapped, CONTEXT)).resolves.toBeDefined();
    expect((await stat(options.keystorePath)).mode & 0o777).toBe(0o600);
    expect((await readdir(dir)).toSorted()).toEqual(['keystore.json', 'new.key']);
  });

  it('as a key file must have 32 bytes', async () => {
    const { options, keyFilePath } = await makeWithKeyFile('a');
    await writeFile(keyFilePath, Buffer.alloc(31));
    await expect(createLocalProvider(options)).rejects.toMatchObject({
      code: 'KEYSTORE_MALFORMED',
      message: expect.stringContaining('31 bytes'),
    });
  });
});

describe('the files', () => {
  it('are made for their owner only, with nothing secret in the keystore', async () => {
    const { options, keyFilePath } = await makeWithKeyFile('a');
    for (const path of [options.keystorePath, keyFilePath])
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    const text = await readFile(options.keystorePath, 'utf8');
    expect(text).not.toContain((await readFile(keyFilePath)).toString('base64url'));
  });

  it('are never overwritten, also by ten at a time', async () => {
    const { options, keyFilePath } = await makeWithKeyFile('a');
    const before = await readFile(options.keystorePath);
    await expect(initKeystore(options)).rejects.toMatchObject({ code: 'KEYSTORE_EXISTS' });
    await expect(initKeyFile(keyFilePath, random)).rejects.toMatchObject({ code: 'KEYSTORE_EXISTS' });
    expect(await readFile(options.keystorePath)).toEqual(before);
    const keystorePath = join(dir, 'race.json');
    const results = await Promise.allSettled(
      Array.from({ length: 10 }, () => initKeystore({ ...options, keystorePath })),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await readdir(dir)).filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  it('are refused when others can reach them, with the command that helps', async () => {
    const { options, keyFilePath, provider } = await makeWithKeyFile('a');
    for (const path of [options.keystorePath, keyFilePath]) {
      for (const mode of [0o640, 0o604, 0o620, 0o601]) {
        await chmod(path, mode);
        const refusal = { code: 'KEYSTORE_PERMISSIONS', remedy: `chmod 600 '${path}'` };
        await expect(createLocalProvider(options)).rejects.toMatchObject(refusal);
        await expect(provider.check()).rejects.toMatchObject(refusal);
      }
      await chmod(path, 0o400);
      await expect(provider.check()).resolves.toBeUndefined();
    }
  });

  it('are refused when they are missing, a folder, or no file at all', async () => {
    const { options } = await makeWithKeyFile('a');
    const at = (keystorePath: string) => createLocalProvider({ ...options, keystorePath });
    await expect(at(join(dir, 'none.json'))).rejects.toMatchObject({ code: 'KEYSTORE_NOT_FOUND' });
    await expect(at(dir)).rejects.toMatchObject({ code: 'KEYSTORE_PERMISSIONS' });
    await expect(at('/dev/null')).rejects.toMatchObject({ code: 'KEYSTORE_PERMISSIONS' });
    await expect(
      initKeystore({ ...options, keystorePath: join(dir, 'no', 'such', 'folder') }),
    ).rejects.toMatchObject({
      code: 'KEYSTORE_NOT_FOUND',
    });
  });

  it('may be reached by a symbolic link: what counts is the file', async () => {
    const { options } = await makeWithKeyFile('a');
    const keystorePath = join(dir, 'link.json');
    await symlink(options.keystorePath, keystorePath);
    await expect(createLocalProvider({ ...options, keystorePath })).resolves.toBeDefined();
    await chmod(options.keystorePath, 0o644);
    await expect(createLocalProvider({ ...options, keystorePath })).rejects.toMatchObject({
      code: 'KEYSTORE_PERMISSIONS',
    });
  });

  it('do not mind what a killed process left behind', async () => {
    const { options } = await makeWithKeyFile('a');
    await writeFile(`${options.keystorePath}.0000.tmp`, '{"half', { mode: 0o600 });
    await expect(createLocalProvider(options)).resolves.toBeDefined();
    await expect(
      changeKeystoreSecret({ ...options, newSecret: { passphrase: PASSPHRASE } }),
    ).resolves.toBeUndefined();
  });
});

describe('a keystore file that is not what was written', () => {
  const change = (edit: (keystore: Record<string, unknown>) => unknown) => async (path: string) => {
    const keystore: unknown = JSON.parse(await readFile(path, 'utf8'));
    await writeFile(path, JSON.stringify(edit({ ...Object(keystore) })));
  };

  it.each<[string, string, (path: string) => Promise<void>]>([
    ['not JSON', 'KEYSTORE_MALFORMED', (path) => writeFile(path, '{')],
    ['empty', 'KEYSTORE_MALFORMED', (path) => writeFile(path, '')],
    ['of a later format', 'KEYSTORE_MALFORMED', change((k) => ({ ...k, formatVersion: 2 }))],
    ['with more in it', 'KEYSTORE_MALFORMED', change((k) => ({ ...k, extra: 1 }))],
    ['without its active root key', 'KEYSTORE_MALFORMED', change((k) => ({ ...k, active: 'local:0' }))],
    [
      'with a weaker derivation',
      'KEYSTORE_MALFORMED',
      change(({ derivation, ...k }) => ({
        ...k,
        derivation: { ...Object(derivation), name: 'scrypt', N: 2, r: 8, p: 1 },
      })),
    ],
    [
      'with another salt',
      'KEYSTORE_LOCKED',
      change(({ derivation, ...k }) => ({
        ...k,
        derivation: { ...Object(derivation), salt: 'A'.repeat(43) },
      })),
    ],
  ])('is refused: %s', async (_, code, damage) => {
    const { options } = await makeWithKeyFile('a');
    await damage(options.keystorePath);
    await expect(createLocalProvider(options)).rejects.toMatchObject({ code });
  });

  it('is refused when its root key has another name', async () => {
    const { options } = await makeWithKeyFile('a');
    const text = await readFile(options.keystorePath, 'utf8');
    await writeFile(options.keystorePath, text.replaceAll(/local:[0-9a-f]{8}/g, 'local:00000000'));
    await expect(createLocalProvider(options)).rejects.toMatchObject({ code: 'KEYSTORE_LOCKED' });
  });

  it('fails the check when the root key in use is gone from it', async () => {
    const { options, provider } = await makeWithKeyFile('a');
    const text = await readFile(options.keystorePath, 'utf8');
    await writeFile(options.keystorePath, text.replaceAll(/local:[0-9a-f]{8}/g, 'local:00000000'));
    await expect(provider.check()).rejects.toMatchObject({ code: 'ROOT_KEY_NOT_FOUND' });
  });
});
