import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LedgerStore } from '../../../shared/audit/outbox.ts';
import { KeyError, LedgerError, RotationError } from '../../../shared/errors/errors.ts';
import { readProgress, sumProgress } from '../../../shared/rotation/progress.ts';
import { requestAdoption, requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import type { RotationMode } from '../../../shared/rotation/rotation.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { startTestDynamoDb, type TestDynamoDb } from '../../support/dynamodb.ts';
import { runAdoption, runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
import {
  Crash,
  FIELDS,
  fill,
  KEY,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

/**
 * Protocol invariant 19. The process dies before or after each call to ledger, provider, store, queue and engine in
 * turn, and starts again from the first step in a new process: it always ends in the same state.
 */

let worlds: WorldMaker;
let dynamodb: TestDynamoDb;
beforeAll(async () => {
  [worlds, dynamodb] = await Promise.all([prepareWorlds(), startTestDynamoDb()]);
});
afterAll(async () => {
  await worlds.remove();
  await dynamodb.stop();
});

const RECORDS = 4;

async function rotateAndPurge(world: World, mode: RotationMode): Promise<void> {
  // As the daily sweep: a job that was begun is taken up, and none is asked for again.
  const [begun] = await rotations(world);
  const job = begun ?? (await requestRotation(world.deps, { ...KEY, mode })).job;
  if (job.status !== 'COMPLETED') expect(await runRotation(world, job.jobId)).toBe('CLEAN');
  world.passGrace();
  const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
  if (purge.answer !== 'completed') expect(await runPurge(world, purge.job.jobId)).toBe(true);
}

async function rotations(world: World) {
  return world.ledger.listJobs({ kind: 'rotate' });
}

async function expectTheEnd(world: World, what: string): Promise<void> {
  const key = await world.key();
  expect(key, what).toMatchObject({ active: 2 });
  expect(Object.keys(key.versions), what).toEqual(['1', '2']);
  expect(await stateOf(world, 1), what).toBe('DESTROYED');
  for (let id = 1; id <= RECORDS; id++)
    expect(await world.open(world.people, id), what).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
  const [job] = await rotations(world);
  if (job === undefined) throw new Error('no job');
  expect(job, what).toMatchObject({ status: 'COMPLETED', from: 1, to: 2, round: 1, blocker: null });
  const total = sumProgress(await readProgress(world.deps, job));
  expect(total, what).toMatchObject({ planned: 6, quarantined: 0, remaining: 0, listed: true });
  expect(total.rewrapped + total.skipped, what).toBe(6);
  expect(await world.ledger.listQuarantined(key.keyId), what).toEqual([]);
}

/** Throws at call number `at` of the whole run, once. Returns whether the run was long enough. */
async function runWithFault(
  ledger: LedgerStore,
  run: (world: World) => Promise<void>,
  when: 'before' | 'after',
  at: number,
  fault: (call: string) => Error,
): Promise<{ readonly world: World; readonly hit: string | null }> {
  const world = await worlds.makeWorld(ledger);
  await fill(world, RECORDS);
  let calls = 0;
  let hit: string | null = null;
  world.faults[when] = (call) => {
    calls += 1;
    if (calls !== at) return;
    hit = call;
    throw fault(call);
  };
  await untilDone(world, () => run(world));
  world.faults[when] = () => {};
  return { world, hit };
}

const crash = (call: string) => new Crash(call);

describe('a process that dies', () => {
  it.each([
    ['rewrap', 'before'],
    ['re-encrypt', 'after'],
  ] as const)('in a rotation and its purge (%s), %s each call in turn', async (mode, when) => {
    const run = (world: World) => rotateAndPurge(world, mode);
    const ports = new Set<string>();
    let at = 1;
    for (; at < 1000; at++) {
      const { world, hit } = await runWithFault(createMemoryLedger(), run, when, at, crash);
      await expectTheEnd(world, `${when} call ${at}: ${hit}`);
      if (hit === null) break;
      ports.add(hit.split('.')[0] ?? '');
    }
    expect(at).toBeGreaterThan(100);
    const all = ['bus', 'executions', 'ledger', 'provider', 'queue', 'search', 'signer', 'store'];
    expect([...ports].sort()).toEqual(all);
  });

  it('on a real ledger, at some of them', async () => {
    for (const at of [9, 40, 97]) {
      const ledger = await dynamodb.makeLedger();
      const { world, hit } = await runWithFault(
        ledger,
        (w) => rotateAndPurge(w, 'rewrap'),
        'after',
        at,
        crash,
      );
      await expectTheEnd(world, `call ${at}: ${hit}`);
    }
  });

  it('in an adoption, at each call in turn', async () => {
    const run = async (world: World) => {
      const { job, answer } = await requestAdoption(world.deps, {
        tenant: TENANT,
        recordSet: 'notes',
        requestedBy: 'test',
      });
      if (answer !== 'completed') await runAdoption(world, job.jobId);
    };
    for (let at = 1; at < 500; at++) {
      const plain = (world: World) => {
        for (let id = 50; id < 55; id++)
          world.notes.rows.set(JSON.stringify([String(id)]), {
            key: [String(id)],
            tenant: TENANT,
            values: [null, null],
            plaintext: FIELDS.map((field) => Buffer.from(`plain ${id} ${field}`)),
          });
      };
      let filled = false;
      const { world, hit } = await runWithFault(
        createMemoryLedger(),
        async (w) => {
          if (!filled) plain(w);
          filled = true;
          await run(w);
        },
        at % 2 === 0 ? 'before' : 'after',
        at,
        crash,
      );
      for (let id = 50; id < 55; id++)
        expect(await world.open(world.notes, id), `${hit}`).toEqual(
          FIELDS.map((field) => `plain ${id} ${field}`),
        );
      const [job] = await world.ledger.listJobs({ kind: 'adopt' });
      expect(job, `${hit}`).toMatchObject({ status: 'COMPLETED', blocker: null });
      if (hit === null) return;
    }
    throw new Error('It never ends');
  });
});

describe('a call that fails for a passing reason', () => {
  it('is tried again by the state machine and the worker, each call in turn', async () => {
    const faults: ((call: string) => Error)[] = [
      () => new LedgerError('LEDGER_UNAVAILABLE', 'throttled', { retryable: true }),
      () => new RotationError('QUEUE_UNAVAILABLE', 'down', { retryable: true }),
      () => new KeyError('KEY_UNAVAILABLE', 'outage', { retryable: true }),
    ];
    const retried = async <T>(_: string, step: () => Promise<T>): Promise<T> => {
      try {
        return await step();
      } catch (error) {
        if (!(error instanceof Error && 'retryable' in error && error.retryable === true)) throw error;
        return step();
      }
    };
    const run = async (world: World) => {
      const { job } = await retried('', () => requestRotation(world.deps, KEY));
      await runRotation(world, job.jobId, retried);
      world.passGrace();
      const purge = await retried('', () => requestPurge(world.deps, { ...KEY, version: 1 }));
      expect(await runPurge(world, purge.job.jobId, retried)).toBe(true);
    };
    for (let at = 1; at < 1000; at++) {
      const fault = faults[at % faults.length] ?? crash;
      const { world, hit } = await runWithFault(
        createMemoryLedger(),
        run,
        at % 2 === 0 ? 'before' : 'after',
        at,
        fault,
      );
      await expectTheEnd(world, `call ${at}: ${hit}`);
      if (hit === null) return;
    }
  });
});
