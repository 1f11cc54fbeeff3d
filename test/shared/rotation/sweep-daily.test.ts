import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_FUNCTIONS } from '../../../functions/index.ts';
import { LedgerError } from '../../../shared/errors/errors.ts';
import { suspendVersion } from '../../../shared/keyring/suspension.ts';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { blockJob, changeJob } from '../../../shared/rotation/change.ts';
import { createKey } from '../../../shared/rotation/create-key.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { planSweep } from '../../../shared/rotation/plan-sweep.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestAdoption, requestRotation } from '../../../shared/rotation/request-job.ts';
import type { BlockerCode } from '../../../shared/rotation/rotation.ts';
import { stopJob } from '../../../shared/rotation/stop-job.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { createTestRootKeys } from '../../../simulation/models/root-keys.ts';
import { keyWith } from '../../support/keys.ts';
import { runRotation } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, type World, type WorldMaker } from '../../support/memory-world.ts';

/** The keys that are due; test/shared/rotation/purge.test.ts has the purges and the jobs that stopped. */

let worlds: WorldMaker;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());

let world: World;
let metrics: [string, number][];
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 2);
  metrics = [];
});

const DAY = 86_400;
const NOTHING = { recovered: 0, rotations: 0, purges: 0, skipped: 0, waiting: 0, left: 0, failed: 0 };
const sweep = (remainingMs?: () => number) =>
  sweepDaily(
    { ...world.deps, metrics: { add: (name, value) => void metrics.push([name, value]) } },
    remainingMs,
  );
const rotations = () => world.ledger.listJobs({ kind: 'rotate' });
const counted = (name: string) => metrics.filter(([of]) => of === name).map(([, value]) => value);

/** More keys, made a second apart, the first the oldest. */
async function addKeys(
  count: number,
  state: 'ACTIVE' | 'SUSPENDED' | 'COMPROMISED' = 'ACTIVE',
): Promise<void> {
  for (let i = 0; i < count; i++) {
    const id = i.toString(16).padStart(12, '0');
    await world.ledger.createKey(
      keyWith({
        keyId: `01900000-0000-7000-9000-${id}`,
        tenant: `tenant-${id}`,
        activatedAt: world.clock.now() - (count - i) * 1000,
        state,
        rootKeyId: world.provider.rootKeyFor(id),
      }),
    );
  }
}

describe('the daily sweep rotates', () => {
  it('a key once it is due, once, and again a period later', async () => {
    expect(await sweep()).toEqual(NOTHING);
    world.pass(80 * DAY);
    expect(await sweep()).toEqual(NOTHING);
    world.pass(9 * DAY);
    expect(await sweep()).toEqual({ ...NOTHING, rotations: 1 });
    expect(await sweep()).toEqual(NOTHING);
    const [job] = await rotations();
    expect(job).toMatchObject({ requestedBy: 'daily sweep', from: 1, mode: 'rewrap' });
    expect(await runRotation(world, job?.jobId ?? '')).toBe('CLEAN');
    expect(await sweep()).toMatchObject({ rotations: 0 });
    world.pass(89 * DAY);
    expect(await sweep()).toMatchObject({ rotations: 1, purges: 1 });
    expect(await rotations()).toHaveLength(2);
  });

  it('nothing where keys rotate on request only', async () => {
    world = await worlds.makeWorld(createMemoryLedger(), { everyDays: null });
    world.pass(4000 * DAY);
    expect(await sweep()).toEqual(NOTHING);
  });

  it('no key whose version is suspended or compromised, and counts them', async () => {
    await addKeys(2, 'SUSPENDED');
    world.pass(100 * DAY);
    // Its root key can be used, so a key that a person suspended stays so.
    expect(await sweep()).toMatchObject({ rotations: 1, skipped: 2 });
    expect((await rotations()).map(({ tenant }) => tenant)).toEqual([KEY.tenant]);
  });

  it('the others when one key fails', async () => {
    await addKeys(3);
    world.pass(100 * DAY);
    let fails = true;
    world.faults.before = (call) => {
      if (call === 'ledger.createJob' && fails) {
        fails = false;
        throw new LedgerError('LEDGER_UNAVAILABLE', 'down', { retryable: true });
      }
    };
    expect(await sweep()).toMatchObject({ rotations: 3, failed: 1 });
    expect(counted('SweepFailures')).toEqual([1]);
    // It came to its end all the same.
    expect(counted('SweepCompleted')).toEqual([1]);
    expect(await sweep()).toMatchObject({ rotations: 1, failed: 0 });
    expect(await rotations()).toHaveLength(4);
  });

  it('no key that a rotation works on, is paused for or waits for somebody with', async () => {
    world.pass(100 * DAY);
    const { job } = await requestRotation(world.deps, KEY);
    expect(await sweep()).toEqual(NOTHING);
    const block = (code: BlockerCode) =>
      changeJob(world.deps, job.jobId, (current) => blockJob(current, code, 'why', world.clock.now()));
    await block('QUARANTINED_RECORDS');
    world.pass(2 * DAY);
    expect(await sweep()).toEqual({ ...NOTHING, waiting: 1 });
    await requestRotation(world.deps, KEY);
    await block('STEP_FAILED');
    expect(await sweep()).toEqual({ ...NOTHING, waiting: 1 });
    world.pass(3600);
    expect(await sweep()).toEqual({ ...NOTHING, rotations: 1 });
    expect(await world.job(job.jobId)).toMatchObject({ status: 'REQUESTED', attempt: 3 });
  });

  it('the oldest first, and leaves the rest to the next sweep when its time is over', async () => {
    await addKeys(40);
    world.pass(100 * DAY);
    const asked: string[] = [];
    world.faults.before = (call) => {
      if (call === 'ledger.createJob') asked.push(call);
    };
    const first = await sweep(() => (asked.length < 10 ? 900_000 : 59_999));
    expect(first.rotations).toBeGreaterThanOrEqual(10);
    // What was in work when the time was over is ended.
    expect(first.rotations).toBeLessThan(20);
    // The due keys that are left, and every key's look at its purges.
    expect(first.left).toBe(41 - first.rotations + 41);
    expect(counted('SweepCompleted')).toEqual([]);
    const started = new Set((await rotations()).map(({ tenant }) => tenant));
    const byAge = (await world.ledger.listKeys()).toSorted((a, b) => a.createdAt.localeCompare(b.createdAt));
    expect(new Set(byAge.slice(0, first.rotations).map(({ tenant }) => tenant))).toEqual(started);

    expect(await sweep()).toMatchObject({ rotations: 41 - first.rotations, left: 0, failed: 0 });
    expect(counted('SweepCompleted')).toEqual([1]);
    expect(await rotations()).toHaveLength(41);
  });

  it('ten thousand keys in one run', async () => {
    await addKeys(10_000);
    world.pass(100 * DAY);
    expect(await sweep()).toMatchObject({ rotations: 10_001, failed: 0, left: 0 });
    expect(new Set((await rotations()).map(({ keyId }) => keyId)).size).toBe(10_001);
    expect(await sweep()).toMatchObject({ rotations: 0, failed: 0, left: 0 });
  });
});

describe('the daily sweep takes up a rotation that is blocked', () => {
  /** Activated, so that its key is not due for another three months. */
  async function activated(): Promise<string> {
    const { jobId } = (await requestRotation(world.deps, KEY)).job;
    await createVersion(world.deps, jobId);
    await proveVersion(world.deps, jobId);
    await activateVersion(world.deps, jobId);
    await planSweep(world.deps, jobId);
    return jobId;
  }
  const block = (jobId: string, code: BlockerCode) =>
    changeJob(world.deps, jobId, (job) => blockJob(job, code, 'why', world.clock.now()));

  it('after its activation, by a passing fault, the day after', async () => {
    const jobId = await activated();
    await stopJob(world.deps, jobId, 'TransientError', 'STORE_UNAVAILABLE: database down');
    expect(await sweep()).toEqual({ ...NOTHING, waiting: 1 });
    world.pass(DAY);
    expect(await sweep()).toEqual({ ...NOTHING, rotations: 1 });
    expect(await world.job(jobId)).toMatchObject({ status: 'REQUESTED', attempt: 2, blocker: null });
    expect(await runRotation(world, jobId)).toBe('CLEAN');
    expect(await sweep()).toEqual(NOTHING);
  });

  it.each<[BlockerCode, number | null]>([
    ['STEP_FAILED', 1],
    ['OPEN_TRANSACTIONS', 1],
    ['STALE_RECORDS', 12],
    ['QUARANTINED_RECORDS', null],
    ['MALFORMED_RECORDS', null],
    ['RECORD_SET_CHANGED', 1],
    ['KEY_CHANGED', 1],
  ])('for %s after %j hours (null: a person does)', async (code, hours) => {
    const jobId = await activated();
    await block(jobId, code);
    world.pass((hours ?? 24) * 3600 - 1);
    expect(await sweep()).toEqual({ ...NOTHING, waiting: 1 });
    world.pass(1);
    expect(await sweep()).toEqual({ ...NOTHING, [hours === null ? 'waiting' : 'rotations']: 1 });
  });

  it('but no adoption', async () => {
    const { jobId } = (await requestAdoption(world.deps, { ...KEY, recordSet: 'people' })).job;
    await block(jobId, 'STEP_FAILED');
    world.pass(DAY);
    expect(await sweep()).toEqual(NOTHING);
    expect((await world.job(jobId)).status).toBe('BLOCKED');
  });

  it('not under a version that a person suspended', async () => {
    await block(await activated(), 'STEP_FAILED');
    await world.changeKey((key) =>
      suspendVersion(key, 2, { reason: 'PERSON', rootKeyId: null, at: world.clock.timestamp() }),
    );
    world.pass(DAY);
    expect(await sweep()).toEqual({ ...NOTHING, waiting: 1 });
  });

  it('not where its key waits for another', async () => {
    const { jobId } = (await requestRotation(world.deps, KEY)).job;
    await block(jobId, 'STEP_FAILED');
    await world.changeKey((key) => ({ ...key, rotationId: 'another', revision: key.revision + 1 }));
    world.pass(DAY);
    expect(await sweep()).toEqual(NOTHING);
  });

  it('and ends one that had freed its key when it was stopped', async () => {
    const { jobId } = (await requestRotation(world.deps, KEY)).job;
    const run = runRotation(world, jobId, async (name, step) => {
      if (name !== 'RetireVersion') return step();
      world.faults.after = (call) => {
        if (call === 'ledger.replaceKey') throw new LedgerError('LEDGER_UNAVAILABLE', 'down');
      };
      return step();
    });
    await expect(run).rejects.toMatchObject({ code: 'LEDGER_UNAVAILABLE' });
    world.faults.after = () => {};
    await stopJob(world.deps, jobId, 'TransientError', 'LEDGER_UNAVAILABLE: down');
    expect((await world.key()).rotationId).toBeNull();
    expect(await sweep()).toEqual(NOTHING);
    const { purgeNotBefore } = (await world.key()).versions['1'] ?? {};
    expect(await world.job(jobId)).toMatchObject({ status: 'COMPLETED', blocker: null, purgeNotBefore });
    expect(world.published.map(({ detailType }) => detailType)).toEqual([
      'KeyRotationBlocked',
      'KeyRotationCompleted',
    ]);
  });

  it('however many there are, few at a time', async () => {
    await addKeys(40);
    for (const { tenant, purpose } of await world.ledger.listKeys())
      await block((await requestRotation(world.deps, { ...KEY, tenant, purpose })).job.jobId, 'STEP_FAILED');
    world.pass(DAY);
    let [running, most] = [0, 0];
    world.faults.before = async (call) => {
      if (call !== 'executions.start') return;
      running += 1;
      most = Math.max(most, running);
      await new Promise(setImmediate);
    };
    world.faults.after = (call) => {
      if (call === 'executions.start') running -= 1;
    };
    expect(await sweep()).toEqual({ ...NOTHING, rotations: 41 });
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
  });
});

describe('the function of the daily sweep', () => {
  it('keeps time for due keys where many KEKs are to be wrapped anew, and says that not all was done', async () => {
    const rootKeys = createTestRootKeys();
    world = await worlds.makeWorld(createMemoryLedger(), {}, { provider: rootKeys.provider });
    for (let i = 0; i < 40; i++) await createKey(world.deps, `tenant-${i}`, KEY.purpose);
    rootKeys.rotate(rootKeys.provider.rootKeyFor(''));
    world.pass(100 * DAY);
    world.faults.before = (call) => {
      if (call === 'provider.rewrapKek') world.pass(10);
    };
    const until = world.clock.now() + 300_000;
    const report = await sweep(() => until - world.clock.now());
    // Half of the time, but for what ends the keys in work: every one of them waits ten seconds here.
    expect(rootKeys.calls.filter((call) => call === 'rewrapKek').length).toBeLessThan(30);
    expect(report).toMatchObject({ rotations: 41, failed: 0 });
    expect(report.left).toBeGreaterThan(10);
    expect(counted('SweepCompleted')).toEqual([]);
    world.faults.before = () => {};
    expect(await sweep()).toMatchObject({ left: 0 });
    expect(counted('SweepCompleted')).toEqual([1]);
  });

  it('says what it did in one line of numbers, and nothing where it did nothing', async () => {
    const lines: string[] = [];
    const log = { ...world.deps.log, info: (message: string) => void lines.push(message) };
    await sweepDaily({ ...world.deps, log });
    expect(lines).toEqual([]);
    world.pass(100 * DAY);
    await sweepDaily({ ...world.deps, log });
    expect(lines).toEqual([
      'daily sweep: recovered 0, rotations 1, purges 0, skipped 0, waiting 0, left 0, failed 0',
    ]);
  });

  it('heeds the time that Lambda leaves it', async () => {
    world.pass(100 * DAY);
    const run = EVENT_FUNCTIONS.sweep(world.deps);
    expect(await run({}, { getRemainingTimeInMillis: () => 59_000 })).toMatchObject({
      rotations: 0,
      left: 3,
    });
    expect(await run({}, { getRemainingTimeInMillis: () => 61_000 })).toMatchObject({
      rotations: 1,
      left: 0,
    });
  });

  it('fails as a whole, to be tried again, where the ledger cannot be listed', async () => {
    world.faults.before = (call) => {
      if (call === 'ledger.listKeys')
        throw new LedgerError('LEDGER_UNAVAILABLE', 'down', { retryable: true });
    };
    await expect(sweep()).rejects.toMatchObject({ code: 'LEDGER_UNAVAILABLE' });
    expect(counted('SweepCompleted')).toEqual([]);
  });
});
