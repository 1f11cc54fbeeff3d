import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { changeKeyItem, changeVersion } from '../../../shared/keyring/change-version.ts';
import { beginDestroy, cancelDestroy } from '../../../shared/keyring/destruction.ts';
import { activateVersion as activate } from '../../../shared/keyring/versions.ts';
import { beginPurge } from '../../../shared/rotation/begin-purge.ts';
import { checkBarrier } from '../../../shared/rotation/check-barrier.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { destroyVersion } from '../../../shared/rotation/destroy-version.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { stopJob } from '../../../shared/rotation/stop-job.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { takeCensus } from '../../../shared/rotation/take-census.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
import {
  Crash,
  FIELDS,
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 6);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
});

const PURGE = { ...KEY, version: 1 };
const DAY = 86_400;

const graceOver = () => world.passGrace();

async function requestDue() {
  graceOver();
  return (await requestPurge(world.deps, PURGE)).job;
}

/** Runs the purge with something in between, right before the named step. */
async function purgeWith(before: string, act: () => Promise<unknown>) {
  const job = await requestDue();
  let acted = false;
  const destroyed = await runPurge(world, job.jobId, async (name, step) => {
    if (name === before && !acted) {
      acted = true;
      await act();
    }
    return step();
  });
  return { destroyed, job: await world.job(job.jobId) };
}

async function expectBlocked(result: Awaited<ReturnType<typeof purgeWith>>, code: string) {
  expect(result).toMatchObject({ destroyed: false, job: { status: 'BLOCKED', blocker: { code } } });
  expect(await stateOf(world, 1)).toBe('RETIRING');
  expect((await world.key()).versions['1']?.wrapped).not.toBeNull();
}

async function quarantine(version: number | null) {
  const { keyId } = await world.key();
  world.people.rows.get('["1"]')?.values.fill(Buffer.from('not an envelope'));
  await world.ledger.putQuarantined({
    keyId,
    tenant: TENANT,
    purpose: PURPOSE,
    recordSet: 'people',
    recordId: ['1'],
    field: 'email',
    code: 'ENVELOPE_MALFORMED',
    version,
    jobId: '00000000-0000-4000-8000-000000000000',
    at: world.clock.timestamp(),
  });
}

describe('a purge', () => {
  it('is refused in the grace, and a clock that is set back only makes it longer', async () => {
    const until = (await world.key()).versions['1']?.purgeNotBefore ?? '';
    world.clock.jumpTo(Date.parse(until) - 1);
    await expect(requestPurge(world.deps, PURGE)).rejects.toMatchObject({ code: 'PURGE_REFUSED' });
    world.clock.jumpTo(0);
    await expect(requestPurge(world.deps, PURGE)).rejects.toMatchObject({ code: 'PURGE_REFUSED' });
    world.clock.jumpTo(Date.parse(until));
    expect((await requestPurge(world.deps, PURGE)).answer).toBe('started');
  });

  it('waits for the barrier, and longer when the clock is set back', async () => {
    // No backups, whose holds would stand again with the clock set back.
    world = await worlds.makeWorld(createMemoryLedger(), { backupRetentionSeconds: 0 });
    await runRotation(world, (await requestRotation(world.deps, KEY)).job.jobId);
    const job = await requestDue();
    await beginPurge(world.deps, job.jobId);
    const barrier = job.times.barrierSeconds;
    // A twentieth of it at a time, to see soon who asks for the version.
    expect(await checkBarrier(world.deps, job.jobId)).toEqual({ passed: false, waitSeconds: barrier / 20 });
    world.pass(-600);
    const longer = { passed: false, waitSeconds: (barrier + 600) / 20 };
    expect(await checkBarrier(world.deps, job.jobId)).toEqual(longer);
    await beginPurge(world.deps, job.jobId);
    world.pass(600 + barrier - 1);
    expect(await checkBarrier(world.deps, job.jobId)).toEqual({ passed: false, waitSeconds: 1 });
    world.pass(1);
    expect(await checkBarrier(world.deps, job.jobId)).toEqual({ passed: true, waitSeconds: 0 });
  });

  it('that somebody else took up and completed is not taken up again by a request that comes late', async () => {
    const { job } = await purgeWith('DestroyVersion', () => world.makeKeyring().version(TENANT, PURPOSE, 1));
    expect(job.status).toBe('BLOCKED');
    // The request has read that it is BLOCKED, and stands still before it writes.
    let stands = true;
    world.faults.before = async (call) => {
      if (call !== 'ledger.replaceJob' || !stands) return;
      stands = false;
      await requestPurge(world.deps, PURGE);
      expect(await runPurge(world, job.jobId)).toBe(false);
      world.passGrace();
      await requestPurge(world.deps, PURGE);
      expect(await runPurge(world, job.jobId)).toBe(true);
    };
    const late = await requestPurge(world.deps, PURGE);
    expect(late).toMatchObject({ answer: 'completed', job: { status: 'COMPLETED', attempt: 3 } });
    expect(await world.job(job.jobId)).toEqual(late.job);
  });

  it.each(['CheckBarrier', 'TakeCensus', 'DestroyVersion'])(
    'is called off by an application that asks for the version before %s',
    async (step) => {
      const kek = async () => {
        expect((await world.makeKeyring().version(TENANT, PURPOSE, 1)).version).toBe(1);
      };
      const result = await purgeWith(step, kek);
      await expectBlocked(result, 'VERSION_IN_USE');
      // The next request begins again, from a new barrier.
      const again = await requestPurge(world.deps, PURGE);
      expect(again).toMatchObject({ answer: 'resumed', job: { attempt: 2, status: 'REQUESTED' } });
      // And begins the grace anew, since it was used.
      expect(await runPurge(world, again.job.jobId)).toBe(false);
      world.passGrace();
      const last = await requestPurge(world.deps, PURGE);
      expect(await runPurge(world, last.job.jobId)).toBe(true);
    },
  );

  it('stays called off when its execution is started again', async () => {
    const again = async () => {
      await world.makeKeyring().version(TENANT, PURPOSE, 1);
      const [job] = await world.ledger.listJobs({ kind: 'purge' });
      await beginPurge(world.deps, job?.jobId ?? '');
    };
    await expectBlocked(await purgeWith('TakeCensus', again), 'VERSION_IN_USE');
  });

  it('is void after a restore of a store', async () => {
    const restore = () =>
      world.changeKey((key) => changeKeyItem(key, { restoreEpoch: key.restoreEpoch + 1 }));
    await expectBlocked(await purgeWith('DestroyVersion', restore), 'KEY_CHANGED');
    // A new attempt reads the new epoch.
    const again = await requestPurge(world.deps, PURGE);
    expect(await runPurge(world, again.job.jobId)).toBe(true);
  });

  it.each([
    [null, 'QUARANTINED_RECORDS'],
    [1, 'QUARANTINED_RECORDS'],
    // Another version's quarantine is not this purge's; the value itself cannot be told.
    [2, 'MALFORMED_RECORDS'],
  ])('is blocked by a quarantined value of version %s', async (version, code) => {
    await expectBlocked(await purgeWith('BeginPurge', () => quarantine(version)), code);
  });

  it('is blocked by a value that came back, and by one in another tenant’s row', async () => {
    const back = () => world.write(world.notes, 2, 'restored', 1);
    const result = await purgeWith('TakeCensus', back);
    await expectBlocked(result, 'STALE_RECORDS');
    expect(result.job.blocker?.message).toBe('The census found 2 values on version 1');
    const row = world.notes.rows.get('["2"]');
    if (row === undefined) throw new Error('no row');
    row.tenant = 'somebody else';
    const again = await requestPurge(world.deps, PURGE);
    expect(await runPurge(world, again.job.jobId)).toBe(false);
    expect(await world.job(again.job.jobId)).toMatchObject({ census: { reach: 'everywhere', onVersion: 2 } });
  });

  it('destroys once, however often the step comes', async () => {
    const job = await requestDue();
    let destroyed = 0;
    world.faults.after = (call) => {
      if (call === 'provider.destroyKek') destroyed += 1;
    };
    expect(await runPurge(world, job.jobId)).toBe(true);
    expect(await destroyVersion(world.deps, job.jobId, 1)).toEqual({ destroyed: true });
    expect(await requestPurge(world.deps, PURGE)).toMatchObject({ answer: 'completed' });
    expect(destroyed).toBe(1);
    expect((await world.key()).versions['1']).toMatchObject({ state: 'DESTROYED', wrapped: null });
  });

  it('ends after a crash between the decision and the erasure', async () => {
    const job = await requestDue();
    world.faults.before = (call) => {
      if (call !== 'provider.destroyKek') return;
      world.faults.before = () => {};
      throw new Crash(call);
    };
    await expect(runPurge(world, job.jobId)).rejects.toThrow(Crash);
    expect((await world.key()).versions['1']).toMatchObject({ state: 'DESTROY_PENDING' });
    expect((await world.key()).versions['1']?.destroyAuthorizedAt).not.toBeNull();
    world.restart();
    // Decided is decided: nobody calls it off, and what lives goes on.
    await world.write(world.people, 9, 'new');
    await expect(world.changeKey((key) => cancelDestroy(key, 1))).rejects.toMatchObject({
      code: 'VERSION_STATE',
    });
    expect(await runPurge(world, job.jobId)).toBe(true);
    expect(await stateOf(world, 1)).toBe('DESTROYED');
  });

  it('that cannot end is blocked with its reason, and the daily sweep takes it up again', async () => {
    const job = await requestDue();
    world.faults.before = (call) => {
      if (call === 'provider.destroyKek') throw new Error('denied');
    };
    await expect(runPurge(world, job.jobId)).rejects.toThrow('denied');
    await stopJob(world.deps, job.jobId, 'PermanentError', 'PROVIDER_DENIED: no');
    expect(await world.job(job.jobId)).toMatchObject({
      status: 'BLOCKED',
      blocker: { code: 'STEP_FAILED', message: 'PROVIDER_DENIED: no' },
    });
    expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
    world.faults.before = () => {};
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 0, purges: 1, failed: 0 });
    expect(await runPurge(world, job.jobId)).toBe(true);
    expect(await stateOf(world, 1)).toBe('DESTROYED');
  });
});

describe('a rehearsal', () => {
  const DAYS = [0, 1 / 24, 1, 7, 30, 365];
  const EVENTS_A_LOOK = 9;

  it.each(DAYS)(
    'of %s days is looked at often, and stays within the events of an execution',
    async (days) => {
      world = await worlds.makeWorld(createMemoryLedger(), { soakSeconds: days * DAY });
      const { job } = await requestRotation(world.deps, KEY);
      await runRotation(world, job.jobId);
      world.passGrace();
      const purge = (await requestPurge(world.deps, PURGE)).job;
      expect(purge.times.barrierSeconds).toBe(Math.max(420, days * DAY + 60));
      await beginPurge(world.deps, purge.jobId);
      const began = world.clock.now();
      let looks = 0;
      let longest = 0;
      for (;;) {
        const { passed, waitSeconds } = await checkBarrier(world.deps, purge.jobId);
        looks += 1;
        if (passed) break;
        longest = Math.max(longest, waitSeconds);
        world.pass(waitSeconds);
      }
      expect(world.clock.now() - began).toBe(purge.times.barrierSeconds * 1000);
      expect(looks * EVENTS_A_LOOK).toBeLessThan(10_000);
      if (days <= 7) expect(longest).toBeLessThanOrEqual(900);
      if (days <= 1 / 24) expect(longest).toBeLessThanOrEqual(183);
    },
  );

  it('goes on where it was after a failure that left the version fenced', async () => {
    world = await worlds.makeWorld(createMemoryLedger(), { soakSeconds: 7 * DAY });
    await runRotation(world, (await requestRotation(world.deps, KEY)).job.jobId);
    const job = await requestDue();
    await beginPurge(world.deps, job.jobId);
    const { barrierUntil } = await world.job(job.jobId);
    world.pass(3 * DAY);
    // Its execution is gone: the daily sweep takes it up again.
    world.executions.clear();
    await sweepDaily(world.deps);
    await beginPurge(world.deps, job.jobId);
    expect((await world.job(job.jobId)).barrierUntil).toBe(barrierUntil);
  });

  it('begins again with each fence', async () => {
    world = await worlds.makeWorld(createMemoryLedger(), { soakSeconds: 7 * DAY });
    await runRotation(world, (await requestRotation(world.deps, KEY)).job.jobId);
    const job = await requestDue();
    await beginPurge(world.deps, job.jobId);
    await stopJob(world.deps, job.jobId, 'PermanentError', 'STORE_DENIED: no');
    world.pass(6 * DAY);
    await requestPurge(world.deps, PURGE);
    await beginPurge(world.deps, job.jobId);
    const { barrierUntil } = await world.job(job.jobId);
    expect(Date.parse(barrierUntil ?? '')).toBe(world.clock.now() + (7 * DAY + 60) * 1000);
  });
});

describe('a fence that is set by a clock that is back', () => {
  it('begins its own rehearsal, whatever the one before it was', async () => {
    world = await worlds.makeWorld(createMemoryLedger(), { soakSeconds: 7 * DAY });
    await runRotation(world, (await requestRotation(world.deps, KEY)).job.jobId);
    const job = await requestDue();
    world.pass(2 * 3600);
    await beginPurge(world.deps, job.jobId);
    const fenced = world.clock.now();
    for (const backThen of [fenced - 3600_000, fenced]) {
      world.clock.jumpTo(fenced + 7 * DAY * 1000);
      await stopJob(world.deps, job.jobId, 'States.TaskFailed', 'STORE_UNAVAILABLE: away');
      expect(await stateOf(world, 1)).toBe('RETIRING');
      world.pass(DAY);
      const now = world.clock.now();
      await requestPurge(world.deps, PURGE);
      world.clock.jumpTo(backThen);
      await beginPurge(world.deps, job.jobId);
      const { barrierUntil } = await world.job(job.jobId);
      expect(Date.parse(barrierUntil ?? '')).toBe(backThen + (7 * DAY + 60) * 1000);
      world.clock.jumpTo(now);
    }
  });

  it('is another one to a purge that counted under the one before', async () => {
    const job = await requestDue();
    const { round, segments } = await beginPurge(world.deps, job.jobId);
    for (const task of segments) await takeCensus(world.deps, task);
    const fencedAt = (await world.key()).versions['1']?.destroyPendingAt ?? '';
    await world.changeKey((key) => cancelDestroy(key, 1));
    const earlier = new Date(Date.parse(fencedAt) - 1000).toISOString();
    await world.changeKey((key) => beginDestroy(key, 1, earlier));
    expect(await destroyVersion(world.deps, job.jobId, round)).toEqual({ destroyed: false });
    expect(await stateOf(world, 1)).toBe('RETIRING');
    expect(await world.job(job.jobId)).toMatchObject({ blocker: { code: 'VERSION_IN_USE' } });
  });
});

describe('stopping a purge', () => {
  it('undoes what was begun, and says why', async () => {
    const job = await requestDue();
    await beginPurge(world.deps, job.jobId);
    await stopJob(world.deps, job.jobId, 'PermanentError', `STORE_DENIED: ${'x'.repeat(2000)}`);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    const stopped = await world.job(job.jobId);
    expect(stopped.blocker?.message).toHaveLength(500);
    await stopJob(world.deps, job.jobId, 'Other', 'OTHER: later');
    expect(await world.job(job.jobId)).toEqual(stopped);
  });

  it('names open transactions as what they are, and an error without a cause', async () => {
    const job = await requestDue();
    await beginPurge(world.deps, job.jobId);
    await stopJob(world.deps, job.jobId, 'TransientError', 'STORE_OPEN_TRANSACTIONS: since 12:00');
    expect(await world.job(job.jobId)).toMatchObject({ blocker: { code: 'OPEN_TRANSACTIONS' } });
    await requestPurge(world.deps, PURGE);
    await stopJob(world.deps, job.jobId, 'States.Timeout', '');
    expect(await world.job(job.jobId)).toMatchObject({
      blocker: { code: 'STEP_FAILED', message: 'States.Timeout' },
    });
  });

  it.each([
    ['active again', () => world.changeKey((key) => activate(key, 1, world.clock.timestamp(), null))],
    ['suspended', () => world.changeKey((key) => changeVersion(key, 1, { state: 'SUSPENDED' }))],
  ])('names its blocker also when the version is %s', async (_, change) => {
    const job = await requestDue();
    await change();
    const key = await world.key();
    const error: unknown = await beginPurge(world.deps, job.jobId).catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'PURGE_REFUSED' });
    await stopJob(world.deps, job.jobId, 'PermanentError', String(error));
    expect(await world.job(job.jobId)).toMatchObject({ status: 'BLOCKED', blocker: { code: 'STEP_FAILED' } });
    expect(await world.key()).toEqual(key);
  });
});

describe('a hold', () => {
  it('is never shortened by a retirement, nor by one with a clock that was set back', async () => {
    const held = new Date(world.clock.now() + 400 * DAY * 1000).toISOString();
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId, async (name, step) => {
      if (name === 'RetireVersion') {
        await world.changeKey((key) => changeVersion(key, 2, { purgeNotBefore: held }));
        world.pass(-100 * DAY);
      }
      return step();
    });
    expect((await world.key()).versions['2']?.purgeNotBefore).toBe(held);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', purgeNotBefore: held });
  });
});

describe('the daily sweep', () => {
  it('starts the purge of what is due, once, and of nothing in its grace', async () => {
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 0, purges: 0, failed: 0 });
    graceOver();
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 0, purges: 1, failed: 0 });
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 0, purges: 0, failed: 0 });
    const [job] = await world.ledger.listJobs({ kind: 'purge' });
    expect(job).toMatchObject({ requestedBy: 'daily sweep', from: 1 });
    expect(await runPurge(world, job?.jobId ?? '')).toBe(true);
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 0, purges: 0, failed: 0 });
  });

  it('goes on with the others when one job and one key fail', async () => {
    const key = await world.key();
    const lost = { ...(await world.job((await world.ledger.listJobs())[0]?.jobId ?? '')), revision: 1 };
    for (const [i, tenant] of ['aaa', 'zzz'].entries()) {
      const keyId = `01900000-0000-7000-9000-00000000000${i}`;
      await world.ledger.createKey({ ...key, tenant, keyId, revision: 1 });
      const jobId = `00000000-0000-4000-8000-00000000000${i}`;
      await world.ledger.createJob({ ...lost, jobId, tenant, keyId, status: 'SWEEPING' });
    }
    graceOver();
    const failing = new Set(['executions.isRunning', 'ledger.createJob']);
    world.faults.before = (call) => {
      if (failing.delete(call)) throw new Error('boom');
    };
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 1, purges: 2, failed: 2 });
    world.faults.before = () => {};
    expect((await sweepDaily(world.deps)).failed).toBe(0);
    expect((await world.ledger.listJobs({ kind: 'purge' })).map(({ tenant }) => tenant).sort()).toEqual([
      'aaa',
      TENANT,
      'zzz',
    ]);
  });

  it('takes up a job whose execution is gone or ended, and leaves one that runs', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 0 });
    // A stopped machine forgot it: the same attempt is started again.
    world.executions.clear();
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 1 });
    expect(await world.job(job.jobId)).toMatchObject({ attempt: 1 });
    // It ended without an end of the job: that name is used up.
    const first = world.executions.get(`${job.jobId}-1`);
    if (first === undefined) throw new Error('not started');
    first.running = false;
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 1 });
    expect(await world.job(job.jobId)).toMatchObject({ attempt: 2, status: 'REQUESTED' });
    expect([...world.executions.keys()]).toContain(`${job.jobId}-2`);
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    for (const execution of world.executions.values()) execution.running = false;
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 0 });
  });

  it('ends a rotation that freed the lock and crashed before its end, also when the next one runs', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    let writes = 0;
    await expect(
      runRotation(world, job.jobId, async (name, step) => {
        if (name === 'RetireVersion') {
          world.faults.before = (call) => {
            if (call === 'ledger.replaceJob' && writes++ === 0) throw new Crash(call);
          };
        }
        return step();
      }),
    ).rejects.toThrow(Crash);
    world.restart();
    expect(await world.key()).toMatchObject({ rotationId: null, active: 3 });
    const next = await requestRotation(world.deps, KEY);
    await createVersion(world.deps, next.job.jobId);
    world.executions.delete(`${job.jobId}-1`);
    expect(await sweepDaily(world.deps)).toMatchObject({ recovered: 1, purges: 0, failed: 0 });
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', blocker: null });
    expect((await world.job(job.jobId)).purgeNotBefore).toBe(
      (await world.key()).versions['2']?.purgeNotBefore,
    );
    expect(await runRotation(world, next.job.jobId)).toBe('CLEAN');
  });

  it('recovers a rotation in any status, which then counts afresh', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    let stops = 0;
    const crashed = await untilDone(world, () =>
      runRotation(world, job.jobId, async (name, step) => {
        const answer = await step();
        if (stops < 20 && name !== 'ListSegment' && name !== 'RetireVersion') {
          stops += 1;
          const [execution] = [...world.executions].filter(([at]) => at.startsWith(job.jobId)).slice(-1);
          if (execution !== undefined) execution[1].running = false;
          expect(await sweepDaily(world.deps), name).toMatchObject({ recovered: 1, failed: 0 });
        }
        return answer;
      }),
    ).catch((error: unknown) => error);
    // An execution that an other one has overtaken finds its segments uncounted, and stops.
    if (crashed !== 0) expect(crashed).toMatchObject({ code: 'ROTATION_STATE' });
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', round: 1 });
    expect((await world.job(job.jobId)).attempt).toBeGreaterThan(5);
    expect(world.versions(world.people)).toEqual([3]);
    for (let id = 1; id <= 6; id++)
      expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
  });
});

describe('a request', () => {
  it('while a rotation runs is answered with the running one', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId, async (name, step) => {
      const answer = await step();
      if (name === 'RetireVersion') return answer;
      const second = await requestRotation(world.deps, KEY);
      expect(second, name).toMatchObject({ answer: 'running', job: { jobId: job.jobId, attempt: 1 } });
      return answer;
    });
    expect(Object.keys((await world.key()).versions)).toEqual(['1', '2', '3']);
    expect((await requestRotation(world.deps, KEY)).answer).toBe('started');
  });

  it('of ten at one time makes one job', async () => {
    const answers = await Promise.all(Array.from({ length: 10 }, () => requestRotation(world.deps, KEY)));
    expect(new Set(answers.map(({ job }) => job.jobId)).size).toBe(1);
    expect(answers.filter(({ answer }) => answer === 'started')).toHaveLength(1);
    expect(await world.ledger.listJobs({ kind: 'rotate' })).toHaveLength(2);
  });

  it('names what is not there', async () => {
    await expect(requestRotation(world.deps, { ...KEY, tenant: 'nobody' })).rejects.toMatchObject({
      code: 'KEY_NOT_FOUND',
    });
    await expect(requestPurge(world.deps, { ...PURGE, version: 9 })).rejects.toMatchObject({
      code: 'VERSION_NOT_FOUND',
    });
  });

  it('is not changed by a purge that was called off by a person', async () => {
    const job = await requestDue();
    await beginPurge(world.deps, job.jobId);
    await world.changeKey((key) => cancelDestroy(key, 1));
    expect(await runPurge(world, job.jobId)).toBe(false);
    expect(await world.job(job.jobId)).toMatchObject({ blocker: { code: 'VERSION_IN_USE' } });
  });
});
