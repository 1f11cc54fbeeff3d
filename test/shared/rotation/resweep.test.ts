import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { endRestoreHold, holdForRestore } from '../../../shared/keyring/holds.ts';
import type { Hold } from '../../../shared/keyring/key.ts';
import { cancelJob } from '../../../shared/rotation/cancel-job.ts';
import { requestPurge, requestResweep, requestRotation } from '../../../shared/rotation/request-job.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
import { Crash, FIELDS, fill, KEY, prepareWorlds, type World } from '../../support/memory-world.ts';

/** A sweep that makes no version: what came back by a restore is brought to the active one, and its versions are freed. */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const RECORDS = 4;
const ASKED = { ...KEY, reason: 'restore r1' };

let world: World;
async function rotated(): Promise<World> {
  const made = await worlds.makeWorld(createMemoryLedger());
  await fill(made, RECORDS);
  const { job } = await requestRotation(made.deps, KEY);
  expect(await runRotation(made, job.jobId)).toBe('CLEAN');
  return made;
}
beforeEach(async () => {
  world = await rotated();
});

function restoreHold(on: World, holdId = 'r1'): Hold {
  const at = on.clock.timestamp();
  return {
    holdId,
    versions: [1],
    reason: 'RESTORE',
    store: 'main',
    note: null,
    by: 'ann',
    at,
    until: null,
    endedEpoch: null,
  };
}

/** Rows come back on version 1, and the restore ends. */
async function restore(on: World, holdId = 'r1'): Promise<void> {
  await on.changeKey((key) => holdForRestore(key, restoreHold(on, holdId)));
  for (const id of [1, 2]) await on.write(on.people, id, `person ${id}`, 1);
  await on.changeKey((key) => endRestoreHold(key, holdId));
}

async function expectAllOpen(what = ''): Promise<void> {
  for (let id = 1; id <= RECORDS; id++)
    expect(await world.open(world.people, id), what).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
}

async function restoreHolds(): Promise<readonly string[]> {
  return (await world.key()).holds.filter(({ reason }) => reason === 'RESTORE').map(({ holdId }) => holdId);
}

describe('a re-sweep', () => {
  it('brings all records to the active version, frees the restores that had ended, and begins the grace anew', async () => {
    const before = (await world.key()).versions['1']?.purgeNotBefore ?? '';
    world.pass(86_400);
    await restore(world);
    expect(world.versions(world.people)).toEqual([1, 2]);
    const { answer, job } = await requestResweep(world.deps, ASKED);
    expect(answer).toBe('started');
    expect(job).toMatchObject({ goal: 'RESWEEP', from: 2, to: 2, requestedBy: 'test (restore r1)' });
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    const key = await world.key();
    expect(key).toMatchObject({ active: 2, activations: 2, rotationId: null });
    expect(Object.keys(key.versions)).toEqual(['1', '2']);
    expect(await restoreHolds()).toEqual([]);
    expect((key.versions['1']?.purgeNotBefore ?? '') > before).toBe(true);
    // Records had come back on it: the re-sweep is what it is retired by.
    expect(key.versions['1']?.retiredBy).toBe(job.jobId);
    expect(world.versions(world.people)).toEqual([2]);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', purgeNotBefore: null });
    expect(world.published.map(({ detailType }) => detailType)).toEqual(['KeyRotationCompleted']);
    await expectAllOpen();
    world.passGrace();
    const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, purge.job.jobId)).toBe(true);
    await expectAllOpen();
  });

  it('begins after each request: one that is done is no answer to the next restore', async () => {
    await restore(world);
    const first = await requestResweep(world.deps, ASKED);
    await runRotation(world, first.job.jobId);
    // Of the same epoch: a person asks once more.
    const again = await requestResweep(world.deps, ASKED);
    expect(again).toMatchObject({ answer: 'started', job: { attempt: 1, status: 'REQUESTED' } });
    expect(again.job.jobId).not.toBe(first.job.jobId);
    expect(await requestResweep(world.deps, ASKED)).toMatchObject({
      answer: 'running',
      job: { jobId: again.job.jobId, attempt: 1 },
    });
    expect(await world.job(first.job.jobId)).toMatchObject({ status: 'COMPLETED', attempt: 1 });
    expect(await runRotation(world, again.job.jobId)).toBe('CLEAN');
    await restore(world, 'r2');
    const other = await requestResweep(world.deps, { ...ASKED, reason: 'restore r2' });
    expect(other.answer).toBe('started');
    expect(other.job.jobId).not.toBe(first.job.jobId);
    await runRotation(world, other.job.jobId);
    expect(await restoreHolds()).toEqual([]);
  });

  it('that is complete stays as it is: what it retired has its certificate, though another one was called off', async () => {
    await restore(world);
    const first = await requestResweep(world.deps, ASKED);
    await runRotation(world, first.job.jobId);
    const again = await requestResweep(world.deps, ASKED);
    await cancelJob(world.deps, again.job.jobId, 'ann');
    world.passGrace();
    const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, purge.job.jobId)).toBe(true);
    const { keyId } = await world.key();
    expect(await world.deps.ledger.getCertificate(keyId, 1)).toMatchObject({ version: 1 });
    // What was called off is begun anew, under its id.
    expect(await requestResweep(world.deps, ASKED)).toMatchObject({
      answer: 'resumed',
      job: { jobId: again.job.jobId, attempt: 2 },
    });
  });

  it('is answered with the rotation that runs, which frees what had ended when its last sweep began, and no more', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    let restored = false;
    let answer: string | undefined;
    await runRotation(world, job.jobId, async (name, step) => {
      const result = await step();
      if (name === 'ListSegment' && !restored) {
        restored = true;
        await restore(world);
        const request = await requestResweep(world.deps, ASKED);
        answer = `${request.answer} ${request.job.goal}`;
      }
      return result;
    });
    expect(answer).toBe('running NEW_VERSION');
    await expectAllOpen();
    const ended = await world.job(job.jobId);
    if (ended.round === 1) expect(await restoreHolds()).toEqual(['r1']);
    else expect(await restoreHolds()).toEqual([]);
    const next = await requestResweep(world.deps, ASKED);
    expect(next.job).toMatchObject({ goal: 'RESWEEP', to: 3 });
    await runRotation(world, next.job.jobId);
    expect(await restoreHolds()).toEqual([]);
  });

  it('keeps a restore held that ended while it swept', async () => {
    const { job } = await requestResweep(world.deps, ASKED);
    await runRotation(world, job.jobId, async (name, step) => {
      // Seen by neither listing nor census.
      if (name === 'RetireVersion') await restore(world);
      return step();
    });
    expect(await restoreHolds()).toEqual(['r1']);
    await expectAllOpen();
  });

  it('dies at each call in turn, and ends all the same', async () => {
    for (let at = 1; at < 400; at += 2) {
      world = await rotated();
      await restore(world);
      let calls = 0;
      let hit: string | null = null;
      world.faults.after = (call) => {
        calls += 1;
        if (calls !== at) return;
        hit = call;
        throw new Crash(call);
      };
      await untilDone(world, async () => {
        const [begun] = (await world.ledger.listJobs()).filter(({ goal }) => goal === 'RESWEEP');
        const job = begun ?? (await requestResweep(world.deps, ASKED)).job;
        if (job.status !== 'COMPLETED') expect(await runRotation(world, job.jobId)).toBe('CLEAN');
      });
      world.faults.after = () => {};
      const what = `after call ${at}: ${hit}`;
      expect(await world.key(), what).toMatchObject({ active: 2, activations: 2, rotationId: null });
      expect(await restoreHolds(), what).toEqual([]);
      expect(world.versions(world.people), what).toEqual([2]);
      await expectAllOpen(what);
      if (hit === null) break;
    }
  });

  it('that is cancelled frees nothing', async () => {
    await restore(world);
    const { job } = await requestResweep(world.deps, ASKED);
    await runRotation(world, job.jobId, async (name, step) => {
      if (name === 'TakeCensus') await cancelJob(world.deps, job.jobId, 'ann');
      return step();
    }).catch(() => undefined);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'CANCELLED' });
    expect(await world.key()).toMatchObject({ active: 2, rotationId: null });
    expect(await restoreHolds()).toEqual(['r1']);
    // It moved values off it, and has no clean census.
    expect((await world.key()).versions['1']?.purgeNotBefore).toBeNull();
    // The daily sweep does not begin it anew, and the version stays held.
    await sweepDaily(world.deps);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'CANCELLED' });
    expect(await restoreHolds()).toEqual(['r1']);
    const again = await requestResweep(world.deps, ASKED);
    expect(await runRotation(world, again.job.jobId)).toBe('CLEAN');
    expect(await restoreHolds()).toEqual([]);
  });
});
