import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StoredCensus } from '../../shared/rotation/rotation.ts';
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

  it('says what it did not look at, and does not answer for that', async () => {
    const { keyId } = (await world.deps.ledger.getKey('acme', 'default')) ?? { keyId: '' };
    const census = (n: number): StoredCensus => ({
      ...{ censusId: `c${n}`, keyId, tenant: 'acme', purpose: 'default', active: 1, version: 1 },
      ...{ restoreEpoch: 0, jobId: null, attempt: null, round: null },
      result: {
        takenAt: new Date(n * 1000).toISOString(),
        ...{ takenBy: 'test', reach: 'tenant', coverage: {}, excluded: [], undeclared: null },
        ...{ onVersion: 0, stale: 0, malformed: 0, foreign: 0 },
      },
    });
    for (let n = 0; n <= 1000; n++) await world.deps.ledger.putStoredCensus(census(n));
    const { code, stdout } = await runOn(world.deps, ['audit', 'verify', '--tenant', 'acme']);
    expect(stdout).toContain(
      `  not looked at: whether the censuses of key/${keyId} (default) that are older than`,
    );
    expect(stdout).toContain('1 chain read: nothing was changed in what was looked at.');
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
