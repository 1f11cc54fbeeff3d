import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { ProviderError } from '../../../shared/errors/errors.ts';
import { authorizeDestroy, beginDestroy } from '../../../shared/keyring/destruction.ts';
import { suspendVersion } from '../../../shared/keyring/suspension.ts';
import type { LogFields } from '../../../shared/log/log.ts';
import { reconcileRootKeys } from '../../../shared/rotation/reconcile-root-keys.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { createTestRootKeys, type TestRootKeys } from '../../../simulation/models/root-keys.ts';
import { runExecutions } from '../../support/memory-engine.ts';
import {
  FIELDS,
  fill,
  KEY,
  prepareWorlds,
  snapshot,
  TENANT,
  type World,
} from '../../support/memory-world.ts';

/** A tenant is moved from one root key to another, which goes before the new wrappings were proved. */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

let world: World;
let rootKeys: TestRootKeys;
let former: string;
let next: string;
let logged: { readonly level: string; readonly fields: LogFields }[];

beforeEach(async () => {
  rootKeys = createTestRootKeys();
  logged = [];
  const write =
    (level: string) =>
    (_: string, fields: LogFields = {}) =>
      logged.push({ level, fields });
  const log = { info: write('info'), warn: write('warn'), error: write('error') };
  world = await worlds.makeWorld(createMemoryLedger(), {}, { provider: rootKeys.provider, log });
  former = rootKeys.provider.rootKeyFor(TENANT);
  next = rootKeys.add();
  await fill(world, 4);
});

const reconcile = (options = {}) => reconcileRootKeys(world.deps, options);
const setTo = (rootKeyId: string) => rootKeys.ofTenant.set(TENANT, rootKeyId);
const version = async (number: number) => (await world.key()).versions[String(number)];
const openAll = async () => {
  for (let id = 1; id <= 4; id++)
    expect(await world.open(world.people, id)).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
};

async function moveToNext(): Promise<void> {
  setTo(next);
  await reconcile();
  expect(await version(1)).toMatchObject({
    wrapped: { rootKeyId: next },
    formerWrapped: { rootKeyId: former },
  });
}

/** The new root key lets KEKs be wrapped, and not be unwrapped. */
function deny(rootKeyId: string): void {
  const { provider } = rootKeys;
  const unwrapKek = provider.unwrapKek.bind(provider);
  provider.unwrapKek = async (wrapped, context) => {
    if (wrapped.rootKeyId === rootKeyId) throw new ProviderError('PROVIDER_DENIED', 'Not allowed');
    return unwrapKek(wrapped, context);
  };
}

describe('a new root key that goes before the proof, and the former one set back', () => {
  it.each(['DISABLED', 'PENDING_DELETION', 'PENDING_IMPORT', 'NOT_FOUND'] as const)(
    '%s: the proved wrappings are back, and the rotation goes on, in one run',
    async (state) => {
      const { wrapped } = (await version(1)) ?? {};
      await requestRotation(world.deps, KEY);
      await moveToNext();
      rootKeys.set(next, state);
      await reconcile();
      expect(await version(1)).toMatchObject({ state: 'SUSPENDED' });
      setTo(former);
      expect(await reconcile()).toMatchObject({ restored: 1, changedKeys: 1, resumedJobs: 1, failed: 0 });
      expect(await version(1)).toMatchObject({ state: 'ACTIVE', wrapped, formerWrapped: null });
      await runExecutions(world);
      expect([(await version(1))?.state, (await version(2))?.state]).toEqual(['RETIRING', 'ACTIVE']);
      await openAll();
    },
  );

  it('of every version, also of one that waits for its purge', async () => {
    await requestRotation(world.deps, KEY);
    await runExecutions(world);
    await moveToNext();
    world.passGrace();
    const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
    await runExecutions(world, {
      before: async (state) => {
        if (state !== 'TakeCensus' || rootKeys.keys.get(next)?.state === 'NOT_FOUND') return;
        rootKeys.set(next, 'NOT_FOUND');
        setTo(former);
        expect(await reconcile()).toMatchObject({ restored: 2, failed: 0 });
      },
    });
    expect(await world.job(job.jobId)).toMatchObject({ status: 'COMPLETED' });
    expect(await version(2)).toMatchObject({ state: 'ACTIVE', wrapped: { rootKeyId: former } });
    await openAll();
  });

  it.each(['silent', 'denied', 'usable'])('%s: the new root key is not needed for it', async (how) => {
    await moveToNext();
    if (how === 'silent') rootKeys.silent.add(next);
    if (how === 'denied') deny(next);
    setTo(former);
    expect(await reconcile()).toMatchObject({ restored: 1, rewrapped: 0 });
    expect(await reconcile()).toMatchObject({ rootKeys: 1, failed: 0 });
    await openAll();
  });

  it('whose material is another by now: wrapped anew in the same run', async () => {
    await moveToNext();
    rootKeys.set(next, 'NOT_FOUND');
    rootKeys.rotate(former);
    setTo(former);
    expect(await reconcile()).toMatchObject({ restored: 1, rewrapped: 1, failed: 0 });
    expect(await reconcile()).toMatchObject({ proved: 1, failed: 0 });
    await openAll();
  });

  it('leaves a version whose destruction is authorized', async () => {
    await requestRotation(world.deps, KEY);
    await runExecutions(world);
    await moveToNext();
    world.passGrace();
    const at = world.clock.timestamp();
    await world.changeKey((key) => beginDestroy(key, 1, at));
    await world.changeKey((key) =>
      authorizeDestroy(key, 1, { at, restoreEpoch: key.restoreEpoch, approvedBy: null }),
    );
    const before = await version(1);
    setTo(former);
    expect(await reconcile()).toMatchObject({ restored: 1, failed: 0 });
    expect(await version(1)).toEqual(before);
  });

  it('leaves what a person suspended', async () => {
    await moveToNext();
    const at = world.clock.timestamp();
    await world.changeKey((key) => suspendVersion(key, 1, { reason: 'PERSON', rootKeyId: null, at }));
    rootKeys.set(next, 'DISABLED');
    setTo(former);
    expect(await reconcile()).toMatchObject({ restored: 1, changedKeys: 0 });
    expect(await version(1)).toMatchObject({ state: 'SUSPENDED', suspended: { reason: 'PERSON' } });
  });

  it('waits for a caller that may unwrap', async () => {
    await moveToNext();
    rootKeys.set(next, 'DISABLED');
    setTo(former);
    await reconcile({ prove: false });
    const before = await snapshot(world);
    rootKeys.calls.length = 0;
    expect(await reconcile({ prove: false })).toMatchObject({ restored: 0, failed: 0 });
    expect(rootKeys.calls).not.toContain('unwrapKek');
    expect(await snapshot(world)).toEqual(before);
    expect(await reconcile()).toMatchObject({ restored: 1 });
  });

  it('changes nothing where the former wrapping is wrong, and says so', async () => {
    await moveToNext();
    rootKeys.set(next, 'DISABLED');
    await reconcile();
    setTo(former);
    const { materials } = rootKeys.keys.get(former) ?? {};
    materials?.clear();
    rootKeys.rotate(former);
    const before = await snapshot(world);
    expect(await reconcile()).toMatchObject({ restored: 0, failed: 1 });
    expect(await snapshot(world)).toEqual(before);
    expect(logged.at(-1)).toMatchObject({ level: 'error', fields: { code: 'KEY_CHECK_FAILED' } });
  });
});

describe('a new root key that its owner disabled', () => {
  it("is not got around by the wrapping of a root key that is not the tenant's, whichever that is now", async () => {
    await moveToNext();
    rootKeys.set(next, 'DISABLED');
    await reconcile();
    setTo(rootKeys.add());
    const before = await snapshot(world);
    expect(await reconcile()).toMatchObject({ restored: 0, changedKeys: 0 });
    expect(await snapshot(world)).toEqual(before);
  });

  it('is not got around by the former wrapping, by no number of runs', async () => {
    await moveToNext();
    rootKeys.set(next, 'DISABLED');
    for (let run = 0; run < 3; run++) {
      expect(await reconcile()).toMatchObject({ restored: 0 });
      expect(await version(1)).toMatchObject({
        state: 'SUSPENDED',
        wrapped: { rootKeyId: next },
        formerWrapped: { rootKeyId: former },
      });
    }
    // Nor by an application that has not heard of the suspension.
    await world.changeKey((key) => ({
      ...key,
      revision: key.revision + 1,
      versions: Object.fromEntries(
        Object.entries(key.versions).map(([name, each]) => [
          name,
          { ...each, state: 'ACTIVE', suspended: null },
        ]),
      ),
    }));
    await expect(world.makeKeyring().active(TENANT, KEY.purpose)).rejects.toMatchObject({
      code: 'ROOT_KEY_DISABLED',
    });
  });
});

describe('a former root key that cannot be used', () => {
  it('suspends and pauses nothing; only a word says that there is no way back', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await moveToNext();
    rootKeys.set(former, 'DISABLED');
    logged.length = 0;
    expect(await reconcile({ prove: false })).toMatchObject({
      ...{ rootKeys: 1, unusable: 0, changedKeys: 0, pausedJobs: 0, failed: 0 },
    });
    expect(logged).toEqual([{ level: 'warn', fields: { rootKeyId: former, code: 'ROOT_KEY_DISABLED' } }]);
    rootKeys.silent.add(former);
    expect(await reconcile({ prove: false })).toMatchObject({ changedKeys: 0, pausedJobs: 0, failed: 0 });
    expect(await world.job(job.jobId)).not.toMatchObject({ status: 'PAUSED' });
    expect(await reconcile()).toMatchObject({ proved: 1, failed: 0 });
    logged.length = 0;
    await reconcile();
    expect(logged).toEqual([]);
  });
});

describe('a new wrapping that cannot be proved', () => {
  it('because that is denied: counts as failed, the former one stays, and applications go on by it', async () => {
    await moveToNext();
    deny(next);
    const before = await snapshot(world);
    for (let run = 0; run < 2; run++)
      expect(await reconcile()).toMatchObject({ proved: 0, restored: 0, rewrapped: 0, failed: 1 });
    expect(await snapshot(world)).toEqual(before);
    expect(logged.at(-1)).toMatchObject({
      level: 'error',
      fields: { code: 'PROVIDER_DENIED', rootKeyId: next, version: 1 },
    });
    expect((await world.makeKeyring().active(TENANT, KEY.purpose)).version).toBe(1);
  });
});
