import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { time } from '../../scripts/cli/format.ts';
import { RecordStoreError } from '../../shared/errors/errors.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { runPurge, runRotation } from '../support/memory-machine.ts';
import { Crash, fill, KEY, prepareWorlds, type World } from '../support/memory-world.ts';
import { runOn } from './capture.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

let world: World;
let backup: readonly string[];
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 4);
  world.pass(3600);
  backup = ['--store', 'main', '--backup-time', world.clock.timestamp()];
  world.pass(3600);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
});

const restore = (...argv: readonly string[]) => runOn(world.deps, ['restore', ...argv]);

describe('keyturn restore', () => {
  it('says when it is safe to restore, and what to do when the rows are back', async () => {
    expect((await restore('list')).stdout).toContain('No restore was registered.');
    const begun = await restore('begin', ...backup);
    expect(begun.code).toBe(0);
    expect(begun.stdout).toContain('you may restore now');
    expect(begun.stdout).toContain('of 1 key');
    const [line] = JSON.parse((await restore('list', '--json')).stdout);
    expect(line).toMatchObject({ store: 'main', status: 'READY', keys: 1 });
    expect(begun.stdout).toContain(`keyturn restore end ${line.restoreId}`);
    const ended = await restore('end', line.restoreId);
    expect([ended.code, ended.stdout.includes('is over')]).toEqual([0, true]);
    expect((await restore('list')).stdout).toContain('ENDED');
  });

  it('that has ended and whose keys are swept says when, and nothing else', async () => {
    const { restoreId } = JSON.parse((await restore('begin', ...backup, '--json')).stdout);
    const { stdout } = await restore('end', restoreId, '--json');
    const [{ jobId }] = JSON.parse(stdout).keys;
    const endedAt = JSON.parse(stdout).restore.endedAt;
    const unswept = await restore('end', restoreId);
    expect(unswept.stdout).toContain('had ended at');
    expect(unswept.stdout).toContain('swept   1 key once more');
    await runRotation(world, jobId);
    world.pass(60);
    const again = await restore('end', restoreId);
    expect(again).toMatchObject({
      code: 0,
      stdout: `Restore ${restoreId} of store main had ended at ${time(endedAt)}.\n`,
    });
  });

  it('warns where a database is out of reach, and so its fence', async () => {
    world.faults.before = (call) => {
      if (call === 'store.setMinimum') throw new RecordStoreError('STORE_UNAVAILABLE', 'down');
    };
    const begun = await restore('begin', ...backup);
    expect([begun.code, begun.stdout.includes('you may restore now')]).toEqual([0, true]);
    expect(begun.stderr).toContain('out of reach (STORE_UNAVAILABLE)');
  });

  it('never says so before every key is held', async () => {
    world.faults.before = (call) => {
      if (call === 'ledger.replaceKey') throw new Crash(call);
    };
    await expect(restore('begin', ...backup)).rejects.toThrow(Crash);
    world.faults.before = () => {};
    world.restart();
    const [line] = JSON.parse((await restore('list', '--json')).stdout);
    expect(line.status).toBe('BEGUN');
    expect((await restore('list')).stdout).toContain('do not restore yet');
    await expect(restore('end', line.restoreId)).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
    const aborted = await restore('abort', line.restoreId, '--yes');
    expect(aborted.stdout).toContain('called off');
  });

  it('names the keys and versions of a backup that is refused, and changes nothing', async () => {
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, job.jobId)).toBe(true);
    const before = await world.key();
    await expect(restore('begin', ...backup)).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
      message: expect.stringContaining('version 1 of acme'),
    });
    expect(await world.key()).toEqual(before);
  });

  it('ends with exit code 4 when values came back on versions that the key does not have', async () => {
    const { restoreId } = JSON.parse((await restore('begin', ...backup, '--json')).stdout);
    const value = world.people.rows.get('["1"]')?.values[0];
    if (value === null || value === undefined) throw new Error('no value');
    Buffer.from(value.buffer, value.byteOffset, value.length).writeUInt32BE(77, value.length - 46);
    const ended = await restore('end', restoreId);
    expect(ended.code).toBe(4);
    expect(ended.stdout).toContain('acme has values on versions that it does not have (1 on 77)');
  });

  it('shows from when to when a physical backup was taken, and in the audit', async () => {
    const [, , , time = ''] = backup;
    const end = new Date(Date.parse(time) + 1_800_000).toISOString();
    const { stdout } = await restore('begin', ...backup, '--backup-end', end);
    const words = (timestamp: string) => `${timestamp.slice(0, 10)} ${timestamp.slice(11, 19)} UTC`;
    expect(stdout).toContain(`store   main, backup of ${words(time)} to ${words(end)}`);
    expect((await restore('list')).stdout).toContain(`${words(time)} to ${words(end)}`);
    const [line] = JSON.parse((await restore('list', '--json')).stdout);
    expect(line).toMatchObject({ backupTime: time, backupEnd: end });
    const audit = JSON.parse((await runOn(world.deps, ['audit', 'list', '--json'])).stdout);
    expect(JSON.stringify(audit)).toContain(`"backupEnd":"${end}"`);
  });

  it('takes an end that is no earlier than the begin, and past', async () => {
    const ends: readonly [string, string][] = [
      ['2999-01-01T00:00:00Z', '--backup-end 2999-01-01T00:00:00Z is in the future'],
      ['2000-01-01T00:00:00Z', '--backup-end 2000-01-01T00:00:00Z is before --backup-time'],
      ['2026-01-01', '"2026-01-01" is no time'],
    ];
    for (const [end, message] of ends) {
      await expect(restore('begin', ...backup, '--backup-end', end)).rejects.toMatchObject({
        ...{ code: 'INPUT_INVALID', message },
      });
    }
  });

  it('takes a time with its offset, and nothing that could mean another', async () => {
    const [, , , time = ''] = backup;
    const shifted = `${new Date(Date.parse(time) + 7_200_000).toISOString().slice(0, -1)}+02:00`;
    const { stdout } = await restore('begin', '--store', 'main', '--backup-time', shifted, '--json');
    expect(JSON.parse(stdout).backupTime).toBe(time);
    for (const text of ['2026-01-01', '2026-01-01T00:00:00', 'yesterday']) {
      await expect(restore('begin', '--store', 'main', '--backup-time', text)).rejects.toMatchObject({
        code: 'INPUT_INVALID',
      });
    }
  });
});
