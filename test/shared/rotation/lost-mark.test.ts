import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { beginPurge } from '../../../shared/rotation/begin-purge.ts';
import { pauseByPerson, resumeByPerson } from '../../../shared/rotation/control-job.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
import {
  Crash,
  KEY,
  prepareWorlds,
  stateOf,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

/** Found by spec/purge.pml (MARK_CLEARED_FIRST): the fence clears a mark that no purge has answered for in a write of its own, before the one that keeps it as `seen`. */

let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await world.write(world.people, 1, 'person 1');
  const { job } = await requestRotation(world.deps, KEY);
  expect(await runRotation(world, job.jobId)).toBe('CLEAN');
  world.passGrace();
});

/** Fenced, asked for by an application, and called off by a person before anybody looked at the mark. */
async function usedAndCalledOff(): Promise<string> {
  const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
  await beginPurge(world.deps, job.jobId);
  await world.makeKeyring().version(KEY.tenant, KEY.purpose, 1);
  expect((await world.key()).canary).not.toBeNull();
  await pauseByPerson(world.deps, job.jobId, 'person:ann');
  expect(await stateOf(world, 1)).toBe('RETIRING');
  await resumeByPerson(world.deps, job.jobId);
  return job.jobId;
}

describe('a mark that no purge has answered for', () => {
  it('outlives a process that dies while it fences the version anew', async () => {
    const jobId = await usedAndCalledOff();
    let kills = 0;
    world.faults.after = (call) => {
      if (call === 'ledger.clearUsed' && kills++ === 0) throw new Crash(call);
    };
    await untilDone(world, () => runPurge(world, jobId));
    world.faults.after = () => {};
    expect(kills).toBeGreaterThan(0);
    expect(await world.job(jobId)).toMatchObject({ blocker: { code: 'HELD' } });
    expect(await stateOf(world, 1)).toBe('RETIRING');
  });

  it('outlives two executions that fence the version at one time', async () => {
    const jobId = await usedAndCalledOff();
    let other: Promise<unknown> | null = null;
    world.faults.after = async (call) => {
      if (call !== 'ledger.clearUsed' || other !== null) return;
      other = beginPurge(world.deps, jobId);
      await other;
    };
    expect(await runPurge(world, jobId)).toBe(false);
    expect(other).not.toBeNull();
    expect(await stateOf(world, 1)).toBe('RETIRING');
  });
});
