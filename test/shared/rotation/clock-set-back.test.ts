import { afterAll, expect, it } from 'vitest';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { checkBarrier } from '../../../shared/rotation/check-barrier.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { noEarlierThan } from '../../../shared/rotation/no-earlier.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { type Around, runPurge, runRotation } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds } from '../../support/memory-world.ts';

/** A machine whose clock was set back makes no wait shorter by taking a step. */

const HOUR = 3_600_000;
const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

it('is now, or what happened before where the clock stands behind that', () => {
  const earlier = new Date(1_000).toISOString();
  expect(noEarlierThan(2_000, [earlier, null, undefined])).toBe(2_000);
  expect(noEarlierThan(500, [earlier, null])).toBe(1_000);
  expect(noEarlierThan(500, [])).toBe(500);
});

it('counts the barrier from no earlier than the steps before', async () => {
  const world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 2);
  const began = world.clock.now();
  const { job } = await requestRotation(world.deps, KEY);
  await createVersion(world.deps, job.jobId);
  await proveVersion(world.deps, job.jobId);
  world.clock.jumpTo(began - 5 * HOUR);
  await activateVersion(world.deps, job.jobId);
  const { barrierUntil, times } = await world.job(job.jobId);
  expect(Date.parse(barrierUntil ?? '')).toBeGreaterThanOrEqual(began + times.barrierSeconds * 1000);
  const key = await world.key();
  expect(Date.parse(key.versions['2']?.activatedAt ?? '')).toBeGreaterThanOrEqual(began);
  expect(Date.parse(key.versions['1']?.retiringAt ?? '')).toBeGreaterThanOrEqual(began);
});

it('waits no longer than a whole barrier before another machine looks', async () => {
  const world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 2);
  const { job } = await requestRotation(world.deps, KEY);
  const { barrierSeconds } = job.times;
  const waits: number[] = [];
  await runRotation(world, job.jobId, async (name, step) => {
    if (name !== 'CheckBarrier' || waits.length > 0) return step();
    const now = world.clock.now();
    world.clock.jumpTo(now - 5 * HOUR);
    waits.push((await checkBarrier(world.deps, job.jobId)).waitSeconds);
    world.clock.jumpTo(now);
    return step();
  });
  expect(waits).toEqual([barrierSeconds]);
});

it('dates a census no earlier than the barrier that it waited for', async () => {
  const world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 2);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId, async (name, step) => {
    if (name === 'TakeCensus') world.clock.jumpTo(world.clock.now() - 5 * HOUR);
    return step();
  });
  const { census, barrierUntil } = await world.job(job.jobId);
  expect(Date.parse(census?.takenAt ?? '')).toBeGreaterThanOrEqual(Date.parse(barrierUntil ?? ''));
});

it('counts the grace and the holds of backups from no earlier than the census', async () => {
  const world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 2);
  const { job } = await requestRotation(world.deps, KEY);
  let counted = 0;
  await runRotation(world, job.jobId, async (name, step) => {
    if (name === 'RetireVersion') {
      counted = world.clock.now();
      world.clock.jumpTo(counted - 5 * HOUR);
    }
    return step();
  });
  const { purgeNotBefore } = (await world.key()).versions['1'] ?? {};
  const { graceSeconds, backupRetentionSeconds } = world.deps.config.rotation;
  expect(Date.parse(purgeNotBefore ?? '')).toBeGreaterThanOrEqual(counted + graceSeconds * 1000);
  const [hold] = (await world.key()).holds;
  expect(Date.parse(hold?.until ?? '')).toBeGreaterThanOrEqual(counted + backupRetentionSeconds * 1000);
});

it.each([
  ...['request', 'CreateVersion', 'ProveVersion', 'ActivateVersion', 'ListSegment', 'TakeCensus'],
  ...['ConcludeRound', 'RetireVersion', 'purge', 'BeginPurge', 'DestroyVersion'],
])('ends with a certificate that does not contradict itself: %s', async (where) => {
  const world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 2);
  const around: Around = async (name, step) => {
    if (name !== where) return step();
    const now = world.clock.now();
    world.clock.jumpTo(now - 5 * HOUR);
    const result = await step();
    world.clock.jumpTo(Math.max(now, world.clock.now()));
    return result;
  };
  const first = await around('request', () => requestRotation(world.deps, KEY));
  expect(await runRotation(world, first.job.jobId, around)).toBe('CLEAN');
  world.pass(3600);
  // The version that this one makes is proved, left and destroyed.
  const second = await around('request', () => requestRotation(world.deps, KEY));
  expect(await runRotation(world, second.job.jobId, around)).toBe('CLEAN');
  world.passGrace();
  world.pass((6 * HOUR) / 1000);
  for (const version of [1, 2]) {
    const { job } = await around('purge', () => requestPurge(world.deps, { ...KEY, version }));
    expect(await runPurge(world, job.jobId, around)).toBe(true);
    expect(await world.ledger.getCertificate(job.keyId, version)).not.toBeNull();
  }
});
