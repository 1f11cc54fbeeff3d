import { isDeepStrictEqual } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Application, createApplication } from '../../scripts/demo/application.ts';
import { CREATE_TABLE, FIELDS, PURPOSE, RECORD_SET, tenantName } from '../../scripts/demo/records.ts';
import { createConfiguredKeyring } from '../../shared/deps/compose.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { cancelJob } from '../../shared/rotation/cancel-job.ts';
import { getKey } from '../../shared/rotation/change.ts';
import { limitJob, pauseByPerson, resumeByPerson } from '../../shared/rotation/control-job.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { readProgress, readRoundProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { requestResweep, requestRotation } from '../../shared/rotation/request-job.ts';
import { requestRollback } from '../../shared/rotation/rollback.ts';
import { type Job, RUNNING_STATUSES } from '../../shared/rotation/rotation.ts';
import { eventually, jobEnded, startTestStack, type TestStack } from '../support/stack.ts';

/** What people say to a rotation that runs, on the embedded stack, while an application reads and writes. */

const RECORDS = 2000;
const TENANT = tenantName(0);
const KEY = { tenant: TENANT, purpose: PURPOSE, requestedBy: 'person:ann' };
const BY = 'person:ann';

const RECORD_SETS = {
  [RECORD_SET]: {
    store: 'main',
    table: 'clients',
    key: ['id'],
    tenant: { column: 'practice' },
    purpose: PURPOSE,
    fields: FIELDS.map((name) => ({ name, column: `${name}_enc` })),
  },
};

const sleep = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

describe('a rotation that people pause, limit, cancel and roll back', () => {
  let stack: TestStack;
  let application: Application;

  beforeAll(async () => {
    stack = await startTestStack({ recordSets: RECORD_SETS, rotation: { chunkSize: 50 } });
    await stack.pool.query(CREATE_TABLE);
    await createKey(stack.deps, TENANT, PURPOSE);
    let seed = 7;
    application = createApplication({
      pool: stack.pool,
      // The application's own cache, as old as it may get.
      keyring: createConfiguredKeyring(stack.deps),
      records: RECORDS,
      tenants: 1,
      random: () => {
        seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
        return seed / 2 ** 31;
      },
    });
    await application.insert();
    application.start(2, 2);
  });

  afterAll(async () => {
    await application.stop();
    await stack.remove();
  });

  const keyNow = (): Promise<TenantKey> => getKey(stack.deps, TENANT, PURPOSE);
  const jobNow = async (jobId: string): Promise<Job> => {
    const job = await stack.deps.ledger.getJob(jobId);
    if (job === null) throw new Error('no job');
    return job;
  };
  const plannedOf = async (jobId: string) => {
    const job = await jobNow(jobId);
    return (await readRoundProgress(stack.deps, job, job.round)).planned;
  };
  /** Rotates slowly, until so many records are listed. */
  const sweeping = async (records: number, recordsPerSecond: number): Promise<string> => {
    const { job } = await requestRotation(stack.deps, { ...KEY, recordsPerSecond });
    await eventually(async () => (await jobNow(job.jobId)).round > 0, 'the sweep');
    await eventually(async () => (await plannedOf(job.jobId)) >= records, `${records} listed records`);
    return job.jobId;
  };

  it('keeps to its limit, rests when it is paused, and goes on without either', async () => {
    const jobId = await sweeping(100, 100);
    const began = { at: Date.now(), planned: await plannedOf(jobId) };
    await sleep(4000);
    const seconds = (Date.now() - began.at) / 1000;
    const rate = ((await plannedOf(jobId)) - began.planned) / seconds;
    // Pages are of a second each, so that the ends of the time may add one. A slow machine may be slower than the limit.
    expect(rate).toBeGreaterThan(0);
    expect(rate).toBeLessThanOrEqual(130);

    expect(await pauseByPerson(stack.deps, jobId, BY)).toMatchObject({ status: 'PAUSED', pause: { by: BY } });
    expect(await requestRotation(stack.deps, KEY)).toMatchObject({ answer: 'paused', job: { jobId } });
    const progressNow = async () => sumProgress(await readProgress(stack.deps, await jobNow(jobId)));
    /** What it was two seconds ago; null: it was something else then. */
    const atRest = async () => {
      const before = await progressNow();
      await sleep(2000);
      return isDeepStrictEqual(await progressNow(), before) ? before : null;
    };
    // Listers end within five seconds, and so do workers. The daily sweep, here one a second, leaves it alone.
    const progress = await eventually(atRest, 'rest');
    const { writes } = application;
    await sleep(4000);
    expect(await progressNow()).toEqual(progress);
    expect(progress.rewrapped + progress.skipped).toBeLessThan(RECORDS);
    expect(application.writes).toBeGreaterThan(writes);

    await limitJob(stack.deps, jobId, null);
    expect(await resumeByPerson(stack.deps, jobId)).toMatchObject({ status: 'REQUESTED', attempt: 2 });
    expect(await jobEnded(stack, jobId)).toMatchObject({ status: 'COMPLETED', from: 1, to: 2 });
  });

  it('is cancelled in its sweep, and both versions stay', async () => {
    const jobId = await sweeping(50, 50);
    expect(await cancelJob(stack.deps, jobId, BY)).toMatchObject({
      status: 'CANCELLED',
      cancelled: { by: BY },
    });
    const { active, rotationId, versions } = await keyNow();
    expect({ active, rotationId }).toEqual({ active: 3, rotationId: null });
    expect(versions['2']).toMatchObject({ state: 'RETIRING', purgeNotBefore: null });
    await sleep(3000);
    // No policy purges it, and nobody begins the rotation anew.
    expect((await keyNow()).versions['2']).toMatchObject({ state: 'RETIRING', purgeNotBefore: null });
    expect(await jobNow(jobId)).toMatchObject({ status: 'CANCELLED' });
  });

  it('is rolled back to the older version, from the middle of the next rotation', async () => {
    const running = await sweeping(50, 50);
    const { cancelled, request } = await requestRollback(stack.deps, {
      ...KEY,
      to: 2,
      recordsPerSecond: null,
    });
    expect(cancelled).toMatchObject([{ jobId: running, status: 'CANCELLED' }]);
    const ended = await jobEnded(stack, request?.job.jobId ?? '');
    expect(ended).toMatchObject({ goal: 'ROLLBACK', status: 'COMPLETED', from: 4, to: 2 });
    expect(ended.census?.coverage[RECORD_SET]?.versions).toEqual({ 2: RECORDS * FIELDS.length });
    expect(await keyNow()).toMatchObject({ active: 2, rotationId: null });
    // The clean census freed what both cancelled rotations had left.
    for (const version of ['3', '4']) {
      await eventually(
        async () => (await keyNow()).versions[version]?.state === 'DESTROYED',
        `the purge of version ${version}`,
      );
    }
  });

  it('and is asked for again, swept again, and ends with every record on its last value', async () => {
    const { job } = await requestRotation(stack.deps, KEY);
    expect(await jobEnded(stack, job.jobId)).toMatchObject({ status: 'COMPLETED', from: 2, to: 5 });
    const resweep = await requestResweep(stack.deps, { ...KEY, reason: 'test' });
    expect(await jobEnded(stack, resweep.job.jobId)).toMatchObject({ goal: 'RESWEEP', status: 'COMPLETED' });
    await eventually(async () => (await keyNow()).versions['2']?.state === 'DESTROYED', 'the purge');
    // A purge writes its certificate and its end after that.
    await eventually(async () => {
      const running = await stack.deps.ledger.listJobs({ statuses: RUNNING_STATUSES });
      return running.length === 0;
    }, 'the end of all jobs');
    await application.stop();
    expect(application.mismatches).toBe(0);
    expect(Object.fromEntries(application.failures)).toEqual({});
    expect(await application.verify()).toEqual({ opened: RECORDS * FIELDS.length, mismatches: 0 });
  });
});
