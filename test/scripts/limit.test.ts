import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { fill, KEY, prepareWorlds, TENANT, type World } from '../support/memory-world.ts';
import { runOn } from './capture.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

let world: World;
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 2);
});

describe('keyturn limit', () => {
  it('sets a limit, and takes it away with `none`', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    const limit = (rate: string) =>
      runOn(world.deps, ['limit', '--tenant', TENANT, '--records-per-second', rate]);
    expect((await limit('200')).stdout).toContain('at most 200 records/s');
    expect((await world.job(job.jobId)).recordsPerSecond).toBe(200);
    expect((await limit('none')).stdout).toContain('without a limit');
    expect((await world.job(job.jobId)).recordsPerSecond).toBeNull();
  });

  it('takes nothing else', async () => {
    for (const rate of ['0', '-1', '1.5', '1000001', 'fast', ''])
      await expect(
        runOn(world.deps, ['limit', '--tenant', TENANT, '--records-per-second', rate]),
      ).rejects.toThrow();
  });

  it('is none for a rotation, too', async () => {
    const line = ['rotate', '--tenant', TENANT, '--no-wait', '--records-per-second', 'none', '--json'];
    const { stdout } = await runOn(world.deps, line);
    expect(JSON.parse(stdout).job.recordsPerSecond).toBeNull();
  });
});
