import { afterAll, describe, expect, it } from 'vitest';
import { inspect } from '../../../shared/envelope/index.ts';
import { suspendVersion } from '../../../shared/keyring/suspension.ts';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { beginPurge } from '../../../shared/rotation/begin-purge.ts';
import { cancelJob } from '../../../shared/rotation/cancel-job.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { planSweep } from '../../../shared/rotation/plan-sweep.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { rewrapRecords } from '../../../shared/rotation/rewrap-records.ts';
import { requestRollback } from '../../../shared/rotation/rollback.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { deliver, list, runPurge, runRotation, untilDone, workOn } from '../../support/memory-machine.ts';
import {
  Crash,
  FIELDS,
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
} from '../../support/memory-world.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const RECORDS = 4;
const BACK = { tenant: TENANT, purpose: PURPOSE, to: 1, requestedBy: 'person:ann' };

async function makeWorld(rotation: object = {}): Promise<World> {
  const world = await worlds.makeWorld(createMemoryLedger(), rotation);
  await fill(world, RECORDS);
  return world;
}

async function rotated(rotation: object = {}): Promise<World> {
  const world = await makeWorld(rotation);
  await rotate(world);
  return world;
}

async function rotate(world: World): Promise<string> {
  const { job } = await requestRotation(world.deps, KEY);
  expect(await runRotation(world, job.jobId)).toBe('CLEAN');
  return job.jobId;
}

async function rollBack(world: World): Promise<string> {
  const { request } = await requestRollback(world.deps, BACK);
  if (request === null) throw new Error('nothing to roll back');
  expect(await runRotation(world, request.job.jobId)).toBe('CLEAN');
  return request.job.jobId;
}

async function expectAllOpen(world: World, what = ''): Promise<void> {
  for (let id = 1; id <= RECORDS; id++)
    expect(await world.open(world.people, id), what).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
}

function versionsOf(world: World): readonly number[] {
  return [...new Set([...world.versions(world.people), ...world.versions(world.notes)])].sort();
}

describe('a rollback', () => {
  it('proves the version anew, activates it, brings every record back, and retires the version that it leaves', async () => {
    const world = await rotated();
    const calls: string[] = [];
    world.faults.before = (call) => {
      calls.push(call);
    };
    const jobId = await rollBack(world);
    world.faults.before = () => {};
    expect(calls).toContain('provider.unwrapKek');
    expect(calls).not.toContain('provider.generateKek');
    const key = await world.key();
    expect(key).toMatchObject({ active: 1, activations: 3, rotationId: null });
    expect(Object.keys(key.versions)).toEqual(['1', '2']);
    expect(key.versions['1']).toMatchObject({ state: 'ACTIVE', retiringAt: null, retiredBy: null });
    expect(key.versions['2']).toMatchObject({ state: 'RETIRING', retiredBy: jobId });
    expect(key.versions['2']?.purgeNotBefore).not.toBeNull();
    expect(await world.job(jobId)).toMatchObject({ goal: 'ROLLBACK', status: 'COMPLETED', from: 2, to: 1 });
    expect(versionsOf(world)).toEqual([1]);
    await expectAllOpen(world);
    world.passGrace();
    const purge = await requestPurge(world.deps, { ...KEY, version: 2 });
    expect(await runPurge(world, purge.job.jobId)).toBe(true);
    await expectAllOpen(world);
  });

  it('and the rotation after it are jobs of their own, however often they follow each other', async () => {
    const world = await rotated();
    const ids = new Set<string>();
    for (let turn = 0; turn < 3; turn++) {
      ids.add(await rollBack(world));
      ids.add(await rotate(world));
      // Duplicates name the one that is there.
      const again = await requestRotation(world.deps, KEY);
      expect(await requestRotation(world.deps, KEY)).toMatchObject({
        answer: 'running',
        job: { jobId: again.job.jobId },
      });
      await cancelJob(world.deps, again.job.jobId, 'person:ann');
    }
    expect(ids.size).toBe(6);
    // Version 1 was left four times, for 2, 3, 4 and 5.
    expect(await world.key()).toMatchObject({ active: 5, activations: 8 });
    await expectAllOpen(world);
  });

  it('cancels the rotation that runs first, at whichever call of it', async () => {
    const ends = new Set<string>();
    for (let at = 1; at < 400; at++) {
      const world = await makeWorld();
      let calls = 0;
      let hit: string | null = null;
      let rollback: Awaited<ReturnType<typeof requestRollback>> | undefined;
      world.faults.before = async (call) => {
        calls += 1;
        if (calls !== at) return;
        hit = call;
        const [running] = await world.ledger.listJobs({ kind: 'rotate' });
        if (running === undefined) return;
        rollback = await requestRollback(world.deps, BACK).catch((error: unknown) => {
          expect(error).toMatchObject({ code: 'ROLLBACK_REFUSED' });
          return undefined;
        });
      };
      const { job } = await requestRotation(world.deps, KEY);
      await runRotation(world, job.jobId).catch(() => undefined);
      world.faults.before = () => {};
      const what = `before call ${at}: ${hit}`;
      if (rollback?.request) expect(await runRotation(world, rollback.request.job.jobId), what).toBe('CLEAN');
      if (rollback !== undefined) {
        ends.add(rollback.request === null ? 'not left' : 'brought back');
        expect(await world.key(), what).toMatchObject({ active: 1, rotationId: null });
        expect(versionsOf(world), what).toEqual([1]);
      }
      await expectAllOpen(world, what);
      if (hit === null) break;
    }
    expect([...ends].sort()).toEqual(['brought back', 'not left']);
  });

  it('dies at each call in turn, and ends all the same', async () => {
    for (let at = 1; at < 600; at += 2) {
      const world = await rotated();
      let calls = 0;
      let hit: string | null = null;
      world.faults.after = (call) => {
        calls += 1;
        if (calls !== at) return;
        hit = call;
        throw new Crash(call);
      };
      await untilDone(world, async () => {
        const [begun] = (await world.ledger.listJobs({ kind: 'rotate' })).filter(
          ({ goal }) => goal === 'ROLLBACK',
        );
        const job = begun ?? (await requestRollback(world.deps, BACK)).request?.job;
        if (job === undefined) throw new Error('no job');
        if (job.status !== 'COMPLETED') expect(await runRotation(world, job.jobId)).toBe('CLEAN');
      });
      world.faults.after = () => {};
      const what = `after call ${at}: ${hit}`;
      expect(await world.key(), what).toMatchObject({ active: 1, activations: 3, rotationId: null });
      expect(versionsOf(world), what).toEqual([1]);
      await expectAllOpen(world, what);
      if (hit === null) break;
    }
  });

  it('takes a version back from its purge, until that is decided', async () => {
    const world = await rotated();
    world.passGrace();
    const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
    await beginPurge(world.deps, purge.job.jobId);
    expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
    const { cancelled, request } = await requestRollback(world.deps, BACK);
    expect(cancelled).toMatchObject([{ jobId: purge.job.jobId, status: 'CANCELLED' }]);
    await runRotation(world, request?.job.jobId ?? '');
    await expectAllOpen(world);
    // Its purge was called off for this once: when it is retired again, its time comes again.
    await rotate(world);
    world.passGrace();
    expect(await sweepDaily(world.deps)).toMatchObject({ purges: 2, waiting: 0 });
    expect(await world.job(purge.job.jobId)).toMatchObject({ status: 'REQUESTED', attempt: 2 });
  });

  it('is begun by no purge in between', async () => {
    const world = await rotated();
    world.passGrace();
    const { request } = await requestRollback(world.deps, BACK);
    await createVersion(world.deps, request?.job.jobId ?? '');
    await expect(requestPurge(world.deps, { ...KEY, version: 1 })).rejects.toMatchObject({
      code: 'PURGE_REFUSED',
    });
    expect(await runRotation(world, request?.job.jobId ?? '')).toBe('CLEAN');
  });

  it('is refused to what cannot come back, and changes nothing then', async () => {
    const world = await rotated();
    const refused = (to: number) => expect(requestRollback(world.deps, { ...BACK, to })).rejects;
    await refused(9).toMatchObject({ code: 'VERSION_NOT_FOUND' });
    await refused(2).toMatchObject({
      code: 'ROLLBACK_REFUSED',
      message: expect.stringContaining('is the active version'),
    });
    const at = world.clock.timestamp();
    await world.changeKey((key) => suspendVersion(key, 1, { reason: 'PERSON', rootKeyId: null, at }));
    await refused(1).toMatchObject({
      code: 'ROLLBACK_REFUSED',
      message: expect.stringContaining('SUSPENDED'),
    });
    const { job } = await requestRotation(world.deps, KEY);
    await createVersion(world.deps, job.jobId);
    await refused(1).toMatchObject({ code: 'ROLLBACK_REFUSED' });
    await refused(3).toMatchObject({
      code: 'ROLLBACK_REFUSED',
      message: expect.stringContaining('PRE_ACTIVE'),
    });
    expect(await world.job(job.jobId)).toMatchObject({ status: 'PREPARING' });
    await cancelJob(world.deps, job.jobId, 'person:ann');
    await refused(3).toMatchObject({
      code: 'ROLLBACK_REFUSED',
      message: expect.stringContaining('DESTROYED'),
    });
  });

  it('that is asked for again is joined, or goes on', async () => {
    const world = await rotated();
    const first = await requestRollback(world.deps, BACK);
    const jobId = first.request?.job.jobId ?? '';
    expect(await requestRollback(world.deps, BACK)).toMatchObject({
      request: { answer: 'running', job: { jobId } },
    });
    await createVersion(world.deps, jobId);
    expect(await requestRollback(world.deps, BACK)).toMatchObject({
      cancelled: [],
      request: { job: { jobId } },
    });
    expect(await requestRotation(world.deps, KEY)).toMatchObject({ answer: 'running', job: { jobId } });
  });

  it('does not end by a KEK that is not the one that was proved', async () => {
    const world = await rotated();
    const { request } = await requestRollback(world.deps, BACK);
    const jobId = request?.job.jobId ?? '';
    await createVersion(world.deps, jobId);
    await world.changeKey((key) => {
      const first = key.versions['1'];
      if (first === undefined) throw new Error('no version');
      return {
        ...key,
        revision: key.revision + 1,
        versions: { ...key.versions, 1: { ...first, check: 'another' } },
      };
    });
    await expect(proveVersion(world.deps, jobId)).rejects.toMatchObject({ code: 'KEY_CHECK_FAILED' });
    expect(await world.key()).toMatchObject({ active: 2 });
  });
});

describe('a worker', () => {
  it('that knows the version from before the rollback only brings records to the one that is active', async () => {
    const world = await rotated();
    expect((await world.deps.keyring.active(TENANT, PURPOSE)).version).toBe(2);
    const { request } = await requestRollback(world.deps, BACK);
    const jobId = request?.job.jobId ?? '';
    for (const step of [createVersion, proveVersion, activateVersion]) await step(world.deps, jobId);
    expect((await world.deps.keyring.active(TENANT, PURPOSE)).version).toBe(2);
    const { segments } = await planSweep(world.deps, jobId);
    for (const task of segments) await list(world, task);
    await deliver(world);
    expect(versionsOf(world)).toEqual([1]);
  });

  it('of a rotation long ago lifts nothing to a version that was retired and purged since', async () => {
    const world = await makeWorld();
    const { job } = await requestRotation(world.deps, KEY);
    const late: typeof world.queue = [];
    await runRotation(world, job.jobId, undefined, async (at) => {
      late.push(...at.queue);
      await deliver(at);
    });
    // The zombie: a process of its own, which has version 2 cached as the active one, and is frozen.
    const zombie = world.makeKeyring();
    expect((await zombie.active(TENANT, PURPOSE)).version).toBe(2);
    await rollBack(world);
    world.passGrace();
    const purge = await requestPurge(world.deps, { ...KEY, version: 2 });
    expect(await runPurge(world, purge.job.jobId)).toBe(true);
    expect((await zombie.active(TENANT, PURPOSE)).version).toBe(1);
    expect(await workOn(world, late)).toEqual([]);
    expect(versionsOf(world)).toEqual([1]);
    await expectAllOpen(world);
    expect(await world.ledger.listQuarantined((await world.key()).keyId)).toEqual([]);
  });

  it('that was frozen between its read and its write loses to what was written since, and its own write is found', async () => {
    const world = await makeWorld();
    const { job } = await requestRotation(world.deps, KEY);
    for (const step of [createVersion, proveVersion, activateVersion]) await step(world.deps, job.jobId);
    const { segments } = await planSweep(world.deps, job.jobId);
    for (const task of segments) await list(world, task, async () => {});
    const [message] = world.queue.splice(0);
    if (message === undefined) throw new Error('no message');
    let thaw: (() => void) | undefined;
    const frozen = new Promise<void>((resolve) => {
      thaw = resolve;
    });
    let reached: (() => void) | undefined;
    const reading = new Promise<void>((resolve) => {
      reached = resolve;
    });
    world.faults.before = (call) => {
      if (!call.startsWith('store.replace')) return;
      world.faults.before = () => {};
      reached?.();
      return frozen;
    };
    const working = workOn(world, [message]);
    await reading;
    // Its bytes are compared with what stands there: meanwhile the rollback has its barrier, and other workers.
    const { request } = await requestRollback(world.deps, BACK);
    await runRotation(world, request?.job.jobId ?? '');
    await world.write(world.people, 1, 'person 1');
    thaw?.();
    await working;
    // Records that are on version 1, as when it read them, are taken to version 2 by this write. That is not purged before a
    // census finds none on it; and the next rotation takes them along.
    expect(await world.key()).toMatchObject({ active: 1 });
    const { job: again } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, again.jobId)).toBe('CLEAN');
    await expectAllOpen(world);
    expect(versionsOf(world)).toEqual([(await world.key()).active]);
  });

  it('lowers no record when its cache alone says that the lower version is active', async () => {
    const world = await rotated();
    await rotate(world);
    // Frozen since version 2 was active; the record is on 3.
    const stale = { ...world.deps.keyring, active: () => Promise.resolve(kek) };
    const kek = await world.deps.keyring.version(TENANT, PURPOSE, 2, 'rewrap');
    const row = [...world.people.rows.values()][0];
    const [job] = (await world.ledger.listJobs({ kind: 'rotate' })).filter(({ to }) => to === 2);
    if (row === undefined || job === undefined) throw new Error('no record');
    await expect(
      rewrapRecords({ ...world.deps, keyring: stale }, job, 'people', [row.key]),
    ).rejects.toMatchObject({ code: 'KEY_UNAVAILABLE', retryable: true });
    expect(row.values.map((value) => value && inspect(value).version)).toEqual([3, 3]);
  });
});
