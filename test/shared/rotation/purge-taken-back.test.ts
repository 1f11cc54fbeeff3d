import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { approve } from '../../../shared/approvals/approve.ts';
import { checkApprovals } from '../../../shared/approvals/check-approvals.ts';
import { readCertificate } from '../../../shared/certificates/verify-certificate.ts';
import { changeKeyItem } from '../../../shared/keyring/change-version.ts';
import { authorizeDestroy, withdrawDestroy } from '../../../shared/keyring/destruction.ts';
import type { Hold } from '../../../shared/keyring/key.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
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

/** What comes between the write that authorizes a destruction and the one that erases the version. */

let worlds: WorldMaker;
let people: Approvers;
let world: World;
beforeAll(async () => {
  [worlds, people] = await Promise.all([prepareWorlds(), createApprovers('alice', 'bob')]);
});
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});

const PURGE = { ...KEY, version: 1, requestedBy: 'daily sweep' };

async function makeWorld(required: number): Promise<World> {
  const approvals = { required, approvers: await people.configured('alice', 'bob') };
  const made = await worlds.makeWorld(createMemoryLedger(), {}, required === 0 ? {} : { approvals });
  await fill(made, 4);
  const { job } = await requestRotation(made.deps, KEY);
  await runRotation(made, job.jobId);
  made.passGrace();
  return made;
}

beforeEach(async () => {
  world = await makeWorld(0);
});

/** A purge whose process died right after it was authorized. */
async function authorized(): Promise<string> {
  const { job } = await requestPurge(world.deps, PURGE);
  await dieBefore('provider.destroyKek', () => runPurge(world, job.jobId));
  return job.jobId;
}

async function dieBefore(call: string, act: () => Promise<unknown>): Promise<void> {
  world.faults.before = (each) => {
    if (each === call) throw new Crash(call);
  };
  await expect(act()).rejects.toThrow(Crash);
  world.faults.before = () => {};
  world.restart();
  expect((await version()).destroyAuthorizedAt).not.toBeNull();
}

async function version() {
  const found = (await world.key()).versions['1'];
  if (found === undefined) throw new Error('no version');
  return found;
}

async function use(): Promise<void> {
  const where = { recordSet: 'people', recordId: ['17'], field: 'email' };
  await world.ledger.markUsed(TENANT, PURPOSE, { version: 1, at: world.clock.timestamp(), ...where });
}

async function expectKept(jobId: string, code: string): Promise<void> {
  expect(await version()).toMatchObject({
    state: 'RETIRING',
    wrapped: expect.anything(),
    destroyPendingAt: null,
    destroyAuthorizedAt: null,
    agreement: null,
  });
  expect(await world.job(jobId)).toMatchObject({ status: 'BLOCKED', blocker: { code } });
  expect(await world.ledger.getCertificate((await world.key()).keyId, 1)).toBeNull();
}

describe('an authorized destruction', () => {
  it('is taken back when the next count finds a value that came back', async () => {
    const jobId = await authorized();
    await world.write(world.people, 99, 'brought back from a copy', 1);
    expect(await runPurge(world, jobId)).toBe(false);
    await expectKept(jobId, 'STALE_RECORDS');
    expect(await world.open(world.people, 99)).toContainEqual(expect.stringContaining('brought back'));
  });

  it('is taken back when something asked for the version, and names it', async () => {
    const jobId = await authorized();
    expect((await world.makeKeyring().version(TENANT, PURPOSE, 1)).version).toBe(1);
    await use();
    expect(await runPurge(world, jobId)).toBe(false);
    await expectKept(jobId, 'VERSION_IN_USE');
    expect((await world.job(jobId)).blocker?.message).toContain('people 17');
  });

  it('is taken back by a mark that comes at the same time as the erasure', async () => {
    const { job } = await requestPurge(world.deps, PURGE);
    let marked = false;
    world.faults.after = async (call) => {
      if (call !== 'provider.destroyKek' || marked) return;
      marked = true;
      await use();
    };
    expect(await runPurge(world, job.jobId)).toBe(false);
    expect(marked).toBe(true);
    await expectKept(job.jobId, 'VERSION_IN_USE');
  });

  it('is taken back by a hold, and by a restore', async () => {
    const hold: Hold = {
      holdId: 'h',
      versions: [1],
      reason: 'PERSON',
      store: null,
      note: null,
      by: 'person:carol',
      at: '2026-01-01T00:00:00.000Z',
      until: null,
      endedEpoch: null,
    };
    let jobId = await authorized();
    // Who places one is refused; it could still stand there by a way that is not ours.
    await world.changeKey((key) => changeKeyItem(key, { holds: [hold] }));
    expect(await runPurge(world, jobId)).toBe(false);
    await expectKept(jobId, 'HELD');
    world = await makeWorld(0);
    jobId = await authorized();
    await world.changeKey((key) => changeKeyItem(key, { restoreEpoch: key.restoreEpoch + 1 }));
    expect(await runPurge(world, jobId)).toBe(false);
    await expectKept(jobId, 'KEY_CHANGED');
  });

  it('goes forward after the erasure, whatever comes', async () => {
    const { job } = await requestPurge(world.deps, PURGE);
    await dieBefore('signer.sign', () => runPurge(world, job.jobId));
    expect(await stateOf(world, 1)).toBe('DESTROYED');
    const { census } = await world.job(job.jobId);
    await use();
    expect(await runPurge(world, job.jobId)).toBe(true);
    const stored = await world.ledger.getCertificate(job.keyId, 1);
    // By the count that decided, and not by one of after the erasure.
    expect(readCertificate(stored?.jws ?? '').census).toEqual(census);
  });

  it('is blocked by the attempt that comes after one that died in the middle of taking it back', async () => {
    let at = 0;
    let crashed = true;
    while (crashed && at < 50) {
      at += 1;
      world = await makeWorld(0);
      const jobId = await authorized();
      await world.write(world.people, 99, 'back', 1);
      let calls = 0;
      let taken = false;
      world.faults.after = async (call) => {
        if (call === 'ledger.replaceKey') taken = true;
      };
      world.faults.before = (call) => {
        if (!taken) return;
        calls += 1;
        if (calls === at) throw new Crash(call);
      };
      await runPurge(world, jobId).catch(() => undefined);
      crashed = world.crashed;
      world.faults.before = () => {};
      world.faults.after = () => {};
      world.restart();
      expect(taken).toBe(true);
      expect(await stateOf(world, 1), `call ${at}`).toBe('RETIRING');
      if ((await world.job(jobId)).status !== 'BLOCKED') expect(await runPurge(world, jobId)).toBe(false);
      await expectKept(jobId, 'STALE_RECORDS');
    }
    expect(at).toBeGreaterThan(3);
  });

  it('that was taken back has used up its approvals', async () => {
    world = await makeWorld(2);
    const { job } = await requestPurge(world.deps, PURGE);
    const asked = await approvedRequest(job.jobId);
    await requestPurge(world.deps, PURGE);
    await dieBefore('provider.destroyKek', () => runPurge(world, job.jobId));
    await use();
    expect(await runPurge(world, job.jobId)).toBe(false);
    await expectKept(job.jobId, 'VERSION_IN_USE');
    expect((await version()).approvedBy).toBe(asked);
    expect((await checkApprovals(world.deps, asked)).over).toContain('not carried out');
    // Another purge needs another grace, another rehearsal and other approvals.
    await requestPurge(world.deps, PURGE);
    expect(await runPurge(world, job.jobId)).toBe(false);
    world.passGrace();
    await requestPurge(world.deps, PURGE);
    const other = await approvedRequest(job.jobId);
    expect(other).not.toBe(asked);
    await requestPurge(world.deps, PURGE);
    expect(await runPurge(world, job.jobId)).toBe(true);
    expect(await version()).toMatchObject({ state: 'DESTROYED', approvedBy: other });
    expect((await checkApprovals(world.deps, asked)).approved).toBe(false);
  });

  it('is told in the audit both ways', async () => {
    const jobId = await authorized();
    await use();
    await runPurge(world, jobId);
    const items = await world.ledger.listAuditEntries(TENANT, 1, 1000);
    const types = items.map(({ entry }) => entry?.type);
    expect(types).toContain('key.version.destroy-authorized');
    expect(types).toContain('key.version.purge-called-off');
  });
});

async function approvedRequest(jobId: string): Promise<string> {
  await expect(runPurge(world, jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
  const requestId = (await world.job(jobId)).approvalId ?? '';
  for (const name of ['alice', 'bob']) await approve(world.deps, requestId, name, people.signer(name));
  return requestId;
}

describe('taking an authorization back', () => {
  it('is for one that is authorized and not carried out; a repeat changes nothing', async () => {
    const key = await world.key();
    expect(withdrawDestroy(key, 1)).toBe(key);
    const { job } = await requestPurge(world.deps, PURGE);
    await dieBefore('provider.destroyKek', () => runPurge(world, job.jobId));
    const decided = await world.key();
    const kept = withdrawDestroy(decided, 1);
    expect(kept.revision).toBe(decided.revision + 1);
    expect(withdrawDestroy(kept, 1)).toBe(kept);
    expect(() => withdrawDestroy(decided, 2)).toThrow(expect.objectContaining({ code: 'VERSION_STATE' }));
    expect(await runPurge(world, job.jobId)).toBe(true);
    const destroyed = await world.key();
    expect(() => withdrawDestroy(destroyed, 1)).toThrow(
      expect.objectContaining({ code: 'VERSION_DESTROYED' }),
    );
    const again = { at: world.clock.timestamp(), restoreEpoch: 0, approvedBy: null };
    expect(authorizeDestroy(destroyed, 1, again)).toBe(destroyed);
  });
});
