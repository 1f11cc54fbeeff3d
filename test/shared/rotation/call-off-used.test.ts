import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { authorizeDestroy, beginDestroy } from '../../../shared/keyring/destruction.ts';
import type { CanaryUse } from '../../../shared/keyring/key.ts';
import type { LogFields } from '../../../shared/log/log.ts';
import { beginPurge } from '../../../shared/rotation/begin-purge.ts';
import { callOffUsed } from '../../../shared/rotation/call-off-used.ts';
import { checkBarrier } from '../../../shared/rotation/check-barrier.ts';
import { purgeJobId } from '../../../shared/rotation/job-id.ts';
import { monitor } from '../../../shared/rotation/monitor.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import type { Job } from '../../../shared/rotation/rotation.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { type Approvers, createApprovers } from '../../support/approvers.ts';
import { runPurge, runRotation } from '../../support/memory-machine.ts';
import {
  Crash,
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

/** The canary: what an application marks calls the purge off, by whoever looks next. */

let worlds: WorldMaker;
let people: Approvers;
beforeAll(async () => {
  [worlds, people] = await Promise.all([prepareWorlds(), createApprovers('alice', 'bob')]);
});
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});

const PURGE = { ...KEY, version: 1, requestedBy: 'daily sweep' };

let world: World;
let lines: { readonly message: string; readonly fields: LogFields }[];

async function makeWorld(required: number): Promise<World> {
  lines = [];
  const log = {
    info() {},
    warn() {},
    error: (message: string, fields: LogFields = {}) => lines.push({ message, fields }),
  };
  const approvers = await people.configured('alice', 'bob');
  const approvals = required === 0 ? { required, acceptNoApprovals: true } : { required, approvers };
  const made = await worlds.makeWorld(createMemoryLedger(), { soakSeconds: 86_400 }, { log, approvals });
  await fill(made, 4);
  const { job } = await requestRotation(made.deps, KEY);
  await runRotation(made, job.jobId);
  made.passGrace();
  return made;
}

async function purgeJob(): Promise<Job> {
  return world.job(purgeJobId((await world.key()).keyId, 1));
}

/** As an application that still has a value on version 1. */
async function use(recordId: string): Promise<void> {
  const where = { recordSet: 'people', recordId: [recordId], field: 'email' };
  expect((await world.makeKeyring().version(TENANT, PURPOSE, 1, 'open', where)).version).toBe(1);
}

const look = async () => callOffUsed(world.deps, await world.ledger.listKeys());

describe('a purge that runs', () => {
  beforeEach(async () => {
    world = await makeWorld(0);
    const { job } = await requestPurge(world.deps, PURGE);
    await beginPurge(world.deps, job.jobId);
  });

  it('goes on while nothing was used', async () => {
    expect(await look()).toBe(0);
    expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
    expect(lines).toEqual([]);
  });

  it('is called off by the monitor, with the record named, an alarm told and the news published', async () => {
    await use('7');
    const measured = new Map<string, number>();
    world.meter.metrics = { add: (name, value) => measured.set(name, value) };
    expect(await monitor(world.deps)).toMatchObject({ PendingVersionsUsed: 1 });
    expect(measured.get('PendingVersionsUsed')).toBe(1);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    expect(await purgeJob()).toMatchObject({
      status: 'BLOCKED',
      blocker: {
        code: 'VERSION_IN_USE',
        message: expect.stringMatching(/version 1 was asked for .* for people 7, field email/),
      },
    });
    expect(lines.map(({ fields }) => fields)).toEqual([
      { tenant: TENANT, purpose: PURPOSE, version: 1, code: 'DESTROY_PENDING_USED' },
    ]);
    expect(world.published.map(({ detailType }) => detailType)).toContain('KeyVersionPurgeBlocked');
    expect(await monitor(world.deps)).toMatchObject({ PendingVersionsUsed: 0 });
  });

  it('is called off whichever version the mark is of: a later one takes the place of an earlier', async () => {
    const other: CanaryUse = {
      ...{ version: 9, at: world.clock.timestamp() },
      ...{ recordSet: null, recordId: null, field: null },
    };
    await world.ledger.markUsed(TENANT, PURPOSE, other);
    expect(await look()).toBe(1);
    expect(await stateOf(world, 1)).toBe('RETIRING');
  });

  it('is called off also after a crash at any call of it', async () => {
    let crashed = true;
    let at = 0;
    while (crashed && at < 50) {
      at += 1;
      world = await makeWorld(0);
      const { job } = await requestPurge(world.deps, PURGE);
      await beginPurge(world.deps, job.jobId);
      await use('7');
      let calls = 0;
      world.faults.before = (call) => {
        calls += 1;
        if (calls === at) throw new Crash(call);
      };
      await look().catch(() => undefined);
      crashed = world.crashed;
      world.faults.before = () => {};
      world.restart();
      await look();
      // Whoever runs the purge looks too, and finds what the one that died did not come to.
      expect(await checkBarrier(world.deps, job.jobId), `call ${at}`).toMatchObject({ blocked: true });
      expect(await stateOf(world, 1), `call ${at}`).toBe('RETIRING');
      expect(await purgeJob(), `call ${at}`).toMatchObject({ status: 'BLOCKED' });
    }
    expect(at).toBeGreaterThan(5);
  });

  it('that is decided is not, and is not counted', async () => {
    await world.changeKey((key) =>
      authorizeDestroy(key, 1, { at: world.clock.timestamp(), restoreEpoch: 0, approvedBy: null }),
    );
    await use('7');
    expect(await look()).toBe(0);
    expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
  });

  it('that cannot be called off now does not keep another from it', async () => {
    await use('7');
    world.faults.before = (call) => {
      if (call === 'ledger.getKey' || call === 'ledger.readKey') throw new Error('out of reach');
    };
    expect(await look()).toBe(1);
    expect(lines.map(({ fields }) => fields.code)).toEqual(['UNEXPECTED']);
    world.faults.before = () => {};
    expect(await look()).toBe(1);
    expect(await stateOf(world, 1)).toBe('RETIRING');
  });

  it('is left alone where the list lags behind', async () => {
    await use('7');
    const listed = await world.ledger.listKeys();
    await look();
    const before = await purgeJob();
    expect(await callOffUsed(world.deps, listed)).toBe(1);
    expect(await purgeJob()).toEqual(before);
  });
});

describe('a version that nobody purges and that is fenced', () => {
  it('is RETIRING again', async () => {
    world = await makeWorld(0);
    await world.changeKey((key) => beginDestroy(key, 1, world.clock.timestamp()));
    await use('7');
    expect(await look()).toBe(1);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    expect(await world.ledger.listJobs({ kind: 'purge' })).toEqual([]);
  });
});

describe('a purge that waits for approvals', () => {
  it('is taken up, and ends with the use as its blocker, so that nobody approves it in vain', async () => {
    world = await makeWorld(2);
    const { job } = await requestPurge(world.deps, PURGE);
    await expect(runPurge(world, job.jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
    expect(await purgeJob()).toMatchObject({ status: 'PAUSED', pause: { reason: 'APPROVAL' } });
    await use('7');
    expect(await look()).toBe(1);
    const taken = await purgeJob();
    expect(taken.attempt).toBe(job.attempt + 1);
    expect(await runPurge(world, job.jobId)).toBe(false);
    expect(await purgeJob()).toMatchObject({
      status: 'BLOCKED',
      blocker: { code: 'VERSION_IN_USE', message: expect.stringContaining('people 7') },
    });
    expect(await stateOf(world, 1)).toBe('RETIRING');
  });
});

describe("the worker's rewrap of a value on such a version", () => {
  it('marks it too, and names its record', async () => {
    world = await makeWorld(0);
    const { job } = await requestPurge(world.deps, PURGE);
    await beginPurge(world.deps, job.jobId);
    // As a restored backup would bring it.
    await world.write(world.people, 3, 'late', 1);
    const again = await requestRotation(world.deps, KEY);
    await runRotation(world, again.job.jobId);
    expect((await world.key()).canary).toMatchObject({
      version: 1,
      recordSet: 'people',
      recordId: ['3'],
      field: 'email',
    });
    // The sweep has called the purge off by itself, before it wrote.
    expect(await look()).toBe(0);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    expect(world.versions(world.people)).not.toContain(1);
  });
});

describe('a purge that begins anew', () => {
  it('forgets what was used before its fence, and is refused by what comes after', async () => {
    world = await makeWorld(0);
    const { job } = await requestPurge(world.deps, PURGE);
    await beginPurge(world.deps, job.jobId);
    await use('7');
    await look();
    expect((await world.key()).canary).not.toBeNull();
    await requestPurge(world.deps, PURGE);
    expect(await runPurge(world, job.jobId)).toBe(false);
    expect((await world.job(job.jobId)).blocker).toMatchObject({ code: 'HELD' });
    world.passGrace();
    await requestPurge(world.deps, PURGE);
    expect(await runPurge(world, job.jobId)).toBe(true);
    expect(await stateOf(world, 1)).toBe('DESTROYED');
  });
});
