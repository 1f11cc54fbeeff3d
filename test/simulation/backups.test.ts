import { describe, expect, it } from 'vitest';
import type { HappenedEvent } from '../../simulation/history.ts';
import { createBackups } from '../../simulation/models/backups.ts';
import { createMemoryRecordStore, type MemoryRecordStore } from '../../simulation/models/record-store.ts';

/** A backup is what was there when it was taken; a restore brings it back, and nothing else stays. */

const bytes = (n: number) => Uint8Array.of(n);

function prepare() {
  const people = createMemoryRecordStore('people', ['email']);
  const notes = createMemoryRecordStore('notes', ['email']);
  const other = createMemoryRecordStore('other', ['email']);
  const happened: HappenedEvent[] = [];
  let now = 1_000;
  const backups = createBackups({
    scheduler: { now: () => now },
    history: { add: (event) => happened.push(event) },
    stores: { main: [people, notes], second: [other] },
  });
  const pass = () => {
    now += 500;
  };
  return { people, notes, other, happened, backups, pass };
}

const put = (store: MemoryRecordStore, id: string, value: Uint8Array) =>
  store.put({ key: [id], tenant: 'acme', values: [value], plaintext: [null] });
const held = ({ rows }: MemoryRecordStore) =>
  [...rows.values()].map(({ key, values }) => [key[0], values[0]?.[0]]);

describe('a backup', () => {
  it('of a store holds all of its record sets, and none of another', () => {
    const { people, notes, other, backups, happened, pass } = prepare();
    put(people, '1', bytes(1));
    put(notes, '2', bytes(2));
    put(other, '3', bytes(3));
    const first = backups.take('main');
    pass();
    const second = backups.take('second');
    expect(backups.restorable().map(({ backupId, store, takenAt }) => [backupId, store, takenAt])).toEqual([
      [first, 'main', 1_000],
      [second, 'second', 1_500],
    ]);
    expect([...(backups.restorable()[0]?.rows ?? [])].map(([set, rows]) => [set, [...rows.keys()]])).toEqual([
      ['people', ['["1"]']],
      ['notes', ['["2"]']],
    ]);
    expect(happened).toEqual([
      { kind: 'backup', backupId: first, store: 'main' },
      { kind: 'backup', backupId: second, store: 'second' },
    ]);
  });

  it('stays as it is, whatever happens to the rows', async () => {
    const { people, backups } = prepare();
    put(people, '1', bytes(1));
    backups.take('main');
    const change = { key: ['1'], tenant: 'acme' };
    await people.replace([{ ...change, changes: [{ field: 0, before: bytes(1), after: bytes(2) }] }]);
    people.remove(['1']);
    expect(backups.restorable()[0]?.rows.get('people')?.get('["1"]')?.values).toEqual([bytes(1)]);
  });

  it('that lapsed is none that has to be restorable, and is still there for whoever kept it', () => {
    const { people, backups, happened } = prepare();
    put(people, '1', bytes(1));
    const backupId = backups.take('main');
    backups.lapse(backupId);
    backups.lapse(backupId);
    expect(backups.restorable()).toEqual([]);
    expect(happened.slice(1)).toEqual([{ kind: 'backup-lapsed', backupId }]);
    put(people, '1', bytes(2));
    backups.restore(backupId, 'r');
    expect(held(people)).toEqual([['1', 1]]);
    expect(() => backups.restore('backup-9', 'r')).toThrow('backup-9');
    expect(() => backups.take('nowhere')).toThrow('nowhere');
  });
});

describe('a restore', () => {
  it('brings every row back, takes what came later away, and tells of each', async () => {
    const { people, notes, other, backups, happened } = prepare();
    put(people, '1', bytes(1));
    put(people, '2', bytes(2));
    put(notes, '1', bytes(3));
    put(other, '1', bytes(4));
    const backupId = backups.take('main');
    put(people, '1', bytes(9));
    people.remove(['2']);
    put(people, '3', bytes(9));
    put(other, '1', bytes(9));
    happened.length = 0;
    backups.restore(backupId, 'r-1');
    expect(held(people)).toEqual([
      ['1', 1],
      ['2', 2],
    ]);
    expect(held(notes)).toEqual([['1', 3]]);
    expect(held(other)).toEqual([['1', 9]]);
    const record = (recordSet: string, id: string, value: Uint8Array | null) => ({
      kind: 'record',
      cause: 'restore',
      plaintexts: null,
      recordSet,
      id: [id],
      tenant: 'acme',
      values: value && [value],
      by: 'restore r-1',
    });
    expect(happened).toEqual([
      { kind: 'restored', backupId, restoreId: 'r-1' },
      record('people', '3', null),
      record('people', '1', bytes(1)),
      record('people', '2', bytes(2)),
      record('notes', '1', bytes(3)),
    ]);
  });

  it('may be repeated, and leaves the backup as it was', () => {
    const { people, backups } = prepare();
    put(people, '1', bytes(1));
    const backupId = backups.take('main');
    for (const restoreId of ['r-1', 'r-2']) {
      put(people, '1', bytes(9));
      backups.restore(backupId, restoreId);
      expect(held(people)).toEqual([['1', 1]]);
    }
  });
});
