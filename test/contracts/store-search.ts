import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mergeResults } from '../../shared/census/search-results.ts';
import { KID_FROM_END, KID_LENGTH } from '../../shared/envelope/layout.ts';
import type { SearchResult, StoreSearch } from '../../shared/records/store-search.ts';
import { envelope, KEY_ID, OTHER_KEY_ID } from './record-store.ts';

/** A store of its own, with one table of the columns `declared`, `left` and `other`; a value may stand in any of them. */
export interface StoreSearchFixture {
  /** The table as a search names it. */
  readonly table: string;
  /** As the configuration names it. */
  readonly declaredAs: string;
  /** Only `declared` is. */
  readonly search: StoreSearch;
  insert(rows: readonly Readonly<Partial<Record<Column, Uint8Array>>>[]): Promise<void>;
  close(): Promise<void>;
}

type Column = 'declared' | 'left' | 'other';

const VALUES = {
  old: () => envelope(1),
  newer: () => envelope(2),
  otherKey: () => envelope(1, OTHER_KEY_ID),
  cut: () => envelope(1).subarray(0, 60),
  damaged: () => withoutVersion(envelope(1)),
  plain: () => Buffer.from('no envelope, but long enough to be one '.repeat(4)),
};
type Kind = keyof typeof VALUES;

/** The kid's version is 0, which none has. */
function withoutVersion(value: Uint8Array): Uint8Array {
  const damaged = value.slice();
  damaged.fill(0, damaged.length - KID_FROM_END + KID_LENGTH - 4, damaged.length - KID_FROM_END + KID_LENGTH);
  return damaged;
}
const KINDS: readonly Kind[] = ['old', 'newer', 'otherKey', 'cut', 'plain'];

const SCOPE = { keyId: KEY_ID, version: 1 };
const FOREVER = Number.POSITIVE_INFINITY;

/** What every search of a store must do. `makeFixture` is called once a test. */
export function describeStoreSearch(name: string, makeFixture: () => Promise<StoreSearchFixture>): void {
  describe(`store search contract: ${name}`, () => {
    let fixture: StoreSearchFixture;
    beforeEach(async () => {
      fixture = await makeFixture();
    });
    afterEach(() => fixture.close());

    const declaredColumn = (onVersion: number) => ({
      ...{ table: fixture.declaredAs, column: 'declared' },
      onVersion,
    });
    const run = async (count: number, deadline = FOREVER): Promise<SearchResult> => {
      const parts = await fixture.search.parts(count);
      expect(parts.length).toBeGreaterThanOrEqual(1);
      const results = [];
      for (const part of parts) results.push(await fixture.search.search(part, SCOPE, deadline));
      return {
        found: results.flatMap(({ found }) => found),
        declared: results.flatMap(({ declared }) => declared),
        unsearched: results.flatMap(({ unsearched }) => unsearched),
      };
    };

    it('finds nothing in an empty table', async () => {
      const { found, declared, unsearched } = await run(4);
      expect({ found, unsearched }).toEqual({ found: [], unsearched: [] });
      for (const each of declared) expect(each).toEqual(declaredColumn(0));
    });

    it('counts in undeclared columns what begins as an envelope, of the key, and on the version', async () => {
      const rows = fc.array(
        fc.record({
          declared: fc.constantFrom(...KINDS),
          left: fc.constantFrom(...KINDS, null),
          other: fc.constantFrom(...KINDS, null),
        }),
        { minLength: 5, maxLength: 30 },
      );
      const kinds = fc.sample(rows, { seed: 7, numRuns: 1 })[0] ?? [];
      const value = (kind: Kind | null) => (kind === null ? {} : VALUES[kind]());
      await fixture.insert(
        kinds.map((row) =>
          Object.fromEntries(
            Object.entries(row).flatMap(([column, kind]) => (kind === null ? [] : [[column, value(kind)]])),
          ),
        ),
      );
      const expected = (['left', 'other'] as const).map((column) => {
        const of = (...wanted: readonly Kind[]) =>
          kinds.filter((row) => row[column] !== null && wanted.some((kind) => kind === row[column])).length;
        return {
          ...{ table: fixture.table, column, materialized: false },
          ...{
            envelopes: of('old', 'newer', 'otherKey', 'cut'),
            ofKey: of('old', 'newer'),
            onVersion: of('old'),
          },
        };
      });
      const { found, declared, unsearched } = await run(3);
      expect([...found].sort((a, b) => (a.column < b.column ? -1 : 1))).toEqual(expected);
      expect(unsearched).toEqual([]);
      // In as many parts as the table has.
      const old = kinds.filter((row) => row.declared === 'old').length;
      expect(old).toBeGreaterThan(0);
      expect(mergeResults([{ found, declared, unsearched }]).declared).toEqual([declaredColumn(old)]);
    });

    it('reads declared columns for a version of the key only, and says what it took for declared', async () => {
      await fixture.insert([
        { declared: VALUES.newer() },
        { declared: VALUES.otherKey() },
        { declared: VALUES.plain() },
        {},
      ]);
      const { found, declared } = mergeResults([await run(1)]);
      expect(found).toEqual([]);
      expect(declared).toEqual([declaredColumn(0)]);
      const [part = ''] = await fixture.search.parts(1);
      const newer = await fixture.search.search(part, { ...SCOPE, version: 2 }, FOREVER);
      expect(newer.declared).toEqual([declaredColumn(1)]);
      const none = await fixture.search.search(part, { ...SCOPE, version: 0 }, FOREVER);
      expect(none.declared).toEqual([]);
    });

    it('reads past a value whose kid names no version', async () => {
      await fixture.insert([
        { left: VALUES.damaged(), declared: VALUES.damaged() },
        { left: VALUES.old(), declared: VALUES.old() },
      ]);
      const { found, declared } = mergeResults([await run(1)]);
      expect(found).toMatchObject([{ column: 'left', envelopes: 2, onVersion: 1 }]);
      expect(declared).toEqual([declaredColumn(1)]);
    });

    it('counts no version in particular for version 0, and says whose store it is', async () => {
      await fixture.insert([{ left: VALUES.old() }]);
      const [part = ''] = await fixture.search.parts(1);
      const { found } = await fixture.search.search(part, { ...SCOPE, version: 0 }, FOREVER);
      expect(found).toMatchObject([{ column: 'left', envelopes: 1, ofKey: 1, onVersion: 0 }]);
      expect(fixture.search.store).toBe('searched');
    });

    it('names what it had no time for, and never passes over it', async () => {
      await fixture.insert([{ left: VALUES.old() }]);
      const { found, declared, unsearched } = await run(1, 0);
      const counted = declared.filter(({ onVersion }) => onVersion !== null);
      expect({ found, counted }).toEqual({ found: [], counted: [] });
      expect(unsearched).toMatchObject([{ table: fixture.table, reason: 'TIME' }]);
    });

    it('refuses a part that it did not cut', async () => {
      for (const part of ['', 'sx', 'c', `s${Buffer.from('{"part":-1}').toString('base64url')}`]) {
        await expect(fixture.search.search(part, SCOPE, FOREVER)).rejects.toMatchObject({
          code: 'RECORD_KEY_INVALID',
        });
      }
    });
  });
}
