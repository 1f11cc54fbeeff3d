import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { readSnapshot } from '../../scripts/cli/watch-jobs.ts';
import { cancelDestroy } from '../../shared/keyring/destruction.ts';
import { beginPurge } from '../../shared/rotation/begin-purge.ts';
import { calledOffMeanwhile } from '../../shared/rotation/call-off-purge.ts';
import { getJob } from '../../shared/rotation/change.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { sweepDaily } from '../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createApprovers } from '../support/approvers.ts';
import { runPurge, runRotation } from '../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, type World } from '../support/memory-world.ts';
import { runOn } from './capture.ts';

/** What is called off is called off for whoever looks, also before the purge's job tells of it. */

const [worlds, people] = await Promise.all([prepareWorlds(), createApprovers('alice', 'bob')]);
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});

const ACME = ['--tenant', 'acme'];
let world: World;
let jobId: string;

beforeEach(async () => {
  const approvals = { required: 2, approvers: await people.configured('alice', 'bob') };
  world = await worlds.makeWorld(createMemoryLedger(), {}, { approvals });
  await fill(world, 4);
  world.pass(3600);
  await runRotation(world, (await requestRotation(world.deps, KEY)).job.jobId);
  world.passGrace();
  ({
    job: { jobId },
  } = await requestPurge(world.deps, { ...KEY, version: 1 }));
});

const run = (...argv: readonly string[]) => runOn(world.deps, argv);

async function beginRestore(): Promise<string> {
  const backup = ['--store', 'main', '--backup-time', world.clock.timestamp()];
  const { stdout } = await run('restore', 'begin', ...backup, '--json');
  return JSON.parse(stdout).restoreId;
}

async function statusOf(): Promise<{ line: string | undefined; calledOff: unknown }> {
  const { stdout } = await run('status');
  const { jobs } = JSON.parse((await run('status', '--json')).stdout);
  const { calledOff } = jobs.find((job: { kind: string }) => job.kind === 'purge');
  return { line: stdout.split('\n').find((line) => line.includes('purge acme version 1')), calledOff };
}

describe('a purge that waits for approvals', () => {
  beforeEach(async () => {
    await expect(runPurge(world, jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
    expect(await statusOf()).toMatchObject({
      line: expect.stringContaining('fenced, and waiting for approvals'),
      calledOff: null,
    });
  });

  it('is shown as called off by a restore, until the sweep begins it anew', async () => {
    const restoreId = await beginRestore();
    const why = `Version 1: store main is being restored (restore ${restoreId})`;
    expect(await statusOf()).toEqual({
      line: `  purge acme version 1: called off: ${why}; the daily sweep begins it anew when nothing holds the version`,
      calledOff: { code: 'HELD', message: why },
    });
    await expect(run('resume', ...ACME)).rejects.toMatchObject({
      code: 'JOB_PAUSED',
      message: expect.stringContaining(`purge acme version 1 is called off: ${why}`),
    });
    await run('restore', 'end', restoreId);
    expect((await statusOf()).line).toContain(
      `was restored (restore ${restoreId}), and its records are not swept`,
    );
  });

  it('is shown as called off by a person who holds the version', async () => {
    await run('holds', 'place', ...ACME, '--version', '1', '--reason', 'case 4711');
    expect((await statusOf()).line).toContain('called off: Version 1: a person holds it');
  });

  it('is shown as called off by a use, which only a person takes up', async () => {
    await world.makeKeyring().version('acme', 'default', 1);
    const { line } = await statusOf();
    expect(line).toContain('only `keyturn purge` begins it anew');
  });

  it('is shown as called off where its version is fenced no more, and the daily sweep takes it up', async () => {
    await world.changeKey((key) => cancelDestroy(key, 1));
    expect((await statusOf()).line).toContain(
      'it is RETIRING again; the daily sweep begins it anew when nothing holds the version',
    );
    expect(await sweepDaily(world.deps)).toMatchObject({ purges: 1 });
    expect((await statusOf()).calledOff).toBeNull();
  });

  it('is its own again where the daily sweep wrote down what stopped it', async () => {
    await beginRestore();
    await sweepDaily(world.deps);
    await expect(beginPurge(world.deps, jobId)).rejects.toMatchObject({ code: 'PURGE_REFUSED' });
    expect((await statusOf()).calledOff).toBeNull();
  });
});

describe('a purge in its rehearsal', () => {
  it('is shown as called off to whoever follows it, before its next look', async () => {
    await beginPurge(world.deps, jobId);
    expect((await readSnapshot(world.deps, jobId)).calledOff).toBeNull();
    await beginRestore();
    expect((await readSnapshot(world.deps, jobId)).calledOff).toMatchObject({ code: 'HELD' });
  });

  it('is not called off any more when its destruction is decided, nor before it is fenced', async () => {
    const asked = await getJob(world.deps, jobId);
    await beginPurge(world.deps, jobId);
    await beginRestore();
    const [key, job, now] = [await world.key(), await getJob(world.deps, jobId), world.clock.now()];
    const whyOf = (versions: typeof key.versions, of = job) =>
      calledOffMeanwhile({ ...key, versions }, of, now, world.deps.config)?.code ?? null;
    const version = key.versions['1'];
    if (version === undefined) throw new Error('no version');
    const decided = {
      ...version,
      state: 'DESTROY_PENDING' as const,
      destroyAuthorizedAt: world.clock.timestamp(),
    };
    expect(whyOf(key.versions)).toBe('HELD');
    expect(whyOf({ ...key.versions, '1': decided })).toBeNull();
    expect(whyOf(key.versions, asked)).toBeNull();
  });
});
