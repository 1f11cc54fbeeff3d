import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { retryQuarantined, settleQuarantine } from '../../shared/rotation/quarantine.ts';
import { requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { createPeople, emailOf, PEOPLE_SET, type People, TENANT } from '../support/people.ts';
import { eventually, jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

const COUNT = 60;
const KEY = { tenant: TENANT, purpose: 'default', requestedBy: 'test' };

describe('poison records', () => {
  let stack: TestStack;
  let people: People;
  let originals: Map<number, Buffer>;

  beforeAll(async () => {
    // The purge is asked for by the test, never by the schedule.
    stack = await startTestStack(
      { recordSets: PEOPLE_SET, rotation: { chunkSize: 10 } },
      { sweepSeconds: 3600 },
    );
    people = await createPeople(stack, COUNT);
    originals = new Map(
      await Promise.all([7, 23, 41].map(async (id) => [id, await people.envelope(id)] as const)),
    );
    // One that is no envelope, one with a flipped bit in its wrapped DEK, one that names a version never made.
    await people.setRaw(7, Buffer.from('not an envelope'));
    await people.setRaw(
      23,
      changed(originals.get(23), (bytes) => flip(bytes, bytes.length - 1)),
    );
    await people.setRaw(
      41,
      changed(originals.get(41), (bytes) => bytes.writeUInt32BE(77, bytes.length - 46)),
    );
  });
  afterAll(() => stack.remove());

  it('are set aside by name and code, and nothing else waits for them', async () => {
    const { job } = await requestRotation(stack.deps, KEY);
    const ended = await jobEnded(stack, job.jobId);
    expect(ended.status).toBe('COMPLETED');
    const total = sumProgress(await readProgress(stack.deps, ended));
    expect(total).toMatchObject({
      planned: COUNT,
      rewrapped: COUNT - 3,
      skipped: 0,
      quarantined: 3,
      remaining: 0,
    });
    expect(ended.census).toMatchObject({ stale: 3, malformed: 1, onVersion: 1 });

    const listed = await stack.deps.ledger.listQuarantined(job.keyId);
    const shown = listed.map(({ tenant, recordId, field, code, version }) => ({
      tenant,
      recordId,
      field,
      code,
      version,
    }));
    expect(shown.sort((a, b) => Number(a.recordId[0]) - Number(b.recordId[0]))).toEqual([
      { tenant: TENANT, recordId: ['7'], field: 'email', code: 'ENVELOPE_MALFORMED', version: null },
      { tenant: TENANT, recordId: ['23'], field: 'email', code: 'DECRYPTION_FAILED', version: 1 },
      { tenant: TENANT, recordId: ['41'], field: 'email', code: 'VERSION_UNKNOWN', version: 77 },
    ]);
    for (let id = 1; id <= COUNT; id++)
      if (!originals.has(id)) expect(await people.open(id)).toBe(emailOf(id));
  });

  it('block the purge of the version, which goes back to RETIRING and still opens', async () => {
    await graceOver();
    const { job } = await requestPurge(stack.deps, { ...KEY, version: 1 });
    const ended = await jobEnded(stack, job.jobId);
    expect(ended).toMatchObject({ status: 'BLOCKED', blocker: { code: 'QUARANTINED_RECORDS' } });
    const key = await stack.deps.ledger.getKey(TENANT, 'default');
    expect(key?.versions['1']).toMatchObject({ state: 'RETIRING', destroyPendingAt: null });
    expect(key?.versions['1']?.wrapped).not.toBeNull();
  });

  it('do not block another rotation, nor the purge of its version', async () => {
    const { job } = await requestRotation(stack.deps, KEY);
    expect(await jobEnded(stack, job.jobId)).toMatchObject({ status: 'COMPLETED', from: 2, to: 3 });
  });

  it('stay in quarantine when a retry fails again', async () => {
    const before = await stack.deps.ledger.listQuarantined((await keyOf()).keyId);
    const sent = await retryQuarantined(stack.deps, before, 10);
    expect(sent).toBe(3);
    await eventually(async () => {
      const now = await stack.deps.ledger.listQuarantined((await keyOf()).keyId);
      return now.length === 3 && now.every(({ at }, i) => at > (before[i]?.at ?? ''));
    }, 'the retry');
    expect(await settleQuarantine(stack.deps, TENANT, 'default')).toHaveLength(3);
  });

  it('leave it when they are repaired and retried, and then the version is purged', async () => {
    // Restored from where the damage had not happened: still on version 1.
    for (const [id, envelope] of originals) await people.setRaw(id, envelope);
    await retryQuarantined(stack.deps, await stack.deps.ledger.listQuarantined((await keyOf()).keyId), 10);
    await eventually(
      async () => (await settleQuarantine(stack.deps, TENANT, 'default')).length === 0,
      'an empty quarantine',
    );
    for (let id = 1; id <= COUNT; id++) expect(await people.open(id)).toBe(emailOf(id));
    // Version 1's purge was blocked before, so that something needed it until a moment ago: the same job is taken up again,
    // and its first clean count begins the grace and the backups' holds anew.
    await graceOver(1);
    const again = await requestPurge(stack.deps, { ...KEY, version: 1 });
    expect(again.answer).toBe('resumed');
    expect(await jobEnded(stack, again.job.jobId)).toMatchObject({
      status: 'BLOCKED',
      blocker: { code: 'HELD' },
    });
    for (const version of [1, 2]) {
      await graceOver(version);
      const { job } = await requestPurge(stack.deps, { ...KEY, version });
      expect(await jobEnded(stack, job.jobId)).toMatchObject({ status: 'COMPLETED', blocker: null });
      expect((await keyOf()).versions[String(version)]).toMatchObject({ state: 'DESTROYED', wrapped: null });
    }
    for (let id = 1; id <= COUNT; id++) expect(await people.open(id)).toBe(emailOf(id));
  });

  it("count also where they stand in rows that are not the record set's tenant: a purge reads every row", async () => {
    const { job } = await requestRotation(stack.deps, KEY);
    expect(await jobEnded(stack, job.jobId)).toMatchObject({ status: 'COMPLETED', from: 3, to: 4 });
    // A row that comes back on the old version after the rotation: from a backup, or by hand.
    const old = changed(await people.envelope(5), (bytes) => bytes.writeUInt32BE(3, bytes.length - 46));
    await people.setRaw(999, old);
    await graceOver(3);
    const purge = await requestPurge(stack.deps, { ...KEY, version: 3 });
    expect(await jobEnded(stack, purge.job.jobId)).toMatchObject({
      status: 'BLOCKED',
      blocker: { code: 'STALE_RECORDS', message: 'The census found 1 values on version 3' },
    });
    expect((await keyOf()).versions['3']?.state).toBe('RETIRING');
  });

  const keyOf = async () => {
    const key = await stack.deps.ledger.getKey(TENANT, 'default');
    if (key === null) throw new Error('The key is gone');
    return key;
  };
  const graceOver = (version = 1) =>
    eventually(async () => {
      const due = (await keyOf()).versions[String(version)]?.purgeNotBefore;
      return typeof due === 'string' && Date.now() > Date.parse(due);
    }, 'the end of the grace');
});

function changed(bytes: Buffer | undefined, change: (copy: Buffer) => void): Buffer {
  const copy = Buffer.from(bytes ?? Buffer.alloc(0));
  change(copy);
  return copy;
}

function flip(bytes: Buffer, at: number): void {
  bytes[at] = (bytes[at] ?? 0) ^ 1;
}
