import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Deps } from '../../../shared/deps/deps.ts';
import { beginPurge } from '../../../shared/rotation/begin-purge.ts';
import { checkBarrier } from '../../../shared/rotation/check-barrier.ts';
import { destroyVersion } from '../../../shared/rotation/destroy-version.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { registerServed } from '../../../shared/rotation/served.ts';
import { takeCensus } from '../../../shared/rotation/take-census.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { forgetNotes, withoutNotes } from '../../support/declaring.ts';
import { runPurge, runRotation } from '../../support/memory-machine.ts';
import { KEY, prepareWorlds, stateOf, type World, type WorldMaker } from '../../support/memory-world.ts';

/** A record set that is declared while a job is under way, by a deployment of another configuration. */

let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  for (let id = 1; id <= 4; id++) await world.write(world.people, id, `person ${id}`);
});

const rotate = async (deps: Deps) => {
  const { job } = await requestRotation(deps, KEY);
  return { outcome: await runRotation(world, job.jobId), job: await world.job(job.jobId) };
};

describe('a purge during whose rehearsal a record set is declared', () => {
  /** Up to its decision; the declaration comes after the plan of what is counted. */
  async function purgeUpToDecision(register: boolean) {
    const before = withoutNotes(world);
    const { job } = await requestPurge(before, { ...KEY, version: 1 });
    const { round, segments } = await beginPurge(before, job.jobId);
    if (register) await registerServed(world.deps, KEY.tenant, KEY.purpose);
    for (let look = await checkBarrier(world.deps, job.jobId); !look.passed; ) {
      world.pass(look.waitSeconds);
      look = await checkBarrier(world.deps, job.jobId);
    }
    for (const task of segments) await takeCensus(world.deps, task);
    const { destroyed } = await destroyVersion(world.deps, job.jobId, round);
    return { destroyed, job: await world.job(job.jobId) };
  }

  beforeEach(async () => {
    await rotate(world.deps);
    await world.write(world.notes, 1, 'note 1', 1);
    await forgetNotes(world);
    world.passGrace();
  });

  it.each([true, false])(
    'keeps the version, whether or not the key knows of it yet: %s',
    async (register) => {
      const { destroyed, job } = await purgeUpToDecision(register);
      expect(destroyed).toBe(false);
      expect(job).toMatchObject({ status: 'BLOCKED', blocker: { code: 'RECORD_SET_CHANGED' } });
      expect(job.blocker?.message).toContain('notes');
      expect(job.census?.excluded).toContainEqual({
        ...{ store: 'main', table: 'notes', columns: ['email', 'phone'], why: 'DECLARED_SINCE' },
      });
      expect(await stateOf(world, 1)).toBe('RETIRING');
      expect(await world.open(world.notes, 1)).toEqual(['note 1 email', 'note 1 phone']);
    },
  );

  it('counts it once it is taken up again', async () => {
    await purgeUpToDecision(true);
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, job.jobId)).toBe(false);
    const again = await world.job(job.jobId);
    expect(again).toMatchObject({ recordSets: ['notes', 'people'], blocker: { code: 'STALE_RECORDS' } });
  });
});

describe('a rotation during which a record set is declared', () => {
  beforeEach(async () => {
    await world.write(world.notes, 1, 'note 1');
    await forgetNotes(world);
  });

  it('sweeps it in another round, and completes only then', async () => {
    const { outcome, job } = await rotate(withoutNotes(world));
    expect(outcome).toBe('CLEAN');
    expect(job).toMatchObject({ status: 'COMPLETED', round: 2, recordSets: ['notes', 'people'] });
    expect(Object.keys(job.census?.coverage ?? {}).sort()).toEqual(['notes', 'people']);
    expect(world.versions(world.notes)).toEqual([2]);
    expect((await world.key()).serves.map(({ table }) => table)).toEqual(['notes', 'people']);
  });

  it('is blocked where no round is left, and goes on when it is asked for again', async () => {
    const before = withoutNotes(world);
    const oneRound = { ...before.config, rotation: { ...before.config.rotation, maxRounds: 1 } };
    const { outcome, job } = await rotate({ ...before, config: oneRound });
    expect(outcome).toBe('BLOCKED');
    expect(job.blocker).toMatchObject({ code: 'RECORD_SET_CHANGED' });
    expect(job.blocker?.message).toContain('notes');
    expect((await world.key()).versions['1']?.purgeNotBefore).toBeNull();
    expect(await rotate(world.deps)).toMatchObject({ outcome: 'CLEAN' });
    expect(world.versions(world.notes)).toEqual([2]);
  });
});
