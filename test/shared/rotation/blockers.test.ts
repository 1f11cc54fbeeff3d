import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { create as stopJobFunction } from '../../../functions/stop-job/index.ts';
import { SigningError } from '../../../shared/errors/errors.ts';
import { changeKeyItem } from '../../../shared/keyring/change-version.ts';
import { beginPurge } from '../../../shared/rotation/begin-purge.ts';
import { blockJob, changeJob } from '../../../shared/rotation/change.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { holdVersion } from '../../../shared/rotation/holds-by-people.ts';
import { requestPurge, requestResweep, requestRotation } from '../../../shared/rotation/request-job.ts';
import { requestRollback } from '../../../shared/rotation/rollback.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { runPurge, runRotation } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, stateOf, type World } from '../../support/memory-world.ts';

/** What a job is blocked with, where a step was refused, and what becomes of it. */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const HOUR = 3600;
const PURGE = { ...KEY, version: 1, requestedBy: 'person:ann' };
const BACK = { ...KEY, to: 1, requestedBy: 'person:ann' };
const context = { getRemainingTimeInMillis: () => 60_000 };

let world: World;
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 2);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
  world.passGrace();
});

/** What the state machine does with a step's error. */
async function stopped(jobId: string, step: () => Promise<unknown>) {
  const error: unknown = await step().then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof Error && 'code' in error)) throw new Error('it was not refused');
  const Cause = JSON.stringify({ errorMessage: `${String(error.code)}: ${error.message}` });
  await stopJobFunction(world.deps)({ jobId, error: { Error: 'PermanentError', Cause } }, context);
  return world.job(jobId);
}

const sweep = () => sweepDaily(world.deps);

describe('a rollback that a purge comes before', () => {
  /** Accepted, then overtaken. */
  async function overtaken(): Promise<string> {
    const { request } = await requestRollback(world.deps, BACK);
    const jobId = request?.job.jobId ?? '';
    const { job } = await requestPurge(world.deps, PURGE);
    await beginPurge(world.deps, job.jobId);
    const blocked = await stopped(jobId, () => createVersion(world.deps, jobId));
    expect(blocked).toMatchObject({ status: 'BLOCKED', blocker: { code: 'VERSION_NOT_RETIRING' } });
    expect(blocked.blocker?.message).toContain('`keyturn rollback` calls that purge off');
    return jobId;
  }

  it('says so, and goes on when a person asks for it again, which calls the purge off', async () => {
    const jobId = await overtaken();
    world.pass(48 * HOUR);
    expect(await sweep()).toMatchObject({ waiting: 1 });
    expect((await world.job(jobId)).status).toBe('BLOCKED');
    const { cancelled, request } = await requestRollback(world.deps, BACK);
    expect(cancelled.map(({ kind }) => kind)).toEqual(['purge']);
    expect(request).toMatchObject({ answer: 'resumed', job: { jobId, attempt: 2 } });
    expect(await runRotation(world, jobId)).toBe('CLEAN');
    expect((await world.key()).active).toBe(1);
  });

  it('is over when its version is destroyed: nobody can ask for it any more', async () => {
    const jobId = await overtaken();
    const [purge] = await world.ledger.listJobs({ kind: 'purge' });
    expect(await runPurge(world, purge?.jobId ?? '')).toBe(true);
    expect(await sweep()).toMatchObject({ waiting: 0, rotations: 0 });
    expect(await world.job(jobId)).toMatchObject({
      status: 'CANCELLED',
      blocker: null,
      cancelled: { by: 'keyturn: the version that it goes back to is destroyed' },
    });
  });

  it('keeps its key from no rotation that is due', async () => {
    const jobId = await overtaken();
    world.pass(100 * 24 * HOUR);
    expect(await sweep()).toMatchObject({ waiting: 1, rotations: 1 });
    const [due] = (await world.ledger.listJobs({ kind: 'rotate' })).filter(
      ({ status }) => status === 'REQUESTED',
    );
    expect(due).toMatchObject({ goal: 'NEW_VERSION', from: 2 });
    // What it was to leave is left by then.
    expect(await runRotation(world, due?.jobId ?? '')).toBe('CLEAN');
    await sweep();
    expect((await world.job(jobId)).status).toBe('CANCELLED');
  });
});

describe('a rotation that comes to its key too late', () => {
  it('says so, and is over when what it was to leave is left', async () => {
    const late = (await requestResweep(world.deps, { ...KEY, reason: 'a restore' })).job;
    const first = (await requestRotation(world.deps, KEY)).job;
    expect(first.jobId).not.toBe(late.jobId);
    await createVersion(world.deps, first.jobId);
    const blocked = await stopped(late.jobId, () => createVersion(world.deps, late.jobId));
    expect(blocked.blocker).toMatchObject({
      code: 'KEY_CHANGED',
      message: `Rotation ${first.jobId} took the key first`,
    });
    // It may be called off yet, so that the other goes on.
    world.pass(HOUR);
    await sweep();
    expect((await world.job(late.jobId)).status).toBe('BLOCKED');
    expect(await runRotation(world, first.jobId)).toBe('CLEAN');
    await sweep();
    expect(await world.job(late.jobId)).toMatchObject({
      status: 'CANCELLED',
      cancelled: { by: 'keyturn: another job took its place' },
    });
  });

  it('names the version that is active by then', async () => {
    const late = (await requestResweep(world.deps, { ...KEY, reason: 'a restore' })).job;
    const first = (await requestRotation(world.deps, KEY)).job;
    expect(await runRotation(world, first.jobId)).toBe('CLEAN');
    const blocked = await stopped(late.jobId, () => createVersion(world.deps, late.jobId));
    expect(blocked.blocker).toMatchObject({
      code: 'KEY_CHANGED',
      message: 'Version 3 is active by now, and not version 2, which it was to leave',
    });
  });
});

describe('a purge that is refused when it begins', () => {
  it('is held where a hold came after its request, and begins by itself when that is gone', async () => {
    const { job } = await requestPurge(world.deps, PURGE);
    await holdVersion(world.deps, { ...KEY, version: 1, note: 'an audit', by: 'person:carol', until: null });
    const blocked = await stopped(job.jobId, () => beginPurge(world.deps, job.jobId));
    expect(blocked.blocker).toMatchObject({ code: 'HELD' });
    expect(blocked.blocker?.message).toMatch(/is held: a person holds it .*`keyturn holds list` shows/);
    world.pass(24 * HOUR);
    expect(await sweep()).toMatchObject({ purges: 0 });
    await world.changeKey((key) =>
      changeKeyItem(key, { holds: key.holds.filter(({ reason }) => reason !== 'PERSON') }),
    );
    expect(await sweep()).toMatchObject({ purges: 1 });
    expect(await runPurge(world, job.jobId)).toBe(true);
  });

  it('says that its key changed where the version is in use again', async () => {
    const { job } = await requestPurge(world.deps, PURGE);
    const { request } = await requestRollback(world.deps, BACK);
    expect(await runRotation(world, request?.job.jobId ?? '')).toBe('CLEAN');
    // As if the rollback had not seen it.
    await world.ledger.replaceJob({ ...job, revision: (await world.job(job.jobId)).revision + 1 });
    const blocked = await stopped(job.jobId, () => beginPurge(world.deps, job.jobId));
    expect(blocked.blocker).toMatchObject({
      code: 'KEY_CHANGED',
      message: expect.stringContaining('is ACTIVE; only a RETIRING version is purged'),
    });
  });
});

describe('the daily sweep', () => {
  it('begins a purge anew that a restore called off, an hour later', async () => {
    const { job } = await requestPurge(world.deps, PURGE);
    await runPurge(world, job.jobId, async (name, step) => {
      if (name === 'DestroyVersion')
        await world.changeKey((key) => changeKeyItem(key, { restoreEpoch: key.restoreEpoch + 1 }));
      return step();
    });
    expect(await world.job(job.jobId)).toMatchObject({ status: 'BLOCKED', blocker: { code: 'KEY_CHANGED' } });
    world.pass(HOUR - 1);
    expect(await sweep()).toMatchObject({ purges: 0 });
    world.pass(1);
    expect(await sweep()).toMatchObject({ purges: 1 });
    expect(await runPurge(world, job.jobId)).toBe(true);
  });

  it('goes on with a purge that stopped after the erasure, for its certificate', async () => {
    const { job } = await requestPurge(world.deps, PURGE);
    world.faults.before = (call) => {
      if (call === 'signer.sign') throw new SigningError('SIGNING_UNAVAILABLE', 'no');
    };
    await stopped(job.jobId, () => runPurge(world, job.jobId));
    world.faults.before = () => {};
    expect(await stateOf(world, 1)).toBe('DESTROYED');
    expect(await world.job(job.jobId)).toMatchObject({ status: 'BLOCKED', blocker: { code: 'STEP_FAILED' } });
    world.pass(HOUR - 1);
    expect(await sweep()).toMatchObject({ purges: 0 });
    world.pass(1);
    expect(await sweep()).toMatchObject({ purges: 1 });
    expect(await runPurge(world, job.jobId)).toBe(true);
    expect(await world.ledger.getCertificate(job.keyId, 1)).not.toBeNull();
    expect(await sweep()).toMatchObject({ purges: 0 });
  });

  it('leaves a purge alone that was blocked while its version was there still', async () => {
    const { job } = await requestPurge(world.deps, PURGE);
    await changeJob(world.deps, job.jobId, (current) =>
      blockJob(current, 'VERSION_IN_USE', 'why', world.clock.now()),
    );
    world.pass(48 * HOUR);
    expect(await sweep()).toMatchObject({ purges: 0, waiting: 1 });
  });
});
