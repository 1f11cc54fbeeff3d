import { afterAll, describe, expect, it } from 'vitest';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { runRotation } from '../support/memory-machine.ts';
import { fill, KEY, prepareWorlds } from '../support/memory-world.ts';
import { runOn } from './capture.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const ACME = ['--tenant', 'acme'];

describe('keyturn resume', () => {
  it('says that nothing is paused, and what is open, in words', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 2);
    const nothing = { code: 'ROTATION_NOT_FOUND', message: 'Nothing of acme is paused' };
    await expect(runOn(world.deps, ['resume', ...ACME])).rejects.toMatchObject(nothing);
    const { job } = await requestRotation(world.deps, KEY);
    await expect(runOn(world.deps, ['resume', ...ACME])).rejects.toMatchObject({
      ...nothing,
      remedy: expect.stringContaining('rotate acme'),
    });
    await expect(runOn(world.deps, ['resume', '--job', job.jobId])).rejects.toMatchObject({
      code: 'ROTATION_STATE',
      message: expect.stringContaining('rotate acme'),
    });
    expect((await runOn(world.deps, ['pause', ...ACME])).code).toBe(0);
    expect((await runOn(world.deps, ['resume', ...ACME])).stdout).toContain('Resumed: rotate acme');
  });
});

describe('keyturn cancel', () => {
  it('names each of several jobs, and how to name one', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 2);
    await runRotation(world, (await requestRotation(world.deps, KEY)).job.jobId);
    world.passGrace();
    const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
    await requestRotation(world.deps, KEY);
    await expect(runOn(world.deps, ['cancel', ...ACME])).rejects.toMatchObject({
      code: 'USAGE',
      message: expect.stringContaining(`purge acme version 1 (--job ${purge.job.jobId})`),
    });
  });
});

describe('what a command is given', () => {
  it('is named where it is not of its form', async () => {
    const world = await worlds.makeWorld(createMemoryLedger());
    const give = ['quarantine', 'give-up', ...ACME, '--record', '1', '--yes'];
    const people = ['--record-set', 'people'];
    const run = (...more: readonly string[]) => runOn(world.deps, [...give, ...more]);
    await expect(run(...people, '--field', 'name', '--reason', ' ')).rejects.toMatchObject({
      code: 'INPUT_INVALID',
      message: '--reason: it is empty',
    });
    await expect(run(...people, '--field', 'nose', '--reason', 'x')).rejects.toMatchObject({
      code: 'COLUMN_NOT_FOUND',
    });
    await expect(run('--record-set', 'none', '--field', 'name', '--reason', 'x')).rejects.toMatchObject({
      code: 'RECORD_SET_NOT_FOUND',
    });
    const restore = (...more: readonly string[]) => runOn(world.deps, ['restore', 'begin', ...more]);
    await expect(restore('--store', 'main', '--backup-time', '2999-01-01T00:00:00Z')).rejects.toMatchObject({
      code: 'INPUT_INVALID',
    });
    await expect(restore('--store', 'other', '--backup-time', '2020-01-01T00:00:00Z')).rejects.toMatchObject({
      code: 'RECORD_SET_NOT_FOUND',
    });
  });
});
