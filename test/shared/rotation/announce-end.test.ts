import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { PUBLISHED_EVENTS } from '../../../shared/bus/events.ts';
import { BusError } from '../../../shared/errors/errors.ts';
import type { MetricName } from '../../../shared/metrics/metrics.ts';
import { announceEnd, endEventOf } from '../../../shared/rotation/announce-end.ts';
import { requestAdoption, requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { retireVersion } from '../../../shared/rotation/retire-version.ts';
import { stopJob } from '../../../shared/rotation/stop-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { deliver, runAdoption, runPurge, runRotation } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, TENANT, type World, type WorldMaker } from '../../support/memory-world.ts';

let worlds: WorldMaker;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());

let world: World;
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 4);
});

async function rotate(): Promise<string> {
  const { job } = await requestRotation(world.deps, KEY);
  expect(await runRotation(world, job.jobId)).toBe('CLEAN');
  return job.jobId;
}

describe('the end of a job', () => {
  it('of a rotation and of a purge is published once, by the schema, however often the last step is repeated', async () => {
    const jobId = await rotate();
    await retireVersion(world.deps, jobId);
    world.passGrace();
    const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, purge.job.jobId)).toBe(true);
    const { keyId } = await world.key();
    const about = { schemaVersion: 1, tenant: TENANT, purpose: 'default', keyId };
    const rotation = await world.job(jobId);
    expect(world.published).toEqual([
      {
        detailType: 'KeyRotationCompleted',
        detail: {
          ...about,
          jobId,
          from: 1,
          to: 2,
          completedAt: rotation.completedAt,
          purgeNotBefore: rotation.purgeNotBefore,
        },
      },
      {
        detailType: 'KeyVersionPurged',
        detail: {
          ...about,
          jobId: purge.job.jobId,
          version: 1,
          completedAt: (await world.job(purge.job.jobId)).completedAt,
        },
      },
    ]);
    for (const { detailType, detail } of world.published)
      expect(PUBLISHED_EVENTS[detailType].strict().parse(detail)).toEqual(detail);
  });

  it('that is blocked is published with its blocker, and not again by a repeat', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    for (let i = 0; i < 2; i++) await stopJob(world.deps, job.jobId, 'Error', 'STORE_DENIED: secret text');
    await rotate();
    world.passGrace();
    const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
    await world.write(world.people, 1, 'late', 1);
    expect(await runPurge(world, purge.job.jobId)).toBe(false);
    const news = world.published.map(({ detailType, detail }) => ({ detailType, ...detail }));
    expect(news).toMatchObject([
      { detailType: 'KeyRotationBlocked', from: 1, attempt: 1, blocker: 'STEP_FAILED' },
      { detailType: 'KeyRotationCompleted' },
      { detailType: 'KeyVersionPurgeBlocked', version: 1, attempt: 1, blocker: 'STALE_RECORDS' },
    ]);
    expect(JSON.stringify(world.published)).not.toContain('secret');
    for (const { detailType, detail } of world.published)
      expect(PUBLISHED_EVENTS[detailType].strict().parse(detail)).toEqual(detail);
  });

  it('of an adoption is counted and not published', async () => {
    const counted: MetricName[] = [];
    const metrics = { add: (name: MetricName) => void counted.push(name) };
    const { job } = await requestAdoption(world.deps, {
      tenant: TENANT,
      recordSet: 'people',
      requestedBy: 'test',
    });
    await runAdoption(world, job.jobId);
    const ended = await world.job(job.jobId);
    expect(ended.status).toBe('COMPLETED');
    expect(world.published).toEqual([]);
    await announceEnd({ ...world.deps, metrics }, 'CENSUS', ended);
    await announceEnd({ ...world.deps, metrics }, 'COMPLETED', ended);
    expect(counted).toEqual(['JobsCompleted']);
  });

  it('stands, whether or not the bus takes the news', async () => {
    world.faults.before = (call) => {
      if (call === 'bus.publish') throw new BusError('BUS_UNAVAILABLE', 'down', { retryable: true });
    };
    const jobId = await rotate();
    await deliver(world);
    expect(await world.job(jobId)).toMatchObject({ status: 'COMPLETED' });
    expect(world.published).toEqual([]);
  });

  it('is none while the job goes on', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    expect(endEventOf(job)).toBeNull();
    await announceEnd(world.deps, 'REQUESTED', { ...job, status: 'SWEEPING' });
    expect(world.published).toEqual([]);
  });
});
