import fc from 'fast-check';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { LedgerError } from '../../../shared/errors/errors.ts';
import type { KeyVersion } from '../../../shared/keyring/key.ts';
import { suspendVersion } from '../../../shared/keyring/suspension.ts';
import type { LogFields } from '../../../shared/log/log.ts';
import { changeKey } from '../../../shared/rotation/change.ts';
import { createKey } from '../../../shared/rotation/create-key.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { pauseJob } from '../../../shared/rotation/pause-job.ts';
import { reconcileRootKeys } from '../../../shared/rotation/reconcile-root-keys.ts';
import { recoverJob, requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { createTestRootKeys, type TestRootKeys } from '../../../simulation/models/root-keys.ts';
import { runExecutions } from '../../support/memory-engine.ts';
import {
  Crash,
  FIELDS,
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  snapshot,
  stateOf,
  TENANT,
  type World,
} from '../../support/memory-world.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const UNUSABLE = ['DISABLED', 'PENDING_DELETION', 'PENDING_IMPORT', 'NOT_FOUND'] as const;
const NOTHING = {
  ...{ unusable: 0, expiring: 0, changedKeys: 0, pausedJobs: 0, resumedJobs: 0 },
  ...{ rewrapped: 0, proved: 0, restored: 0, left: 0, failed: 0 },
};

let world: World;
let rootKeys: TestRootKeys;
let rootKeyId: string;
let logged: { readonly message: string; readonly fields: LogFields }[];
let metrics: [string, number][];

async function makeWorld(): Promise<void> {
  rootKeys = createTestRootKeys();
  rootKeyId = rootKeys.provider.rootKeyFor('');
  logged = [];
  const write = (message: string, fields: LogFields = {}) => logged.push({ message, fields });
  world = await worlds.makeWorld(
    createMemoryLedger(),
    {},
    { provider: rootKeys.provider, log: { info: write, warn: write, error: write } },
  );
  metrics = [];
  world.meter.metrics = { add: (name, value) => metrics.push([name, value]) };
  rootKeys.calls.length = 0;
}
beforeEach(makeWorld);

const version = async (number: number): Promise<KeyVersion> => {
  const found = (await world.key()).versions[String(number)];
  if (found === undefined) throw new Error('no version');
  return found;
};
const reconcile = (options = {}) => reconcileRootKeys(world.deps, options);

describe('a root key that cannot be used', () => {
  it.each(UNUSABLE)('%s: its versions are suspended and its jobs paused, until it can be', async (state) => {
    await fill(world, 4);
    const { job } = await requestRotation(world.deps, KEY);
    rootKeys.set(rootKeyId, state);
    expect(await reconcile()).toEqual({
      ...NOTHING,
      ...{ rootKeys: 1, unusable: 1, changedKeys: 1, pausedJobs: 1 },
    });
    expect(await version(1)).toMatchObject({
      state: 'SUSPENDED',
      suspended: { reason: 'ROOT_KEY', rootKeyId, at: world.clock.timestamp() },
    });
    expect(await world.job(job.jobId)).toMatchObject({
      status: 'PAUSED',
      pause: { reason: 'ROOT_KEY', rootKeyId },
      blocker: null,
    });
    expect(metrics).toContainEqual(['RootKeysUnusable', 1]);
    expect(logged).toContainEqual(
      expect.objectContaining({ fields: { rootKeyId, code: `ROOT_KEY_${state}` } }),
    );
    // Again, and side by side: nothing is written.
    const before = await snapshot(world);
    await Promise.all([reconcile(), reconcile(), reconcile()]);
    expect(await snapshot(world)).toEqual(before);

    rootKeys.set(rootKeyId, 'ENABLED');
    expect(await reconcile()).toEqual({ ...NOTHING, rootKeys: 1, changedKeys: 1, resumedJobs: 1 });
    expect(await version(1)).toMatchObject({ state: 'ACTIVE', suspended: null });
    await runExecutions(world);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', attempt: 2, pause: null });
    expect([await stateOf(world, 1), await stateOf(world, 2)]).toEqual(['RETIRING', 'ACTIVE']);
  });

  it('leaves what a person decided', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    const at = world.clock.timestamp();
    await world.changeKey((key) => suspendVersion(key, 1, { reason: 'PERSON', rootKeyId: null, at }));
    await pauseJob(world.deps, job.jobId, { reason: 'PERSON', rootKeyId: null, by: null, at });
    const before = await snapshot(world);
    for (const state of ['DISABLED', 'ENABLED'] as const) {
      rootKeys.set(rootKeyId, state);
      await reconcile();
      expect(await snapshot(world)).toEqual(before);
    }
    expect(await requestRotation(world.deps, KEY)).toMatchObject({ answer: 'paused' });
  });

  it('calls off a purge that is not authorized, and it is asked for again later', async () => {
    await fill(world, 2);
    await requestRotation(world.deps, KEY);
    await runExecutions(world);
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    let states = '';
    await runExecutions(world, {
      before: async (state) => {
        states += `${state} `;
        if (state !== 'TakeCensus' || rootKeys.keys.get(rootKeyId)?.state === 'DISABLED') return;
        expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
        rootKeys.set(rootKeyId, 'DISABLED');
        await reconcile();
        expect(await stateOf(world, 1)).toBe('SUSPENDED');
      },
    });
    expect(states).not.toContain('DestroyVersion');
    expect(await world.job(job.jobId)).toMatchObject({ status: 'PAUSED' });
    await expect(requestPurge(world.deps, { ...KEY, version: 1 })).rejects.toMatchObject({
      code: 'PURGE_REFUSED',
      remedy: expect.stringContaining('root key'),
    });
    rootKeys.set(rootKeyId, 'ENABLED');
    await reconcile();
    await runExecutions(world);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', attempt: 2 });
    expect(await version(1)).toMatchObject({ state: 'DESTROYED', wrapped: null, formerWrapped: null });
  });

  it('is asked for again by a request: it goes on, or the answer is that it is paused', async () => {
    await fill(world, 2);
    await requestRotation(world.deps, KEY);
    rootKeys.set(rootKeyId, 'DISABLED');
    await reconcile();
    expect(await requestRotation(world.deps, KEY)).toMatchObject({
      answer: 'paused',
      job: { status: 'PAUSED', attempt: 1 },
    });
    rootKeys.silent.add(rootKeyId);
    expect(await requestRotation(world.deps, KEY)).toMatchObject({ answer: 'paused' });
    rootKeys.silent.clear();
    rootKeys.set(rootKeyId, 'ENABLED');
    expect(await requestRotation(world.deps, KEY)).toMatchObject({ answer: 'resumed', job: { attempt: 2 } });
    expect(await stateOf(world, 1)).toBe('ACTIVE');
  });

  it('is not waited for by a job whose execution is gone', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    rootKeys.set(rootKeyId, 'DISABLED');
    await reconcile();
    world.executions.clear();
    // As a list that lags behind has it.
    expect(await recoverJob(world.deps, { ...job, status: 'PREPARING' })).toBe(false);
    expect(world.executions.size).toBe(0);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'PAUSED', attempt: 1 });
  });

  it('stops the former execution before a new one begins', async () => {
    await fill(world, 2);
    const { job } = await requestRotation(world.deps, KEY);
    const ended = await runExecutions(world, {
      before: async (state) => {
        if (state !== 'CheckBarrier' || (await world.job(job.jobId)).attempt > 1) return;
        // Disabled and enabled while the execution waits.
        rootKeys.set(rootKeyId, 'DISABLED');
        await reconcile();
        rootKeys.set(rootKeyId, 'ENABLED');
        await reconcile();
      },
    });
    expect(ended.map((each) => each.ended)).toEqual(['STOPPED', 'SUCCEEDED']);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', attempt: 2, round: 2 });
  });

  it('ends a rotation that had freed its key when the pause came', async () => {
    await fill(world, 2);
    const { job } = await requestRotation(world.deps, KEY);
    let paused = false;
    world.faults.after = async (call) => {
      if (call !== 'ledger.replaceKey' || paused) return;
      if ((await version(1)).purgeNotBefore === null) return;
      paused = true;
      await pauseJob(world.deps, job.jobId, {
        reason: 'ROOT_KEY',
        rootKeyId,
        by: null,
        at: world.clock.timestamp(),
      });
      // The process dies before it can write the end of the job.
      throw new LedgerError('LEDGER_DENIED', 'gone');
    };
    await runExecutions(world);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'PAUSED' });
    await requestRotation(world.deps, { ...KEY, requestedBy: 'another' });
    await reconcile();
    expect(await world.job(job.jobId)).toMatchObject({
      status: 'COMPLETED',
      attempt: 1,
      purgeNotBefore: (await version(1)).purgeNotBefore,
    });
    expect(world.published).toMatchObject([{ detailType: 'KeyRotationCompleted' }]);
  });
});

describe('a root key that cannot be asked for', () => {
  it.each(['silent', 'UNAVAILABLE'] as const)('%s: changes nothing, and blocks no other', async (how) => {
    const other = rootKeys.add();
    rootKeys.ofTenant.set('globex', other);
    await createKey(world.deps, 'globex', PURPOSE);
    const { job } = await requestRotation(world.deps, KEY);
    const before = await snapshot(world);
    if (how === 'silent') rootKeys.silent.add(rootKeyId);
    else rootKeys.set(rootKeyId, 'UNAVAILABLE');
    rootKeys.set(other, 'DISABLED');
    expect(await reconcile()).toMatchObject({ rootKeys: 2, unusable: 1, failed: 1, changedKeys: 1 });
    expect(await snapshot(world)).toEqual(before);
    expect((await world.ledger.getKey('globex', PURPOSE))?.versions['1']?.state).toBe('SUSPENDED');
    // Nor does it take up what was paused before.
    rootKeys.silent.clear();
    rootKeys.set(rootKeyId, 'DISABLED');
    await reconcile();
    rootKeys.set(rootKeyId, 'UNAVAILABLE');
    await reconcile();
    expect(await world.job(job.jobId)).toMatchObject({ status: 'PAUSED' });
    expect(await stateOf(world, 1)).toBe('SUSPENDED');
  });

  it('keeps a version from its destruction', async () => {
    await fill(world, 2);
    await requestRotation(world.deps, KEY);
    await runExecutions(world);
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    rootKeys.silent.add(rootKeyId);
    await runExecutions(world);
    expect(await world.job(job.jobId)).toMatchObject({
      status: 'BLOCKED',
      blocker: { message: expect.stringContaining('PROVIDER_UNAVAILABLE') },
    });
    expect(await stateOf(world, 1)).toBe('RETIRING');
  });
});

describe('a root key that was rotated or replaced', () => {
  it('its KEKs are wrapped anew without being unwrapped, and the former wrapping goes when that is proved', async () => {
    await fill(world, 2);
    const { wrapped } = await version(1);
    rootKeys.rotate(rootKeyId);
    rootKeys.calls.length = 0;
    expect(await reconcile()).toEqual({ ...NOTHING, rootKeys: 1, rewrapped: 1 });
    expect(rootKeys.calls).toEqual(['inspectRootKey', 'rewrapKek']);
    expect(metrics).toContainEqual(['KeksRewrapped', 1]);
    expect(logged).toContainEqual({
      message: 'KEK wrapped anew',
      fields: expect.objectContaining({
        ...{ tenant: TENANT, version: 1, rootKeyId, formerRootKeyId: rootKeyId },
        ...{ materialId: 'material-2', formerMaterialId: 'material-1' },
      }),
    });
    expect(await version(1)).toMatchObject({
      state: 'ACTIVE',
      wrapped: { rootKeyId, materialId: 'material-2' },
      formerWrapped: wrapped,
    });
    expect(await reconcile({ prove: false })).toEqual({ ...NOTHING, rootKeys: 1 });
    expect(await reconcile()).toEqual({ ...NOTHING, rootKeys: 1, proved: 1 });
    expect((await version(1)).formerWrapped).toBeNull();
    expect(await reconcile()).toEqual({ ...NOTHING, rootKeys: 1 });
    expect(await world.open(world.people, 1)).toEqual(FIELDS.map((field) => `person 1 ${field}`));
    const words = JSON.stringify(logged);
    for (const bytes of [wrapped?.wrapped, (await version(1)).wrapped?.wrapped])
      for (const encoding of ['hex', 'base64', 'base64url'] as const)
        expect(words).not.toContain(Buffer.from(bytes ?? []).toString(encoding));
  });

  it('replaced: every version moves, and the former root key is needed no more', async () => {
    await fill(world, 4);
    await requestRotation(world.deps, KEY);
    await runExecutions(world);
    const next = rootKeys.add();
    rootKeys.ofTenant.set(TENANT, next);
    expect(await reconcile()).toMatchObject({ rootKeys: 2, rewrapped: 2, failed: 0 });
    expect(await reconcile()).toMatchObject({ proved: 2 });
    rootKeys.set(rootKeyId, 'NOT_FOUND');
    expect(await reconcile()).toEqual({ ...NOTHING, rootKeys: 1 });
    for (const number of [1, 2]) expect((await version(number)).wrapped?.rootKeyId).toBe(next);
    for (let id = 1; id <= 4; id++)
      expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
  });

  it('a wrapping that does not give the KEK back: the former one takes its place again', async () => {
    await fill(world, 2);
    const { wrapped } = await version(1);
    rootKeys.rotate(rootKeyId);
    rootKeys.sabotage = true;
    await reconcile();
    // Until that is found out, whoever starts fresh goes on by the wrapping that was proved.
    expect((await world.makeKeyring().active(TENANT, PURPOSE)).version).toBe(1);
    expect(await reconcile()).toMatchObject({ restored: 1, rewrapped: 0, failed: 1 });
    expect(await version(1)).toMatchObject({ wrapped, formerWrapped: null });
    expect(await world.open(world.people, 1)).toEqual(FIELDS.map((field) => `person 1 ${field}`));
  });

  it('a KEK that is wrapped by the same material again is not written', async () => {
    const { provider } = rootKeys;
    const inspectRootKey = provider.inspectRootKey.bind(provider);
    // KMS told of a rotation that has not come everywhere yet.
    provider.inspectRootKey = async (id) => ({ ...(await inspectRootKey(id)), materialId: 'material-2' });
    const before = await snapshot(world);
    expect(await reconcile()).toEqual({ ...NOTHING, rootKeys: 1 });
    expect(rootKeys.calls).toContain('rewrapKek');
    expect(await snapshot(world)).toEqual(before);
  });

  it('does not touch the version that a rotation is about to prove', async () => {
    await fill(world, 2);
    const { job } = await requestRotation(world.deps, KEY);
    await createVersion(world.deps, job.jobId);
    rootKeys.rotate(rootKeyId);
    expect(await reconcile()).toMatchObject({ rewrapped: 1, failed: 0 });
    expect([(await version(1)).wrapped?.materialId, (await version(2)).wrapped?.materialId]).toEqual([
      'material-2',
      'material-1',
    ]);
    expect(await world.key()).toMatchObject({ rotationId: job.jobId });
    await runExecutions(world);
    expect(await reconcile()).toMatchObject({ proved: 1, rewrapped: 1 });
    expect((await version(2)).wrapped?.materialId).toBe('material-2');
  });

  it('many at once: each root key is asked for once, few keys are in work, one that fails blocks no other', async () => {
    const tenants = Array.from({ length: 60 }, (_, i) => `tenant-${i}`);
    for (const tenant of tenants) await createKey(world.deps, tenant, PURPOSE);
    rootKeys.rotate(rootKeyId);
    rootKeys.calls.length = 0;
    let inWork = 0;
    let most = 0;
    let broken = 0;
    world.faults.before = (call) => {
      if (call === 'provider.rewrapKek') most = Math.max(most, ++inWork);
      if (call === 'ledger.replaceKey' && broken++ === 7)
        throw new LedgerError('LEDGER_DENIED', 'not this one');
    };
    world.faults.after = (call) => {
      if (call === 'provider.rewrapKek') inWork -= 1;
    };
    expect(await reconcile()).toEqual({ ...NOTHING, rootKeys: 1, rewrapped: 60, failed: 1 });
    expect(rootKeys.calls.filter((call) => call === 'inspectRootKey')).toHaveLength(1);
    expect(most).toBeGreaterThan(1);
    expect(most).toBeLessThanOrEqual(8);
    expect(await reconcile()).toMatchObject({ proved: 60, rewrapped: 1, failed: 0 });
  });

  it('ends before its time is over, and the next run does the rest', async () => {
    for (let i = 0; i < 20; i++) await createKey(world.deps, `tenant-${i}`, PURPOSE);
    rootKeys.rotate(rootKeyId);
    let remaining = 30_000 + 10;
    const { rewrapped, left } = await reconcile({ remainingMs: () => remaining-- });
    expect([rewrapped, left]).toEqual([11, 10]);
    expect(await reconcile()).toMatchObject({ rewrapped: 10, left: 0 });
  });

  it('two that wrap anew at one time keep one of the two wrappings', async () => {
    await fill(world, 2);
    rootKeys.rotate(rootKeyId);
    const reports = await Promise.all([reconcile(), reconcile(), reconcile()]);
    expect(reports.reduce((sum, { rewrapped }) => sum + rewrapped, 0)).toBe(1);
    expect(await reconcile()).toMatchObject({ proved: 1, failed: 0 });
  });
});

describe('what a look at the root keys says', () => {
  it('is a zero only when it looked at all of them: a zero for some would quiet an alarm about another', async () => {
    await reconcile({ concerns: () => true });
    expect(metrics).toEqual([]);
    await reconcile();
    expect(metrics).toEqual([
      ['RootKeysUnusable', 0],
      ['RootKeyMaterialExpiring', 0],
    ]);
  });

  it('includes that a root key no longer rotates by itself', async () => {
    const { provider } = rootKeys;
    const codes = async (automaticRotation: boolean | null) => {
      logged.length = 0;
      const inspectRootKey = async (id: string) => ({
        ...(await provider.inspectRootKey(id)),
        automaticRotation,
      });
      await reconcileRootKeys({ ...world.deps, provider: { ...provider, inspectRootKey } });
      return logged.map(({ fields }) => fields.code);
    };
    expect(await codes(false)).toEqual(['ROOT_KEY_ROTATION_OFF']);
    expect(await codes(true)).toEqual([]);
    expect(await codes(null)).toEqual([]);
  });
});

describe('imported material', () => {
  it.each([
    [13.9, 1],
    [14.1, 0],
    [-1, 1],
  ])('that expires in %d days: %d reported', async (days, expiring) => {
    const key = rootKeys.keys.get(rootKeyId);
    if (key === undefined) throw new Error('no root key');
    key.materialExpiresAt = new Date(world.clock.now() + days * 86_400_000).toISOString();
    expect(await reconcile()).toEqual({ ...NOTHING, rootKeys: 1, expiring });
    expect(metrics).toContainEqual(['RootKeyMaterialExpiring', expiring]);
    const warned = logged.filter(({ fields }) => fields.code === 'ROOT_KEY_MATERIAL_EXPIRING');
    expect(warned.map(({ fields }) => fields.rootKeyId)).toEqual(expiring === 1 ? [rootKeyId] : []);
  });
});

describe('a root key that nobody uses', () => {
  it('is not asked for, and nothing is done', async () => {
    const before = await snapshot(world);
    expect(await reconcile({ concerns: () => false })).toEqual({ ...NOTHING, rootKeys: 0 });
    expect(rootKeys.calls).toEqual([]);
    expect(await snapshot(world)).toEqual(before);
  });
});

/** What may happen, in any order: also events that are doubled, late, out of order, or about nothing. */
const happening = fc.constantFrom(
  ...(['DISABLED', 'PENDING_DELETION', 'ENABLED', 'ENABLED', 'UNAVAILABLE'] as const),
  ...([
    'rotate root key',
    'replace root key',
    'former root key again',
    'event',
    'two events',
    'work',
    'finish',
    'request',
  ] as const),
);

describe('whatever happens to root keys during a rotation', () => {
  it('nothing is lost, and it ends when they can be used again', async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.array(happening, { minLength: 3, maxLength: 14 }), async (happenings) => {
        await makeWorld();
        await fill(world, 4);
        const { job } = await requestRotation(world.deps, KEY);
        for (const each of happenings) {
          await happen(each);
          seen.add((await world.job(job.jobId)).status);
          expect(await world.ledger.listQuarantined((await world.key()).keyId)).toEqual([]);
        }
        for (const key of rootKeys.keys.values()) key.state = 'ENABLED';
        await reconcile();
        await requestRotation(world.deps, KEY);
        await runExecutions(world);
        expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', blocker: null });
        await reconcile();
        await reconcile();
        for (const { state, suspended, formerWrapped, wrapped } of Object.values(
          (await world.key()).versions,
        )) {
          expect(['ACTIVE', 'RETIRING', 'PRE_ACTIVE']).toContain(state);
          expect([suspended, formerWrapped]).toEqual([null, null]);
          if (state !== 'PRE_ACTIVE') expect(wrapped?.rootKeyId).toBe(rootKeys.provider.rootKeyFor(TENANT));
        }
        for (let id = 1; id <= 4; id++)
          expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
      }),
      { numRuns: 60 },
    );
    expect([...seen]).toEqual(expect.arrayContaining(['PAUSED', 'COMPLETED']));
  });

  async function happen(what: Parameters<Parameters<typeof happening.map>[0]>[0]): Promise<void> {
    const current = rootKeys.provider.rootKeyFor(TENANT);
    switch (what) {
      case 'rotate root key':
        return rootKeys.rotate(current);
      case 'replace root key': {
        rootKeys.ofTenant.set(TENANT, rootKeys.add());
        return;
      }
      case 'former root key again': {
        rootKeys.ofTenant.set(TENANT, rootKeyId);
        return;
      }
      case 'event':
        await reconcile();
        return;
      case 'two events':
        await Promise.all([reconcile({ prove: false }), reconcile()]);
        return;
      case 'work': {
        // A part of what there is to do: then the machine is gone, and the daily sweep takes the job up.
        let steps = 0;
        await runExecutions(world, {
          before: () => {
            steps += 1;
            if (steps === 5) for (const execution of world.executions.values()) execution.running = false;
          },
        });
        for (const job of await world.ledger.listJobs()) await recoverJob(world.deps, job);
        return;
      }
      case 'finish':
        await runExecutions(world);
        return;
      case 'request':
        await requestRotation(world.deps, KEY);
        return;
      default:
        rootKeys.set(current, what);
    }
  }
});

describe('two that see different states of a root key', () => {
  it('the one that writes last looks again: nothing stays suspended or paused for what has passed', async () => {
    await fill(world, 2);
    const { job } = await requestRotation(world.deps, KEY);
    for (const call of ['ledger.replaceKey', 'ledger.replaceJob']) {
      rootKeys.set(rootKeyId, 'DISABLED');
      let met = false;
      world.faults.before = async (each) => {
        if (each !== call || met) return;
        met = true;
        // Enabled, and the event of it handled, between the slow one's question and its write.
        rootKeys.set(rootKeyId, 'ENABLED');
        await reconcile();
      };
      await reconcile();
      expect(met).toBe(true);
      expect(await stateOf(world, 1)).toBe('ACTIVE');
      expect(await world.job(job.jobId)).toMatchObject({ status: 'REQUESTED', pause: null });
    }
    await runExecutions(world);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED' });
  });

  it('looks again also when its time was over before its write: it was frozen, and nobody else comes to see it', async () => {
    await fill(world, 1);
    let remaining = 60_000;
    rootKeys.set(rootKeyId, 'DISABLED');
    world.faults.before = async (each) => {
      if (each !== 'ledger.replaceKey' || remaining < 0) return;
      remaining = -3_600_000;
      rootKeys.set(rootKeyId, 'ENABLED');
      await reconcile();
    };
    await reconcile({ remainingMs: () => remaining });
    expect(remaining).toBeLessThan(0);
    expect(await stateOf(world, 1)).toBe('ACTIVE');
  });

  it('a step that was refused looks again, too', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    rootKeys.set(rootKeyId, 'DISABLED');
    let met = false;
    world.faults.before = async (each) => {
      if (each !== 'ledger.replaceKey' || met) return;
      met = true;
      rootKeys.set(rootKeyId, 'ENABLED');
      await reconcile();
    };
    await runExecutions(world);
    expect(met).toBe(true);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED', attempt: 1 });
  });

  it('a root key that goes on and off without end does not hold up anybody for ever', async () => {
    await requestRotation(world.deps, KEY);
    world.faults.before = (each) => {
      if (each !== 'ledger.replaceKey') return;
      rootKeys.set(rootKeyId, rootKeys.keys.get(rootKeyId)?.state === 'ENABLED' ? 'DISABLED' : 'ENABLED');
    };
    rootKeys.set(rootKeyId, 'DISABLED');
    expect((await reconcile()).changedKeys).toBe(5);
  });
});

describe('a process that dies in the middle of a reconciliation', () => {
  it.each(['before', 'after'] as const)('%s each call in turn: the next one ends it', async (when) => {
    let crashes = 0;
    for (let at = 1; at < 100; at++) {
      await makeWorld();
      await fill(world, 4);
      const { job } = await requestRotation(world.deps, KEY);
      await runExecutions(world, {
        before: (state) => {
          // The machine stops.
          if (state === 'CheckBarrier')
            for (const execution of world.executions.values()) execution.running = false;
        },
      });
      rootKeys.set(rootKeyId, 'DISABLED');
      let calls = 0;
      world.faults[when] = (call) => {
        if (++calls === at) throw new Crash(call);
      };
      const untilDone = async () => {
        await reconcile().catch(() => undefined);
        if (!world.crashed) return;
        crashes += 1;
        world.restart();
        await reconcile();
      };
      await untilDone();
      expect([await stateOf(world, 1), await stateOf(world, 2)]).toEqual(['SUSPENDED', 'SUSPENDED']);
      expect(await world.job(job.jobId)).toMatchObject({ status: 'PAUSED' });
      rootKeys.set(rootKeyId, 'ENABLED');
      rootKeys.rotate(rootKeyId);
      await untilDone();
      await untilDone();
      world.faults[when] = () => {};
      for (const number of [1, 2]) {
        expect(await version(number)).toMatchObject({
          wrapped: { materialId: 'material-2' },
          formerWrapped: null,
        });
      }
      await recoverJob(world.deps, job);
      await runExecutions(world);
      expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED' });
      for (let id = 1; id <= 4; id++)
        expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
      if (calls < at) break;
    }
    expect(crashes).toBeGreaterThan(20);
  });
});

describe('a change that was lost', () => {
  it('is made again by the next run: one conditional write a key', async () => {
    rootKeys.set(rootKeyId, 'DISABLED');
    let once = true;
    world.faults.before = (call) => {
      if (call !== 'ledger.replaceKey' || !once) return;
      once = false;
      throw new LedgerError('LEDGER_UNAVAILABLE', 'throttled', { retryable: true });
    };
    expect(await reconcile()).toMatchObject({ failed: 1, changedKeys: 0 });
    expect(await reconcile()).toMatchObject({ failed: 0, changedKeys: 1 });
    const { revision } = await world.key();
    await changeKey(world.deps, TENANT, PURPOSE, (key) => key);
    expect((await world.key()).revision).toBe(revision);
  });
});
