import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { approve } from '../../shared/approvals/approve.ts';
import { resumeApproved } from '../../shared/approvals/resume-approved.ts';
import { verifyCertificate } from '../../shared/certificates/verify-certificate.ts';
import { versionOf } from '../../shared/keyring/change-version.ts';
import { getKey } from '../../shared/rotation/change.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { waitsForApproval } from '../../shared/rotation/rotation.ts';
import { type Approvers, createApprovers } from '../support/approvers.ts';
import { createPeople, PEOPLE, PEOPLE_SET, type People, TENANT } from '../support/people.ts';
import { eventually, jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

/** A purge on the embedded stack, with its rehearsal and approvals: the state machine itself. The steps build on each other. */

const KEY = { tenant: TENANT, purpose: 'default', requestedBy: 'person:carol' };
const PURGE = { ...KEY, version: 1 };
const ID = 3;

describe('a purge', () => {
  let stack: TestStack;
  let people: People;
  let approvers: Approvers;
  /** As an application would that has it from elsewhere: an export, a cache of its own. */
  let old: Uint8Array;

  beforeAll(async () => {
    approvers = await createApprovers('alice', 'bob', 'carol');
    stack = await startTestStack(
      {
        recordSets: PEOPLE_SET,
        rotation: { soakSeconds: 6 },
        approvals: { required: 2, approvers: await approvers.configured('alice', 'bob', 'carol') },
      },
      // People ask for the purge, not the sweep.
      { sweepSeconds: 3600 },
    );
    people = await createPeople(stack, 10);
    old = await people.envelope(ID);
    const { job } = await requestRotation(stack.deps, KEY);
    expect(await jobEnded(stack, job.jobId)).toMatchObject({ status: 'COMPLETED' });
  });
  afterAll(async () => {
    await stack.remove();
    await approvers.remove();
  });

  const state = async () => versionOf(await getKey(stack.deps, TENANT, 'default'), 1).state;
  const begin = async () => {
    await eventually(async () => {
      const { purgeNotBefore } = versionOf(await getKey(stack.deps, TENANT, 'default'), 1);
      return purgeNotBefore !== null && stack.deps.clock.now() >= Date.parse(purgeNotBefore);
    }, 'the end of the grace');
    return (await requestPurge(stack.deps, PURGE)).job.jobId;
  };
  const waiting = (jobId: string) =>
    eventually(async () => {
      const job = await stack.deps.ledger.getJob(jobId);
      return job !== null && waitsForApproval(job) ? job : null;
    }, 'the request for approvals');

  it('ends in its rehearsal when the version is asked for, and names the record', async () => {
    const jobId = await begin();
    await eventually(async () => (await state()) === 'DESTROY_PENDING', 'the fence');
    const context = { tenant: TENANT, recordSet: PEOPLE, recordId: [String(ID)], field: 'email' };
    await eventually(async () => {
      // Served, each time; a reader whose cache is older than the fence has not seen it yet.
      expect(Buffer.from(await people.cipher.open(context, old)).toString()).toContain('@');
      return (await stack.deps.ledger.getJob(jobId))?.status === 'BLOCKED';
    }, 'the end of the purge');
    const { blocker } = (await stack.deps.ledger.getJob(jobId)) ?? {};
    expect(blocker?.code).toBe('VERSION_IN_USE');
    expect(blocker?.message).toMatch(/people.*3.*email/);
    expect(await state()).toBe('RETIRING');
  });

  it('waits for two who did not ask for it, and destroys once they have agreed', async () => {
    // It was asked for: the count that finds nothing begins its grace anew.
    const renewed = await begin();
    await eventually(
      async () => (await stack.deps.ledger.getJob(renewed))?.blocker?.code === 'HELD',
      'another grace',
    );
    const jobId = await begin();
    const { approvalId, census } = await waiting(jobId);
    expect(census).toMatchObject({ reach: 'everywhere', onVersion: 0, undeclared: [] });
    expect(await state()).toBe('DESTROY_PENDING');
    const sign = (name: string) => approve(stack.deps, approvalId ?? '', name, approvers.signer(name));
    await expect(sign('carol')).rejects.toMatchObject({ code: 'APPROVAL_REFUSED' });
    await sign('alice');
    const paused = await stack.deps.ledger.listJobs({ statuses: ['PAUSED'] });
    expect(await resumeApproved(stack.deps, paused)).toBe(0);
    await sign('bob');
    expect(await resumeApproved(stack.deps, paused)).toBe(1);
    expect(await jobEnded(stack, jobId)).toMatchObject({ status: 'COMPLETED', approvalId, attempt: 4 });
    const key = await getKey(stack.deps, TENANT, 'default');
    expect(versionOf(key, 1)).toMatchObject({ state: 'DESTROYED', approvedBy: approvalId });
    const certificate = await stack.deps.ledger.getCertificate(key.keyId, 1);
    expect(certificate).not.toBeNull();
    const { problems } = await verifyCertificate(
      certificate?.jws ?? '',
      [await stack.deps.signer.publicKey()],
      stack.deps.config.approvals.approvers,
    );
    expect(problems).toEqual([]);
    for (let id = 1; id <= 10; id++) expect(await people.open(id)).toContain('@');
  });
});
