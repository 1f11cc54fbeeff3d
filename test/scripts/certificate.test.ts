import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { runPurge, runRotation } from '../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, type World, type WorldMaker } from '../support/memory-world.ts';
import { runOn } from './capture.ts';

let worlds: WorldMaker;
let world: World;
let folder: string;
beforeAll(async () => {
  worlds = await prepareWorlds();
  folder = await mkdtemp(join(tmpdir(), 'keyturn-certificate-'));
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 6);
  await runRotation(world, (await requestRotation(world.deps, KEY)).job.jobId);
  world.passGrace();
  await runPurge(world, (await requestPurge(world.deps, { ...KEY, version: 1 })).job.jobId);
});
afterAll(async () => {
  await worlds.remove();
  await rm(folder, { recursive: true, force: true });
});

const VERSION_1 = ['--tenant', 'acme', '--version', '1'];

async function save(name: string, text: string): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

async function exported() {
  const { stdout: jws } = await runOn(world.deps, ['certificate', 'show', ...VERSION_1, '--jws']);
  const { stdout: keys } = await runOn(world.deps, ['certificate', 'key']);
  return { jws, certificate: await save('1.jws', jws), keys: await save('keys.json', keys) };
}

describe('keyturn certificate show', () => {
  it('is a page that says what became of the version, and by what it is known', async () => {
    const { code, stdout } = await runOn(world.deps, ['certificate', 'show', ...VERSION_1]);
    expect(code).toBe(0);
    expect(stdout).toContain('Retirement certificate: version 1 of the key of acme');
    expect(stdout).toMatch(/What became of it: ERASED, effective .* UTC/);
    expect(stdout).toContain('9 records = 9 rewrapped + 0 skipped + 0 quarantined + 0 remaining, in 1 round');
    expect(stdout).toContain('every row of these tables: 0 values on version 1');
    expect(stdout).toMatch(/not read {2}main: backups, snapshots, replicas and logs are never read/);
    expect(stdout).toContain('  not read  envelopes as text in another form than base64url, such as hex');
    expect(stdout).toContain('Approvals: none was required.');
    expect(stdout).not.toContain('undefined');
    expect(stdout).not.toContain('Not valid');
  });

  it('has no certificate of a version that was not destroyed', async () => {
    const active = ['certificate', 'show', '--tenant', 'acme', '--version', '2'];
    await expect(runOn(world.deps, active)).rejects.toMatchObject({
      code: 'CERTIFICATE_NOT_FOUND',
      message: expect.stringContaining('is ACTIVE'),
    });
    const never = ['certificate', 'show', '--tenant', 'acme', '--version', '77'];
    await expect(runOn(world.deps, never)).rejects.toMatchObject({ code: 'VERSION_NOT_FOUND' });
  });

  it('says where the ledger holds one that the stack did not sign', async () => {
    const { jws } = await exported();
    const [header, payload] = jws.trim().split('.');
    const forged = {
      ...world.deps.ledger,
      getCertificate: async () => ({ ...stored, jws: `${header}.${payload}.AAAA` }),
    };
    const { keyId } = await world.key();
    const stored = await world.ledger.getCertificate(keyId, 1).then((found) => {
      if (found === null) throw new Error('no certificate');
      return found;
    });
    const ended = await runOn({ ...world.deps, ledger: forged }, ['certificate', 'show', ...VERSION_1]);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toContain('Not valid: The signed statement is not valid');
  });
});

describe('keyturn certificate verify', () => {
  it('verifies with the two files alone, and says what it did not verify', async () => {
    const { certificate, keys } = await exported();
    const nothing = Object.create(null);
    const ended = await runOn(nothing, ['certificate', 'verify', certificate, '--key', keys]);
    expect(ended.code).toBe(0);
    expect(ended.stdout).toContain('Valid. Version 1 of acme: ERASED');
    expect(ended.stdout).toMatch(/ verified {6}The signature, by the key .* \(EdDSA\)/);
    expect(ended.stdout).toMatch(/ not verified {2}The facts behind it/);
    const json = await runOn(nothing, ['certificate', 'verify', certificate, '--key', keys, '--json']);
    expect(JSON.parse(json.stdout)).toMatchObject({ valid: true, problems: [], certificate: { version: 1 } });
  });

  it('asks the stack for the key where none is given, and takes a single key too', async () => {
    const { certificate } = await exported();
    expect((await runOn(world.deps, ['certificate', 'verify', certificate])).code).toBe(0);
    const single = await save('key.json', JSON.stringify(await world.deps.signer.publicKey()));
    expect((await runOn(world.deps, ['certificate', 'verify', certificate, '--key', single])).code).toBe(0);
  });

  it('ends with exit code 4 where one character is another', async () => {
    const { jws, keys } = await exported();
    const at = jws.indexOf('.') + 100;
    const changed = await save(
      'changed.jws',
      jws.slice(0, at) + (jws[at] === 'A' ? 'B' : 'A') + jws.slice(at + 1),
    );
    await expect(runOn(world.deps, ['certificate', 'verify', changed, '--key', keys])).rejects.toMatchObject({
      code: 'SIGNATURE_INVALID',
    });
  });

  it.each([
    ['no key', '{}'],
    ['no JSON', 'x'],
    ['an empty set', '{"keys":[]}'],
  ])('refuses a key file that holds %s', async (_, text) => {
    const { certificate } = await exported();
    const key = await save('wrong.json', text);
    await expect(
      runOn(world.deps, ['certificate', 'verify', certificate, '--key', key]),
    ).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    });
  });
});

describe('keyturn certificate key', () => {
  it('prints a set with the public key, as text and as JSON', async () => {
    const key = await world.deps.signer.publicKey();
    const text = await runOn(world.deps, ['certificate', 'key']);
    const json = await runOn(world.deps, ['certificate', 'key', '--json']);
    expect(JSON.parse(text.stdout)).toEqual({ keys: [key] });
    expect(JSON.parse(json.stdout)).toEqual({ keys: [key] });
    expect(text.stdout).not.toContain('"d"');
  });
});
