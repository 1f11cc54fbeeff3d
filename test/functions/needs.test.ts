import { readdirSync } from 'node:fs';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { FUNCTION_NEEDS } from '../../functions/needs.ts';
import { LedgerError } from '../../shared/errors/errors.ts';
import type { Log, LogFields } from '../../shared/log/log.ts';
import type { RootKeyProvider } from '../../shared/providers/root-key-provider.ts';
import { writeBody } from '../../shared/queue/message-body.ts';
import {
  requestAdoption,
  requestPurge,
  requestResweep,
  requestRotation,
} from '../../shared/rotation/request-job.ts';
import { requestRollback } from '../../shared/rotation/rollback.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createTestRootKeys } from '../../simulation/models/root-keys.ts';
import { testState } from '../../simulation/models/state-key.ts';
import { createApprovers } from '../support/approvers.ts';
import { createRunner, FUNCTIONS, type FunctionName } from '../support/function-runner.ts';
import {
  FIELDS,
  fill,
  KEY,
  NO_APPROVALS,
  PURPOSE,
  prepareWorlds,
  TENANT,
  type World,
} from '../support/memory-world.ts';

/**
 * Whole jobs by the functions themselves, each with the ports that it declares: one that uses another fails, and one that
 * declares what it never uses has more rights than it needs.
 */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());
const runner = createRunner();

/** Codes of what was caught on the way, by those that do not fail for it. */
const logged = new Set<string | undefined>();
const note = (_: string, fields?: LogFields) => logged.add(fields?.code);
const log: Log = { info: note, warn: note, error: note };

async function makeWorld(
  rotation: object = {},
  provider?: RootKeyProvider,
  approvals: object = NO_APPROVALS,
): Promise<World> {
  const other = { log, approvals, ...(provider !== undefined && { provider }) };
  const world = await worlds.makeWorld(createMemoryLedger(), rotation, other);
  await fill(world, 6);
  runner.watch(world);
  return world;
}

const plan = z.object({ round: z.int(), segments: z.array(z.object({ segment: z.int() }).loose()) });
const swept = z.object({ swept: z.boolean(), waitSeconds: z.number() });
const passed = z.object({ passed: z.boolean(), waitSeconds: z.number() });
const listed = z.looseObject({ done: z.boolean(), waitSeconds: z.number() });
const concluded = z.object({ outcome: z.enum(['CLEAN', 'SWEEP_AGAIN', 'BLOCKED']) });

async function deliver(world: World): Promise<void> {
  for (const message of world.queue.splice(0))
    await runner.call(world, 'process-chunk', {
      Records: [{ messageId: '1', body: await writeBody(testState, message) }],
    });
}

async function sweep(world: World, jobId: string, work: typeof deliver) {
  const { round, segments } = plan.parse(await runner.call(world, 'plan-sweep', { jobId }));
  for (const segment of segments) {
    let state = listed.parse(await runner.call(world, 'list-segment', segment));
    while (!state.done) {
      await work(world);
      state = listed.parse(await runner.call(world, 'list-segment', state));
    }
  }
  for (;;) {
    await work(world);
    const check = swept.parse(await runner.call(world, 'check-sweep', { jobId, round }));
    if (check.swept) return { round, segments };
    world.pass(check.waitSeconds);
  }
}

async function barrierAndCensus(world: World, jobId: string, segments: readonly object[]): Promise<void> {
  for (;;) {
    const barrier = passed.parse(await runner.call(world, 'check-barrier', { jobId }));
    if (barrier.passed) break;
    world.pass(barrier.waitSeconds);
  }
  for (const segment of segments) await runner.call(world, 'take-census', segment);
}

async function rotate(world: World, jobId: string, work = deliver): Promise<string> {
  for (const name of ['create-version', 'prove-version', 'activate-version'] as const)
    await runner.call(world, name, { jobId });
  for (;;) {
    const { round, segments } = await sweep(world, jobId, work);
    await barrierAndCensus(world, jobId, segments);
    const { outcome } = concluded.parse(await runner.call(world, 'conclude-round', { jobId, round }));
    if (outcome === 'CLEAN') await runner.call(world, 'retire-version', { jobId });
    if (outcome !== 'SWEEP_AGAIN') return outcome;
  }
}

async function purge(world: World, jobId: string): Promise<unknown> {
  const { round, segments } = plan.parse(await runner.call(world, 'begin-purge', { jobId }));
  await barrierAndCensus(world, jobId, segments);
  return runner.call(world, 'destroy-version', { jobId, round });
}

async function adopt(world: World, jobId: string): Promise<string> {
  for (;;) {
    const { round, segments } = await sweep(world, jobId, deliver);
    await barrierAndCensus(world, jobId, segments);
    const { outcome } = concluded.parse(await runner.call(world, 'conclude-adoption', { jobId, round }));
    if (outcome !== 'SWEEP_AGAIN') return outcome;
  }
}

function spoil(world: World): void {
  const row = world.people.rows.get(JSON.stringify(['1']));
  if (row !== undefined) row.values[0] = Buffer.from('no envelope');
}

async function request(world: World): Promise<void> {
  const time = new Date(world.clock.now()).toISOString();
  const detail = { schemaVersion: 1, tenant: TENANT, requestId: 'r', requestedBy: 'test' };
  const event = { 'detail-type': 'TenantKeyRotationRequested', source: 'app', time, detail };
  await runner.call(world, 'rotation-request', event);
}

async function makeRootKeyWorld() {
  const roots = createTestRootKeys();
  const rootKeyId = roots.provider.rootKeyFor(TENANT);
  const world = await makeWorld({}, roots.provider);
  return { world, roots, rootKeyId, disable: () => roots.set(rootKeyId, 'DISABLED') };
}

const SCENARIOS: Readonly<Record<string, () => Promise<void>>> = {
  'a rotation by a request, and the purge that follows it by the daily sweep': async () => {
    const world = await makeWorld();
    await request(world);
    const [rotation] = await world.ledger.listJobs();
    expect(await rotate(world, rotation?.jobId ?? '')).toBe('CLEAN');
    world.passGrace();
    await runner.call(world, 'monitor', {});
    await runner.call(world, 'export-audit', {});
    await runner.call(world, 'sweep', {});
    const [due] = await world.ledger.listJobs({ kind: 'purge' });
    expect(await purge(world, due?.jobId ?? '')).toEqual({ destroyed: true });
  },
  'a rotation and a purge with a record in quarantine': async () => {
    const world = await makeWorld();
    spoil(world);
    const { job } = await requestRotation(world.deps, KEY);
    expect(await rotate(world, job.jobId)).toBe('CLEAN');
    world.passGrace();
    const purging = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await purge(world, purging.job.jobId)).toEqual({ destroyed: false });
    await runner.call(world, 'monitor', {});
  },
  'a rotation whose workers do nothing': async () => {
    const world = await makeWorld({ maxRounds: 1 });
    const { job } = await requestRotation(world.deps, KEY);
    expect(await rotate(world, job.jobId, async (w) => w.pass(600))).toBe('BLOCKED');
    world.pass(86_400);
    await runner.call(world, 'monitor', {});
  },
  'an adoption': async () => {
    const world = await makeWorld();
    world.people.rows.set(JSON.stringify(['9']), {
      key: ['9'],
      tenant: TENANT,
      values: FIELDS.map(() => null),
      plaintext: FIELDS.map((field) => Buffer.from(field)),
    });
    const request = { tenant: TENANT, recordSet: 'people', requestedBy: 'test' };
    const { job } = await requestAdoption(world.deps, request);
    expect(await adopt(world, job.jobId)).toBe('CLEAN');
  },
  'a rollback, and a sweep after a restore': async () => {
    const world = await makeWorld();
    const { job } = await requestRotation(world.deps, KEY);
    await rotate(world, job.jobId);
    const { request: back } = await requestRollback(world.deps, { ...KEY, to: 1 });
    expect(await rotate(world, back?.job.jobId ?? '')).toBe('CLEAN');
    const resweep = await requestResweep(world.deps, { ...KEY, reason: 'restore r' });
    expect(await rotate(world, resweep.job.jobId)).toBe('CLEAN');
  },
  'a rotation that was cancelled by a command that died': async () => {
    for (const finish of ['rotation-request', 'sweep'] as const) {
      const world = await makeWorld();
      const { jobId } = (await requestRotation(world.deps, KEY)).job;
      await runner.call(world, 'create-version', { jobId });
      const job = await world.job(jobId);
      const cancelled = { by: 'ann', at: world.clock.timestamp() };
      await world.ledger.replaceJob({ ...job, status: 'CANCELLED', cancelled, revision: job.revision + 1 });
      world.pass(60);
      if (finish === 'sweep') await runner.call(world, 'sweep', {});
      else await request(world);
      expect((await world.key()).rotationId).toBeNull();
      expect((await world.key()).versions['2']?.state).toBe('DESTROYED');
    }
  },
  'a purge that failed': async () => {
    const world = await makeWorld();
    const { job } = await requestRotation(world.deps, KEY);
    await rotate(world, job.jobId);
    world.passGrace();
    const purging = await requestPurge(world.deps, { ...KEY, version: 1 });
    await runner.call(world, 'begin-purge', { jobId: purging.job.jobId });
    const error = { Error: 'PermanentError', Cause: 'X: y' };
    await runner.call(world, 'stop-job', { jobId: purging.job.jobId, error });
  },
  'a version that is asked for during its purge, and while its purge waits for approvals': async () => {
    const people = await createApprovers('alice');
    const needsOne = { required: 1, approvers: await people.configured('alice') };
    for (const approvals of [NO_APPROVALS, needsOne]) {
      const world = await makeWorld({}, undefined, approvals);
      const { job } = await requestRotation(world.deps, KEY);
      await rotate(world, job.jobId);
      world.passGrace();
      const purging = await requestPurge(world.deps, { ...KEY, version: 1 });
      if (approvals === NO_APPROVALS) await runner.call(world, 'begin-purge', { jobId: purging.job.jobId });
      else await purge(world, purging.job.jobId).catch(() => undefined);
      await world.makeKeyring().version(TENANT, PURPOSE, 1);
      await runner.call(world, 'monitor', {});
      const { status, attempt } = await world.job(purging.job.jobId);
      expect([status, attempt]).toEqual(approvals === NO_APPROVALS ? ['BLOCKED', 1] : ['REQUESTED', 2]);
    }
    await people.remove();
  },
  'a version that is asked for in the rehearsal of its purge': async () => {
    const world = await makeWorld();
    await rotate(world, (await requestRotation(world.deps, KEY)).job.jobId);
    world.passGrace();
    const { jobId } = (await requestPurge(world.deps, { ...KEY, version: 1 })).job;
    await runner.call(world, 'begin-purge', { jobId });
    await world.makeKeyring().version(TENANT, PURPOSE, 1);
    expect(await runner.call(world, 'check-barrier', { jobId })).toMatchObject({ blocked: true });
  },
  'a root key that is disabled when a step is to run': async () => {
    for (const name of ['create-version', 'prove-version', 'stop-job'] as const) {
      const { world, disable } = await makeRootKeyWorld();
      const { jobId } = (await requestRotation(world.deps, KEY)).job;
      if (name === 'prove-version') await runner.call(world, 'create-version', { jobId });
      disable();
      const error = { Error: 'PermanentError', Cause: 'ROOT_KEY_DISABLED: x' };
      await runner.call(world, name, { jobId, error }).catch(() => undefined);
      expect(await world.job(jobId)).toMatchObject({ status: 'PAUSED' });
    }
  },
  'a root key that is disabled before the workers run, a request in the meantime': async () => {
    const { world, disable } = await makeRootKeyWorld();
    const { jobId } = (await requestRotation(world.deps, KEY)).job;
    const work = async (w: World) => {
      w.restart();
      disable();
      await deliver(w);
    };
    await rotate(world, jobId, work).catch(() => undefined);
    expect(await world.job(jobId)).toMatchObject({ status: 'PAUSED' });
    await request(world);
  },
  'a root key that is disabled before a version is destroyed': async () => {
    const { world, disable } = await makeRootKeyWorld();
    const { job } = await requestRotation(world.deps, KEY);
    await rotate(world, job.jobId);
    world.passGrace();
    const { jobId } = (await requestPurge(world.deps, { ...KEY, version: 1 })).job;
    const { round, segments } = plan.parse(await runner.call(world, 'begin-purge', { jobId }));
    await barrierAndCensus(world, jobId, segments);
    disable();
    await runner.call(world, 'destroy-version', { jobId, round }).catch(() => undefined);
  },
  'a rotation that freed its key and lost its end, found by the daily sweep': async () => {
    const world = await makeWorld();
    const { jobId } = (await requestRotation(world.deps, KEY)).job;
    const { before } = world.faults;
    await rotate(world, jobId, async (w) => {
      w.faults.before = async (call) => {
        const { status } = await w.job(jobId);
        if (call === 'ledger.replaceJob' && status === 'CENSUS' && (await w.key()).rotationId === null)
          throw new LedgerError('LEDGER_DENIED', 'x');
        return before(call);
      };
      await deliver(w);
    }).catch(() => undefined);
    expect(await world.job(jobId)).toMatchObject({ status: 'CENSUS' });
    world.faults.before = before;
    for (const execution of world.executions.values()) execution.running = false;
    await runner.call(world, 'sweep', {});
    expect(await world.job(jobId)).toMatchObject({ status: 'COMPLETED' });
  },
  'a paused rotation that had freed its key, found by an event': async () => {
    const { world, rootKeyId } = await makeRootKeyWorld();
    const { jobId } = (await requestRotation(world.deps, KEY)).job;
    await rotate(world, jobId);
    const job = await world.job(jobId);
    const pause = { reason: 'ROOT_KEY' as const, rootKeyId, by: null, at: job.requestedAt };
    const paused = { ...job, status: 'PAUSED' as const, completedAt: null, pause };
    await world.ledger.replaceJob({ ...paused, revision: job.revision + 1 });
    await runner.call(world, 'kms-event', { source: 'aws.kms', detail: { 'key-id': rootKeyId } });
    expect(await world.job(jobId)).toMatchObject({ status: 'COMPLETED' });
  },
  'a root key that is rotated, and one that is disabled': async () => {
    const { world, roots, rootKeyId, disable } = await makeRootKeyWorld();
    await requestRotation(world.deps, KEY);
    const event = { source: 'aws.kms', detail: { 'key-id': rootKeyId } };
    roots.rotate(rootKeyId);
    await runner.call(world, 'kms-event', event);
    await runner.call(world, 'sweep', {});
    roots.rotate(rootKeyId);
    await runner.call(world, 'sweep', {});
    disable();
    await runner.call(world, 'kms-event', event);
    roots.set(rootKeyId, 'ENABLED');
    await runner.call(world, 'kms-event', event);
  },
};

for (const [name, scenario] of Object.entries(SCENARIOS))
  await scenario().catch((error: unknown) => {
    throw new Error(`${name}: ${error instanceof Error ? error.message : 'failed'}`, { cause: error });
  });

describe('the needs of a function', () => {
  it('are declared by every folder of functions/, and by no other name', () => {
    const folders = readdirSync(new URL('../../functions/', import.meta.url), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    expect(Object.keys(FUNCTION_NEEDS).sort()).toEqual(folders.sort());
    expect([...FUNCTIONS.keys()].sort()).toEqual(folders);
  });

  it.each(Object.entries(FUNCTION_NEEDS))('%s: exactly what it uses', (name, declared) => {
    const used = [...(runner.used.get(name as FunctionName) ?? [])].sort();
    expect(used).toEqual([...declared].sort());
    expect(logged).not.toContain('NEED_NOT_DECLARED');
  });
});
