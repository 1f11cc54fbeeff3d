import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../shared/config/schema.ts';
import { VERSION_STATES } from '../../../shared/keyring/states.ts';
import { blockJob, changeJob, moveJob } from '../../../shared/rotation/change.ts';
import {
  adoptionJobId,
  executionName,
  purgeJobId,
  resweepJobId,
  rollbackJobId,
  rotationJobId,
} from '../../../shared/rotation/job-id.ts';
import { checkPurgeable } from '../../../shared/rotation/purge-rules.ts';
import {
  BLOCKER_CODES,
  isRunning,
  JOB_STATUSES,
  JOB_TRANSITIONS,
  RUNNING_STATUSES,
} from '../../../shared/rotation/rotation.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';

const KEY_ID = '01900000-0000-7000-8000-000000000001';
const AT = '2026-01-01T00:00:00.000Z';

describe('job ids', () => {
  it('are the same for ever: running jobs are found by them after an update', () => {
    const key = { keyId: KEY_ID, active: 1, activations: 1, restoreEpoch: 0 };
    expect(rotationJobId(key)).toBe('4ad4bd28-7ff5-59dd-8da0-b5dd1cd8f235');
    expect(rollbackJobId(key, 2)).toBe('903c025e-c067-55b5-8293-2fbc9e43480f');
    expect(resweepJobId(key)).toBe('a539ff54-6552-50eb-9faa-170956a93454');
    expect(purgeJobId(KEY_ID, 1)).toBe('3b267ff3-2e9d-51ec-910c-a258d6331cb2');
    expect(adoptionJobId(KEY_ID, 'people')).toBe('be636ea8-7a85-51f2-b7d0-210b3cff385a');
    expect(executionName(purgeJobId(KEY_ID, 1), 2)).toBe('3b267ff3-2e9d-51ec-910c-a258d6331cb2-2');
  });

  it('are distinct, and an execution’s name fits Step Functions', () => {
    const other = KEY_ID.replace(/1$/, '2');
    const ids = [KEY_ID, other].flatMap((key) => [
      ...[1, 2, 11, 12].flatMap((active) => [
        ...[1, 2, 12].flatMap((count) => [
          rotationJobId({ keyId: key, active, activations: count }),
          ...[3, 13].map((to) => rollbackJobId({ keyId: key, active, activations: count }, to)),
        ]),
        purgeJobId(key, active),
      ]),
      ...[0, 1, 11].flatMap((restoreEpoch) =>
        [1, 11].map((activations) => resweepJobId({ keyId: key, activations, restoreEpoch })),
      ),
      ...['1', 'people', 'notes'].map((name) => adoptionJobId(key, name)),
    ]);
    expect(new Set(ids).size).toBe(ids.length);
    for (const id of ids) expect(executionName(id, 1_000_000).length).toBeLessThanOrEqual(80);
  });
});

describe('moving a job', () => {
  const pairs = JOB_STATUSES.flatMap((from) => JOB_STATUSES.map((to) => [from, to] as const));

  it.each(pairs)('from %s to %s', (from, to) => {
    const job = testJob({ status: from });
    const allowed: readonly string[] = JOB_TRANSITIONS[from];
    if (from === to || allowed.includes(to)) {
      expect(moveJob(job, to, { round: 7 })).toEqual({ ...job, status: to, round: 7 });
    } else {
      const paused = { code: 'JOB_PAUSED', message: `Job ${job.jobId} is paused` };
      const other = {
        code: 'ROTATION_STATE',
        message: expect.stringContaining(`${from} and cannot become ${to}`),
      };
      const cancelled = { code: 'JOB_CANCELLED', message: `Job ${job.jobId} is cancelled` };
      const expected = from === 'PAUSED' ? paused : from === 'CANCELLED' ? cancelled : other;
      expect(() => moveJob(job, to)).toThrow(expect.objectContaining(expected));
    }
  });

  it('may be blocked or paused from every status in which it runs, and from no other', () => {
    for (const status of JOB_STATUSES) {
      const next: readonly string[] = JOB_TRANSITIONS[status];
      expect([next.includes('BLOCKED'), next.includes('PAUSED')]).toEqual(
        isRunning(status) ? [true, true] : [false, false],
      );
    }
    expect(JOB_STATUSES.filter(isRunning)).toEqual([...RUNNING_STATUSES]);
  });

  it('keeps the reason of its pause while it is paused, and not longer', () => {
    const pause = { reason: 'ROOT_KEY', rootKeyId: 'r', by: null, at: AT } as const;
    const paused = moveJob(testJob({ status: 'SWEEPING' }), 'PAUSED', { pause });
    expect(paused).toMatchObject({ status: 'PAUSED', pause });
    expect(moveJob(paused, 'PAUSED', { round: 2 })).toMatchObject({ round: 2, pause });
    expect(moveJob(paused, 'REQUESTED')).toMatchObject({ status: 'REQUESTED', pause: null });
  });

  it.each(JOB_STATUSES)('blocks one that is %s, once', (status) => {
    const job = testJob({ status });
    const blocked = blockJob(job, 'STEP_FAILED', 'why', Date.parse(AT));
    if (!isRunning(status)) expect(blocked).toBe(job);
    else
      expect(blocked).toEqual({
        ...job,
        status: 'BLOCKED',
        blocker: { code: 'STEP_FAILED', message: 'why', at: AT },
      });
    expect(blockJob(blocked, 'KEY_CHANGED', 'another', 0)).toBe(blocked);
  });

  it('has each blocker code once', () => {
    expect(new Set(BLOCKER_CODES).size).toBe(BLOCKER_CODES.length);
  });
});

describe('an optimistic change', () => {
  it('is decided anew after each lost race, on what stands there then', async () => {
    const ledger = createMemoryLedger();
    await ledger.createJob(testJob());
    let races = 0;
    const changed = await changeJob({ ledger }, 'job-1', (job) => {
      if (races++ < 3) void ledger.replaceJob({ ...job, round: job.round + 1, revision: job.revision + 1 });
      return { ...job, chunkSize: job.chunkSize + 1 };
    });
    expect(changed).toMatchObject({ round: 3, chunkSize: 501, revision: 5 });
    expect(await ledger.getJob('job-1')).toEqual(changed);
  });

  it('gives up when it loses for ever, and writes nothing for the same object', async () => {
    const ledger = createMemoryLedger();
    await ledger.createJob(testJob());
    const lose = changeJob({ ledger }, 'job-1', (job) => {
      void ledger.replaceJob({ ...job, round: job.round + 1, revision: job.revision + 1 });
      return { ...job, chunkSize: 9 };
    });
    await expect(lose).rejects.toMatchObject({ code: 'REVISION_CONFLICT', retryable: true });
    const before = await ledger.getJob('job-1');
    await changeJob({ ledger }, 'job-1', (job) => job);
    expect(await ledger.getJob('job-1')).toEqual(before);
    await expect(changeJob({ ledger }, 'job-2', (job) => job)).rejects.toMatchObject({
      code: 'ROTATION_NOT_FOUND',
    });
  });
});

describe('whether a version may be purged', () => {
  const NOW = Date.parse('2026-02-01T00:00:00.000Z');
  const graces = [
    ['never retired', null, false],
    ['in its grace', '2026-02-01T00:00:00.001Z', false],
    ['at the end of its grace', '2026-02-01T00:00:00.000Z', true],
    ['long after its grace', '2025-01-01T00:00:00.000Z', true],
  ] as const;
  const table = VERSION_STATES.flatMap((state) =>
    graces.map(([name, until, over]) => [state, name, until, over] as const),
  );

  const config = configSchema.parse({
    provider: { type: 'local', keystore: 'k', keyFile: 'f' },
    stores: {},
    recordSets: {},
    rotation: { graceSeconds: 7 * 86_400, acceptShortGrace: true },
  });

  it.each(table)('%s, %s', (state, _, purgeNotBefore, over) => {
    const base = testKey();
    const first = base.versions['1'];
    if (first === undefined) throw new Error('no version');
    // Retired long ago: the grace that is configured now is over.
    const retiringAt = '2025-01-01T00:00:00.000Z';
    const key = { ...base, versions: { 1: { ...first, state, retiringAt, purgeNotBefore } } };
    const begun = state === 'DESTROY_PENDING' || state === 'DESTROYED';
    if (begun || (state === 'RETIRING' && over)) checkPurgeable(key, 1, NOW, config);
    else {
      const refused = {
        code: 'PURGE_REFUSED',
        remedy: expect.any(String),
        message: expect.stringContaining('Version 1'),
      };
      expect(() => checkPurgeable(key, 1, NOW, config)).toThrow(expect.objectContaining(refused));
    }
    expect(() => checkPurgeable(key, 2, NOW, config)).toThrow(
      expect.objectContaining({ code: 'VERSION_NOT_FOUND' }),
    );
  });

  it('by a grace that was made longer since, not by one that was made shorter', () => {
    const base = testKey();
    const first = base.versions['1'];
    if (first === undefined) throw new Error('no version');
    const retired = (retiringAt: string, purgeNotBefore: string) => ({
      ...base,
      versions: { 1: { ...first, state: 'RETIRING' as const, retiringAt, purgeNotBefore } },
    });
    const refused = expect.objectContaining({ code: 'PURGE_REFUSED' });
    // Seven days are configured now; it was retired six days ago, with a grace of one day.
    const longer = retired('2026-01-26T00:00:00.000Z', '2026-01-27T00:00:00.000Z');
    expect(() => checkPurgeable(longer, 1, NOW, config)).toThrow(refused);
    checkPurgeable(longer, 1, NOW + 86_400_000, config);
    const shorter = retired('2026-01-01T00:00:00.000Z', '2026-02-02T00:00:00.000Z');
    expect(() => checkPurgeable(shorter, 1, NOW, config)).toThrow(refused);
  });
});
