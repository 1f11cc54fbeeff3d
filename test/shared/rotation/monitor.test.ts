import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { approve } from '../../../shared/approvals/approve.ts';
import { changeVersion } from '../../../shared/keyring/change-version.ts';
import { METRICS, type MetricName } from '../../../shared/metrics/metrics.ts';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { monitor } from '../../../shared/rotation/monitor.ts';
import { planSweep } from '../../../shared/rotation/plan-sweep.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { JOB_STATUSES, type Job } from '../../../shared/rotation/rotation.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';
import { createApprovers } from '../../support/approvers.ts';
import { withDestroyed } from '../../support/full-keys.ts';
import { deliver, list, runPurge, runRotation } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, type World } from '../../support/memory-world.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());
const HOUR = 3600;
const DAY = 24 * HOUR;
const ZERO = {
  JobsRunning: 0,
  JobsStuck: 0,
  JobsPaused: 0,
  JobsBlockedNow: 0,
  QuarantinedRecords: 0,
  KeysOverdue: 0,
  KeysNearlyFull: 0,
  PurgesAwaitingApproval: 0,
  BreakGlassApprovals: 0,
  PendingVersionsUsed: 0,
  RootKeysUnusable: 0,
};

let world: World;
let calls: string[];
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 8);
  calls = [];
  world.faults.before = (call) => {
    calls.push(call);
  };
});

const look = () => monitor(world.deps);

describe('the monitor', () => {
  it('measures every gauge each time, zero too, and gives them', async () => {
    const measured = new Map<MetricName, number>();
    world.meter.metrics = { add: (name, value) => measured.set(name, value) };
    world.pass(5);
    const gauges = await look();
    expect(gauges).toEqual({ ...ZERO, OldestKeyAge: 5, unverified: 0 });
    // Of a root key that wraps nothing yet the ledger knows nothing: that is no zero.
    const { RootKeysUnusable: _, unverified: __, ...known } = gauges;
    expect(Object.fromEntries(measured)).toEqual(known);
    for (const name of measured.keys()) expect(METRICS[name]).toBeDefined();
  });

  it('says nothing of a ledger without keys', async () => {
    const deps = { ...world.deps, ledger: createMemoryLedger() };
    expect(await monitor(deps)).toEqual({ ...ZERO, OldestKeyAge: 0, unverified: 0 });
  });

  it('counts jobs by where they stand', async () => {
    for (const [i, status] of JOB_STATUSES.entries())
      await world.ledger.createJob(
        testJob({ jobId: `job-${i}`, status, requestedAt: world.clock.timestamp() }),
      );
    expect(await look()).toMatchObject({ JobsRunning: 5, JobsStuck: 0, JobsPaused: 1, JobsBlockedNow: 1 });
  });

  it('knows the age of the oldest active version, and what is older than the policy allows', async () => {
    world.pass(89 * DAY);
    const born = new Date(world.clock.now() - 90.5 * DAY * 1000).toISOString();
    const key = testKey({ tenant: 'old', active: 1 });
    const [version] = Object.values(key.versions);
    if (version === undefined) throw new Error('no version');
    await world.ledger.createKey({
      ...key,
      versions: { 1: { ...version, state: 'ACTIVE', activatedAt: born } },
    });
    // Never activated: it has no age.
    await world.ledger.createKey(
      testKey({ tenant: 'unborn', keyId: '01900000-0000-7000-8000-000000000009' }),
    );
    expect(await look()).toMatchObject({ OldestKeyAge: 90.5 * DAY, KeysOverdue: 1 });
    const { config } = world.deps;
    const onRequest = { ...config, rotation: { ...config.rotation, everyDays: null } };
    expect(await monitor({ ...world.deps, config: onRequest })).toMatchObject({ KeysOverdue: 0 });
  });

  it('counts keys that can get few more versions, and says which', async () => {
    const told: unknown[] = [];
    const log = { ...world.deps.log, warn: (_: string, fields?: object) => told.push(fields) };
    await world.changeKey((key) => ({ ...withDestroyed(key, 200), revision: key.revision + 1 }));
    expect(await monitor({ ...world.deps, log })).toMatchObject({ KeysNearlyFull: 0 });
    expect(told).toEqual([]);
    const { keyId } = await world.changeKey((key) => ({
      ...withDestroyed(key, 260),
      revision: key.revision + 1,
    }));
    expect(await monitor({ ...world.deps, log })).toMatchObject({ KeysNearlyFull: 1 });
    expect(told).toEqual([{ tenant: 'acme', purpose: 'default', keyId, count: 261 }]);
  });

  it('counts records in quarantine once, whatever number of their fields is', async () => {
    const { keyId } = await world.key();
    const record = { keyId, tenant: 'acme', purpose: 'default', recordSet: 'people', jobId: 'j' };
    const more = { code: 'ENVELOPE_MALFORMED', version: null, at: world.clock.timestamp() };
    for (const [id, field] of [
      ['1', 'email'],
      ['1', 'phone'],
      ['2', 'email'],
    ] as const)
      await world.ledger.putQuarantined({ ...record, ...more, recordId: [id], field });
    expect(await look()).toMatchObject({ QuarantinedRecords: 2 });
  });

  it('counts root keys for which versions are suspended, each once, and none that a person suspended', async () => {
    const [version] = Object.values(testKey().versions);
    if (version === undefined) throw new Error('no version');
    const suspend = (number: number, reason: 'ROOT_KEY' | 'PERSON', rootKeyId: string | null) => {
      const suspended = { reason, rootKeyId, at: world.clock.timestamp() };
      return { ...version, version: number, state: 'SUSPENDED' as const, suspended };
    };
    const versions = {
      1: suspend(1, 'ROOT_KEY', 'a'),
      2: suspend(2, 'ROOT_KEY', 'a'),
      3: suspend(3, 'PERSON', null),
    };
    await world.ledger.createKey(testKey({ tenant: 't1', versions }));
    expect(await look()).toMatchObject({ RootKeysUnusable: 1 });
    const keyId = '01900000-0000-7000-8000-000000000009';
    await world.ledger.createKey(
      testKey({ tenant: 't2', keyId, versions: { 1: suspend(1, 'ROOT_KEY', 'b') } }),
    );
    expect(await look()).toMatchObject({ RootKeysUnusable: 2 });
  });

  it('counts a purge that stopped, until it is done or its version is used again', async () => {
    const row = world.people.rows.get(JSON.stringify(['1']));
    const whole = row?.values[0] ?? null;
    if (row === undefined) throw new Error('no row');
    row.values[0] = Buffer.from('no envelope');
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    expect(await look()).toMatchObject({ PurgesAwaitingApproval: 0, QuarantinedRecords: 1 });
    world.passGrace();
    // Due, and nothing speaks against it yet.
    expect(await look()).toMatchObject({ PurgesAwaitingApproval: 0 });
    const purge = async () => {
      const requested = await requestPurge(world.deps, { ...KEY, version: 1 });
      return runPurge(world, requested.job.jobId);
    };
    expect(await purge()).toBe(false);
    expect(await look()).toMatchObject({ PurgesAwaitingApproval: 0, JobsBlockedNow: 1 });
    // One that may pass by itself is tried again by the sweep.
    const [blocked] = await world.ledger.listJobs({ kind: 'purge' });
    if (blocked?.blocker == null) throw new Error('not blocked');
    const passing = { ...blocked, blocker: { ...blocked.blocker, code: 'STEP_FAILED' as const } };
    await world.ledger.replaceJob({ ...passing, revision: blocked.revision + 1 });
    expect(await look()).toMatchObject({ PurgesAwaitingApproval: 0, JobsBlockedNow: 1 });
    await world.ledger.replaceJob({ ...blocked, revision: blocked.revision + 2 });
    // Nobody waits for it where its version is used again.
    const retired = await world.key();
    await world.changeKey((key) => changeVersion(key, 1, { state: 'ACTIVE' }));
    expect(await look()).toMatchObject({ PurgesAwaitingApproval: 0, JobsBlockedNow: 0 });
    await world.changeKey((key) => ({ ...retired, revision: key.revision + 1 }));

    row.values[0] = whole;
    world.people.rows.delete(JSON.stringify(['1']));
    expect(await purge()).toBe(false);
    world.passGrace();
    expect(await purge()).toBe(true);
    expect(await look()).toMatchObject({
      ...{ PurgesAwaitingApproval: 0, JobsBlockedNow: 0, QuarantinedRecords: 0 },
    });
  });
});

describe('approvals', () => {
  const setting = async (approvals: object) => {
    world = await worlds.makeWorld(createMemoryLedger(), {}, { approvals });
    await runRotation(world, (await requestRotation(world.deps, KEY)).job.jobId);
    world.passGrace();
  };

  it('that a purge waits for are counted, and those for emergencies on their own, for a day', async () => {
    const people = await createApprovers('alice', 'emergency-eve');
    await setting({ required: 2, approvers: await people.configured('alice', 'emergency-eve') });
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    await expect(runPurge(world, job.jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
    expect(await look()).toMatchObject({ PurgesAwaitingApproval: 1, BreakGlassApprovals: 0, JobsPaused: 0 });
    const { approvalId } = await world.job(job.jobId);
    for (const name of ['alice', 'emergency-eve'])
      await approve(world.deps, approvalId ?? '', name, people.signer(name));
    expect(await look()).toMatchObject({ BreakGlassApprovals: 1 });
    world.pass(DAY + 1);
    expect(await look()).toMatchObject({ PurgesAwaitingApproval: 1, BreakGlassApprovals: 0 });
    await people.remove();
  });

  it('that nobody is there to give are missed from the day on when a purge is due', async () => {
    await setting({});
    expect(await look()).toMatchObject({ PurgesAwaitingApproval: 1 });
    world.pass(-40 * DAY);
    expect(await look()).toMatchObject({ PurgesAwaitingApproval: 0 });
  });
});

describe('a job is stuck', () => {
  let job: Job;
  beforeEach(async () => {
    ({ job } = await requestRotation(world.deps, KEY));
  });
  const stuck = async () => (await look()).JobsStuck;
  const toSweep = async () => {
    for (const step of [createVersion, proveVersion, activateVersion]) await step(world.deps, job.jobId);
    return planSweep(world.deps, job.jobId);
  };

  it('when it never began, after an hour', async () => {
    world.pass(HOUR);
    expect(await stuck()).toBe(0);
    world.pass(1);
    expect(await stuck()).toBe(1);
  });

  it('when nothing was planned or reported, by each sign that it gives', async () => {
    world.pass(2 * HOUR);
    const { segments } = await toSweep();
    // The round is planned, and the barrier waits besides.
    world.pass(HOUR + job.times.barrierSeconds);
    expect(await stuck()).toBe(0);
    world.pass(1);
    expect(await stuck()).toBe(1);
    // Pages are planned.
    for (const task of segments) await list(world, task, async () => {});
    expect(await stuck()).toBe(0);
    world.pass(HOUR + 1);
    expect(await stuck()).toBe(1);
    // One chunk is reported.
    const rest = world.queue.splice(1);
    await deliver(world);
    expect(await stuck()).toBe(0);
    world.pass(HOUR + 1);
    expect(await stuck()).toBe(1);
    world.queue.push(...rest);
    await deliver(world);
    expect(await stuck()).toBe(0);
  });

  it('by the stall time of the job, where that is longer', async () => {
    const stored = await world.job(job.jobId);
    const times = { ...stored.times, stallSeconds: 2 * HOUR };
    await world.ledger.replaceJob({ ...stored, times, revision: stored.revision + 1 });
    world.pass(4 * HOUR);
    expect(await stuck()).toBe(0);
    world.pass(1);
    expect(await stuck()).toBe(1);
  });

  it('in its census by the segments that are counted; never before its barrier is over', async () => {
    await runRotation(world, job.jobId, async (name, step) => {
      const answer = await step();
      if (name === 'ActivateVersion') {
        const { barrierUntil } = await world.job(job.jobId);
        const left = Date.parse(barrierUntil ?? '') - world.clock.now();
        world.pass(left / 1000 + HOUR);
        expect(await stuck()).toBe(0);
      }
      if (name === 'TakeCensus') {
        world.pass(HOUR);
        expect(await stuck()).toBe(0);
        world.pass(1);
        expect(await stuck()).toBe(1);
      }
      return answer;
    });
    expect(await stuck()).toBe(0);
  });
});

describe('its cost', () => {
  it('is one query a key, two reads a running job, and three lists', async () => {
    for (let i = 0; i < 20; i++)
      await world.ledger.createKey(
        testKey({ tenant: `t${i}`, keyId: `01900000-0000-7000-9000-${String(i).padStart(12, '0')}` }),
      );
    const { job } = await requestRotation(world.deps, KEY);
    for (const step of [createVersion, proveVersion, activateVersion]) await step(world.deps, job.jobId);
    world.pass(2 * HOUR);
    await planSweep(world.deps, job.jobId);
    calls = [];
    await look();
    expect(calls.filter((call) => call === 'ledger.listQuarantined')).toHaveLength(21);
    expect(calls.filter((call) => call !== 'ledger.listQuarantined').sort()).toEqual([
      'ledger.getRound',
      'ledger.listApprovalRequests',
      'ledger.listJobs',
      'ledger.listKeys',
      'ledger.listSegments',
    ]);
  });

  it('is reading only', async () => {
    await requestRotation(world.deps, KEY);
    calls = [];
    await look();
    for (const call of calls) expect(call).toMatch(/^ledger\.(get|list)/);
  });
});
