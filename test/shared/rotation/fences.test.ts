import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { LedgerError } from '../../../shared/errors/errors.ts';
import { holdForRestore } from '../../../shared/keyring/holds.ts';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { checkBarrier } from '../../../shared/rotation/check-barrier.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { isFenceDue, lowerFences, raiseFences } from '../../../shared/rotation/fences.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { runPurge, runRotation } from '../../support/memory-machine.ts';
import { Crash, fill, KEY, prepareWorlds, type World, type WorldMaker } from '../../support/memory-world.ts';

/** When the databases are told which versions are rightful. What they do with it, fence.test.ts of PostgreSQL shows. */

let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  // Both record sets are in one store.
  world.people.minimums = new Map();
  world.notes.minimums = world.people.minimums;
  await fill(world, 4);
});

const minimum = async () => world.people.minimums?.get((await world.key()).keyId)?.version;

describe('the minimum of a key', () => {
  it('is raised when the barrier has passed, not before, and before anything is counted', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    const seen: string[] = [];
    await runRotation(world, job.jobId, async (name, step) => {
      const result = await step();
      seen.push(`${name} ${await minimum()}`);
      return result;
    });
    expect(seen).toContain('ActivateVersion undefined');
    expect(seen.filter((each) => each.startsWith('TakeCensus')).every((each) => each.endsWith(' 2'))).toBe(
      true,
    );
    const barrier = seen.filter((each) => each.startsWith('CheckBarrier'));
    expect(barrier[0]).toBe('CheckBarrier undefined');
    expect(barrier.at(-1)).toBe('CheckBarrier 2');
  });

  it('is raised again by a repeat of the step, and by a step that died right after it', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    let died = false;
    world.faults.after = (call) => {
      if (call !== 'store.setMinimum' || died) return;
      died = true;
      throw new Crash('after the raise');
    };
    await expect(runRotation(world, job.jobId)).rejects.toThrow(Crash);
    world.restart();
    expect(await minimum()).toBe(2);
    world.people.minimums?.clear();
    await runRotation(world, job.jobId);
    expect(await minimum()).toBe(2);
  });

  it('stops the rotation before its census while the database cannot be told', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    world.faults.before = (call) => {
      if (call === 'store.setMinimum')
        throw new LedgerError('LEDGER_UNAVAILABLE', 'away', { retryable: true });
    };
    await expect(runRotation(world, job.jobId)).rejects.toMatchObject({ code: 'LEDGER_UNAVAILABLE' });
    expect((await world.job(job.jobId)).status).not.toBe('COMPLETED');
    expect((await world.job(job.jobId)).census).toBeNull();
  });

  it('is not raised by a step that was overtaken', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    const overtaken = await world.key();
    // A rollback is about to take place.
    await lowerFences(world.deps, overtaken, 1);
    await raiseFences(world.deps, overtaken);
    expect(await minimum()).toBe(1);
    await world.changeKey((key) => ({ ...key, revision: key.revision + 1 }));
    await raiseFences(world.deps, overtaken);
    expect(await minimum()).toBe(1);
    await raiseFences(world.deps, await world.key());
    expect(await minimum()).toBe(2);
  });

  it('is not raised by a late step of a rotation that is over, while the next one waits for its writers', async () => {
    const first = await requestRotation(world.deps, KEY);
    await runRotation(world, first.job.jobId);
    expect(await minimum()).toBe(2);
    const { jobId } = (await requestRotation(world.deps, KEY)).job;
    await createVersion(world.deps, jobId);
    await proveVersion(world.deps, jobId);
    await checkBarrier(world.deps, first.job.jobId);
    await activateVersion(world.deps, jobId);
    await checkBarrier(world.deps, first.job.jobId);
    expect(await minimum()).toBe(2);
    await runRotation(world, jobId);
    await checkBarrier(world.deps, first.job.jobId);
    expect(await minimum()).toBe(3);
  });

  const told = async () => {
    const items = await world.ledger.listAuditEntries(KEY.tenant, 1, 1000);
    return items.flatMap(({ entry }) => (entry?.type === 'fence.minimum-set' ? [entry.detail] : []));
  };

  it('is in the audit of its tenant once for each change, and only where a fence is', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    const key = await world.key();
    const at = (revision: number) => ({ ...key, revision });
    const { revision } = key;
    const of = { store: 'main', purpose: KEY.purpose, keyId: key.keyId };
    const [raised, ...more] = await told();
    expect(raised).toMatchObject({ ...of, version: 2 });
    expect(more).toEqual([]);
    await raiseFences(world.deps, key);
    await raiseFences(world.deps, at(revision + 1));
    // Overtaken: nothing is lowered by it.
    await lowerFences(world.deps, key, 1);
    expect(await minimum()).toBe(2);
    expect(await told()).toHaveLength(1);
    await lowerFences(world.deps, at(revision + 1), 1);
    await raiseFences(world.deps, at(revision + 2));
    expect((await told()).slice(1)).toEqual([
      { ...of, version: 1, keyRevision: revision + 1 },
      { ...of, version: 2, keyRevision: revision + 2 },
    ]);
    world.people.minimums = null;
    world.notes.minimums = null;
    await raiseFences(world.deps, at(revision + 3));
    expect(await told()).toHaveLength(3);
  });

  it('is in the audit also where the step that changed it died before it told, and the key changed meanwhile', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    let died = false;
    world.faults.after = (call) => {
      if (call !== 'store.setMinimum' || died) return;
      died = true;
      throw new Crash('after the raise');
    };
    await expect(runRotation(world, job.jobId)).rejects.toThrow(Crash);
    world.restart();
    expect(await told()).toEqual([]);
    await world.changeKey((current) => ({ ...current, revision: current.revision + 1 }));
    await runRotation(world, job.jobId);
    expect(await told()).toMatchObject([{ version: 2 }]);
  });

  it('is never above the active version', async () => {
    await lowerFences(world.deps, await world.key(), 7);
    expect(await minimum()).toBe(1);
  });

  it('is not raised while a store is being restored', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    await world.changeKey((key) => {
      const held = holdForRestore(key, {
        holdId: 'restore/1',
        versions: [1],
        reason: 'RESTORE',
        store: 'main',
        note: null,
        by: 'test',
        at: new Date(world.clock.now()).toISOString(),
        until: null,
        endedEpoch: null,
      });
      return held;
    });
    const key = await world.key();
    await lowerFences(world.deps, key, 1);
    world.passGrace();
    expect(isFenceDue(key, world.clock.now(), world.deps.config)).toBe(false);
    await world.changeKey((current) => ({ ...current, revision: current.revision + 1 }));
    await raiseFences(world.deps, await world.key());
    expect(await minimum()).toBe(1);
  });

  it('is raised by a purge only if the rotation after it has had its own barrier', async () => {
    const first = await requestRotation(world.deps, KEY);
    await runRotation(world, first.job.jobId);
    world.passGrace();
    world.people.minimums?.clear();
    const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
    let rotated = false;
    await runPurge(world, purge.job.jobId, async (name, step) => {
      if (name === 'CheckBarrier' && !rotated) {
        rotated = true;
        expect(isFenceDue(await world.key(), world.clock.now(), world.deps.config)).toBe(true);
      }
      return step();
    });
    // What a database lost, by a restore of its own, comes back.
    expect(await minimum()).toBe(2);
  });

  it('is nothing to a store without a fence', async () => {
    world.people.minimums = null;
    world.notes.minimums = null;
    const { job } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    expect(await checkBarrier(world.deps, job.jobId)).toMatchObject({ passed: true });
  });
});

describe('a fence that is new', () => {
  it('is due when the writers of the version before have had their time', async () => {
    const { config } = world.deps;
    const { cacheMaxAgeSeconds, clockSkewSeconds, maxTransactionSeconds } = config.rotation;
    const key = await world.key();
    const activated = Date.parse(key.versions['1']?.activatedAt ?? '');
    const due = activated + (cacheMaxAgeSeconds + clockSkewSeconds + maxTransactionSeconds) * 1000;
    expect(isFenceDue(key, due - 1, config)).toBe(false);
    expect(isFenceDue(key, due, config)).toBe(true);
    expect(isFenceDue({ ...key, active: 0 }, due, config)).toBe(false);
  });
});
