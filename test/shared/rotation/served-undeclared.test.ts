import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Deps } from '../../../shared/deps/deps.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { registerServed } from '../../../shared/rotation/served.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { declaring, withoutNotes } from '../../support/declaring.ts';
import { runPurge, runRotation } from '../../support/memory-machine.ts';
import { KEY, prepareWorlds, type World, type WorldMaker } from '../../support/memory-world.ts';

/** A rotation by a process whose configuration does not declare all that the key is known to serve. */

let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await world.write(world.people, 1, 'person 1');
});

/** A machine whose processes have these. */
const of = (now: () => Deps): World => Object.create(world, { deps: { get: now } });

async function rotate(deps: Deps) {
  const { job } = await requestRotation(deps, KEY);
  const outcome = await runRotation(
    of(() => deps),
    job.jobId,
  );
  return { outcome, job: await world.job(job.jobId) };
}

const CHANGED = { outcome: 'BLOCKED', job: { status: 'BLOCKED', blocker: { code: 'RECORD_SET_CHANGED' } } };
const purgeNotBefore = async () => (await world.key()).versions['1']?.purgeNotBefore;

describe('a table that another process has declared', () => {
  beforeEach(async () => {
    await world.write(world.notes, 1, 'note 1');
    await registerServed(world.deps, KEY.tenant, KEY.purpose);
  });

  it('is missed by a rotation whose process began before that: nothing is retired', async () => {
    const ended = await rotate(withoutNotes(world));
    expect(ended).toMatchObject(CHANGED);
    expect(ended.job.blocker?.message).toContain('notes in main (email, phone)');
    expect(await purgeNotBefore()).toBeNull();
    expect((await world.key()).holds).toEqual([]);
  });

  it('is swept when the job is taken up by one that knows it', async () => {
    await rotate(withoutNotes(world));
    expect(await rotate(world.deps)).toMatchObject({ outcome: 'CLEAN' });
    expect(world.versions(world.notes)).toEqual([2]);
    expect(await purgeNotBefore()).not.toBeNull();
  });

  it('is swept in the next round by one that was deployed meanwhile', async () => {
    const { job } = await requestRotation(withoutNotes(world), KEY);
    let running = withoutNotes(world);
    const outcome = await runRotation(
      of(() => running),
      job.jobId,
      async (name, step) => {
        const done = await step();
        if (name === 'ConcludeRound') running = world.deps;
        return done;
      },
    );
    expect(outcome).toBe('CLEAN');
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', blocker: null });
    expect(world.versions(world.notes)).toEqual([2]);
  });
});

describe('a column that another process has declared', () => {
  it('is missed as a table is', async () => {
    const { people, notes } = world.deps.config.recordSets;
    if (people === undefined || notes === undefined) throw new Error('no record sets');
    const fields = people.fields.filter(({ name }) => name !== 'phone');
    const old = declaring(world, { recordSets: { notes, people: { ...people, fields } } });
    await registerServed(world.deps, KEY.tenant, KEY.purpose);
    const ended = await rotate(old);
    expect(ended).toMatchObject(CHANGED);
    expect(ended.job.blocker?.message).toContain('people in main (phone)');
    expect(await rotate(world.deps)).toMatchObject({ outcome: 'CLEAN' });
  });
});

describe('a table that was taken out of the configuration', () => {
  it('is missed, until it is listed as retired: then it is out of service for good', async () => {
    await registerServed(world.deps, KEY.tenant, KEY.purpose);
    expect(await rotate(withoutNotes(world))).toMatchObject(CHANGED);
    const { notes: _, ...recordSets } = world.deps.config.recordSets;
    const out = declaring(world, { recordSets, retired: [{ store: 'main', table: 'notes' }] });
    expect(await rotate(out)).toMatchObject({
      outcome: 'CLEAN',
      job: { status: 'COMPLETED', blocker: null },
    });
    world.passGrace();
    const { job } = await requestPurge(out, { ...KEY, version: 1 });
    expect(
      await runPurge(
        of(() => out),
        job.jobId,
      ),
    ).toBe(true);
  });

  it('is not missed where it is of another purpose by now: a purge counts it there', async () => {
    await registerServed(world.deps, KEY.tenant, KEY.purpose);
    const { people, notes } = world.deps.config.recordSets;
    if (people === undefined || notes === undefined) throw new Error('no record sets');
    const other = declaring(world, { recordSets: { people, notes: { ...notes, purpose: 'other' } } });
    expect(await rotate(other)).toMatchObject({ outcome: 'CLEAN' });
    world.passGrace();
    const { job } = await requestPurge(other, { ...KEY, version: 1 });
    expect(
      await runPurge(
        of(() => other),
        job.jobId,
      ),
    ).toBe(false);
    expect((await world.job(job.jobId)).blocker).toMatchObject({ code: 'HELD' });
  });
});
