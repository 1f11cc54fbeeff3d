import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { pauseJob, resumeJob } from '../../../shared/rotation/pause-job.ts';
import { planSweep } from '../../../shared/rotation/plan-sweep.ts';
import { createJobCache, processChunk } from '../../../shared/rotation/process-chunk.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { createTestRootKeys, type TestRootKeys } from '../../../simulation/models/root-keys.ts';
import { deliver, list } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, snapshot, type World } from '../../support/memory-world.ts';

/** What the worker does with chunks of a job whose root key cannot be used. */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

let world: World;
let rootKeys: TestRootKeys;
let rootKeyId: string;
let jobId: string;
beforeEach(async () => {
  rootKeys = createTestRootKeys();
  rootKeyId = rootKeys.provider.rootKeyFor('');
  world = await worlds.makeWorld(createMemoryLedger(), {}, { provider: rootKeys.provider });
  await fill(world, 8);
  ({ jobId } = (await requestRotation(world.deps, KEY)).job);
  await createVersion(world.deps, jobId);
  await proveVersion(world.deps, jobId);
  await activateVersion(world.deps, jobId);
  for (const task of (await planSweep(world.deps, jobId)).segments) await list(world, task, async () => {});
  expect(world.queue.length).toBeGreaterThan(2);
});

const pause = () =>
  pauseJob(world.deps, jobId, { reason: 'ROOT_KEY', rootKeyId, by: null, at: world.clock.timestamp() });

describe('a chunk of a paused job', () => {
  it('is acknowledged, not counted, and touches no record', async () => {
    await pause();
    const before = await snapshot(world);
    await deliver(world);
    expect(world.queue).toEqual([]);
    expect(await snapshot(world)).toEqual(before);
  });

  it('is known as such within seconds, also by a worker that has the job in mind', async () => {
    const jobs = createJobCache(world.deps);
    const [first, second, third] = world.queue;
    if (first === undefined || second === undefined || third === undefined) throw new Error('too few chunks');
    expect(await processChunk(world.deps, first, jobs)).not.toBeNull();
    await pause();
    expect(await processChunk(world.deps, second, jobs)).not.toBeNull();
    world.pass(5);
    expect(await processChunk(world.deps, third, jobs)).toBeNull();
    world.pass(-3600);
    expect((await jobs.get(jobId)).status).toBe('PAUSED');
  });

  it('that went on at once: a chunk of the new attempt is worked on and counted', async () => {
    const jobs = createJobCache(world.deps);
    const [old] = world.queue;
    if (old === undefined) throw new Error('no chunk');
    await pause();
    expect(await processChunk(world.deps, old, jobs)).toBeNull();
    world.queue.length = 0;
    await resumeJob(world.deps, jobId, 'ROOT_KEY');
    await createVersion(world.deps, jobId);
    await proveVersion(world.deps, jobId);
    await activateVersion(world.deps, jobId);
    for (const task of (await planSweep(world.deps, jobId)).segments) await list(world, task, async () => {});
    const [chunk] = world.queue;
    if (chunk === undefined) throw new Error('no chunk');
    expect(await processChunk(world.deps, chunk, jobs)).toMatchObject({
      page: { round: 2 },
      report: { counts: { rewrapped: chunk.keys.length } },
    });
  });
});

describe('a worker that meets a root key', () => {
  it('that cannot be used: pauses the job, and no record has failed', async () => {
    rootKeys.set(rootKeyId, 'PENDING_IMPORT');
    await deliver(world);
    expect(world.queue).toEqual([]);
    expect(await world.job(jobId)).toMatchObject({
      status: 'PAUSED',
      pause: { reason: 'ROOT_KEY', rootKeyId },
    });
    expect(await world.ledger.listQuarantined((await world.key()).keyId)).toEqual([]);
    expect(world.versions(world.people)).toEqual([1]);
    // Two looks by each of the four lanes, and none for the chunks after them.
    const asked = rootKeys.calls.filter((call) => call === 'inspectRootKey').length;
    expect(asked).toBeLessThanOrEqual(8);
  });

  it('that the provider says can be used by now: tries again', async () => {
    const { provider } = rootKeys;
    const unwrapKek = provider.unwrapKek.bind(provider);
    let refused = 0;
    rootKeys.set(rootKeyId, 'DISABLED');
    provider.unwrapKek = (wrapped, context) => {
      refused += 1;
      // Disabled here for a moment longer than it says of itself.
      if (refused > 2) rootKeys.set(rootKeyId, 'ENABLED');
      return unwrapKek(wrapped, context);
    };
    const { inspectRootKey } = provider;
    provider.inspectRootKey = async (id) => ({ ...(await inspectRootKey(id)), state: 'ENABLED' });
    await deliver(world);
    expect(world.queue).toEqual([]);
    expect(await world.job(jobId)).toMatchObject({ status: 'SWEEPING', pause: null });
    expect(world.versions(world.people)).toEqual([2]);
  });

  it('that cannot be asked for: the chunk goes back to the queue, and nothing is suspended', async () => {
    rootKeys.silent.add(rootKeyId);
    const before = await snapshot(world);
    const waiting = world.queue.length;
    await deliver(world);
    expect(world.queue).toHaveLength(waiting);
    expect(await snapshot(world)).toEqual(before);
  });
});
