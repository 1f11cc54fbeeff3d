import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { prepareWorlds, type World, type WorldMaker } from '../support/memory-world.ts';
import { runOn } from './capture.ts';

let worlds: WorldMaker;
let world: World;
let folder: string;
let keys: string;
beforeAll(async () => {
  worlds = await prepareWorlds();
  world = await worlds.makeWorld(createMemoryLedger());
  folder = await mkdtemp(join(tmpdir(), 'keyturn-audit-'));
  keys = join(folder, 'keys.json');
  await writeFile(keys, (await runOn(world.deps, ['certificate', 'key'])).stdout);
  await mkdir(join(folder, 'empty'));
});
afterAll(async () => {
  await worlds.remove();
  await rm(folder, { recursive: true, force: true });
});

describe('keyturn audit verify', () => {
  it('reads the chain of a tenant', async () => {
    const { code, stdout } = await runOn(world.deps, ['audit', 'verify', '--tenant', 'acme']);
    expect(stdout).toContain('1 chain read: nothing was changed.');
    expect(code).toBe(0);
  });

  it('takes a tenant of whom nothing is recorded for no proof', async () => {
    await expect(runOn(world.deps, ['audit', 'verify', '--tenant', 'acne'])).rejects.toMatchObject({
      code: 'AUDIT_NOT_FOUND',
      message: expect.stringContaining('the tenant "acne"'),
    });
  });

  it.each([
    ['a folder that is not there', 'missing', []],
    ['an empty one', 'empty', []],
    ['a tenant that it has nothing of', 'empty', ['--tenant', 'acme']],
  ])('offline, takes %s for no proof', async (_, name, more) => {
    const archive = join(folder, name);
    const line = ['audit', 'verify', '--offline', '--archive', archive, '--key', keys, ...more];
    await expect(runOn(world.deps, line)).rejects.toMatchObject({
      code: 'AUDIT_NOT_FOUND',
      message: expect.stringContaining(archive),
      remedy: expect.stringContaining('nothing is proved'),
    });
  });
});
