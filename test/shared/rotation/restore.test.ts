import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { RecordStoreError } from '../../../shared/errors/errors.ts';
import { heldBy } from '../../../shared/keyring/holds.ts';
import { beginRestore } from '../../../shared/rotation/begin-restore.ts';
import { createKey } from '../../../shared/rotation/create-key.ts';
import { endRestore } from '../../../shared/rotation/end-restore.ts';
import { settleQuarantine } from '../../../shared/rotation/quarantine.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import type { Restore } from '../../../shared/rotation/restore.ts';
import { abortRestore } from '../../../shared/rotation/restore-abort.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import type { MemoryRow } from '../../../simulation/models/record-store.ts';
import { runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
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
  type WorldMaker,
} from '../../support/memory-world.ts';

/** Protocol invariant 9: a restore is registered before its rows are visible; one whose version is gone is refused. */

let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());

const RECORDS = 6;
const PURGE = { ...KEY, version: 1 };

interface Backup {
  readonly backupTime: string;
  readonly rows: ReadonlyMap<string, MemoryRow>;
}

function takeBackup(of: World): Backup {
  return { backupTime: of.clock.timestamp(), rows: structuredClone(of.people.rows) };
}

function restoreRows(to: World, { rows }: Backup): void {
  to.people.rows.clear();
  for (const [id, row] of structuredClone(rows)) to.people.rows.set(id, row);
}

const requestOf = (backup: Backup) => ({
  store: 'main',
  backupTime: backup.backupTime,
  requestedBy: 'test',
});
async function begin(of: World, backup: Backup): Promise<Restore> {
  return (await beginRestore(of.deps, requestOf(backup))).restore;
}

async function rotate(of: World): Promise<void> {
  const { job } = await requestRotation(of.deps, KEY);
  expect(await runRotation(of, job.jobId)).toBe('CLEAN');
}

/** Runs the sweep that was asked for, if one was. */
async function sweep(of: World): Promise<void> {
  const { rotationId } = await of.key();
  const jobs = await of.ledger.listJobs({ kind: 'rotate' });
  const job = jobs.find(({ jobId, status }) => jobId === rotationId || status === 'REQUESTED');
  if (job !== undefined) expect(await runRotation(of, job.jobId)).toBe('CLEAN');
}

async function expectReadable(of: World): Promise<void> {
  for (const [id] of [...of.people.rows.values()].map(({ key }) => key)) {
    const texts = await of.open(of.people, Number(id));
    expect(texts).toEqual(FIELDS.map((field) => `person ${id} ${field}`));
  }
}

async function heldOn(of: World, version: number): Promise<readonly string[]> {
  return heldBy(await of.key(), version, of.clock.now(), 0).map(({ reason }) => reason);
}

/** A backup on version 1, then a rotation to version 2. */
async function backUpAndRotate(of: World): Promise<Backup> {
  await fill(of, RECORDS);
  of.pass(3600);
  const backup = takeBackup(of);
  of.pass(3600);
  await rotate(of);
  return backup;
}

async function purgeFirst(of: World): Promise<boolean> {
  of.passGrace();
  const { job } = await requestPurge(of.deps, PURGE);
  return runPurge(of, job.jobId);
}

describe('a restore', () => {
  let backup: Backup;
  beforeEach(async () => {
    world = await worlds.makeWorld(createMemoryLedger());
    backup = await backUpAndRotate(world);
  });

  it('holds every version that is not destroyed, also one made since its backup, in one write a key', async () => {
    const before = await world.key();
    const restore = await begin(world, backup);
    expect(restore).toMatchObject({ status: 'READY', keys: 1, store: 'main', refusal: null });
    const key = await world.key();
    expect(key).toMatchObject({ restoreEpoch: 1, revision: before.revision + 1 });
    expect(key.holds.find(({ reason }) => reason === 'RESTORE')).toMatchObject({
      holdId: restore.restoreId,
      versions: [1, 2],
      until: null,
      endedEpoch: null,
    });
    // Asked for again, it is the same one.
    expect(await begin(world, backup)).toEqual(restore);
    expect(await world.key()).toEqual(key);
  });

  it('brings records back that decrypt; its end sweeps them, and only then the purge goes through', async () => {
    const restore = await begin(world, backup);
    restoreRows(world, backup);
    await expectReadable(world);
    world.passGrace();
    await expect(requestPurge(world.deps, PURGE)).rejects.toMatchObject({
      code: 'PURGE_REFUSED',
      message: expect.stringContaining('main is being restored'),
    });
    const { restore: ended, keys, failed } = await endRestore(world.deps, restore.restoreId, 'test');
    expect([ended.status, failed]).toEqual(['ENDED', []]);
    expect(keys).toMatchObject([{ tenant: TENANT, unknown: [], destroyed: [], sweep: 'started' }]);
    expect(keys[0]?.count.versions).toMatchObject({ '1': RECORDS * FIELDS.length });
    // Ended, and not swept yet.
    await expect(requestPurge(world.deps, PURGE)).rejects.toMatchObject({ code: 'PURGE_REFUSED' });
    await sweep(world);
    expect(world.versions(world.people)).toEqual([2]);
    await expectReadable(world);
    // Backups that were taken while its rows were back contain the version again.
    expect(await heldOn(world, 1)).toEqual(['BACKUP']);
    expect(await purgeFirst(world)).toBe(true);
    await expectReadable(world);
  });

  it('calls off a purge that has fenced the version', async () => {
    world.passGrace();
    const { job } = await requestPurge(world.deps, PURGE);
    let begun = false;
    const destroyed = await runPurge(world, job.jobId, async (name, step) => {
      if (name === 'DestroyVersion' && !begun) {
        begun = true;
        expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
        await begin(world, backup);
        expect(await stateOf(world, 1)).toBe('RETIRING');
      }
      return step();
    }).catch(() => false);
    expect(destroyed).toBe(false);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    restoreRows(world, backup);
    await expectReadable(world);
  });

  it('is refused, and changes nothing, when a version of its backup is destroyed', async () => {
    expect(await purgeFirst(world)).toBe(true);
    const before = await snapshot(world);
    await expect(begin(world, backup)).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
      message: expect.stringContaining(`version 1 of ${TENANT}`),
    });
    expect(await snapshot(world)).toEqual(before);
    expect(await world.ledger.listRestores()).toEqual([]);
  });

  it('of a backup that was taken after the clean census goes ahead, though the version is destroyed', async () => {
    world.pass(3600);
    const later = takeBackup(world);
    expect(await purgeFirst(world)).toBe(true);
    const restore = await begin(world, later);
    restoreRows(world, later);
    await expectReadable(world);
    await endRestore(world.deps, restore.restoreId, 'test');
    await sweep(world);
    expect(await heldOn(world, 2)).toEqual([]);
  });

  it('of a backup that was taken while an earlier restore had brought the version back is refused', async () => {
    const first = await begin(world, backup);
    restoreRows(world, backup);
    world.pass(3600);
    const meanwhile = takeBackup(world);
    world.pass(3600);
    await endRestore(world.deps, first.restoreId, 'test');
    await sweep(world);
    expect(await purgeFirst(world)).toBe(true);
    await expect(begin(world, meanwhile)).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
  });

  it('of a backup with a quarantined value of the version is refused once that is gone', async () => {
    world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, RECORDS);
    const row = world.people.rows.get('["1"]');
    if (row === undefined) throw new Error('no row');
    const broken = Uint8Array.from(row.values[0] ?? []);
    broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
    row.values[0] = broken;
    await rotate(world);
    world.pass(3600);
    const after = takeBackup(world);
    world.pass(3600);
    await world.write(world.people, 1, 'person 1');
    await settleQuarantine(world.deps, TENANT, PURPOSE);
    expect(await purgeFirst(world)).toBe(true);
    await expect(begin(world, after)).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
  });

  it.each([
    ['a store that is not there', { store: 'other' }, 'RECORD_SET_NOT_FOUND'],
    ['the ledger', { store: 'ledger' }, 'RESTORE_REFUSED'],
    ['a time to come', { backupTime: '2999-01-01T00:00:00.000Z' }, 'RESTORE_REFUSED'],
    ['an end to come', { backupEnd: '2999-01-01T00:00:00.000Z' }, 'RESTORE_REFUSED'],
    ['an end before its begin', { backupEnd: '2000-01-01T00:00:00.000Z' }, 'RESTORE_REFUSED'],
  ])('of %s is refused', async (_, changes, code) => {
    await expect(beginRestore(world.deps, { ...requestOf(backup), ...changes })).rejects.toMatchObject({
      code,
    });
  });

  it('is not freed by a rotation that had counted before its end; the daily sweep asks for the one that does', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    const outcome = await runRotation(world, job.jobId, async (name, step) => {
      if (name === 'RetireVersion') {
        const restore = await begin(world, backup);
        restoreRows(world, backup);
        const { keys } = await endRestore(world.deps, restore.restoreId, 'test');
        expect(keys).toMatchObject([{ sweep: 'running', jobId: job.jobId }]);
      }
      return step();
    });
    expect(outcome).toBe('CLEAN');
    expect(await heldOn(world, 1)).toContain('RESTORE');
    expect(await sweepDaily(world.deps)).toMatchObject({ rotations: 1, failed: 0 });
    await sweep(world);
    expect(await heldOn(world, 1)).toEqual(['BACKUP']);
    expect(world.versions(world.people)).toEqual([3]);
    expect(await sweepDaily(world.deps)).toMatchObject({ rotations: 0, failed: 0 });
  });

  /** The end of the restore dies when it has marked the key's hold as ended, before it counts. */
  async function endHalf(restore: Restore): Promise<void> {
    world.faults.before = (call) => {
      if (call.includes('census')) throw new Crash();
    };
    await expect(endRestore(world.deps, restore.restoreId, 'test')).rejects.toThrow(Crash);
    world.restart();
    world.faults.before = () => {};
    expect((await world.key()).holds.find(isOfRestore)?.endedEpoch).not.toBeNull();
  }
  const isOfRestore = ({ reason }: { reason: string }) => reason === 'RESTORE';

  it('that is begun again after an end that failed half-way holds again, and no sweep frees it', async () => {
    const restore = await begin(world, backup);
    await endHalf(restore);
    const { restoreEpoch } = await world.key();
    expect(await begin(world, backup)).toEqual(restore);
    expect(await world.key()).toMatchObject({ restoreEpoch: restoreEpoch + 1 });
    expect((await world.key()).holds.find(isOfRestore)?.endedEpoch).toBeNull();
    await sweepDaily(world.deps);
    await sweep(world);
    expect(await heldOn(world, 1)).toContain('RESTORE');
    restoreRows(world, backup);
    expect((await endRestore(world.deps, restore.restoreId, 'test')).keys).toHaveLength(1);
    await sweep(world);
    expect(world.versions(world.people)).toEqual([2]);
  });

  it('whose end failed half-way, and that a sweep freed since, holds again when it is begun again', async () => {
    const restore = await begin(world, backup);
    await endHalf(restore);
    await sweepDaily(world.deps);
    await sweep(world);
    expect(await heldOn(world, 1)).toEqual(['BACKUP']);
    expect(await begin(world, backup)).toEqual(restore);
    expect((await world.key()).holds.find(isOfRestore)).toMatchObject({ versions: [1, 2], endedEpoch: null });
  });

  it('sweeps all its keys at its end, also one that was freed after an end that failed half-way', async () => {
    const restore = await begin(world, backup);
    await endHalf(restore);
    await sweepDaily(world.deps);
    await sweep(world);
    expect(await heldOn(world, 1)).toEqual(['BACKUP']);
    restoreRows(world, backup);
    const ended = await endRestore(world.deps, restore.restoreId, 'test');
    expect(ended.restore.status).toBe('ENDED');
    expect(ended.keys).toMatchObject([{ count: { versions: { 1: expect.any(Number) } } }]);
    expect(await heldOn(world, 1)).toContain('RESTORE');
    await sweep(world);
    expect(world.versions(world.people)).toEqual([2]);
    expect(await heldOn(world, 1)).toEqual(['BACKUP']);
    // ENDED, and nothing of it is left to be swept.
    expect((await endRestore(world.deps, restore.restoreId, 'test')).keys).toEqual([]);
  });

  it('is freed by a rotation that sweeps after its end', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    let restored = false;
    await runRotation(world, job.jobId, async (name, step) => {
      if (name === 'CheckBarrier' && !restored) {
        restored = true;
        const restore = await begin(world, backup);
        restoreRows(world, backup);
        await endRestore(world.deps, restore.restoreId, 'test');
      }
      return step();
    });
    expect(await heldOn(world, 1)).toEqual(['BACKUP']);
    expect(world.versions(world.people)).toEqual([3]);
  });

  it('lowers the fence of the database; out of reach, it says so, and does it when it is repeated', async () => {
    const { keyId } = await world.key();
    for (const store of [world.people, world.notes]) {
      store.minimums = new Map([[keyId, { keyId, version: 2, revision: 1, since: 'then' }]]);
    }
    world.faults.before = (call) => {
      if (call === 'store.setMinimum') throw new RecordStoreError('STORE_UNAVAILABLE', 'down');
    };
    const first = await beginRestore(world.deps, requestOf(backup));
    expect(first).toMatchObject({ restore: { status: 'READY' }, fenceLeft: 'STORE_UNAVAILABLE' });
    world.faults.before = () => {};
    const key = await world.key();
    expect(await beginRestore(world.deps, requestOf(backup))).toEqual({ ...first, fenceLeft: null });
    expect(await world.key()).toEqual(key);
    const minimums = [world.people, world.notes].map(({ minimums }) => minimums?.get(keyId)?.version);
    expect(minimums).toContain(1);
  });

  it('names values on versions that the key does not have', async () => {
    const restore = await begin(world, backup);
    const row = structuredClone(world.people.rows.get('["1"]'));
    const value = row?.values[0];
    if (row === undefined || value === null || value === undefined) throw new Error('no value');
    // The version stands before the wrapped DEK: the last 46 bytes begin with it.
    Buffer.from(value.buffer, value.byteOffset, value.length).writeUInt32BE(77, value.length - 46);
    world.people.rows.set('["1"]', row);
    const { keys } = await endRestore(world.deps, restore.restoreId, 'test');
    expect(keys).toMatchObject([{ unknown: [77], destroyed: [] }]);
  });

  it('is not ended before it is ready, nor called off after; called off before, it holds nothing', async () => {
    await expect(endRestore(world.deps, 'none', 'test')).rejects.toMatchObject({ code: 'RESTORE_NOT_FOUND' });
    const stop = crashBefore(world, 'ledger.replaceRestore');
    await expect(begin(world, backup)).rejects.toThrow(Crash);
    stop();
    world.restart();
    const [begun] = await world.ledger.listRestores();
    if (begun === undefined) throw new Error('no restore');
    expect(begun.status).toBe('BEGUN');
    expect(await heldOn(world, 1)).toContain('RESTORE');
    const { restoreId } = begun;
    await expect(endRestore(world.deps, restoreId, 'test')).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
    });
    expect(await abortRestore(world.deps, restoreId)).toMatchObject({ status: 'ABORTED' });
    expect(await heldOn(world, 1)).toEqual(['BACKUP']);
    expect(await abortRestore(world.deps, restoreId)).toMatchObject({ status: 'ABORTED' });
    // Begun anew it is another one.
    const again = await begin(world, backup);
    expect(again.restoreId).not.toBe(restoreId);
    await expect(abortRestore(world.deps, again.restoreId)).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
    });
  });
});

function crashBefore(of: World, name: string): () => void {
  of.faults.before = (call) => {
    if (call === name) throw new Crash(call);
  };
  return () => {
    of.faults.before = () => {};
  };
}

describe('a physical backup, which has the rows as they were at its end', () => {
  let taken: Backup & { readonly backupEnd: string };
  beforeEach(async () => {
    world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, RECORDS);
    const backupTime = world.clock.timestamp();
    world.pass(3600);
    await rotate(world);
    await world.write(world.people, RECORDS + 1, `person ${RECORDS + 1}`);
    taken = { ...takeBackup(world), backupTime, backupEnd: world.clock.timestamp() };
    world.pass(3600);
    // From version 2, which was made while it was being taken.
    await rotate(world);
  });

  async function purgeSecond(): Promise<boolean> {
    const { job } = await requestPurge(world.deps, { ...PURGE, version: 2 });
    return runPurge(world, job.jobId);
  }

  it.each([true, false])('comes back whole, whether its end is given or not (%s)', async (given) => {
    world.pass(34.5 * 86_400);
    const { restore } = await beginRestore(world.deps, {
      ...requestOf(taken),
      ...(given && { backupEnd: taken.backupEnd }),
    });
    expect(restore).toMatchObject({ backupTime: taken.backupTime });
    expect(restore.backupEnd).toBe(given ? taken.backupEnd : taken.backupTime);
    // The restore takes a day and a half: by then the grace of version 2 is over.
    world.pass(1.5 * 86_400);
    await expect(purgeSecond()).rejects.toMatchObject({ code: 'PURGE_REFUSED' });
    expect(await sweepDaily(world.deps)).toMatchObject({ purges: 0 });
    restoreRows(world, taken);
    await expectReadable(world);
    const { keys } = await endRestore(world.deps, restore.restoreId, 'test');
    expect(keys).toMatchObject([{ unknown: [], destroyed: [] }]);
    await sweep(world);
    await expectReadable(world);
    expect(world.versions(world.people)).toEqual([3]);
  });

  it('is refused by its end once a version that was made meanwhile is destroyed', async () => {
    world.passGrace();
    expect(await purgeSecond()).toBe(true);
    const { backupEnd } = taken;
    const before = await snapshot(world);
    await expect(beginRestore(world.deps, { ...requestOf(taken), backupEnd })).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
      message: expect.stringContaining('version 2 of acme'),
    });
    expect(await snapshot(world)).toEqual(before);
    // As of its begin it has nothing on that version: then it is a logical dump.
    expect(await begin(world, taken)).toMatchObject({ status: 'READY' });
  });

  it('begun again goes on with the restore of the same end alone', async () => {
    const begun = await begin(world, taken);
    const { backupEnd } = taken;
    const other = (await beginRestore(world.deps, { ...requestOf(taken), backupEnd })).restore;
    expect(other.restoreId).not.toBe(begun.restoreId);
    const again = (await beginRestore(world.deps, { ...requestOf(taken), backupEnd })).restore;
    expect([again, await begin(world, taken)]).toEqual([other, begun]);
  });
});

describe('a quarantined value', () => {
  it('is in the backups that were taken until it was settled, and its version is held for them', async () => {
    world = await worlds.makeWorld(createMemoryLedger());
    await fill(world, RECORDS);
    const row = world.people.rows.get('["1"]');
    if (row === undefined) throw new Error('no row');
    const broken = Uint8Array.from(row.values[0] ?? []);
    broken[broken.length - 1] = (broken.at(-1) ?? 0) ^ 1;
    row.values[0] = broken;
    await rotate(world);
    world.passGrace();
    expect(await heldOn(world, 1)).toEqual([]);
    await world.write(world.people, 1, 'person 1');
    const { job } = await requestPurge(world.deps, PURGE);
    // The purge is the first to see that it is gone.
    expect(await runPurge(world, job.jobId)).toBe(false);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'BLOCKED', blocker: { code: 'HELD' } });
    expect(await heldOn(world, 1)).toEqual(['BACKUP']);
    expect(await purgeFirst(world)).toBe(true);
  });
});

describe('a restore and the decision to destroy', () => {
  beforeEach(async () => {
    world = await worlds.makeWorld(createMemoryLedger());
  });

  it.each(['before', 'after'] as const)(
    'begun %s each call of the purge: one of them wins, and the other sees it',
    async (when) => {
      const seen = new Set<string>();
      for (let at = 1; at < 200; at++) {
        world = await worlds.makeWorld(createMemoryLedger());
        const backup = await backUpAndRotate(world);
        world.passGrace();
        const { job } = await requestPurge(world.deps, PURGE);
        let calls = 0;
        let answer: 'held' | 'refused' | null = null;
        world.faults[when] = async () => {
          calls += 1;
          if (calls !== at) return;
          answer = await begin(world, backup).then(
            () => 'held' as const,
            (error: unknown) => {
              expect(error).toMatchObject({ code: 'RESTORE_REFUSED' });
              return 'refused' as const;
            },
          );
        };
        const destroyed = await runPurge(world, job.jobId).catch(() => false);
        world.faults[when] = () => {};
        if (calls < at) break;
        const what = `${when} call ${at}`;
        seen.add(String(answer));
        const { state, destroyAuthorizedAt } = (await world.key()).versions['1'] ?? {};
        expect(destroyed, what).toBe(answer === 'refused');
        expect([state, destroyAuthorizedAt === null], what).toEqual(
          answer === 'held' ? ['RETIRING', true] : ['DESTROYED', false],
        );
        expect(await heldOn(world, 1), what).toEqual(answer === 'held' ? ['RESTORE'] : []);
        const open = (await world.ledger.listRestores()).filter(({ status }) => status !== 'ABORTED');
        expect(open, what).toHaveLength(answer === 'held' ? 1 : 0);
      }
      expect(seen).toEqual(new Set(['held', 'refused']));
    },
  );

  it('that is made between the look and the hold calls the restore off, and frees what was held', async () => {
    const backup = await backUpAndRotate(world);
    await createKey(world.deps, 'aaron', PURPOSE);
    const epochs = async () => (await world.ledger.scanKeys()).map(({ restoreEpoch }) => restoreEpoch);
    world.passGrace();
    // Somebody decides right after everything was looked at.
    world.faults.after = async (call) => {
      if (call !== 'ledger.createRestore') return;
      world.faults.after = () => {};
      const { job } = await requestPurge(world.deps, PURGE);
      expect(await runPurge(world, job.jobId)).toBe(true);
    };
    await expect(begin(world, backup)).rejects.toMatchObject({
      code: 'RESTORE_REFUSED',
      message: expect.stringContaining('version 1 of acme'),
    });
    expect(await world.ledger.listRestores()).toMatchObject([
      { status: 'ABORTED', refusal: expect.stringContaining('version 1 of acme') },
    ]);
    // The other key was held, and is not any more.
    expect(await epochs()).toEqual([1, 0]);
    const holds = (await world.ledger.scanKeys()).flatMap((key) => key.holds);
    expect(holds.filter(({ reason }) => reason === 'RESTORE')).toEqual([]);
  });
});

describe('a process that dies in a restore', () => {
  it.each(['before', 'after'] as const)('%s each call in turn ends it all the same', async (when) => {
    let at = 1;
    for (; at < 500; at++) {
      world = await worlds.makeWorld(createMemoryLedger());
      const backup = await backUpAndRotate(world);
      for (const tenant of ['beta', 'gamma']) await createKey(world.deps, tenant, PURPOSE);
      let calls = 0;
      let hit: string | null = null;
      world.faults[when] = (call) => {
        calls += 1;
        if (calls !== at) return;
        hit = call;
        throw new Crash(call);
      };
      await untilDone(world, async () => {
        const [open] = await world.ledger.listRestores();
        if (open?.status === 'ENDED') return;
        const restore = open?.status === 'READY' ? open : await begin(world, backup);
        expect(restore.status).toBe('READY');
        restoreRows(world, backup);
        await endRestore(world.deps, restore.restoreId, 'test');
      });
      world.faults[when] = () => {};
      const what = `${when} call ${at}: ${hit}`;
      expect(await world.ledger.listRestores(), what).toMatchObject([{ status: 'ENDED', keys: 3 }]);
      for (const { restoreEpoch, holds } of await world.ledger.scanKeys()) {
        // Once at its beginning and once at its end, for each key.
        expect(restoreEpoch, what).toBe(2);
        expect(
          holds.filter(({ reason }) => reason === 'RESTORE'),
          what,
        ).toMatchObject([{ endedEpoch: 2 }]);
      }
      const sweeps = await world.ledger.listJobs({ statuses: ['REQUESTED'] });
      expect(sweeps.map(({ tenant }) => tenant).sort(), what).toEqual([TENANT, 'beta', 'gamma']);
      for (const { jobId } of sweeps) expect(await runRotation(world, jobId), what).toBe('CLEAN');
      for (const { holds } of await world.ledger.scanKeys()) {
        expect(
          holds.filter(({ reason }) => reason === 'RESTORE'),
          what,
        ).toEqual([]);
      }
      expect(world.versions(world.people), what).toEqual([2]);
      await expectReadable(world);
      if (hit === null) break;
    }
    expect(at).toBeGreaterThan(30);
  });
});
