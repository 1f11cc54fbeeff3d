import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { approve } from '../../../shared/approvals/approve.ts';
import { checkApprovals, voidRequest } from '../../../shared/approvals/check-approvals.ts';
import { resumeApproved, resumeIfDecided } from '../../../shared/approvals/resume-approved.ts';
import type { Deps } from '../../../shared/deps/deps.ts';
import { changeKeyItem } from '../../../shared/keyring/change-version.ts';
import { cancelDestroy } from '../../../shared/keyring/destruction.ts';
import { placeHold } from '../../../shared/keyring/holds.ts';
import type { Hold } from '../../../shared/keyring/key.ts';
import { changeJob } from '../../../shared/rotation/change.ts';
import { destroyVersion } from '../../../shared/rotation/destroy-version.ts';
import { resumeJob } from '../../../shared/rotation/pause-job.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { stopJob } from '../../../shared/rotation/stop-job.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { digestOf } from '../../../shared/signing/canonical-json.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { type Approvers, createApprovers } from '../../support/approvers.ts';
import { runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
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

/** Protocol invariants 21 and 25, on a purge: its version waits, fenced, for two people who did not ask for it. */

const DAY = 86_400;
const MINUTE = 60_000;
const EXPIRY = 7 * DAY;
const SOAK = 7 * DAY;
const PURGE = { ...KEY, version: 1, requestedBy: 'daily sweep' };

let worlds: WorldMaker;
let people: Approvers;
let world: World;
beforeAll(async () => {
  [worlds, people] = await Promise.all([
    prepareWorlds(),
    createApprovers('alice', 'bob', 'carol', 'emergency-eve', 'mallory'),
  ]);
});
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});

const settings = async () => ({
  required: 2,
  expirySeconds: EXPIRY,
  approvers: await people.configured('alice', 'bob', 'carol', 'emergency-eve'),
});

async function makeWorld(soakSeconds = SOAK): Promise<World> {
  const made = await worlds.makeWorld(createMemoryLedger(), { soakSeconds }, { approvals: await settings() });
  await fill(made, 4);
  const { job } = await requestRotation(made.deps, KEY);
  await runRotation(made, job.jobId);
  made.passGrace();
  return made;
}

beforeEach(async () => {
  world = await makeWorld();
});

/** Runs the purge until its job rests or ends. */
async function runOn(on: World, jobId: string): Promise<'destroyed' | 'blocked' | 'waits'> {
  try {
    return (await runPurge(on, jobId)) ? 'destroyed' : 'blocked';
  } catch (error) {
    if (isPaused(error)) return 'waits';
    throw error;
  }
}

function isPaused(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'JOB_PAUSED';
}

const run = (jobId: string) => runOn(world, jobId);

/** A purge that waits for approvals, and its request. */
async function waiting(on: World = world) {
  const { job } = await requestPurge(on.deps, PURGE);
  expect(await runOn(on, job.jobId)).toBe('waits');
  const paused = await on.job(job.jobId);
  return { jobId: job.jobId, requestId: paused.approvalId ?? '' };
}

const sign = (requestId: string, ...names: readonly string[]) => signOn(world.deps, requestId, ...names);

async function signOn(deps: Deps, requestId: string, ...names: readonly string[]) {
  for (const name of names) await approve(deps, requestId, name, people.signer(name));
  return checkApprovals(deps, requestId);
}

async function resume(jobId: string) {
  return resumeIfDecided(world.deps, await world.job(jobId), false);
}

/** A step of it fails for good, once it is taken up. */
async function stopBlocked(jobId: string): Promise<void> {
  await resumeJob(world.deps, jobId, 'APPROVAL');
  await stopJob(world.deps, jobId, 'States.TaskFailed', 'STORE_DENIED: no');
  expect(await world.job(jobId)).toMatchObject({ status: 'BLOCKED' });
}

const refused = { code: 'APPROVAL_REFUSED' };

describe('a purge that needs approvals', () => {
  it('rehearses, counts, then rests with its version fenced', async () => {
    const { jobId, requestId } = await waiting();
    expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
    const job = await world.job(jobId);
    expect(job).toMatchObject({
      status: 'PAUSED',
      pause: { reason: 'APPROVAL', rootKeyId: null },
      census: { onVersion: 0 },
    });
    const { destroyPendingAt } = (await world.key()).versions['1'] ?? {};
    expect(Date.parse(job.barrierUntil ?? '') - Date.parse(destroyPendingAt ?? '')).toBe((SOAK + 60) * 1000);
    const request = await world.ledger.getApprovalRequest(requestId);
    expect(request).toMatchObject({
      ...{ action: 'purge', tenant: TENANT, purpose: PURPOSE, version: 1, requestedBy: 'daily sweep' },
      subject: digestOf(job.census ?? {}),
      evidence: job.census,
    });
    expect(Date.parse(request?.expiresAt ?? '')).toBe(Date.parse(job.census?.takenAt ?? '') + EXPIRY * 1000);
  });

  it('ends when two have approved it: one rehearsal, two censuses, one certificate', async () => {
    const { jobId, requestId } = await waiting();
    expect((await sign(requestId, 'alice')).approved).toBe(false);
    expect((await resume(jobId)).status).toBe('PAUSED');
    expect((await sign(requestId, 'bob')).approved).toBe(true);
    expect(await resume(jobId)).toMatchObject({ status: 'REQUESTED', attempt: 2 });
    const before = world.clock.now();
    expect(await run(jobId)).toBe('destroyed');
    expect(world.clock.now()).toBe(before);
    expect(await world.job(jobId)).toMatchObject({ status: 'COMPLETED', round: 2, approvalId: requestId });
    expect((await world.key()).versions['1']).toMatchObject({
      state: 'DESTROYED',
      wrapped: null,
      approvedBy: requestId,
    });
    const { keyId } = await world.key();
    expect(await world.ledger.getCertificate(keyId, 1)).not.toBeNull();
  });

  it('is certified also where the clock of the machine that decides stands behind what people approved', async () => {
    const { jobId, requestId } = await waiting();
    world.pass(DAY);
    await sign(requestId, 'alice', 'bob');
    const agreed = world.clock.now();
    await resume(jobId);
    world.clock.jumpTo(agreed - 4 * MINUTE);
    expect(await run(jobId)).toBe('destroyed');
    const { destroyAuthorizedAt, destroyedAt } = (await world.key()).versions['1'] ?? {};
    expect(Date.parse(destroyAuthorizedAt ?? '')).toBe(agreed);
    const stored = await world.ledger.getCertificate((await world.key()).keyId, 1);
    expect(stored?.issuedAt).toBe(destroyedAt);
  });

  it('waits where an approver’s clock is days ahead: no certificate tells of a rehearsal that was never that long', async () => {
    const { jobId, requestId } = await waiting();
    const counted = world.clock.now();
    await sign(requestId, 'alice');
    world.pass(DAY);
    await sign(requestId, 'bob');
    const agreed = world.clock.now();
    world.clock.jumpTo(counted);
    expect((await resume(jobId)).status).toBe('PAUSED');
    expect((await requestPurge(world.deps, PURGE)).answer).toBe('paused');
    // The sweep takes it up when that time has come.
    world.clock.jumpTo(agreed);
    expect((await resume(jobId)).status).toBe('REQUESTED');
    expect(await run(jobId)).toBe('destroyed');
    const { destroyAuthorizedAt } = (await world.key()).versions['1'] ?? {};
    expect(Date.parse(destroyAuthorizedAt ?? '')).toBe(agreed);
  });

  it('waits on for the same request when it is taken up for nothing', async () => {
    const { jobId, requestId } = await waiting();
    await sign(requestId, 'alice');
    expect((await requestPurge(world.deps, PURGE)).answer).toBe('paused');
    await sign(requestId, 'bob');
    await resume(jobId);
    // Between the approval and its execution an approver is taken out of the configuration.
    const { bob: _bob, ...approvers } = world.deps.config.approvals.approvers;
    const deps = withApprovals({ approvers });
    await expect(runWith(deps, jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
    expect(await world.job(jobId)).toMatchObject({ status: 'PAUSED', approvalId: requestId });
    expect((await checkApprovals(deps, requestId)).refused).toMatchObject([
      { approval: { approver: 'bob' }, why: 'is no approver of the configuration any more' },
    ]);
    await signOn(deps, requestId, 'carol');
    await resumeIfDecided(deps, await world.job(jobId), false);
    expect(await runWith(deps, jobId)).toBe(true);
  });

  it('needs nobody where the configuration requires none, and none any more when it requires none by now', async () => {
    const { jobId } = await waiting();
    const deps = withApprovals({ required: 0 });
    await resumeApproved(deps, [await world.job(jobId)]);
    expect(await runWith(deps, jobId)).toBe(true);
    expect((await world.key()).versions['1']?.approvedBy).toBeNull();
  });

  it('is refused where nobody could ever approve it', async () => {
    const ask = (approvals: object, requestedBy = 'daily sweep') =>
      requestPurge(withApprovals(approvals), { ...PURGE, requestedBy });
    const remedy = expect.stringContaining('keyturn approvers create');
    await expect(ask({ approvers: {} })).rejects.toMatchObject({ code: 'PURGE_REFUSED', remedy });
    const { alice, bob } = world.deps.config.approvals.approvers;
    await expect(ask({ approvers: { alice, bob } }, 'person:Alice')).rejects.toMatchObject({
      code: 'PURGE_REFUSED',
    });
    expect(await sweepDaily(withApprovals({ approvers: {} }))).toMatchObject({ failed: 0, waiting: 1 });
    expect((await ask({ approvers: { alice, bob } })).answer).toBe('started');
  });

  it('is not taken up by approvers of whom too few would be left: it waits for others as it is', async () => {
    const { jobId } = await waiting();
    await expireBut(0);
    const { alice, bob, carol } = world.deps.config.approvals.approvers;
    const three = withApprovals({ approvers: { alice, bob, carol } });
    const ask = (name: string) => requestPurge(three, { ...PURGE, requestedBy: `person:${name}` });
    expect((await ask('alice')).answer).toBe('resumed');
    expect(await run(jobId)).toBe('waits');
    await expireBut(0);
    await expect(ask('bob')).rejects.toMatchObject({
      ...{ code: 'PURGE_REFUSED', remedy: expect.stringContaining('no approver') },
      message: expect.stringContaining('person:bob cannot ask'),
    });
    expect(await world.job(jobId)).toMatchObject({ status: 'PAUSED', attempt: 2 });
    expect((await ask('alice')).answer).toBe('resumed');
  });

  it('that stopped is left alone by the daily sweep while too few may approve it', async () => {
    const { jobId } = await waiting();
    await stopBlocked(jobId);
    await changeJob(world.deps, jobId, (job) => ({ ...job, requestedBy: 'person:alice, person:bob' }));
    world.pass(DAY);
    const { alice, bob } = world.deps.config.approvals.approvers;
    expect(await sweepDaily(withApprovals({ approvers: { alice, bob } }))).toMatchObject({
      ...{ failed: 0, waiting: 1, purges: 0 },
    });
    expect(await sweepDaily(world.deps)).toMatchObject({ failed: 0, purges: 1 });
  });
});

function withApprovals(approvals: object): Deps {
  const { config } = world.deps;
  return { ...world.deps, config: { ...config, approvals: { ...config.approvals, ...approvals } } };
}

async function runWith(deps: Deps, jobId: string): Promise<boolean> {
  return runPurge({ ...world, deps, pass: world.pass }, jobId);
}

describe('an approval', () => {
  it('is not given by who asked, by nobody’s approver, twice, or with another key', async () => {
    const { job } = await requestPurge(world.deps, { ...PURGE, requestedBy: 'person:Alice' });
    expect(await run(job.jobId)).toBe('waits');
    const requestId = (await world.job(job.jobId)).approvalId ?? '';
    await expect(sign(requestId, 'alice')).rejects.toMatchObject(refused);
    await expect(sign(requestId, 'mallory')).rejects.toMatchObject(refused);
    await expect(approve(world.deps, requestId, 'bob', people.signer('carol'))).rejects.toMatchObject(
      refused,
    );
    await sign(requestId, 'bob');
    await expect(sign(requestId, 'bob')).rejects.toMatchObject(refused);
    await expect(sign('not-a-request', 'bob')).rejects.toMatchObject({ code: 'APPROVAL_NOT_FOUND' });
    expect((await sign(requestId, 'carol')).valid.map(({ approver }) => approver)).toEqual(['bob', 'carol']);
  });

  it('is given by nobody who asked for it again, after it had stopped or its request had run out', async () => {
    const first = await waiting();
    await stopBlocked(first.jobId);
    const again = await requestPurge(world.deps, { ...PURGE, requestedBy: 'person:Alice' });
    expect(again.job.requestedBy).toBe('daily sweep, person:Alice');
    expect(await run(first.jobId)).toBe('waits');
    const { approvalId } = await world.job(first.jobId);
    const requestId = approvalId ?? '';
    await expect(sign(requestId, 'alice')).rejects.toMatchObject({
      ...refused,
      message: expect.stringContaining('asked for it themselves'),
    });
    // Runs out: another person asks anew, and two who did not ask are left.
    world.pass(EXPIRY);
    await requestPurge(world.deps, { ...PURGE, requestedBy: 'person:bob' });
    expect(await run(first.jobId)).toBe('waits');
    const next = (await world.job(first.jobId)).approvalId ?? '';
    expect(next).not.toBe(requestId);
    for (const name of ['alice', 'bob']) await expect(sign(next, name)).rejects.toMatchObject(refused);
    expect((await sign(next, 'carol', 'emergency-eve')).approved).toBe(true);
  });

  it('is not asked for again by so many that nobody is left to give it', async () => {
    const { jobId } = await waiting();
    await stopBlocked(jobId);
    await requestPurge(world.deps, { ...PURGE, requestedBy: 'person:alice' });
    await stopBlocked(jobId);
    await requestPurge(world.deps, { ...PURGE, requestedBy: 'person:bob' });
    await stopBlocked(jobId);
    await expect(requestPurge(world.deps, { ...PURGE, requestedBy: 'person:carol' })).rejects.toMatchObject({
      code: 'PURGE_REFUSED',
    });
    expect(await requestPurge(world.deps, PURGE)).toMatchObject({
      job: { requestedBy: 'daily sweep, person:alice, person:bob' },
    });
  });

  it('of one approver at one time ten times is one', async () => {
    const { requestId } = await waiting();
    const results = await Promise.allSettled(Array.from({ length: 10 }, () => sign(requestId, 'alice')));
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    expect((await checkApprovals(world.deps, requestId)).valid).toHaveLength(1);
  });

  it('counts for exactly what was signed', async () => {
    const { jobId, requestId } = await waiting();
    const [given] = (await sign(requestId, 'alice')).valid;
    if (given === undefined) throw new Error('no approval');
    const forged = [
      // Alice's word as Bob's, and as one given later.
      { ...given, approver: 'bob' },
      { ...given, approver: 'carol', jws: await people.signer('mallory').sign('keyturn-approval+jws', {}) },
      {
        ...given,
        approver: 'emergency-eve',
        jws: await people.signer('emergency-eve').sign('other+jws', {}),
      },
    ];
    for (const approval of forged) await world.ledger.createApproval(approval);
    const check = await checkApprovals(world.deps, requestId);
    expect(check.valid.map(({ approver }) => approver)).toEqual(['alice']);
    expect(check.refused.map(({ approval, why }) => [approval.approver, why])).toEqual([
      ['bob', 'signed with another key'],
      ['carol', 'signed with another key'],
      ['emergency-eve', 'has no valid signature'],
    ]);
    expect(check.approved).toBe(false);
    expect((await resume(jobId)).status).toBe('PAUSED');
  });

  it('for emergencies counts as any other, and says what it is', async () => {
    const { jobId, requestId } = await waiting();
    const { valid } = await sign(requestId, 'alice', 'emergency-eve');
    expect(valid.map(({ approver, breakGlass }) => [approver, breakGlass])).toEqual([
      ['alice', false],
      ['emergency-eve', true],
    ]);
    await resume(jobId);
    expect(await run(jobId)).toBe('destroyed');
  });

  it.each([
    ['tenant', { tenant: 'other' }],
    ['version', { version: 2 }],
    ['epoch', { restoreEpoch: 1 }],
    ['census', { subject: digestOf({}), evidence: {} }],
    ['time', { expiresAt: '2099-01-01T00:00:00.000Z' }],
    ['requester', { requestedBy: 'person:x' }],
  ])('is not replayed for another %s', async (_, change) => {
    const { requestId } = await waiting();
    const [given] = (await sign(requestId, 'alice')).valid;
    const request = await world.ledger.getApprovalRequest(requestId);
    if (given === undefined || request === null) throw new Error('no approval');
    // Somebody who writes the ledger puts a request of that id there, and one of the right id.
    const { requestIdOf } = await import('../../../shared/approvals/binding.ts');
    const other = { ...request, ...change };
    const otherId = requestIdOf(other);
    await world.ledger.createApprovalRequest({ ...other, requestId: otherId });
    await world.ledger.createApproval({ ...given, requestId: otherId });
    const check = await checkApprovals(world.deps, otherId);
    expect(check.valid).toEqual([]);
    expect(check.refused[0]?.why).toBe('signed something else');
    await world.ledger.createApprovalRequest({ ...other, requestId: 'forged' });
    await expect(checkApprovals(world.deps, 'forged')).rejects.toMatchObject({ code: 'APPROVAL_INVALID' });
  });

  it('is not given once its purge goes another way', async () => {
    const { jobId, requestId } = await waiting();
    await sign(requestId, 'alice');
    await world.write(world.people, 9, 'living');
    await expireBut(0);
    expect((await requestPurge(world.deps, PURGE)).answer).toBe('resumed');
    expect(await run(jobId)).toBe('waits');
    expect((await world.job(jobId)).approvalId).not.toBe(requestId);
    await expect(sign(requestId, 'bob')).rejects.toMatchObject(refused);
  });
});

/** So many seconds before the open request expires, by the clock that may be farthest ahead. */
async function expireBut(seconds: number): Promise<void> {
  const [request] = await world.ledger.listApprovalRequests();
  world.clock.jumpTo(Date.parse(request?.expiresAt ?? '') - 60_000 - seconds * 1000);
}

describe('time', () => {
  it('ends an approval before its end rather than after, and a clock that is set back does not revive it', async () => {
    const { jobId, requestId } = await waiting();
    await expireBut(1);
    await sign(requestId, 'alice', 'bob');
    await expireBut(0);
    await expect(sign(requestId, 'carol')).rejects.toMatchObject(refused);
    world.pass(-3 * DAY);
    expect(await checkApprovals(world.deps, requestId)).toMatchObject({ approved: false });
    await expect(sign(requestId, 'carol')).rejects.toMatchObject(refused);
    expect((await resume(jobId)).status).toBe('PAUSED');
  });

  it('that runs out between approval and execution makes another request, with nobody’s approval', async () => {
    const { jobId, requestId } = await waiting();
    await sign(requestId, 'alice', 'bob');
    await resume(jobId);
    await expireBut(0);
    expect(await run(jobId)).toBe('waits');
    const { approvalId } = await world.job(jobId);
    expect(approvalId).not.toBe(requestId);
    expect((await checkApprovals(world.deps, approvalId ?? '')).valid).toEqual([]);
    expect((await world.ledger.getApprovalRequest(approvalId ?? ''))?.summary).toContain(
      `Takes the place of request ${requestId}, which is void: it expired`,
    );
    expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
  });

  it('that runs out is a person’s to ask anew: the daily sweep counts nothing again', async () => {
    const { jobId } = await waiting();
    await expireBut(0);
    expect(await sweepDaily(world.deps)).toMatchObject({ purges: 0, failed: 0 });
    expect((await world.job(jobId)).status).toBe('PAUSED');
    expect(await requestPurge(world.deps, PURGE)).toMatchObject({ answer: 'resumed', job: { attempt: 2 } });
  });
});

describe('what changes between approval and execution', () => {
  async function approved() {
    const made = await waiting();
    await sign(made.requestId, 'alice', 'bob');
    await resume(made.jobId);
    return made;
  }

  it('may be the rows of a table that lives', async () => {
    const { jobId } = await approved();
    await world.write(world.people, 77, 'new');
    world.people.rows.delete('["2"]');
    expect(await run(jobId)).toBe('destroyed');
  });

  it('may be the envelopes of other keys in a column that nobody declared, but not where it is or whose', async () => {
    const column = { table: 'public.other', column: 'card', materialized: false, ofKey: 0, onVersion: 0 };
    const find = (change: object) => {
      world.elsewhere.found = { found: [{ ...column, envelopes: 5, ...change }], unsearched: [] };
    };
    find({});
    const { jobId, requestId } = await approved();
    find({ column: 'phone' });
    expect(await run(jobId)).toBe('waits');
    const { approvalId } = await world.job(jobId);
    expect(approvalId).not.toBe(requestId);
    await sign(approvalId ?? '', 'alice', 'bob');
    await resume(jobId);
    find({ column: 'phone', envelopes: 6 });
    expect(await run(jobId)).toBe('destroyed');
    expect((await world.key()).versions['1']).toMatchObject({
      approvedBy: approvalId,
      agreement: { required: 2, approvers: ['alice', 'bob'] },
    });
  });

  it('is void with another finding of the census', async () => {
    const { jobId, requestId } = await approved();
    // What a search of the database could not read.
    world.elsewhere.found = { found: [], unsearched: [{ table: 'secrets', columns: [], reason: 'RIGHTS' }] };
    expect(await run(jobId)).toBe('waits');
    const { approvalId } = await world.job(jobId);
    expect(approvalId).not.toBe(requestId);
    expect((await checkApprovals(world.deps, requestId)).over).toMatch(/^another census/);
    await sign(approvalId ?? '', 'alice', 'bob');
    await resume(jobId);
    expect(await run(jobId)).toBe('destroyed');
    expect((await world.key()).versions['1']?.approvedBy).toBe(approvalId);
  });

  it('stands where there was no time for the second count once more', async () => {
    const { jobId } = await approved();
    const coverage = Object.values((await world.job(jobId)).census?.coverage ?? {});
    const declared = coverage.flatMap(({ table, columns }) =>
      columns.map((column) => ({ table, column, onVersion: null })),
    );
    world.elsewhere.found = { found: [], declared, unsearched: [] };
    expect(await run(jobId)).toBe('destroyed');
    const { census } = await world.job(jobId);
    expect(Object.values(census?.coverage ?? {}).map((each) => each.onVersionBySearch)).toEqual([null, null]);
  });

  it('is void with a restore, and stays fenced no longer', async () => {
    const { jobId, requestId } = await approved();
    await world.changeKey((key) => changeKeyItem(key, { restoreEpoch: key.restoreEpoch + 1 }));
    expect(await run(jobId)).toBe('blocked');
    expect(await world.job(jobId)).toMatchObject({ status: 'BLOCKED', blocker: { code: 'KEY_CHANGED' } });
    expect(await stateOf(world, 1)).toBe('RETIRING');
    const again = await requestPurge(world.deps, PURGE);
    expect(await run(again.job.jobId)).toBe('waits');
    expect((await world.job(jobId)).approvalId).not.toBe(requestId);
  });

  it('is void when a request was voided by hand', async () => {
    const { jobId, requestId } = await approved();
    await voidRequest(world.deps, requestId, 'a person said so');
    expect(await run(jobId)).toBe('waits');
    expect((await world.job(jobId)).approvalId).not.toBe(requestId);
  });

  it('is stopped by a value that came back', async () => {
    const { jobId } = await approved();
    await world.write(world.notes, 2, 'restored', 1);
    expect(await run(jobId)).toBe('blocked');
    expect(await world.job(jobId)).toMatchObject({ blocker: { code: 'STALE_RECORDS' } });
  });

  it('is never approved by a request that was used before', async () => {
    const { jobId, requestId } = await approved();
    expect(await run(jobId)).toBe('destroyed');
    expect((await checkApprovals(world.deps, requestId)).over).toBe('it was used for version 1');
    await expect(sign(requestId, 'carol')).rejects.toMatchObject(refused);
  });
});

describe('what comes while approvals are waited for', () => {
  const HOLD: Hold = {
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

  it('a use of the version ends the purge, and names the record', async () => {
    const { jobId, requestId } = await waiting();
    const use = { recordSet: 'people', recordId: ['17'], field: 'email' };
    const at = world.clock.timestamp();
    await world.ledger.markUsed(TENANT, PURPOSE, { version: 1, at, ...use });
    await sign(requestId, 'alice', 'bob');
    expect(await sweepDaily(world.deps)).toMatchObject({ purges: 1, failed: 0 });
    expect(await run(jobId)).toBe('blocked');
    const { blocker } = await world.job(jobId);
    expect(blocker).toMatchObject({ code: 'VERSION_IN_USE' });
    expect(blocker?.message).toMatch(/people.*17.*email/);
    expect(await stateOf(world, 1)).toBe('RETIRING');
  });

  it('a use during the rehearsal ends it at the next look', async () => {
    const { job } = await requestPurge(world.deps, PURGE);
    let looks = 0;
    const started = world.clock.now();
    const destroyed = await runPurge(world, job.jobId, async (name, step) => {
      if (name === 'CheckBarrier' && ++looks === 3) {
        const at = world.clock.timestamp();
        const where = { recordSet: null, recordId: null, field: null };
        await world.ledger.markUsed(TENANT, PURPOSE, { version: 1, at, ...where });
      }
      return step();
    });
    expect({ destroyed, looks }).toEqual({ destroyed: false, looks: 3 });
    expect(world.clock.now() - started).toBe(2 * 900 * 1000);
    expect(await world.job(job.jobId)).toMatchObject({ blocker: { code: 'VERSION_IN_USE' } });
    expect(await world.ledger.listApprovalRequests()).toEqual([]);
  });

  it('a hold ends the purge; released, another begins with its own rehearsal', async () => {
    const { jobId, requestId } = await waiting();
    await world.changeKey((key) => placeHold(key, HOLD));
    expect(await sweepDaily(world.deps)).toMatchObject({ purges: 1, failed: 0 });
    expect(await world.job(jobId)).toMatchObject({ status: 'REQUESTED', attempt: 2 });
    await expect(runPurge(world, jobId)).rejects.toMatchObject({ code: 'PURGE_REFUSED' });
    expect(await stateOf(world, 1)).toBe('RETIRING');
    await world.changeKey((key) => changeKeyItem(key, { holds: [] }));
    const before = world.clock.now();
    expect(await run(jobId)).toBe('waits');
    expect(world.clock.now() - before).toBeGreaterThanOrEqual(SOAK * 1000);
    expect((await world.job(jobId)).approvalId).not.toBe(requestId);
  });

  it('a hold in the middle of the last step stops it', async () => {
    const { jobId, requestId } = await waiting();
    await sign(requestId, 'alice', 'bob');
    await resume(jobId);
    const destroyed = await runPurge(world, jobId, async (name, step) => {
      if (name === 'DestroyVersion') await world.changeKey((key) => placeHold(key, HOLD));
      return step();
    });
    expect(destroyed).toBe(false);
    expect(await world.job(jobId)).toMatchObject({ blocker: { code: 'HELD' } });
  });

  it('somebody who calls it off is obeyed, also when it is approved', async () => {
    const { jobId, requestId } = await waiting();
    await sign(requestId, 'alice', 'bob');
    await world.changeKey((key) => cancelDestroy(key, 1));
    await resume(jobId);
    // The new attempt fences it anew: another rehearsal, in which it may be called off again.
    const before = world.clock.now();
    expect(await run(jobId)).toBe('waits');
    expect(world.clock.now() - before).toBeGreaterThanOrEqual(SOAK * 1000);
    expect((await world.job(jobId)).approvalId).not.toBe(requestId);
    expect((await checkApprovals(world.deps, requestId)).over).toMatch(/fenced anew|expired/);
  });

  it('approvals of before it stopped count for no later purge', async () => {
    const { jobId, requestId } = await waiting();
    await sign(requestId, 'alice', 'bob');
    const where = { recordSet: null, recordId: null, field: null };
    await world.ledger.markUsed(TENANT, PURPOSE, { version: 1, at: world.clock.timestamp(), ...where });
    await resume(jobId);
    expect(await run(jobId)).toBe('blocked');
    await expect(sign(requestId, 'carol')).rejects.toMatchObject(refused);
    expect((await requestPurge(world.deps, PURGE)).job.approvalId).toBeNull();
    await expect(sign(requestId, 'carol')).rejects.toMatchObject(refused);
    // It was asked for, so its grace begins anew with a count that finds nothing.
    expect(await run(jobId)).toBe('blocked');
    world.passGrace();
    await requestPurge(world.deps, PURGE);
    expect(await run(jobId)).toBe('waits');
    expect((await checkApprovals(world.deps, (await world.job(jobId)).approvalId ?? '')).valid).toEqual([]);
  });
});

describe('crashes and races', () => {
  it('two executions at one time destroy once, by one request', async () => {
    const { jobId, requestId } = await waiting();
    await sign(requestId, 'alice', 'bob');
    await resume(jobId);
    let destroyed = 0;
    world.faults.after = (call) => {
      if (call === 'provider.destroyKek') destroyed += 1;
    };
    await runPurge(world, jobId, async (name, step) => {
      if (name !== 'DestroyVersion') return step();
      const round = (await world.job(jobId)).round;
      const [first] = await Promise.all([step(), destroyVersion(world.deps, jobId, round)]);
      return first;
    });
    expect(await world.job(jobId)).toMatchObject({ status: 'COMPLETED', approvalId: requestId });
    expect(destroyed).toBeGreaterThan(0);
    expect(await stateOf(world, 1)).toBe('DESTROYED');
  });

  it('two executions at one time ask once', async () => {
    const { job } = await requestPurge(world.deps, PURGE);
    const outcome = runPurge(world, job.jobId, async (name, step) => {
      if (name !== 'DestroyVersion') return step();
      const round = (await world.job(job.jobId)).round;
      const [first, second] = await Promise.allSettled([
        step(),
        destroyVersion(world.deps, job.jobId, round),
      ]);
      expect([first, second].map(({ status }) => status)).toEqual(['rejected', 'rejected']);
      return step();
    });
    await expect(outcome).rejects.toMatchObject({ code: 'JOB_PAUSED' });
    expect(await world.ledger.listApprovalRequests()).toHaveLength(1);
  });

  it('a process that dies at any call destroys nothing without approvals, and ends once it has them', async () => {
    let hits = 0;
    for (let at = 1; at < 2000; at++) {
      // A short rehearsal: each look is a call more.
      world = await makeWorld(0);
      const hit = await withCrashAt(at, at % 2 === 0 ? 'before' : 'after', purgeWithApprovals);
      const key = await world.key();
      expect(key.versions['1'], `${at}: ${hit}`).toMatchObject({ state: 'DESTROYED' });
      const { approvedBy } = key.versions['1'] ?? {};
      const approvals = await world.ledger.listApprovals(approvedBy ?? '');
      expect(
        approvals.map(({ approver }) => approver),
        `${at}: ${hit}`,
      ).toEqual(['alice', 'bob']);
      const [job] = await world.ledger.listJobs({ kind: 'purge' });
      expect(job, `${at}: ${hit}`).toMatchObject({ status: 'COMPLETED', approvalId: approvedBy });
      if (hit === null) break;
      hits += 1;
    }
    expect(hits).toBeGreaterThan(40);
  });

  it('a process that dies at any call never destroys with one approval', async () => {
    for (let at = 1; at < 2000; at += 3) {
      // A short rehearsal: each look is a call more.
      world = await makeWorld(0);
      const hit = await withCrashAt(at, 'after', async () => {
        const { job } = await requestPurge(world.deps, PURGE);
        if (job.status !== 'PAUSED') await run(job.jobId);
        const { approvalId } = await world.job(job.jobId);
        const given = await world.ledger.listApprovals(approvalId ?? '');
        if (given.length === 0) await sign(approvalId ?? '', 'alice');
        await sweepDaily(world.deps);
      });
      expect(await stateOf(world, 1), `${at}: ${hit}`).toBe('DESTROY_PENDING');
      if (hit === null) return;
    }
    throw new Error('It never ends');
  });
});

/** As people and the daily sweep would, from the start after each crash. */
async function purgeWithApprovals(): Promise<void> {
  for (let tries = 0; tries < 10; tries++) {
    const { job, answer } = await requestPurge(world.deps, PURGE);
    if (answer === 'completed') return;
    if (job.status !== 'PAUSED') await run(job.jobId);
    const { status, approvalId } = await world.job(job.jobId);
    if (status === 'COMPLETED') return;
    if (approvalId === null) continue;
    const given = (await world.ledger.listApprovals(approvalId)).map(({ approver }) => approver);
    for (const name of ['alice', 'bob']) if (!given.includes(name)) await sign(approvalId, name);
    await sweepDaily(world.deps);
  }
  throw new Error('It never ends');
}

async function withCrashAt(
  at: number,
  when: 'before' | 'after',
  act: () => Promise<void>,
): Promise<string | null> {
  let calls = 0;
  let hit: string | null = null;
  world.faults[when] = (call) => {
    calls += 1;
    if (calls !== at) return;
    hit = call;
    throw new Crash(call);
  };
  await untilDone(world, act);
  return hit;
}
