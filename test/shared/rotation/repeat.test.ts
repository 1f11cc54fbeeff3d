import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { beginPurge } from '../../../shared/rotation/begin-purge.ts';
import { checkBarrier } from '../../../shared/rotation/check-barrier.ts';
import { checkSweep } from '../../../shared/rotation/check-sweep.ts';
import { concludeAdoption } from '../../../shared/rotation/conclude-adoption.ts';
import { concludeRound } from '../../../shared/rotation/conclude-round.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { destroyVersion } from '../../../shared/rotation/destroy-version.ts';
import { listSegment } from '../../../shared/rotation/list-segment.ts';
import { planSweep } from '../../../shared/rotation/plan-sweep.ts';
import { readProgress, sumProgress } from '../../../shared/rotation/progress.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestAdoption, requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { retireVersion } from '../../../shared/rotation/retire-version.ts';
import { takeCensus } from '../../../shared/rotation/take-census.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { startTestDynamoDb, type TestDynamoDb } from '../../support/dynamodb.ts';
import { deliver, runAdoption, runPurge, runRotation } from '../../support/memory-machine.ts';
import {
  FIELDS,
  fill,
  KEY,
  prepareWorlds,
  snapshot,
  stateOf,
  TENANT,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

/** Protocol invariant 18: every step may be repeated for ever. On a real ledger and a real provider. */

let dynamodb: TestDynamoDb;
let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  [dynamodb, worlds] = await Promise.all([startTestDynamoDb(), prepareWorlds()]);
});
afterAll(async () => {
  await dynamodb.stop();
  await worlds.remove();
});
beforeEach(async () => {
  world = await worlds.makeWorld(await dynamodb.makeLedger());
  await fill(world, 4);
});

type Step = readonly [name: string, run: () => Promise<unknown>];

/** Repeats a step of a job that has ended: it may refuse, and it changes nothing. */
async function repeatAfterTheEnd(steps: readonly Step[]): Promise<void> {
  const before = await snapshot(world);
  for (const [name, run] of steps) {
    world.restart();
    await run().catch(() => undefined);
    expect(await snapshot(world), name).toEqual(before);
  }
}

const FAR = Number.MAX_SAFE_INTEGER;

describe('a rotation', () => {
  const stepsOf = (jobId: string): readonly Step[] => [
    ['CreateVersion', () => createVersion(world.deps, jobId)],
    ['ProveVersion', () => proveVersion(world.deps, jobId)],
    ['ActivateVersion', () => activateVersion(world.deps, jobId)],
    ['PlanSweep', () => planSweep(world.deps, jobId)],
    ['ListSegment', () => listSegment(world.deps, { jobId, round: 1, segment: 0 }, FAR)],
    ['deliver', () => deliver(world)],
    ['CheckSweep', () => checkSweep(world.deps, jobId, 1)],
    ['CheckBarrier', () => checkBarrier(world.deps, jobId)],
    ['TakeCensus', () => takeCensus(world.deps, { jobId, round: 1, segment: 0 })],
    ['ConcludeRound', () => concludeRound(world.deps, jobId, 1)],
    ['RetireVersion', () => retireVersion(world.deps, jobId)],
  ];

  it('ends the same when every step runs twice in a row', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    const twice = async <T>(name: string, step: () => Promise<T>): Promise<T> => {
      await step();
      const before = await snapshot(world);
      const answer = await step();
      // Only the times that a step waits may differ, and what a lister queued again.
      expect(await snapshot(world), name).toEqual(before);
      return answer;
    };
    expect(await runRotation(world, job.jobId, twice)).toBe('CLEAN');
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', from: 1, to: 2, blocker: null });
    expect(world.versions(world.people)).toEqual([2]);
    expect(world.versions(world.notes)).toEqual([2]);
    for (let id = 1; id <= 4; id++) {
      expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
    }
    expect(Object.keys((await world.key()).versions)).toEqual(['1', '2']);
    const total = sumProgress(await readProgress(world.deps, await world.job(job.jobId)));
    expect(total).toMatchObject({ planned: 6, quarantined: 0, remaining: 0, listed: true });
    expect(total.rewrapped + total.skipped).toBe(6);
  });

  it('takes no harm from any earlier step that comes again, after each step', async () => {
    // Thousands of calls: on the ledger in memory.
    world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 4);
    const { job } = await requestRotation(world.deps, KEY);
    const steps = stepsOf(job.jobId);
    const names = steps.map(([name]) => name);
    const done = new Set<string>();
    const again = async <T>(name: string, step: () => Promise<T>): Promise<T> => {
      const answer = await step();
      done.add(name);
      const before = await snapshot(world);
      for (const earlier of names.filter((other) => done.has(other) && other !== 'deliver')) {
        world.restart();
        await steps.find(([other]) => other === earlier)?.[1]();
        expect(await snapshot(world), `${earlier} after ${name}`).toEqual(before);
      }
      return answer;
    };
    // The end is another test's: a late repeat may refuse then.
    const untilRetired = async <T>(name: string, step: () => Promise<T>): Promise<T> =>
      name === 'RetireVersion' || name === 'ListSegment' ? step() : again(name, step);
    expect(await runRotation(world, job.jobId, untilRetired)).toBe('CLEAN');
    expect(world.versions(world.people)).toEqual([2]);
  });

  it('is not disturbed by any of its steps after its end, nor after the next rotation', async () => {
    // Thousands of calls: on the ledger in memory.
    world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, 4);
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    await repeatAfterTheEnd(stepsOf(job.jobId));
    const { job: next } = await requestRotation(world.deps, KEY);
    expect(next.jobId).not.toBe(job.jobId);
    await createVersion(world.deps, next.jobId);
    await repeatAfterTheEnd(stepsOf(job.jobId));
    await runRotation(world, next.jobId);
    expect(await world.key()).toMatchObject({ active: 3, rotationId: null });
    await repeatAfterTheEnd([...stepsOf(job.jobId), ...stepsOf(next.jobId)]);
  });

  it('has exactly one new version when ten executions create it at one time', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => createVersion(world.deps, job.jobId)),
    );
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') expect(outcome.reason).toMatchObject({ code: 'REVISION_CONFLICT' });
    }
    expect(outcomes.some(({ status }) => status === 'fulfilled')).toBe(true);
    await createVersion(world.deps, job.jobId);
    expect(Object.keys((await world.key()).versions)).toEqual(['1', '2']);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'PREPARING', to: 2 });
    await proveVersion(world.deps, job.jobId);
  });

  it('proves what it stored: other key bytes under the same version are refused', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await createVersion(world.deps, job.jobId);
    const { keyId } = await world.key();
    const other = await world.provider.generateKek({ tenant: TENANT, purpose: 'default', keyId, version: 3 });
    const broken = async () => {
      await world.changeKey((key) => {
        const second = key.versions['2'];
        if (second === undefined) throw new Error('no version 2');
        return {
          ...key,
          revision: key.revision + 1,
          versions: { ...key.versions, 2: { ...second, wrapped: other } },
        };
      });
    };
    await broken();
    await expect(proveVersion(world.deps, job.jobId)).rejects.toMatchObject({ code: 'UNWRAP_FAILED' });
    await expect(activateVersion(world.deps, job.jobId)).rejects.toMatchObject({ code: 'VERSION_STATE' });
    expect(await world.key()).toMatchObject({ active: 1 });
    expect(world.versions(world.people)).toEqual([1]);
  });
});

describe('a purge', () => {
  it('ends the same when every step runs twice, and is not disturbed by any after its end', async () => {
    const { job: rotation } = await requestRotation(world.deps, KEY);
    await runRotation(world, rotation.jobId);
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    const twice = async <T>(name: string, step: () => Promise<T>): Promise<T> => {
      await step();
      const before = await snapshot(world);
      const answer = await step();
      expect(await snapshot(world), name).toEqual(before);
      return answer;
    };
    expect(await runPurge(world, job.jobId, twice)).toBe(true);
    expect(await stateOf(world, 1)).toBe('DESTROYED');
    expect((await world.key()).versions['1']?.wrapped).toBeNull();
    expect(await world.job(job.jobId)).toMatchObject({
      status: 'COMPLETED',
      census: { onVersion: 0, reach: 'everywhere' },
    });
    await repeatAfterTheEnd([
      ['BeginPurge', () => beginPurge(world.deps, job.jobId)],
      ['CheckBarrier', () => checkBarrier(world.deps, job.jobId)],
      ['DestroyVersion', () => destroyVersion(world.deps, job.jobId, 1)],
    ]);
    for (let id = 1; id <= 2; id++)
      expect(await world.open(world.notes, id)).toEqual(FIELDS.map((field) => `note ${id} ${field}`));
  });
});

describe('an adoption', () => {
  it('ends the same when every step runs twice, and finds only new plaintext when it is asked for again', async () => {
    const plaintext = (id: number) => FIELDS.map((field) => Buffer.from(`plain ${id} ${field}`));
    const insert = (id: number) =>
      world.people.rows.set(JSON.stringify([String(id)]), {
        key: [String(id)],
        tenant: TENANT,
        values: FIELDS.map(() => null),
        plaintext: plaintext(id),
      });
    for (let id = 20; id < 27; id++) insert(id);
    const request = { tenant: TENANT, recordSet: 'people', requestedBy: 'test' };
    const { job } = await requestAdoption(world.deps, request);
    const twice = async <T>(name: string, step: () => Promise<T>): Promise<T> => {
      await step();
      const before = await snapshot(world);
      const answer = await step();
      expect(await snapshot(world), name).toEqual(before);
      return answer;
    };
    expect(await runAdoption(world, job.jobId, twice)).toBe('CLEAN');
    for (let id = 20; id < 27; id++)
      expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `plain ${id} ${field}`));
    const before = await snapshot(world);
    await concludeAdoption(world.deps, job.jobId, 1);
    expect(await snapshot(world)).toEqual(before);

    insert(30);
    const again = await requestAdoption(world.deps, request);
    expect(again).toMatchObject({
      answer: 'resumed',
      job: { jobId: job.jobId, attempt: 2, status: 'REQUESTED' },
    });
    expect(await runAdoption(world, job.jobId)).toBe('CLEAN');
    expect(await world.open(world.people, 30)).toEqual(FIELDS.map((field) => `plain 30 ${field}`));
    const rounds = await readProgress(world.deps, await world.job(job.jobId));
    expect(rounds.map(({ planned, remaining }) => [planned, remaining])).toEqual([
      [7, 0],
      [1, 0],
    ]);
  });
});
