import { afterAll, describe, expect, it } from 'vitest';
import { readProgress, sumProgress } from '../../../shared/rotation/progress.ts';
import { reconcileRootKeys } from '../../../shared/rotation/reconcile-root-keys.ts';
import { requestAdoption, requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { createTestRootKeys, type TestRootKeys } from '../../../simulation/models/root-keys.ts';
import { runExecutions } from '../../support/memory-engine.ts';
import { deliver } from '../../support/memory-machine.ts';
import { FIELDS, fill, KEY, prepareWorlds, stateOf, TENANT, type World } from '../../support/memory-world.ts';

/**
 * Protocol invariant 22. A root key is disabled at each call to ledger, provider, store, queue and engine in turn, with
 * the deployed state machines and functions running: nothing is purged, no record fails, and once it is enabled again
 * the rotation and the purge end as they would have without it.
 */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const RECORDS = 4;

interface Setting {
  readonly world: World;
  readonly rootKeys: TestRootKeys;
  readonly rootKeyId: string;
}

async function makeSetting(): Promise<Setting> {
  const rootKeys = createTestRootKeys();
  const world = await worlds.makeWorld(createMemoryLedger(), {}, { provider: rootKeys.provider });
  await fill(world, RECORDS);
  return { world, rootKeys, rootKeyId: rootKeys.provider.rootKeyFor('') };
}

/** Asks for what is to be asked for next, and runs all executions to their ends. True: the version is destroyed. */
async function goOn(world: World): Promise<boolean> {
  await runExecutions(world);
  const [rotation] = await world.ledger.listJobs({ kind: 'rotate' });
  if (rotation === undefined) await requestRotation(world.deps, KEY);
  else if (rotation.status === 'COMPLETED') {
    const [purge] = await world.ledger.listJobs({ kind: 'purge' });
    if (purge?.status === 'COMPLETED') return true;
    if (purge === undefined) {
      world.passGrace();
      await requestPurge(world.deps, { ...KEY, version: 1 });
    }
  }
  await runExecutions(world);
  return false;
}

async function expectTheEnd(world: World, what: string): Promise<void> {
  expect(await world.key(), what).toMatchObject({ active: 2 });
  expect([await stateOf(world, 1), await stateOf(world, 2)], what).toEqual(['DESTROYED', 'ACTIVE']);
  for (let id = 1; id <= RECORDS; id++)
    expect(await world.open(world.people, id), what).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
  expect([world.versions(world.people), world.versions(world.notes)], what).toEqual([[2], [2]]);
  const jobs = await world.ledger.listJobs();
  expect(jobs, what).toHaveLength(2);
  for (const job of jobs)
    expect(job, what).toMatchObject({ status: 'COMPLETED', blocker: null, pause: null });
  const rotation = jobs.find(({ kind }) => kind === 'rotate');
  if (rotation === undefined) throw new Error('no rotation');
  const total = sumProgress(await readProgress(world.deps, rotation));
  expect(total, what).toMatchObject({ quarantined: 0, remaining: 0 });
}

/** While the root key is disabled, and everybody who runs has come to rest. */
async function expectAtRest({ world, rootKeyId }: Setting, decided: boolean, what: string): Promise<void> {
  // What was queued right before still comes; the workers leave it alone.
  await deliver(world);
  const key = await world.key();
  for (const { state, version } of Object.values(key.versions)) {
    // An authorized destruction has no way back; nothing else is on its way to one.
    if (version !== 1 || !decided) expect(['DESTROY_PENDING', 'DESTROYED'], what).not.toContain(state);
    if (state === 'ACTIVE' || state === 'RETIRING')
      throw new Error(`${what}: version ${version} is ${state}`);
  }
  for (const job of await world.ledger.listJobs()) {
    expect(['PAUSED', 'COMPLETED'], what).toContain(job.status);
    if (job.status === 'PAUSED')
      expect(job, what).toMatchObject({ pause: { reason: 'ROOT_KEY', rootKeyId }, blocker: null });
  }
  expect(await world.ledger.listQuarantined(key.keyId), what).toEqual([]);
  expect(world.queue, what).toEqual([]);
}

/** Disables the root key at call `at`; with an event, all are told at once. Returns the call. */
async function disableAt(
  setting: Setting,
  at: number,
  told: boolean,
): Promise<{ readonly hit: string | null; readonly decided: boolean }> {
  const { world, rootKeys, rootKeyId } = setting;
  let calls = 0;
  let hit: string | null = null;
  let decided = false;
  world.faults.before = async (call) => {
    calls += 1;
    if (calls !== at) return;
    hit = call;
    // Authorized; or the purge has asked for the root key's state, which it does right before it authorizes.
    const authorized = (await world.key()).versions['1']?.destroyAuthorizedAt ?? null;
    decided = authorized !== null || (!told && rootKeys.calls.includes('inspectRootKey'));
    rootKeys.set(rootKeyId, 'DISABLED');
    if (told) await reconcileRootKeys(world.deps);
  };
  for (let turn = 0; turn < 6; turn++) {
    if (await goOn(world).catch(refusal)) break;
    if (hit !== null) {
      // Queued messages are delivered, and whoever runs comes to an end.
      await runExecutions(world);
      break;
    }
  }
  world.faults.before = () => {};
  return { hit, decided };
}

/** A request is refused while the version is suspended: that is all that it may be. */
function refusal(error: unknown): false {
  expect(error).toMatchObject({ code: expect.stringMatching(/^(PURGE_REFUSED|JOB_PAUSED)$/) });
  return false;
}

describe('a root key that is disabled', () => {
  it.each([
    ['told by an event', true],
    ['met by whoever uses it', false],
  ])('at each call of a rotation and its purge in turn, %s', async (_, told) => {
    const statuses = new Set<string>();
    let at = 1;
    for (; at < 1000; at++) {
      const setting = await makeSetting();
      const { world, rootKeys, rootKeyId } = setting;
      const { hit, decided } = await disableAt(setting, at, told);
      const what = `at call ${at}: ${hit}`;
      if (hit === null) break;
      for (const { status, kind } of await world.ledger.listJobs()) statuses.add(`${kind} ${status}`);
      // The daily sweep finds what no event told of.
      await reconcileRootKeys(world.deps);
      await runExecutions(world);
      await expectAtRest(setting, decided, what);
      rootKeys.set(rootKeyId, 'ENABLED');
      await reconcileRootKeys(world.deps);
      for (let turn = 0; turn < 6; turn++) if (await goOn(world)) break;
      await expectTheEnd(world, what);
    }
    expect(at).toBeGreaterThan(100);
    expect(statuses).toContain('rotate PAUSED');
  });

  it('at each call of an adoption in turn', async () => {
    let paused = 0;
    for (let at = 1; at < 500; at++) {
      const { world, rootKeys, rootKeyId } = await makeSetting();
      const plain = [51, 52, 53];
      for (const id of plain)
        world.notes.rows.set(JSON.stringify([String(id)]), {
          key: [String(id)],
          tenant: TENANT,
          values: [null, null],
          plaintext: FIELDS.map((field) => Buffer.from(`plain ${id} ${field}`)),
        });
      let calls = 0;
      let hit: string | null = null;
      world.faults.before = async (call) => {
        calls += 1;
        if (calls !== at) return;
        hit = call;
        rootKeys.set(rootKeyId, 'DISABLED');
        if (at % 2 === 0) await reconcileRootKeys(world.deps);
      };
      const request = { tenant: TENANT, recordSet: 'notes', requestedBy: 'test' };
      const { job } = await requestAdoption(world.deps, request);
      await runExecutions(world);
      world.faults.before = () => {};
      const what = `at call ${at}: ${hit}`;
      const rests = await world.job(job.jobId);
      expect(['PAUSED', 'COMPLETED'], what).toContain(rests.status);
      if (rests.status === 'PAUSED') paused += 1;
      expect(await world.ledger.listQuarantined(job.keyId), what).toEqual([]);
      rootKeys.set(rootKeyId, 'ENABLED');
      await reconcileRootKeys(world.deps);
      await runExecutions(world);
      expect(await world.job(job.jobId), what).toMatchObject({ status: 'COMPLETED', blocker: null });
      for (const id of plain)
        expect(await world.open(world.notes, id), what).toEqual(
          FIELDS.map((field) => `plain ${id} ${field}`),
        );
      if (hit === null) break;
    }
    expect(paused).toBeGreaterThan(5);
  });
});
