import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Deps } from '../../../shared/deps/deps.ts';
import { beginRestore } from '../../../shared/rotation/begin-restore.ts';
import { endRestore } from '../../../shared/rotation/end-restore.ts';
import { standingHolds } from '../../../shared/rotation/holds.ts';
import { requestPurge, requestRotation } from '../../../shared/rotation/request-job.ts';
import { addServed, registerServed } from '../../../shared/rotation/served.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { declaring, forgetNotes, withoutNotes } from '../../support/declaring.ts';
import { runPurge, runRotation, untilDone } from '../../support/memory-machine.ts';
import {
  Crash,
  KEY,
  prepareWorlds,
  stateOf,
  type World,
  type WorldMaker,
} from '../../support/memory-world.ts';

/** A table, column or store that is declared when a version was retired already: its grace and its holds began without it. */

const DAY = 86_400;
const PURGE = { ...KEY, version: 1 };

let worlds: WorldMaker;
let world: World;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(() => worlds.remove());
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await forgetNotes(world);
  await world.write(world.people, 1, 'person 1');
});

/** Processes of another configuration. */
const on = (deps: Deps): World => Object.create(world, { deps: { get: () => deps } });
async function rotate(deps: Deps) {
  const { job } = await requestRotation(deps, KEY);
  expect(await runRotation(on(deps), job.jobId)).toBe('CLEAN');
}

async function purge(deps = world.deps) {
  const { job } = await requestPurge(deps, PURGE);
  const destroyed = await runPurge(on(deps), job.jobId);
  return { destroyed, blocker: (await world.job(job.jobId)).blocker };
}

const HELD = { destroyed: false, blocker: { code: 'HELD' } };
const holds = async () => standingHolds(await world.key(), 1, world.clock.now(), world.deps.config);

/** As a backup of now has them. */
function backup() {
  const rows = structuredClone([...world.notes.rows]);
  return {
    of: { store: 'main', backupTime: world.clock.timestamp(), requestedBy: 'test' },
    putBack: () => {
      for (const [id, row] of rows) world.notes.rows.set(id, row);
    },
  };
}

describe('a table that is declared after a version was retired', () => {
  /** Before anybody reads it, its rows on the version are in a backup, and then deleted. */
  async function deletedUnread() {
    await world.write(world.notes, 1, 'note 1');
    await rotate(withoutNotes(world));
    world.pass(33 * DAY);
    const taken = backup();
    world.notes.rows.clear();
    world.pass(4 * DAY);
    return taken;
  }

  it('has its backups wait for no less: the first count of it begins grace and holds anew', async () => {
    const taken = await deletedUnread();
    const held = await purge();
    expect(held).toMatchObject(HELD);
    expect(held.blocker?.message).toContain('notes in main (email, phone): declared since');
    expect(await stateOf(world, 1)).toBe('RETIRING');
    expect(await holds()).toMatchObject([{ holdId: 'backup/main/1', at: world.clock.timestamp() }]);
    await expect(requestPurge(world.deps, PURGE)).rejects.toMatchObject({ code: 'PURGE_REFUSED' });

    const { restore } = await beginRestore(world.deps, taken.of);
    expect(restore.status).toBe('READY');
    taken.putBack();
    const ended = await endRestore(world.deps, restore.restoreId, 'test');
    expect(ended.keys).toMatchObject([{ destroyed: [] }]);
    expect(await world.open(world.notes, 1)).toEqual(['note 1 email', 'note 1 phone']);
  });

  it('puts a purge off once, and no longer', async () => {
    const taken = await deletedUnread();
    expect(await purge()).toMatchObject(HELD);
    expect((await world.key()).versions['1']?.seen?.besides).toEqual([
      { store: 'main', table: 'notes', columns: ['email', 'phone'] },
    ]);
    world.passGrace();
    expect(await purge()).toEqual({ destroyed: true, blocker: null });
    await expect(beginRestore(world.deps, taken.of)).rejects.toMatchObject({ code: 'RESTORE_REFUSED' });
  });

  it('does so too where a later rotation counted it: that is not when the version was retired', async () => {
    await deletedUnread();
    await rotate(world.deps);
    expect(await purge()).toMatchObject(HELD);
    world.passGrace();
    expect(await purge()).toEqual({ destroyed: true, blocker: null });
  });

  it('does so where it is taken out of service again before the purge', async () => {
    await deletedUnread();
    await world.changeKey((key) => addServed(key, [{ store: 'main', table: 'notes', columns: ['email'] }]));
    const { notes: _, ...recordSets } = world.deps.config.recordSets;
    const out = declaring(world, { recordSets, retired: [{ store: 'main', table: 'notes' }] });
    expect(await purge(out)).toMatchObject(HELD);
    world.passGrace();
    expect(await purge(out)).toEqual({ destroyed: true, blocker: null });
  });

  it('does so once for each that comes', async () => {
    await deletedUnread();
    expect(await purge()).toMatchObject(HELD);
    world.passGrace();
    const { notes } = world.deps.config.recordSets;
    if (notes === undefined) throw new Error('no notes');
    const fields = [
      ...notes.fields,
      { ...notes.fields[0], sensitivity: 'high' as const, name: 'fax', column: 'fax' },
    ];
    const more = declaring(world, {
      recordSets: { ...world.deps.config.recordSets, notes: { ...notes, fields } },
    });
    const held = await purge(more);
    expect(held).toMatchObject(HELD);
    expect(held.blocker?.message).toContain('notes in main (fax): declared since');
    world.passGrace();
    expect(await purge(more)).toEqual({ destroyed: true, blocker: null });
  });

  it('renews once, wherever the step dies', async () => {
    await deletedUnread();
    const { job } = await requestPurge(world.deps, PURGE);
    let kills = 0;
    world.faults.after = async (call) => {
      const renewed = (await world.key()).versions['1']?.seen?.cleanAt;
      if (call === 'ledger.replaceKey' && renewed && kills++ === 0) throw new Crash(call);
    };
    await untilDone(world, () => runPurge(world, job.jobId));
    world.faults.after = () => {};
    expect(kills).toBeGreaterThan(0);
    expect(await world.job(job.jobId)).toMatchObject({ status: 'BLOCKED', blocker: { code: 'HELD' } });
    world.passGrace();
    expect(await purge()).toEqual({ destroyed: true, blocker: null });
  });

  it('is not taken for counted where another one comes at the same moment', async () => {
    await deletedUnread();
    const { job } = await requestPurge(world.deps, PURGE);
    let added = 0;
    world.faults.before = async (call) => {
      const { state } = (await world.key()).versions['1'] ?? {};
      if (call !== 'ledger.replaceKey' || state !== 'DESTROY_PENDING' || added++ > 0) return;
      await world.changeKey((key) => addServed(key, [{ store: 'main', table: 'later', columns: ['x'] }]));
    };
    expect(await runPurge(world, job.jobId)).toBe(false);
    expect(added).toBeGreaterThan(0);
    const { blocker } = await world.job(job.jobId);
    expect(blocker).toMatchObject({ code: 'RECORD_SET_CHANGED' });
    expect(blocker?.message).toContain('later in main (x)');
    expect((await world.key()).versions['1']?.seen).toMatchObject({ cleanAt: null });
  });
});

describe('a column that is declared after a version was retired', () => {
  it('begins the grace anew as a table does', async () => {
    const { people, notes } = world.deps.config.recordSets;
    if (people === undefined || notes === undefined) throw new Error('no record sets');
    const fields = people.fields.filter(({ name }) => name !== 'phone');
    await world.changeKey((key) => ({ ...key, revision: key.revision + 1, serves: [] }));
    await rotate(declaring(world, { recordSets: { notes, people: { ...people, fields } } }));
    world.passGrace();
    const held = await purge();
    expect(held).toMatchObject(HELD);
    expect(held.blocker?.message).toContain('people in main (phone): declared since');
    world.passGrace();
    expect(await purge()).toEqual({ destroyed: true, blocker: null });
  });
});

describe('a store that is declared after a version was retired', () => {
  it('holds the version for as long as its own backups live', async () => {
    await rotate(withoutNotes(world));
    world.passGrace();
    const { stores, recordSets } = world.deps.config;
    const { notes } = recordSets;
    if (stores['main'] === undefined || notes === undefined) throw new Error('no store');
    const archive = { ...stores['main'], backupRetentionSeconds: 90 * DAY };
    const later = declaring(world, {
      stores: { ...stores, archive },
      recordSets: { ...recordSets, notes: { ...notes, store: 'archive' } },
    });
    expect(await purge(later)).toMatchObject(HELD);
    const until = new Date(world.clock.now() + 90 * DAY * 1000).toISOString();
    expect((await world.key()).holds).toContainEqual(
      expect.objectContaining({ holdId: 'backup/archive/1', reason: 'BACKUP', until }),
    );
    world.passGrace();
    await expect(requestPurge(later, PURGE)).rejects.toMatchObject({ code: 'PURGE_REFUSED' });
    world.pass(90 * DAY);
    expect(await purge(later)).toEqual({ destroyed: true, blocker: null });
  });
});

describe('a version all of whose tables were read when it was retired', () => {
  it('is destroyed by its first purge', async () => {
    await rotate(world.deps);
    world.passGrace();
    expect(await purge()).toEqual({ destroyed: true, blocker: null });
  });

  it('also where one of them was out of service already', async () => {
    await world.changeKey((key) => addServed(key, [{ store: 'main', table: 'old', columns: ['x'] }]));
    const out = declaring(world, { retired: [{ store: 'main', table: 'old' }] });
    await rotate(out);
    world.passGrace();
    expect(await purge(out)).toEqual({ destroyed: true, blocker: null });
  });
});

describe('a restore when the version is gone', () => {
  /** An earlier release destroyed it: no count had begun its grace anew. */
  const forgetRenewal = () =>
    world.changeKey((key) => {
      const { '1': first, ...others } = key.versions;
      if (first?.state !== 'DESTROYED') throw new Error('not destroyed');
      return {
        ...key,
        revision: key.revision + 1,
        versions: { ...others, '1': { ...first, seen: null } },
      };
    });
  const restoreOf = async (backupTime: string, deps = world.deps, store = 'main') =>
    (await beginRestore(deps, { store, backupTime, requestedBy: 'test' })).restore.status;
  const REFUSED = { code: 'RESTORE_REFUSED' };

  it('does not go by a census that had not read a table that the purge read', async () => {
    await rotate(withoutNotes(world));
    world.passGrace();
    const before = world.clock.timestamp();
    await purge();
    world.passGrace();
    const after = world.clock.timestamp();
    expect(await purge()).toMatchObject({ destroyed: true });
    // The count that began the grace anew had.
    await expect(restoreOf(before)).rejects.toMatchObject(REFUSED);
    expect(await restoreOf(after)).toBe('READY');
    await forgetRenewal();
    await expect(restoreOf(before)).rejects.toMatchObject(REFUSED);
  });

  it('asks it about the tables of its own store', async () => {
    await rotate(withoutNotes(world));
    const { stores, recordSets } = world.deps.config;
    const { notes } = recordSets;
    if (stores['main'] === undefined || notes === undefined) throw new Error('no store');
    const later = declaring(world, {
      stores: { ...stores, archive: stores['main'] },
      recordSets: { ...recordSets, notes: { ...notes, store: 'archive' } },
    });
    world.passGrace();
    const before = world.clock.timestamp();
    await purge(later);
    world.passGrace();
    expect(await purge(later)).toMatchObject({ destroyed: true });
    await forgetRenewal();
    await expect(restoreOf(before, later, 'archive')).rejects.toMatchObject(REFUSED);
    expect(await restoreOf(before, later, 'main')).toBe('READY');
  });

  it('does not ask about a table that was declared only then: nothing of the key stood there', async () => {
    const before = withoutNotes(world);
    await rotate(before);
    world.passGrace();
    const backupTime = world.clock.timestamp();
    world.pass(DAY);
    expect(await purge(before)).toMatchObject({ destroyed: true });
    await registerServed(world.deps, KEY.tenant, KEY.purpose);
    expect((await world.key()).serves.map(({ table }) => table)).toContain('notes');
    expect(await restoreOf(backupTime)).toBe('READY');
  });
});
