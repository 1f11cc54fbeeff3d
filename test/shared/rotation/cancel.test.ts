import { afterAll, describe, expect, it } from 'vitest';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { beginPurge } from '../../../shared/rotation/begin-purge.ts';
import { cancelJob } from '../../../shared/rotation/cancel-job.ts';
import { pauseByPerson } from '../../../shared/rotation/control-job.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { planSweep } from '../../../shared/rotation/plan-sweep.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestAdoption, requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { retireVersion } from '../../../shared/rotation/retire-version.ts';
import { isRunning } from '../../../shared/rotation/rotation.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { deliver, runAdoption, runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
import {
  Crash,
  FIELDS,
  fill,
  KEY,
  prepareWorlds,
  snapshot,
  stateOf,
  TENANT,
  type World,
} from '../../support/memory-world.ts';

/**
 * A job that is cancelled between any two calls of its steps, which go on as those of a zombie do: none activates, retires,
 * fences or authorizes anything afterwards, the key is free, and what is asked for next ends as if nothing had been.
 */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const RECORDS = 4;
const BY = 'person:ann';
/** What a step that was overtaken may end with: a state machine tries a lost race again, and finds it cancelled then. */
const OVERTAKEN = /^(JOB_CANCELLED|REVISION_CONFLICT)$/;

async function makeWorld(): Promise<World> {
  const world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, RECORDS);
  return world;
}

async function expectAllOpen(world: World, what: string): Promise<void> {
  for (let id = 1; id <= RECORDS; id++)
    expect(await world.open(world.people, id), what).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
}

/** Says it at call number `at`. Returns the call, or null: there were fewer. */
function sayAt(world: World, when: 'before' | 'after', at: number, say: () => Promise<unknown>) {
  const said: { call: string | null } = { call: null };
  let calls = 0;
  world.faults[when] = async (call) => {
    calls += 1;
    if (calls !== at) return;
    said.call = call;
    await say();
  };
  return said;
}

async function rotationOf(world: World) {
  return (await world.ledger.listJobs({ kind: 'rotate' }))[0];
}

/** Rotates, and purges every version that is left: nothing that was cancelled is in the way, or needed. */
async function goOn(world: World, what: string): Promise<void> {
  const { job } = await requestRotation(world.deps, KEY);
  expect(await runRotation(world, job.jobId), what).toBe('CLEAN');
  const key = await world.key();
  expect(key, what).toMatchObject({
    active: job.to === 0 ? (await world.job(job.jobId)).to : job.to,
    rotationId: null,
  });
  world.passGrace();
  for (const { version, state } of Object.values(key.versions)) {
    if (version === key.active || state === 'DESTROYED') continue;
    const purge = await requestPurge(world.deps, { ...KEY, version });
    if (purge.answer !== 'completed') expect(await runPurge(world, purge.job.jobId), what).toBe(true);
    expect(await stateOf(world, version), what).toBe('DESTROYED');
  }
  expect([...new Set([...world.versions(world.people), ...world.versions(world.notes)])], what).toEqual([
    key.active,
  ]);
  await expectAllOpen(world, what);
}

async function expectFree(world: World, what: string): Promise<void> {
  const { rotationId, active, versions } = await world.key();
  expect(rotationId, what).toBeNull();
  expect(await stateOf(world, active), what).toBe('ACTIVE');
  for (const { version, state, wrapped, purgeNotBefore } of Object.values(versions)) {
    expect(['ACTIVE', 'RETIRING', 'DESTROYED'], what).toContain(state);
    if (state === 'DESTROYED') expect(wrapped, what).toBeNull();
    if (state === 'RETIRING') expect(purgeNotBefore, `${what}: version ${version}`).toBeNull();
  }
}

describe('a rotation', () => {
  it.each([
    ['before', 'rewrap'],
    ['after', 're-encrypt'],
  ] as const)('is cancelled %s each call in turn (%s)', async (when, mode) => {
    const ends = new Set<string>();
    for (let at = 1; at < 1000; at++) {
      const world = await makeWorld();
      const said = sayAt(world, when, at, async () => {
        const job = await rotationOf(world);
        if (job !== undefined) await cancelJob(world.deps, job.jobId, BY);
      });
      const request = await requestRotation(world.deps, { ...KEY, mode });
      const { jobId } = request.job;
      const error: unknown = await runRotation(world, jobId).then(
        () => null,
        (reason: unknown) => reason,
      );
      world.faults[when] = () => {};
      const what = `${when} call ${at}: ${said.call}`;
      const job = await world.job(jobId);
      if (job.status === 'CANCELLED') {
        expect(job, what).toMatchObject({ cancelled: { by: BY }, pause: null, blocker: null });
        expect(error, what).toMatchObject({ code: expect.stringMatching(OVERTAKEN) });
        await expectFree(world, what);
        // Before its activation the key is as it was; after it the new version stays.
        const { active, versions } = await world.key();
        ends.add(`${active} of ${Object.keys(versions).length}`);
        await expectAllOpen(world, what);
        await expectNoStep(world, jobId, what);
      } else expect(job.status, what).toBe('COMPLETED');
      await goOn(world, what);
      if (said.call === null) break;
    }
    expect([...ends].sort()).toEqual(['1 of 1', '1 of 2', '2 of 2']);
  });

  /** Every step of it, whenever it comes, ends without a word and changes nothing. */
  async function expectNoStep(world: World, jobId: string, what: string): Promise<void> {
    const before = await snapshot(world);
    for (const step of [createVersion, proveVersion, activateVersion, planSweep, retireVersion]) {
      await expect(step(world.deps, jobId), what).rejects.toMatchObject({ code: 'JOB_CANCELLED' });
    }
    await deliver(world);
    expect(await snapshot(world), what).toEqual(before);
  }

  it('is cancelled by a command that dies at each call in turn: the next sweep, or request, finishes it', async () => {
    for (const finish of ['sweep', 'request', 'command'] as const) {
      for (let at = 1; at < 100; at++) {
        const world = await makeWorld();
        const { job } = await requestRotation(world.deps, KEY);
        await createVersion(world.deps, job.jobId);
        await proveVersion(world.deps, job.jobId);
        const died = sayAt(world, 'after', at, async () => {
          throw new Crash('the command');
        });
        await cancelJob(world.deps, job.jobId, BY).catch(() => undefined);
        world.faults.after = () => {};
        world.restart();
        const what = `${finish}, after call ${at}: ${died.call}`;
        const { status } = await world.job(job.jobId);
        if (finish === 'command' && died.call !== null) await cancelJob(world.deps, job.jobId, BY);
        if (finish === 'sweep') await sweepDaily(world.deps);
        if (status === 'CANCELLED' && finish !== 'request') {
          await expectFree(world, what);
          expect(await stateOf(world, 2), what).toBe('DESTROYED');
        }
        await goOn(world, what);
        if (died.call === null) break;
      }
    }
  });

  it('is cancelled while it rests, is blocked, or twice; and not once it is completed', async () => {
    const world = await makeWorld();
    const { job } = await requestRotation(world.deps, KEY);
    await createVersion(world.deps, job.jobId);
    await pauseByPerson(world.deps, job.jobId, BY);
    expect(await cancelJob(world.deps, job.jobId, BY)).toMatchObject({ status: 'CANCELLED', pause: null });
    expect(await cancelJob(world.deps, job.jobId, 'another')).toMatchObject({ cancelled: { by: BY } });
    await expectFree(world, 'paused');
    const again = await requestRotation(world.deps, KEY);
    expect(again).toMatchObject({
      answer: 'resumed',
      job: { jobId: job.jobId, attempt: 2, to: 0, cancelled: null },
    });
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    expect(await world.key()).toMatchObject({ active: 3 });
    expect(await cancelJob(world.deps, job.jobId, BY)).toMatchObject({ status: 'COMPLETED' });
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', cancelled: null });
  });

  it('is asked for again as it is meant then', async () => {
    const world = await makeWorld();
    const first = await requestRotation(world.deps, { ...KEY, mode: 'rewrap' });
    await cancelJob(world.deps, first.job.jobId, BY);
    const again = await requestRotation(world.deps, {
      ...{ ...KEY, mode: 're-encrypt', requestedBy: 'ben', recordsPerSecond: 9 },
    });
    expect(again.job).toMatchObject({
      ...{ jobId: first.job.jobId, mode: 're-encrypt', requestedBy: 'ben', recordsPerSecond: 9 },
      ...{ status: 'REQUESTED', attempt: 2 },
    });
  });

  it('is not asked for again by a policy', async () => {
    const world = await worlds.makeWorld(createMemoryLedger(), { everyDays: 10, spreadDays: 0 });
    world.pass(11 * 86_400);
    expect(await sweepDaily(world.deps)).toMatchObject({ rotations: 1 });
    const job = await rotationOf(world);
    if (job === undefined) throw new Error('no job');
    await cancelJob(world.deps, job.jobId, BY);
    expect(await sweepDaily(world.deps)).toMatchObject({ rotations: 0, waiting: 1 });
    expect(await world.job(job.jobId)).toMatchObject({ status: 'CANCELLED' });
  });

  it('leaves no version behind: the next clean census retires all that were left', async () => {
    const world = await makeWorld();
    // Two rotations are called off after their activation, with some records on each version.
    for (const id of [1, 2]) {
      const { job } = await requestRotation(world.deps, KEY);
      for (const step of [createVersion, proveVersion, activateVersion]) await step(world.deps, job.jobId);
      await world.write(world.people, id, `person ${id}`);
      await cancelJob(world.deps, job.jobId, BY);
    }
    expect(world.versions(world.people)).toEqual([1, 2, 3]);
    for (const version of [1, 2]) {
      await expect(requestPurge(world.deps, { ...KEY, version })).rejects.toMatchObject({
        code: 'PURGE_REFUSED',
      });
    }
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    const { versions, active } = await world.key();
    expect(active).toBe(4);
    for (const version of [1, 2, 3]) {
      expect(versions[version]).toMatchObject({
        ...{ state: 'RETIRING', retiredBy: job.jobId, purgeNotBefore: versions['3']?.purgeNotBefore },
      });
    }
    world.passGrace();
    for (const version of [1, 2, 3]) {
      const purge = await requestPurge(world.deps, { ...KEY, version });
      expect(await runPurge(world, purge.job.jobId)).toBe(true);
    }
    await expectAllOpen(world, 'after the purges');
  });
});

describe('a purge', () => {
  async function retired(): Promise<World> {
    const world = await makeWorld();
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    world.passGrace();
    return world;
  }

  it.each([
    ['CANCELLED', 'before', cancelJob],
    ['PAUSED', 'after', pauseByPerson],
  ] as const)('is %s, %s each call in turn, unless it is decided', async (status, when, say) => {
    const states = new Set<string>();
    for (let at = 1; at < 300; at++) {
      const world = await retired();
      let refused: unknown = null;
      const said = sayAt(world, when, at, async () => {
        const [job] = await world.ledger.listJobs({ kind: 'purge' });
        if (job === undefined || !isRunning(job.status)) return;
        await say(world.deps, job.jobId, BY).catch((error: unknown) => {
          refused = error;
        });
      });
      const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
      await runPurge(world, job.jobId).catch((error: unknown) =>
        expect(error).toMatchObject({ code: expect.stringMatching(/^JOB_(PAUSED|CANCELLED)$/) }),
      );
      world.faults[when] = () => {};
      const what = `${when} call ${at}: ${said.call}`;
      if (refused !== null) expect(refused, what).toMatchObject({ code: 'ROTATION_STATE' });
      const ended = await world.job(job.jobId);
      const state = await stateOf(world, 1);
      states.add(`${ended.status} ${state}`);
      if (ended.status === status) {
        expect(state, what).toBe('RETIRING');
        // Neither a zombie's first step nor the sweep begins it anew.
        await expect(beginPurge(world.deps, job.jobId), what).rejects.toMatchObject({
          code: status === 'PAUSED' ? 'JOB_PAUSED' : 'JOB_CANCELLED',
        });
        await sweepDaily(world.deps);
        expect([await stateOf(world, 1), (await world.job(job.jobId)).status], what).toEqual([
          'RETIRING',
          status,
        ]);
      } else {
        // Decided: it is finished, by whoever works on it, or by the sweep that finds it.
        if (state !== 'DESTROYED') await runPurge(world, job.jobId);
        expect(await stateOf(world, 1), what).toBe('DESTROYED');
      }
      await expectAllOpen(world, what);
      if (said.call === null) break;
    }
    expect(states).toContain(`${status} RETIRING`);
    expect(states).toContain('COMPLETED DESTROYED');
  });

  it('that was cancelled is begun by a person alone, also when the version was retired again since', async () => {
    const world = await retired();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    await beginPurge(world.deps, job.jobId);
    await cancelJob(world.deps, job.jobId, BY);
    expect(await sweepDaily(world.deps)).toMatchObject({ purges: 0, waiting: 1 });
    const again = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(again).toMatchObject({ answer: 'resumed', job: { attempt: 2, cancelled: null } });
    expect(await runPurge(world, job.jobId)).toBe(true);
    await expectAllOpen(world, 'purged');
  });
});

describe('an adoption', () => {
  it('is cancelled before each call in turn: what is sealed stays sealed', async () => {
    for (let at = 1; at < 300; at++) {
      const world = await makeWorld();
      for (let id = 50; id < 55; id++)
        world.notes.rows.set(JSON.stringify([String(id)]), {
          ...{ key: [String(id)], tenant: TENANT, values: [null, null] },
          plaintext: FIELDS.map((field) => Buffer.from(`plain ${id} ${field}`)),
        });
      const said = sayAt(world, 'before', at, async () => {
        const [job] = await world.ledger.listJobs({ kind: 'adopt' });
        if (job !== undefined) await cancelJob(world.deps, job.jobId, BY);
      });
      const request = { tenant: TENANT, recordSet: 'notes', requestedBy: 'test' };
      const { job } = await requestAdoption(world.deps, request);
      await runAdoption(world, job.jobId).catch((error: unknown) =>
        expect(error).toMatchObject({ code: expect.stringMatching(OVERTAKEN) }),
      );
      world.faults.before = () => {};
      const what = `before call ${at}: ${said.call}`;
      expect(['CANCELLED', 'COMPLETED'], what).toContain((await world.job(job.jobId)).status);
      const again = await requestAdoption(world.deps, request);
      if (again.answer !== 'completed') expect(await runAdoption(world, job.jobId), what).toBe('CLEAN');
      for (let id = 50; id < 55; id++)
        expect(await world.open(world.notes, id), what).toEqual(
          FIELDS.map((field) => `plain ${id} ${field}`),
        );
      if (said.call === null) break;
    }
  });
});

it('dies at each call while jobs are cancelled and asked for again, and ends all the same', async () => {
  for (let at = 1; at < 200; at += 2) {
    const world = await makeWorld();
    const died = sayAt(world, 'after', at, async () => {
      throw new Crash('everything');
    });
    let cancelled = false;
    await untilDone(world, async () => {
      if (!cancelled) {
        const { job } = await requestRotation(world.deps, KEY);
        if (job.status === 'REQUESTED') await createVersion(world.deps, job.jobId);
        await cancelJob(world.deps, job.jobId, BY);
        cancelled = true;
      }
      const { job } = await requestRotation(world.deps, KEY);
      if (job.status !== 'COMPLETED') expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    });
    world.faults.after = () => {};
    await expectAllOpen(world, `after call ${at}: ${died.call}`);
    expect(world.versions(world.people)).toEqual([(await world.key()).active]);
    if (died.call === null) break;
  }
});
