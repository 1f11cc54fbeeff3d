import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { Deps } from '../../../shared/deps/deps.ts';
import { cancelJob } from '../../../shared/rotation/cancel-job.ts';
import {
  limitJob,
  listOpenJobs,
  pauseByPerson,
  resumeByPerson,
} from '../../../shared/rotation/control-job.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { pauseJob } from '../../../shared/rotation/pause-job.ts';
import { reconcileRootKeys } from '../../../shared/rotation/reconcile-root-keys.ts';
import { requestByEvent } from '../../../shared/rotation/request-by-event.ts';
import { requestAdoption, requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { isRunning, type Job } from '../../../shared/rotation/rotation.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { createTestRootKeys, type TestRootKeys } from '../../../simulation/models/root-keys.ts';
import { runExecutions } from '../../support/memory-engine.ts';
import { runPurge, runRotation } from '../../support/memory-machine.ts';
import {
  Crash,
  FIELDS,
  fill,
  KEY,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
} from '../../support/memory-world.ts';

/** What people say to a job that has begun, against everything else that would have it rest, or go on. */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const RECORDS = 4;
const BY = 'person:ann';
const PERSON = { status: 'PAUSED', pause: { reason: 'PERSON', by: BY, rootKeyId: null } };

let world: World;
let rootKeys: TestRootKeys;
let rootKeyId: string;

async function makeWorld(): Promise<void> {
  rootKeys = createTestRootKeys();
  world = await worlds.makeWorld(createMemoryLedger(), {}, { provider: rootKeys.provider });
  rootKeyId = rootKeys.provider.rootKeyFor(TENANT);
  await fill(world, RECORDS);
}
beforeEach(makeWorld);

async function expectAllOpen(what = ''): Promise<void> {
  for (let id = 1; id <= RECORDS; id++)
    expect(await world.open(world.people, id), what).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
}

async function begun(): Promise<string> {
  const { job } = await requestRotation(world.deps, KEY);
  await createVersion(world.deps, job.jobId);
  return job.jobId;
}

describe('a pause by a person', () => {
  it('comes at any call of a rotation and its purge, and what is resumed ends as it would have', async () => {
    const seen = new Set<string>();
    for (let at = 1; at < 600; at += 2) {
      await makeWorld();
      let calls = 0;
      let hit: string | null = null;
      let paused: string | null = null;
      let saying: Promise<void> | undefined;
      world.faults.before = async (call) => {
        calls += 1;
        if (calls !== at) return;
        hit = call;
        const [job] = (await world.ledger.listJobs()).filter(({ status }) => isRunning(status));
        if (job === undefined) return;
        seen.add(`${job.kind} ${job.status}`);
        // Branches that run side by side may be over before the word is said to its end.
        saying = pauseByPerson(world.deps, job.jobId, BY).then(
          () => {
            paused = job.jobId;
          },
          (error: unknown) => expect(error).toMatchObject({ code: 'ROTATION_STATE' }),
        );
        await saying;
      };
      const finish = async () => {
        const what = `before call ${at}: ${hit}`;
        await saying;
        if (paused === null) return;
        const ended = await runExecutions(world);
        expect(
          ended.every((each) => each.ended !== 'FAILED'),
          what,
        ).toBe(true);
        const job = await world.job(paused);
        // It had made its last write already.
        if (job.status === 'COMPLETED') return;
        expect(job, what).toMatchObject(PERSON);
        expect(job.kind === 'purge' ? await stateOf(world, 1) : 'RETIRING', what).toBe('RETIRING');
        await sweepDaily(world.deps);
        expect(await world.job(paused), what).toMatchObject(PERSON);
        await resumeByPerson(world.deps, paused);
        paused = null;
        await runExecutions(world);
      };
      const { job } = await requestRotation(world.deps, KEY);
      await runExecutions(world);
      await finish();
      expect(await world.job(job.jobId), `before call ${at}: ${hit}`).toMatchObject({ status: 'COMPLETED' });
      world.passGrace();
      const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
      await runExecutions(world);
      await finish();
      world.faults.before = () => {};
      expect(await world.job(purge.job.jobId), `before call ${at}: ${hit}`).toMatchObject({
        status: 'COMPLETED',
      });
      expect(await stateOf(world, 1)).toBe('DESTROYED');
      expect(world.versions(world.people)).toEqual([2]);
      await expectAllOpen(`before call ${at}: ${hit}`);
      if (hit === null) break;
    }
    for (const status of ['REQUESTED', 'PREPARING', 'SWEEPING', 'BARRIER', 'CENSUS']) {
      expect(seen).toContain(`rotate ${status}`);
    }
    expect(seen).toContain('purge CENSUS');
  });

  it('is taken up by nobody else: not by root keys, the sweep, a request, an event', async () => {
    const jobId = await begun();
    await pauseByPerson(world.deps, jobId, BY);
    expect(await requestRotation(world.deps, KEY)).toMatchObject({ answer: 'paused', job: PERSON });
    await reconcileRootKeys(world.deps);
    rootKeys.set(rootKeyId, 'DISABLED');
    await reconcileRootKeys(world.deps);
    rootKeys.set(rootKeyId, 'ENABLED');
    await reconcileRootKeys(world.deps);
    await sweepDaily(world.deps);
    expect(await world.job(jobId)).toMatchObject(PERSON);
    expect(await resumeByPerson(world.deps, jobId)).toMatchObject({
      status: 'REQUESTED',
      attempt: 2,
      pause: null,
    });
  });

  it('stands above the root key, and gives way to it where that cannot be used when it is lifted', async () => {
    const jobId = await begun();
    rootKeys.set(rootKeyId, 'DISABLED');
    await reconcileRootKeys(world.deps);
    expect(await world.job(jobId)).toMatchObject({ pause: { reason: 'ROOT_KEY', by: null } });
    await expect(resumeByPerson(world.deps, jobId)).rejects.toMatchObject({
      ...{ code: 'JOB_PAUSED', remedy: expect.stringContaining('by itself') },
    });
    expect(await pauseByPerson(world.deps, jobId, BY)).toMatchObject(PERSON);
    // Said twice, the first word stands.
    expect(await pauseByPerson(world.deps, jobId, 'person:ben')).toMatchObject(PERSON);
    await pauseJob(world.deps, jobId, {
      reason: 'ROOT_KEY',
      rootKeyId,
      by: null,
      at: world.clock.timestamp(),
    });
    expect(await world.job(jobId)).toMatchObject(PERSON);
    expect(await resumeByPerson(world.deps, jobId)).toMatchObject({
      status: 'PAUSED',
      pause: { reason: 'ROOT_KEY' },
    });
    rootKeys.set(rootKeyId, 'ENABLED');
    await reconcileRootKeys(world.deps);
    await runExecutions(world);
    expect(await world.job(jobId)).toMatchObject({ status: 'COMPLETED' });
    await expectAllOpen();
  });

  it('of a purge calls its destruction off, also of one that waits for approvals; it is fenced anew', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    world.passGrace();
    const purge = await requestPurge(world.deps, { ...KEY, version: 1 });
    const { jobId } = purge.job;
    await runExecutions(world, {
      before: async (state) => {
        if (state !== 'DestroyVersion') return;
        const at = world.clock.timestamp();
        await pauseJob(world.deps, jobId, { reason: 'APPROVAL', rootKeyId: null, by: null, at });
      },
    });
    expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
    await expect(resumeByPerson(world.deps, jobId)).rejects.toMatchObject({ code: 'JOB_PAUSED' });
    expect(await pauseByPerson(world.deps, jobId, BY)).toMatchObject(PERSON);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    const fenced = (await world.job(jobId)).barrierUntil ?? '';
    world.pass(3600);
    await resumeByPerson(world.deps, jobId);
    await runExecutions(world);
    const ended = await world.job(jobId);
    expect(ended).toMatchObject({ status: 'COMPLETED' });
    expect(Date.parse(ended.barrierUntil ?? '')).toBeGreaterThan(Date.parse(fenced));
  });

  it('of a purge is finished by the sweep when its command died after the first of two writes', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    world.passGrace();
    const { jobId } = (await requestPurge(world.deps, { ...KEY, version: 1 })).job;
    await runExecutions(world, {
      before: async (state) => {
        if (state !== 'TakeCensus') return;
        let calls = 0;
        world.faults.after = (call) => {
          if (call !== 'ledger.replaceJob' || calls++ > 0) return;
          throw new Crash(call);
        };
        await pauseByPerson(world.deps, jobId, BY).catch(() => undefined);
        world.faults.after = () => {};
        world.restart();
      },
    });
    expect(await world.job(jobId)).toMatchObject(PERSON);
    expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
    await sweepDaily(world.deps);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    expect(await world.job(jobId)).toMatchObject(PERSON);
  });

  /** A purge whose pause looks before the decision, and is written after it, before the provider destroys. */
  async function crossDecision(pause: (deps: Deps, jobId: string) => Promise<unknown>): Promise<string> {
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    world.passGrace();
    const { jobId } = (await requestPurge(world.deps, { ...KEY, version: 1 })).job;
    const looked = Promise.withResolvers<void>();
    const written = Promise.withResolvers<void>();
    const ledger = new Proxy(world.deps.ledger, {
      get: (target, name) =>
        name === 'replaceJob'
          ? async (paused: Job) => {
              looked.resolve();
              await written.promise;
              return target.replaceJob(paused);
            }
          : Reflect.get(target, name),
    });
    let said: Promise<unknown> | undefined;
    await runExecutions(world, {
      before: async (state) => {
        if (state !== 'DestroyVersion' || said !== undefined) return;
        said = pause({ ...world.deps, ledger }, jobId);
        await looked.promise;
        world.faults.before = async (call) => {
          if (!call.includes('destroyKek')) return;
          world.faults.before = () => {};
          written.resolve();
          await said;
        };
      },
    });
    await said;
    return jobId;
  }

  it('of a purge that rests though it is decided is taken up by the sweep', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    world.passGrace();
    const { jobId } = (await requestPurge(world.deps, { ...KEY, version: 1 })).job;
    world.faults.before = (call) => {
      if (call.includes('destroyKek')) throw new Crash(call);
    };
    await runPurge(world, jobId).catch(() => undefined);
    world.restart();
    // The pause that crossed the decision died after its write to the job.
    const pause = { reason: 'PERSON', rootKeyId: null, by: BY, at: world.clock.timestamp() } as const;
    await pauseJob(world.deps, jobId, pause);
    expect((await world.key()).versions['1']?.destroyAuthorizedAt).not.toBeNull();
    world.faults.before = () => {};
    await sweepDaily(world.deps);
    await runExecutions(world);
    expect(await stateOf(world, 1)).toBe('DESTROYED');
    expect(await world.job(jobId)).toMatchObject({ status: 'COMPLETED' });
  });

  it('of a purge that crosses its decision is refused, and the destruction goes on', async () => {
    let answer: unknown;
    const jobId = await crossDecision((deps, id) =>
      pauseByPerson(deps, id, BY).catch((error: unknown) => {
        answer = error;
      }),
    );
    expect(answer).toMatchObject({ code: 'ROTATION_STATE', message: expect.stringContaining('no way back') });
    await runExecutions(world);
    expect(await stateOf(world, 1)).toBe('DESTROYED');
    expect(await world.job(jobId)).toMatchObject({ status: 'COMPLETED', pause: null });
  });

  it('is no word to a job that nobody works on', async () => {
    const jobId = await begun();
    await expect(resumeByPerson(world.deps, jobId)).rejects.toMatchObject({ code: 'ROTATION_STATE' });
    await cancelJob(world.deps, jobId, BY);
    for (const say of [pauseByPerson, resumeByPerson]) {
      await expect(say(world.deps, jobId, BY)).rejects.toMatchObject({
        ...{ code: 'ROTATION_STATE', message: expect.stringContaining('CANCELLED') },
      });
    }
  });

  it('of an adoption lets it seal nothing more until it is resumed', async () => {
    const row = (id: number) => ({
      ...{ key: [String(id)], tenant: TENANT, values: [null, null] },
      plaintext: FIELDS.map((field) => Buffer.from(`plain ${id} ${field}`)),
    });
    for (const id of [51, 52, 53]) world.notes.rows.set(JSON.stringify([String(id)]), row(id));
    const asked = { tenant: TENANT, recordSet: 'notes', requestedBy: 'test' };
    const { jobId } = (await requestAdoption(world.deps, asked)).job;
    await pauseByPerson(world.deps, jobId, BY);
    await runExecutions(world);
    expect(world.notes.rows.get('["51"]')?.values).toEqual([null, null]);
    expect(await requestAdoption(world.deps, asked)).toMatchObject({ answer: 'paused' });
    await resumeByPerson(world.deps, jobId);
    await runExecutions(world);
    expect(await world.open(world.notes, 51)).toEqual(FIELDS.map((field) => `plain 51 ${field}`));
  });
});

describe('a limit', () => {
  it('is the configuration’s, the request’s, or a later word’s', async () => {
    const limited = await worlds.makeWorld(createMemoryLedger(), { recordsPerSecond: 50 });
    const { job } = await requestRotation(limited.deps, KEY);
    expect(job.recordsPerSecond).toBe(50);
    const { job: asked } = await requestRotation(world.deps, { ...KEY, recordsPerSecond: 7 });
    expect(asked.recordsPerSecond).toBe(7);
    expect(await limitJob(world.deps, asked.jobId, 3)).toMatchObject({ recordsPerSecond: 3 });
    const { revision } = await limitJob(world.deps, asked.jobId, null);
    expect(await limitJob(world.deps, asked.jobId, null)).toMatchObject({ revision, recordsPerSecond: null });
    // It stays through pause and resume.
    await limitJob(world.deps, asked.jobId, 5);
    await pauseByPerson(world.deps, asked.jobId, BY);
    expect(await resumeByPerson(world.deps, asked.jobId)).toMatchObject({ recordsPerSecond: 5 });
    await cancelJob(world.deps, asked.jobId, BY);
    await expect(limitJob(world.deps, asked.jobId, 1)).rejects.toMatchObject({ code: 'ROTATION_STATE' });
  });
});

describe('the open jobs of a key', () => {
  it('begin with the one that holds its lock, and are of that key alone', async () => {
    const jobId = await begun();
    const asked = { tenant: TENANT, recordSet: 'notes', requestedBy: 'test' };
    const adoption = (await requestAdoption(world.deps, asked)).job;
    expect((await listOpenJobs(world.deps, await world.key())).map((job) => job.jobId)).toEqual([
      jobId,
      adoption.jobId,
    ]);
    expect(await listOpenJobs(world.deps, { keyId: 'another', rotationId: null })).toEqual([]);
  });
});

describe('a request from the bus', () => {
  const event = (time: string) => ({
    ...{ id: 'e', time, source: 'test', 'detail-type': 'RotationRequested' as const },
    detail: {
      schemaVersion: 1 as const,
      requestId: 'r',
      tenant: TENANT,
      purpose: 'default',
      requestedBy: 'svc',
    },
  });

  it('does not begin a rotation anew that a person called off: another person does', async () => {
    const before = event(world.clock.timestamp());
    const { jobId } = await requestByEvent(world.deps, before as never);
    world.pass(10);
    await cancelJob(world.deps, jobId ?? '', BY);
    const after = event(world.clock.timestamp());
    for (const late of [before, after])
      expect(await requestByEvent(world.deps, late as never)).toEqual({ answer: 'stopped', jobId });
    expect(await requestRotation(world.deps, KEY)).toMatchObject({ answer: 'resumed', job: { jobId } });
    expect(await requestByEvent(world.deps, after as never)).toEqual({ answer: 'running', jobId });
  });
});
