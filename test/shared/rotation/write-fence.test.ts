import { afterAll, expect, it } from 'vitest';
import type { ChunkMessage } from '../../../shared/queue/work-queue.ts';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { createWriteFence } from '../../../shared/rotation/process-chunk.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { runRotation, workOn } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds } from '../../support/memory-world.ts';

/** A worker writes in time, by whichever clock says that more of it has passed, or not at all. */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

it('lets nobody write who was frozen, whatever was done to the clock meanwhile', async () => {
  const world = await worlds.makeWorld(createMemoryLedger());
  const limit = world.deps.config.rotation.maxTransactionSeconds;
  const began = world.clock.now();
  let monotonic = 0;
  const fence = createWriteFence({
    config: world.deps.config,
    clock: { ...world.deps.clock, monotonic: () => monotonic },
  });
  expect(fence.notAfter).toBe(began + limit * 1000);
  const isFresh = (wall: number, passed: number) => {
    world.clock.jumpTo(began + wall * 1000);
    monotonic = passed * 1000;
    try {
      fence.assertFresh();
      return true;
    } catch (error) {
      expect(error).toMatchObject({ code: 'KEY_UNAVAILABLE', retryable: true });
      return false;
    }
  };
  expect([isFresh(0, 0), isFresh(limit, limit), isFresh(limit + 1, 0), isFresh(-1, 0)]).toEqual([
    ...[true, true, false, false],
  ]);
  // Frozen for longer than allowed, and the clock was set back to when it began.
  expect(isFresh(0, limit + 1)).toBe(false);
});

it('tells the store until when each write may begin', async () => {
  const world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 4);
  const seen: number[] = [];
  const replaceFrames = world.people.replaceFrames.bind(world.people);
  world.people.replaceFrames = (changes, notAfter) => {
    seen.push((notAfter ?? Number.NaN) - world.clock.now());
    return replaceFrames(changes, notAfter);
  };
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
  expect(new Set(seen)).toEqual(new Set([world.deps.config.rotation.maxTransactionSeconds * 1000]));
});

it('sets nothing aside by what it read too long ago', async () => {
  const world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 1);
  const { job } = await requestRotation(world.deps, KEY);
  const row = [...world.people.rows.values()][0];
  if (row === undefined) throw new Error('no row');
  world.people.rows.set(JSON.stringify(row.key), { ...row, values: [Buffer.from('no envelope'), null] });
  await createVersion(world.deps, job.jobId);
  await proveVersion(world.deps, job.jobId);
  await activateVersion(world.deps, job.jobId);
  const message: ChunkMessage = {
    ...{ v: 1, jobId: job.jobId, tenant: KEY.tenant, recordSet: 'people', progress: null },
    keys: [[...row.key]],
  };
  const { maxTransactionSeconds } = world.deps.config.rotation;
  const quarantined = async () => world.ledger.listQuarantined((await world.key()).keyId);
  world.faults.after = (call) => {
    if (call === 'store.readFrames') world.pass(maxTransactionSeconds + 1);
  };
  expect(await workOn(world, [message])).toHaveLength(1);
  expect(await quarantined()).toEqual([]);
  world.faults.after = () => {};
  expect(await workOn(world, [message])).toHaveLength(0);
  expect(await quarantined()).toMatchObject([{ code: 'ENVELOPE_MALFORMED' }]);
});
