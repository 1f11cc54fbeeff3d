import { afterAll, describe, expect, it } from 'vitest';
import { resumeApproved } from '../../../shared/approvals/resume-approved.ts';
import { endRestoreHold, holdForRestore } from '../../../shared/keyring/holds.ts';
import { cancelJob } from '../../../shared/rotation/cancel-job.ts';
import { blockJob, changeJob } from '../../../shared/rotation/change.ts';
import { pauseByPerson } from '../../../shared/rotation/control-job.ts';
import { resweepRestored } from '../../../shared/rotation/end-restore.ts';
import { pauseJob } from '../../../shared/rotation/pause-job.ts';
import { reconcileRootKeys } from '../../../shared/rotation/reconcile-root-keys.ts';
import { requestByEvent } from '../../../shared/rotation/request-by-event.ts';
import {
  type JobRequest,
  requestPurge,
  requestResweep,
  requestRotation,
} from '../../../shared/rotation/request-job.ts';
import type { BlockerCode, Job } from '../../../shared/rotation/rotation.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { runRotation } from '../../support/memory-machine.ts';
import {
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
} from '../../support/memory-world.ts';

/**
 * A person calls a job off between any two calls of whatever takes jobs up by itself: between its look and its request, too.
 * No policy asks again for what was called off.
 */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const BY = 'person:ann';
const PURGE = { ...KEY, version: 1 };

type Ask = (world: World) => Promise<unknown>;

/** The key is due, version 1 is retired with its grace over, and a restore has ended. */
async function makeWorld(): Promise<World> {
  const world = await worlds.makeWorld(createMemoryLedger(), { everyDays: 10, spreadDays: 0 });
  await fill(world, 1);
  const { job } = await requestRotation(world.deps, KEY);
  await runRotation(world, job.jobId);
  world.passGrace();
  return world;
}

async function restored(world: World): Promise<void> {
  const hold = {
    holdId: 'r1',
    versions: [1],
    store: 'main',
    note: null,
    by: BY,
    at: world.clock.timestamp(),
  };
  await world.changeKey((key) =>
    holdForRestore(key, { ...hold, reason: 'RESTORE', until: null, endedEpoch: null }),
  );
  await world.changeKey((key) => endRestoreHold(key, 'r1'));
}

const askers: Readonly<Record<string, Ask>> = {
  'the daily sweep': ({ deps }) => sweepDaily(deps),
  'an event of the bus': (world) =>
    requestByEvent(world.deps, {
      ...{ 'detail-type': 'TenantKeyRotationRequested', source: 'test', time: world.clock.timestamp() },
      detail: { schemaVersion: 1, requestId: 'r', tenant: TENANT, purpose: PURPOSE, requestedBy: 'svc' },
    }),
  'the end of a restore': async ({ deps, key }) => resweepRestored(deps, await key(), 'daily sweep'),
  'a look at root keys': ({ deps }) => reconcileRootKeys(deps),
  'a look at approvals': async ({ deps }) =>
    resumeApproved(deps, await deps.ledger.listJobs({ kind: 'purge' })),
};

const requests: Readonly<Record<string, (world: World) => Promise<JobRequest>>> = {
  rotation: ({ deps }) => requestRotation(deps, KEY),
  purge: ({ deps }) => requestPurge(deps, PURGE),
  're-sweep': async (world) => {
    if ((await world.key()).restoreEpoch === 0) await restored(world);
    return requestResweep(world.deps, { ...KEY, reason: 'restore r1' });
  },
};

const blocked =
  (code: BlockerCode): ((world: World, job: Job) => Promise<unknown>) =>
  async (world, { jobId }) => {
    await changeJob(world.deps, jobId, (job) => blockJob(job, code, 'a test', world.clock.now()));
    world.pass(86_400);
  };

/** What the asker finds the job as, if it looks before the person's word. */
const situations: Readonly<Record<string, (world: World, job: Job) => Promise<unknown>>> = {
  'was asked for': async () => {},
  'is paused by a person': ({ deps }, { jobId }) => pauseByPerson(deps, jobId, BY),
  'is paused for its root key': async ({ deps, clock, provider }, { jobId }) =>
    pauseJob(deps, jobId, {
      ...{ reason: 'ROOT_KEY', rootKeyId: provider.rootKeyFor(TENANT), by: null, at: clock.timestamp() },
    }),
  'waits for approvals': async ({ deps, clock }, { jobId, kind }) => {
    if (kind !== 'purge') return;
    await pauseJob(deps, jobId, {
      ...{ reason: 'APPROVAL', rootKeyId: null, by: null, at: clock.timestamp() },
    });
  },
  'failed a day ago': blocked('STEP_FAILED'),
  'was held a day ago': blocked('HELD'),
};

/** Says it at call number `at`, and lets what it calls pass. Returns whether there was such a call. */
function sayAt(world: World, when: 'before' | 'after', at: number, say: () => Promise<unknown>) {
  const said = { call: '' };
  let calls = 0;
  world.faults[when] = async (call) => {
    calls += 1;
    if (calls !== at) return;
    said.call = call;
    world.faults[when] = () => {};
    await say();
  };
  return said;
}

describe.each(Object.entries(askers))('%s', (_, ask) => {
  describe.each(Object.entries(requests))('and a %s', (_kind, request) => {
    it.each(Object.entries(situations))('that %s', async (_situation, prepare) => {
      let calls = 0;
      for (const when of ['before', 'after'] as const) {
        for (let at = 1; at < 200; at++) {
          const world = await makeWorld();
          const { job } = await request(world);
          await prepare(world, job);
          const said = sayAt(world, when, at, () => cancelJob(world.deps, job.jobId, BY));
          await ask(world);
          world.faults[when] = () => {};
          if (said.call === '') break;
          calls += 1;
          const what = `${when} call ${at}: ${said.call}`;
          expect(await world.job(job.jobId), what).toMatchObject({
            ...{ status: 'CANCELLED', cancelled: { by: BY } },
          });
          await ask(world);
          expect(await world.job(job.jobId), what).toMatchObject({ status: 'CANCELLED' });
          expect(await stateOf(world, 1), what).toBe('RETIRING');
        }
      }
      expect(calls).toBeGreaterThan(0);
    });
  });
});

describe('what did not exist yet when the daily sweep looked', () => {
  it.each(Object.entries(requests))('a %s, asked for and called off at once', async (_, request) => {
    let jobs = 0;
    for (let at = 1; at < 200; at++) {
      const world = await makeWorld();
      let jobId = '';
      const said = sayAt(world, 'after', at, async () => {
        const asked = await request(world);
        if (asked.answer === 'started') jobId = asked.job.jobId;
        if (jobId !== '') await cancelJob(world.deps, jobId, BY);
      });
      await sweepDaily(world.deps);
      if (said.call === '') break;
      if (jobId === '') continue;
      jobs += 1;
      expect(await world.job(jobId), `after call ${at}: ${said.call}`).toMatchObject({ status: 'CANCELLED' });
    }
    expect(jobs).toBeGreaterThan(0);
  });
});

describe('a person', () => {
  it.each(Object.entries(requests))('begins a %s anew that was called off', async (_, request) => {
    const world = await makeWorld();
    const { job } = await request(world);
    await cancelJob(world.deps, job.jobId, BY);
    expect(await request(world)).toMatchObject({
      answer: 'resumed',
      job: { status: 'REQUESTED', attempt: 2 },
    });
  });

  it('is told that another called it off in the same moment', async () => {
    const answers = new Set<string>();
    for (let at = 1; at < 200; at++) {
      const world = await makeWorld();
      const { job } = await requestPurge(world.deps, PURGE);
      await blocked('HELD')(world, job);
      const said = sayAt(world, 'after', at, () => cancelJob(world.deps, job.jobId, BY));
      const { answer, job: then } = await requestPurge(world.deps, PURGE);
      if (said.call === '') break;
      answers.add(`${answer} ${then.status}`);
    }
    expect(answers).toEqual(new Set(['resumed REQUESTED', 'stopped CANCELLED']));
  });
});

it('a purge that something stopped is not taken up by a sweep that looked a moment before', async () => {
  for (let at = 1; at < 200; at++) {
    const world = await makeWorld();
    const { job } = await requestPurge(world.deps, PURGE);
    const said = sayAt(world, 'after', at, () =>
      changeJob(world.deps, job.jobId, (current) =>
        blockJob(current, 'VERSION_IN_USE', 'something asked for it', world.clock.now()),
      ),
    );
    await sweepDaily(world.deps);
    if (said.call === '') break;
    expect(await world.job(job.jobId), `after call ${at}: ${said.call}`).toMatchObject({ status: 'BLOCKED' });
  }
});
