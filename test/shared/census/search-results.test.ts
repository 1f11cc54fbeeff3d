import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { mergeResults, shorten } from '../../../shared/census/search-results.ts';
import { undeclaredBlocker } from '../../../shared/census/undeclared.ts';
import {
  type FoundColumn,
  type SearchResult,
  UNSEARCHED_REASONS,
  type Unsearched,
} from '../../../shared/records/store-search.ts';

const found = (column: string, changes: Partial<FoundColumn> = {}): FoundColumn => ({
  ...{ table: 'public.t', column, materialized: false, envelopes: 3, ofKey: 2, onVersion: 1 },
  ...changes,
});
const unsearched = (table: string, columns: readonly string[], reason: Unsearched['reason'] = 'TYPE') => ({
  ...{ table, columns, reason },
});

const total = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

describe('the results of a search in parts', () => {
  it('are added up by column, and by table and reason', () => {
    const merged = mergeResults([
      {
        found: [found('a')],
        declared: [
          { table: 't', column: 'b', onVersion: 0 },
          { table: 't', column: 'a', onVersion: 1 },
        ],
        unsearched: [unsearched('u', ['x', 'y'])],
      },
      {
        found: [found('b'), found('a', { ofKey: 0 })],
        declared: [{ table: 't', column: 'a', onVersion: 2 }],
        unsearched: [unsearched('u', ['x', 'z']), unsearched('u', [], 'TIME')],
      },
    ]);
    expect(merged).toEqual({
      found: [found('a', { envelopes: 6, ofKey: 2, onVersion: 2 }), found('b')],
      declared: [
        { table: 't', column: 'a', onVersion: 3 },
        { table: 't', column: 'b', onVersion: 0 },
      ],
      unsearched: [unsearched('u', [], 'TIME'), unsearched('u', ['x', 'y', 'z'])],
    });
  });

  it('are the same in whatever order the parts come, and lose no count when they are shortened', () => {
    const anyResult: fc.Arbitrary<SearchResult> = fc.record({
      found: fc.array(
        fc.record({
          table: fc.nat(9).map((n) => `t${n}`),
          column: fc.nat(99).map((n) => `c${n}`),
          materialized: fc.constant(false),
          ...{ envelopes: fc.nat(9), ofKey: fc.nat(9), onVersion: fc.nat(9) },
        }),
        { maxLength: 150 },
      ),
      declared: fc.array(
        fc.record({
          table: fc.nat(3).map((n) => `t${n}`),
          column: fc.nat(3).map((n) => `c${n}`),
          onVersion: fc.option(fc.nat(9), { freq: 9 }),
        }),
        { maxLength: 9 },
      ),
      unsearched: fc.array(
        fc.record({
          table: fc.nat(400).map((n) => `t${n}`),
          columns: fc.array(
            fc.nat(99).map((n) => `c${n}`),
            { maxLength: 3 },
          ),
          reason: fc.constantFrom(...UNSEARCHED_REASONS),
        }),
        { maxLength: 250 },
      ),
    });
    fc.assert(
      fc.property(fc.array(anyResult, { maxLength: 4 }), (parts) => {
        const merged = mergeResults(parts);
        expect(mergeResults([...parts].reverse())).toEqual(merged);
        expect(merged.found.length).toBeLessThanOrEqual(201);
        expect(merged.unsearched.length).toBeLessThanOrEqual(200 + UNSEARCHED_REASONS.length);
        for (const part of ['envelopes', 'ofKey', 'onVersion'] as const) {
          const all = parts.flatMap((each) => each.found.map((column) => column[part]));
          expect(total(merged.found.map((column) => column[part]))).toBe(total(all));
        }
        for (const { table, column, onVersion } of merged.declared) {
          const counts = parts
            .flatMap(({ declared }) => declared)
            .filter((each) => each.table === table && each.column === column)
            .map((each) => each.onVersion);
          const known = counts.filter((each) => each !== null);
          expect(onVersion).toBe(known.length < counts.length ? null : total(known));
        }
        const tables = new Set(parts.flatMap((p) => p.unsearched.map((u) => `${u.table} ${u.reason}`)));
        expect(total(merged.unsearched.map(({ more = 1 }) => more))).toBe(tables.size);
      }),
      { numRuns: 60 },
    );
  });

  it('name what decides first, and count what they do not name, however often they are shortened', () => {
    const many = {
      found: Array.from({ length: 500 }, (_, i) =>
        found(`c${i}`, { onVersion: i === 499 ? 9 : 0, ofKey: 0 }),
      ),
      declared: [],
      unsearched: [
        ...Array.from({ length: 500 }, (_, i) => unsearched(`t${i}`, ['x'], 'RIGHTS')),
        unsearched(
          'z',
          Array.from({ length: 120 }, (_, i) => `c${i}`),
          'TIME',
        ),
      ],
    };
    const once = shorten(many);
    expect(once.found).toContainEqual(found('c499', { onVersion: 9, ofKey: 0 }));
    expect(once.found.at(-1)).toMatchObject({ more: 300, table: '' });
    expect(once.unsearched.at(-1)).toEqual({ table: '', columns: [], reason: 'RIGHTS', more: 301 });
    const late = once.unsearched.find(({ table }) => table === 'z');
    expect(late?.columns).toHaveLength(51);
    expect(late?.columns.at(-1)).toBe('(70 more)');
    expect(mergeResults([once])).toEqual(once);
  });
});

describe('what keeps a version from its destruction', () => {
  const census = (columns: readonly FoundColumn[] | null, late: readonly string[] = []) => ({
    undeclared: columns === null ? null : columns.map((column) => ({ store: 'main', ...column })),
    excluded: [
      { store: 'main', table: 'public.docs', columns: ['j'], why: 'TYPE' as const },
      ...late.map((table) => ({ store: 'main', table, columns: [], why: 'TIME' as const })),
    ],
  });

  it.each([
    ['nothing was found', census([]), null],
    ['envelopes of another key', census([found('a', { ofKey: 0, onVersion: 0 })]), null],
    ['envelopes of the key', census([found('a', { onVersion: 0 })]), 'main.public.t.a (2)'],
    [
      'envelopes on the version',
      census([found('a'), found('b')]),
      'main.public.t.a (2), main.public.t.b (2)',
    ],
    ['a copy of other versions', census([found('a', { materialized: true, onVersion: 0 })]), null],
    ['a copy of the version', census([found('a', { materialized: true })]), 'main.public.t.a (2)'],
    ['what there was no time for', census([], ['public.large']), 'main.public.large'],
    ['nothing was searched', census(null), 'Nothing was searched'],
  ] as const)('%s', (_, found_, message) => {
    const blocker = undeclaredBlocker(found_);
    if (message === null) expect(blocker).toBeNull();
    else expect(blocker).toEqual({ code: 'UNDECLARED_ENVELOPES', message: expect.stringContaining(message) });
  });

  it('names ten columns, and counts the others', () => {
    const columns = Array.from({ length: 13 }, (_, i) => found(`c${i}`));
    expect(undeclaredBlocker(census(columns))?.message).toMatch(/c9 \(2\) and 3 more$/);
  });
});
