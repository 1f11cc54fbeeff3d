import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseConfig } from '../../../shared/config/load.ts';
import type { ServedTable } from '../../../shared/keyring/key.ts';
import { findUncovered } from '../../../shared/rotation/destroy-version.ts';
import { checkPurgeable } from '../../../shared/rotation/purge-rules.ts';
import type { CensusResult } from '../../../shared/rotation/rotation.ts';
import { addServed, declaredTables, placeOf, unreadTables } from '../../../shared/rotation/served.ts';
import { testKey } from '../../contracts/ledger.ts';

/** What a key served is remembered, so that a table that leaves the configuration is missed by a purge. */

const people = { store: 'main', table: 'people', key: ['id'], tenant: { fixed: 'acme' } };
const field = (name: string) => ({ name, column: `${name}_enc` });

function config(recordSets: object, retired: readonly object[] = []) {
  return parseConfig(
    JSON.stringify({
      provider: { type: 'local', keystore: 'k', keyFile: 'f' },
      stores: { main: { type: 'postgres', urlFrom: 'URL' }, other: { type: 'postgres', urlFrom: 'URL' } },
      recordSets,
      retired,
    }),
    'test',
  );
}

const before = config({ people: { ...people, fields: [field('email'), field('phone')] } });
const key = addServed(testKey(), declaredTables(before, ['people']));

describe('what a key served', () => {
  it('is written down once, sorted, and only grows', () => {
    expect(key.serves).toEqual([{ store: 'main', table: 'people', columns: ['email_enc', 'phone_enc'] }]);
    expect(key.revision).toBe(testKey().revision + 1);
    expect(addServed(key, declaredTables(before, ['people']))).toBe(key);
    const more = addServed(key, [{ store: 'main', table: 'people', columns: ['note_enc'] }]);
    expect(more.serves).toEqual([
      { store: 'main', table: 'people', columns: ['email_enc', 'note_enc', 'phone_enc'] },
    ]);
  });

  it('is the same in whatever order it was learned', () => {
    const table = fc.record({
      store: fc.constantFrom('a', 'b'),
      table: fc.constantFrom('t', 'u'),
      columns: fc.array(fc.constantFrom('x', 'y', 'z'), { minLength: 1 }),
    });
    fc.assert(
      fc.property(fc.array(table), (tables) => {
        const oneByOne = tables.reduce((k, one) => addServed(k, [one]), testKey());
        const reversed = addServed(testKey(), tables.toReversed());
        expect(oneByOne.serves).toEqual(reversed.serves);
        const columns = (list: readonly ServedTable[]) =>
          new Set(list.flatMap((t) => t.columns.map((c) => t.store + t.table + c)));
        expect(columns(oneByOne.serves)).toEqual(columns(tables));
      }),
    );
  });
});

describe('a purge', () => {
  it.each([
    ['as it was', { people: { ...people, fields: [field('email'), field('phone')] } }, [], []],
    ['under another name', { humans: { ...people, fields: [field('email'), field('phone')] } }, [], []],
    ['removed', {}, [], [{ store: 'main', table: 'people', columns: ['email_enc', 'phone_enc'] }]],
    [
      'a field removed',
      { people: { ...people, fields: [field('email')] } },
      [],
      [{ store: 'main', table: 'people', columns: ['phone_enc'] }],
    ],
    [
      'of another purpose by now',
      { people: { ...people, purpose: 'other', fields: [field('email'), field('phone')] } },
      [],
      [],
    ],
    [
      'another table',
      { people: { ...people, table: 'staging', fields: [field('email'), field('phone')] } },
      [],
      [{ store: 'main', table: 'people', columns: ['email_enc', 'phone_enc'] }],
    ],
    [
      'another store',
      { people: { ...people, store: 'other', fields: [field('email'), field('phone')] } },
      [],
      [{ store: 'main', table: 'people', columns: ['email_enc', 'phone_enc'] }],
    ],
    ['removed and retired', {}, [{ store: 'main', table: 'people' }], []],
    [
      'removed and retired in part',
      {},
      [{ store: 'main', table: 'people', columns: ['email_enc'] }],
      [{ store: 'main', table: 'people', columns: ['phone_enc'] }],
    ],
  ])('knows what it does not read: the table is %s', (_, recordSets, retired, expected) => {
    const now = config(recordSets, retired);
    expect(unreadTables(key, now)).toEqual(expected);
    const code = expected.length === 0 ? null : 'RECORD_SET_CHANGED';
    const all = Object.fromEntries(Object.keys(now.recordSets).map((name) => [name, 0]));
    expect(findUncovered(key, now, census(all, now), null)?.code ?? null).toBe(code);
    // Declared, and not counted.
    const none = Object.keys(now.recordSets).length === 0 ? code : 'RECORD_SET_CHANGED';
    expect(findUncovered(key, now, census({}), null)?.code ?? null).toBe(none);
    const first = key.versions['1'];
    if (first === undefined) throw new Error('no version');
    const due = {
      ...first,
      state: 'RETIRING' as const,
      purgeNotBefore: '2026-01-01T00:00:00.000Z',
      retiringAt: '2025-01-01T00:00:00.000Z',
    };
    const check = () =>
      checkPurgeable({ ...key, versions: { 1: due } }, 1, Date.parse('2026-06-01T00:00:00.000Z'), now);
    if (expected.length === 0) expect(check).not.toThrow();
    else
      expect(check).toThrow(
        expect.objectContaining({
          code: 'PURGE_REFUSED',
          message: expect.stringMatching(/people in main \(.*phone_enc/),
        }),
      );
  });

  it('does not believe that a table with values has become empty', () => {
    const full = census({ people: 7 });
    expect(findUncovered(key, before, census({ people: 0 }), full)).toMatchObject({
      code: 'RECORD_SET_CHANGED',
    });
    expect(findUncovered(key, before, census({}), full)).toMatchObject({ code: 'RECORD_SET_CHANGED' });
    expect(findUncovered(key, before, census({ people: 1 }), full)).toBeNull();
    expect(findUncovered(key, before, census({ people: 0 }), census({ people: 0 }))).toBeNull();
    const retired = config({ people: { ...people, fields: [field('email'), field('phone')] } }, [
      { store: 'main', table: 'people' },
    ]);
    expect(findUncovered(key, retired, census({ people: 0 }), full)).toBeNull();
  });

  it('counts a grace that was made longer since the version was retired', () => {
    const first = key.versions['1'];
    if (first === undefined) throw new Error('no version');
    const due = {
      ...first,
      state: 'RETIRING' as const,
      retiringAt: '2026-01-01T00:00:00.000Z',
      purgeNotBefore: '2026-01-02T00:00:00.000Z',
    };
    const at = Date.parse('2026-01-20T00:00:00.000Z');
    // The default grace is 35 days.
    expect(() => checkPurgeable({ ...key, versions: { 1: due } }, 1, at, before)).toThrow(
      expect.objectContaining({
        code: 'PURGE_REFUSED',
        message: expect.stringContaining('2026-02-05T00:00:00.000Z'),
      }),
    );
  });
});

/** Rows, and as many values, by record set. */
function census(rows: Readonly<Record<string, number>>, of = before): CensusResult {
  const coverage = Object.fromEntries(
    Object.entries(rows).map(([name, n]) => [
      name,
      {
        ...placeOf(of, name),
        ...{ rows: n, values: n, versions: {}, foreign: 0, malformed: 0, tombstones: 0, others: n },
      },
    ]),
  );
  return {
    takenAt: '2026-01-01T00:00:00.000Z',
    takenBy: 'test',
    reach: 'everywhere',
    coverage,
    excluded: [],
    undeclared: [],
    onVersion: 0,
    stale: 0,
    malformed: 0,
    foreign: 0,
  };
}
