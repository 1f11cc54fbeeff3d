import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  createKek,
  inspect,
  type Kek,
  KID_FROM_END,
  makeTombstone,
  rewrap,
  rewrapBatch,
  seal,
  TAIL_LENGTH,
} from '../../shared/envelope/index.ts';
import { EnvelopeError } from '../../shared/errors/errors.ts';
import type {
  CensusCount,
  FieldValue,
  FrameChange,
  FramedRecord,
  RecordChange,
  RecordKey,
  RecordStore,
  Scope,
} from '../../shared/records/record-store.ts';

/** One row as the test or an application sees it, beside the store. */
export interface FixtureRow {
  readonly key: RecordKey;
  readonly tenant: string;
  readonly values: readonly FieldValue[];
}

/** An empty table of some database, reached through the store and directly. */
export interface RecordStoreFixture<Store extends RecordStore = RecordStore> {
  readonly store: Store;
  /** Tenants that a row may have: one where the tenant is fixed, else two. */
  readonly tenants: readonly [string, ...string[]];
  /** Most plaintext bytes of a value, where a record cannot have a megabyte in each of its fields. */
  readonly largestValue?: number;
  /** A tenant's records are one segment, however many are asked for. */
  readonly wholeTenants?: boolean;
  /** A different key for each n >= 0, in no particular order. */
  keyOf(n: number): RecordKey;
  insert(rows: readonly FixtureRow[]): Promise<void>;
  /** What an application's write does. */
  write(key: RecordKey, field: number, value: FieldValue): Promise<void>;
  remove(key: RecordKey): Promise<void>;
  /** All rows, read without the store. */
  rows(): Promise<readonly FixtureRow[]>;
  clear(): Promise<void>;
  close(): Promise<void>;
}

export const KEY_ID = '01890000-0000-7000-8000-00000000a001';
export const OTHER_KEY_ID = '01890000-0000-7000-8000-00000000a002';
const secret = randomBytes(32);

export function kek(version: number, keyId = KEY_ID): Kek {
  return createKek({ keyId, version, key: secret });
}

export function envelope(version: number, keyId = KEY_ID, text = 'some plaintext'): Uint8Array {
  const context = { tenant: 't', recordSet: 'r', recordId: ['1'], field: 'f' };
  return seal(Buffer.from(text), kek(version, keyId), context);
}

function tombstone(change: (bytes: Uint8Array) => void = () => {}): Uint8Array {
  const requestId = Buffer.alloc(32, 7).toString('base64url');
  const bytes = makeTombstone({ keyId: KEY_ID, version: 1, at: '2026-01-31T12:00:00.000Z', requestId });
  change(bytes);
  return bytes;
}

/** Every kind of value a column may hold, and whether it is stale when version 2 is active. */
const KINDS = {
  active: () => envelope(2),
  old: () => envelope(1),
  newer: () => envelope(7),
  otherKey: () => envelope(2, OTHER_KEY_ID),
  long: () => envelope(1, KEY_ID, 'x'.repeat(300)),
  huge: () => envelope(1, KEY_ID, 'x'.repeat(70_000)),
  garbage: () => Buffer.from('no envelope at all, but long enough to be one: '.repeat(4)),
  short: () => Buffer.from('tiny'),
  empty: () => Buffer.alloc(0),
  tombstone: () => tombstone(),
  /** A tombstone but for one byte of those that are fixed. */
  almostTombstone: () => tombstone((bytes) => bytes.fill(0x59, bytes.length - 34, bytes.length - 33)),
  null: () => null,
} satisfies Record<string, () => FieldValue>;
type Kind = keyof typeof KINDS;
const KIND_NAMES = Object.keys(KINDS).filter((kind): kind is Kind => kind in KINDS);

const sorted = (keys: readonly RecordKey[]) => keys.map((key) => JSON.stringify(key)).sort();

/** Walks a segment to its end. */
export async function listAll(
  list: (after: string | null, limit: number) => ReturnType<RecordStore['listStale']>,
  limit: number,
): Promise<RecordKey[]> {
  const keys: RecordKey[] = [];
  for (let after: string | null = null; ; ) {
    const page = await list(after, limit);
    expect(page.keys.length).toBeLessThanOrEqual(limit);
    keys.push(...page.keys);
    if (page.cursor === null) return keys;
    expect(page.cursor).not.toBe(after);
    after = page.cursor;
  }
}

function classify(value: FieldValue): { keyId: string; version: number } | 'malformed' | 'tombstones' | null {
  if (value === null) return null;
  try {
    return inspect(value);
  } catch (error) {
    const given = error instanceof EnvelopeError && error.code === 'RECORD_TOMBSTONED';
    return given ? 'tombstones' : 'malformed';
  }
}

function isStale(row: FixtureRow, active: number): boolean {
  return row.values.some((value) => {
    const found = classify(value);
    if (found === null || found === 'tombstones') return false;
    return found === 'malformed' || found.keyId !== KEY_ID || found.version !== active;
  });
}

/** The census, counted by the envelope library over all rows. */
function countRows(rows: readonly FixtureRow[], scope: Scope, everywhere: boolean): CensusCount {
  const count = { rows: 0, values: 0, foreign: 0, malformed: 0, tombstones: 0 };
  const versions: Record<string, number> = {};
  for (const row of rows) {
    const mine = row.tenant === scope.tenant;
    if (!mine && !everywhere) continue;
    count.rows += 1;
    for (const found of row.values.map(classify)) {
      if (found === null) continue;
      count.values += 1;
      if (typeof found !== 'string' && found.keyId === scope.keyId) {
        versions[found.version] = (versions[found.version] ?? 0) + 1;
      } else if (mine) {
        count[typeof found === 'string' ? found : 'foreign'] += 1;
      }
    }
  }
  return { ...count, versions };
}

function addCounts(a: CensusCount, b: CensusCount): CensusCount {
  const versions = { ...a.versions };
  for (const [version, n] of Object.entries(b.versions)) versions[version] = (versions[version] ?? 0) + n;
  return {
    rows: a.rows + b.rows,
    values: a.values + b.values,
    foreign: a.foreign + b.foreign,
    malformed: a.malformed + b.malformed,
    tombstones: a.tombstones + b.tombstones,
    versions,
  };
}

const NONE: CensusCount = { rows: 0, values: 0, foreign: 0, malformed: 0, tombstones: 0, versions: {} };

/** What every record store must do. `makeFixture` is called once a test. */
export function describeRecordStore(name: string, makeFixture: () => Promise<RecordStoreFixture>): void {
  describe(`record store contract: ${name}`, () => {
    let fixture: RecordStoreFixture;
    let store: RecordStore;
    let scope: Scope;

    beforeEach(async () => {
      fixture = await makeFixture();
      store = fixture.store;
      scope = { tenant: fixture.tenants[0], keyId: KEY_ID };
    });
    afterEach(() => fixture.close());

    /** Rows of any tenant, any kind of value in any field. */
    const anyRows = (max: number) =>
      fc
        .array(
          fc.record({
            tenant: fc.nat({ max: 3 }),
            kinds: fc.array(fc.constantFrom(...KIND_NAMES), { minLength: 8, maxLength: 8 }),
          }),
          { maxLength: max },
        )
        .map((rows) =>
          rows.map(({ tenant, kinds }, n): FixtureRow => {
            // Three rows of four are the first tenant's.
            const whose = fixture.tenants[tenant === 3 ? 1 : 0] ?? fixture.tenants[0];
            const values = store.fields.map((_, f) => KINDS[kinds[f] ?? 'null']());
            return { key: fixture.keyOf(n), tenant: whose, values };
          }),
        );

    const row = (n: number, version: number, tenant: string = scope.tenant): FixtureRow => ({
      key: fixture.keyOf(n),
      tenant,
      values: store.fields.map(() => envelope(version)),
    });

    const largest = () => fixture.largestValue ?? 1_000_000;

    const staleKeys = async (segments: readonly string[], limit: number, active = 2) => {
      const keys: RecordKey[] = [];
      for (const segment of segments) {
        keys.push(...(await listAll((after, n) => store.listStale(scope, active, segment, after, n), limit)));
      }
      return keys;
    };

    it('accepts a table that is as declared', async () => {
      await store.check();
    });

    it('has one segment and nothing else in an empty table', async () => {
      const segments = await store.segments(scope, 4);
      expect(segments.length).toBeGreaterThanOrEqual(1);
      expect(await staleKeys(segments, 10)).toEqual([]);
      expect(await store.census(scope, segments[0] ?? '', 'everywhere')).toEqual(NONE);
      expect(await store.read([])).toEqual([]);
      expect(await store.replace([])).toEqual([]);
    });

    it('lists each stale record exactly once, for any rows, limit and number of segments', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.nat(),
          fc.integer({ min: 1, max: 9 }),
          fc.integer({ min: 1, max: 5 }),
          async (seed, limit, count) => {
            await fixture.clear();
            const rows = fc.sample(anyRows(25), { seed, numRuns: 1 })[0] ?? [];
            await fixture.insert(rows);
            const segments = await store.segments(scope, count);
            expect(segments.length).toBeGreaterThanOrEqual(1);
            expect(segments.length).toBeLessThanOrEqual(count);
            const expected = rows.filter((r) => r.tenant === scope.tenant && isStale(r, 2)).map((r) => r.key);
            expect(sorted(await staleKeys(segments, limit))).toEqual(sorted(expected));
          },
        ),
        { numRuns: 15 },
      );
    });

    it('counts the same as the envelope library, for any rows and segments', async () => {
      await fc.assert(
        fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 5 }), async (seed, count) => {
          await fixture.clear();
          const rows = fc.sample(anyRows(30), { seed, numRuns: 1 })[0] ?? [];
          await fixture.insert(rows);
          let mine = NONE;
          for (const segment of await store.segments(scope, count)) {
            mine = addCounts(mine, await store.census(scope, segment, 'tenant'));
          }
          let all = NONE;
          for (const segment of await store.segmentsEverywhere(count)) {
            all = addCounts(all, await store.census(scope, segment, 'everywhere'));
          }
          expect(mine).toEqual(countRows(rows, scope, false));
          expect(all).toEqual(countRows(rows, scope, true));
        }),
        { numRuns: 15 },
      );
    });

    it('keeps segments disjoint and complete for rows that come later', async () => {
      await fixture.insert(Array.from({ length: 20 }, (_, n) => row(n * 3, 1)));
      const segments = await store.segments(scope, 5);
      const everywhere = await store.segmentsEverywhere(5);
      const later = Array.from({ length: 80 }, (_, n) => n).filter((n) => n % 3 !== 0 || n >= 60);
      await fixture.insert(later.map((n) => row(n, 1)));
      const all = (await fixture.rows()).map(({ key }) => key);
      expect(all.length).toBe(20 + later.length);
      expect(sorted(await staleKeys(segments, 7))).toEqual(sorted(all));
      expect(sorted(await staleKeys(everywhere, 7))).toEqual(sorted(all));
    });

    it('splits a table with enough rows into as many parts as it is asked for', async () => {
      await fixture.insert(Array.from({ length: 120 }, (_, n) => row(n, 1)));
      const segments = await store.segments(scope, 4);
      expect(segments.length).toBe(fixture.wholeTenants ? 1 : 4);
      if (fixture.wholeTenants) return;
      for (const segment of segments) {
        const { rows } = await store.census(scope, segment, 'tenant');
        expect(rows).toBeGreaterThan(10);
        expect(rows).toBeLessThan(60);
      }
    });

    it('stops at `until`, and goes on after it and after a given key', async () => {
      await fixture.insert(Array.from({ length: 10 }, (_, n) => row(n, 1)));
      const [segment = ''] = await store.segments(scope, 1);
      const whole = await staleKeys([segment], 100);
      const first = await store.listStale(scope, 2, segment, null, 4);
      const until = first.cursor ?? '';
      const head = await listAll((after, n) => store.listStale(scope, 2, segment, after, n, until), 3);
      const tail = await listAll((after, n) => store.listStale(scope, 2, segment, after ?? until, n), 3);
      expect(head).toEqual(whole.slice(0, 4));
      expect(tail).toEqual(whole.slice(4));
      const after = store.cursorAfter(whole[6] ?? []);
      expect((await store.listStale(scope, 2, segment, after, 100)).keys).toEqual(whole.slice(7));
    });

    it('knows no records of a tenant that does not occur', async () => {
      await fixture.insert([row(1, 1)]);
      for (const tenant of ['nobody', "o'neil; --", '', '-7', '\u{1f511}']) {
        const stranger = { ...scope, tenant };
        for (const segment of await store.segments(stranger, 3)) {
          expect((await store.listStale(stranger, 2, segment, null, 10)).keys).toEqual([]);
          expect(await store.census(stranger, segment, 'tenant')).toEqual(NONE);
        }
      }
    });

    it('reads records in the order asked for, null where there is none', async () => {
      const rows =
        fc.sample(anyRows(30), { seed: 1, numRuns: 20 }).sort((a, b) => b.length - a.length)[0] ?? [];
      await fixture.insert(rows);
      const keys = [fixture.keyOf(999), ...rows.map(({ key }) => key).reverse(), fixture.keyOf(998)];
      const [first, ...rest] = await store.read(keys);
      expect(first).toBeNull();
      expect(rest.pop()).toBeNull();
      for (const [i, expected] of [...rows].reverse().entries()) {
        const found = rest[i];
        expect(found?.key).toEqual(expected.key);
        expect(found?.tenant).toBe(expected.tenant);
        expect(found?.values.map((v) => v && Buffer.from(v).toString('hex'))).toEqual(
          expected.values.map((v) => v && Buffer.from(v).toString('hex')),
        );
      }
    });

    describe('replace', () => {
      const upgrade = (r: FixtureRow, fields = store.fields.map((_, f) => f)): RecordChange => ({
        key: r.key,
        tenant: r.tenant,
        changes: fields.map((field) => {
          const before = r.values[field] ?? Buffer.alloc(0);
          return { field, before, after: rewrap(before, kek(1), kek(2)) };
        }),
      });
      const versions = (rows: readonly FixtureRow[], key: RecordKey) =>
        rows
          .find((r) => JSON.stringify(r.key) === JSON.stringify(key))
          ?.values.map((value) => value && inspect(value).version);

      it('writes what was read, and says so for each record, in order', async () => {
        const rows = [1, 2, 3, 4].map((n) => row(n, 1));
        await fixture.insert(rows);
        const [a, b, c, d] = rows;
        if (!a || !b || !c || !d) throw new Error('unreachable');
        await fixture.remove(b.key);
        await fixture.write(c.key, 0, envelope(1));
        const changes = [upgrade(d), upgrade(c), upgrade(b), upgrade(a)];
        expect(await store.replace(changes)).toEqual(['replaced', 'conflict', 'missing', 'replaced']);
        const now = await fixture.rows();
        expect(versions(now, a.key)).toEqual(store.fields.map(() => 2));
        expect(versions(now, c.key)).toEqual(store.fields.map(() => 1));
        expect(versions(now, d.key)).toEqual(store.fields.map(() => 2));
        expect(await store.replace(changes)).toEqual(['conflict', 'conflict', 'missing', 'conflict']);
        expect(await fixture.rows()).toEqual(now);
      });

      it('writes all fields of a record or none, and others than the changed ones never', async () => {
        const rows = [1, 2, 3].map((n) => row(n, 1));
        await fixture.insert(rows);
        const [a, b, c] = rows;
        if (!a || !b || !c) throw new Error('unreachable');
        const last = store.fields.length - 1;
        await fixture.write(b.key, last, envelope(1));
        const outcomes = await store.replace([upgrade(a, [0]), upgrade(b), upgrade(c, [last])]);
        expect(outcomes).toEqual(['replaced', 'conflict', 'replaced']);
        const now = await fixture.rows();
        expect(versions(now, a.key)).toEqual(store.fields.map((_, f) => (f === 0 ? 2 : 1)));
        expect(versions(now, b.key)).toEqual(store.fields.map(() => 1));
        expect(versions(now, c.key)).toEqual(store.fields.map((_, f) => (f === last ? 2 : 1)));
      });

      it('compares every byte: one that differs anywhere, or a length, is a conflict', async () => {
        const original = row(1, 1);
        await fixture.insert([original]);
        const good = upgrade(original, [0]).changes[0];
        if (good === undefined) throw new Error('unreachable');
        const wrong: Uint8Array[] = [0, 30, good.before.length - 1].map((at) => {
          const before = Uint8Array.from(good.before);
          before[at] = (before[at] ?? 0) ^ 1;
          return before;
        });
        wrong.push(good.before.subarray(1), Buffer.concat([good.before, Buffer.alloc(1)]), Buffer.alloc(0));
        for (const before of wrong) {
          const changes = [{ ...good, before }];
          expect(await store.replace([{ key: original.key, tenant: original.tenant, changes }])).toEqual([
            'conflict',
          ]);
          // Also when what is new shares the wrong prefix.
          const end = Math.min(60, before.length);
          const after = Buffer.concat([before.subarray(0, before.length - end), randomBytes(end)]);
          const close = [{ ...good, before, after }];
          expect(
            await store.replace([{ key: original.key, tenant: original.tenant, changes: close }]),
          ).toEqual(['conflict']);
        }
        expect(
          await store.replace([{ key: original.key, tenant: original.tenant, changes: [good] }]),
        ).toEqual(['replaced']);
      });

      it('is a conflict for the record of another tenant', async () => {
        const original = row(1, 1);
        await fixture.insert([original]);
        const strange = { ...upgrade(original), tenant: 'another' };
        expect(await store.replace([strange])).toEqual(['conflict']);
        expect(versions(await fixture.rows(), original.key)).toEqual(store.fields.map(() => 1));
        // Also in one call with changes of its own tenant.
        const own = row(2, 1);
        await fixture.insert([own]);
        expect(await store.replace([strange, upgrade(own)])).toEqual(['conflict', 'replaced']);
      });

      it('replaces by values of another length, and by a large one', async () => {
        const original = row(1, 1);
        await fixture.insert([original]);
        const before = original.values[0] ?? Buffer.alloc(0);
        const after = envelope(2, KEY_ID, 'y'.repeat(largest()));
        expect(
          await store.replace([
            { key: original.key, tenant: original.tenant, changes: [{ field: 0, before, after }] },
          ]),
        ).toEqual(['replaced']);
        const [read] = await store.read([original.key]);
        expect(Buffer.compare(read?.values[0] ?? Buffer.alloc(0), after)).toBe(0);
      });

      it('puts a tombstone in the place of whatever stands there, once, and leaves its neighbours', async () => {
        const stone = tombstone();
        const kinds = [
          'old',
          'newer',
          'otherKey',
          'garbage',
          'short',
          'empty',
          'huge',
          'almostTombstone',
        ] as const;
        const rows = kinds.map(
          (kind, n): FixtureRow => ({ ...row(n, 1), values: store.fields.map(() => KINDS[kind]()) }),
        );
        await fixture.insert(rows);
        // As the store reads them: text that is no base64url comes as it stands.
        const read = await store.read(rows.map(({ key }) => key));
        const last = store.fields.length - 1;
        const bury = read.flatMap((record): RecordChange[] => {
          const before = record?.values[last];
          if (record === null || before === null || before === undefined) return [];
          return [
            { key: record.key, tenant: record.tenant, changes: [{ field: last, before, after: stone }] },
          ];
        });
        expect(await store.replace(bury)).toEqual(kinds.map(() => 'replaced'));
        expect(await store.replace(bury)).toEqual(kinds.map(() => 'conflict'));
        const [segment = ''] = await store.segments(scope, 1);
        expect(await store.census(scope, segment, 'tenant')).toMatchObject({ tombstones: kinds.length });
        const now = new Map((await fixture.rows()).map((r) => [JSON.stringify(r.key), r]));
        for (const { key, values } of rows) {
          const found = now.get(JSON.stringify(key))?.values ?? [];
          expect(found.map((value) => value && Buffer.from(value))).toEqual(
            values.map((value, f) => (f === last ? Buffer.from(stone) : value && Buffer.from(value))),
          );
        }
      });

      it('lets exactly one of two racing replaces win, and an application write always', async () => {
        for (let round = 0; round < 5; round++) {
          await fixture.clear();
          const rows = Array.from({ length: 30 }, (_, n) => row(n, 1));
          await fixture.insert(rows);
          const written = new Map<number, Uint8Array>();
          const app = async () => {
            for (let n = 0; n < rows.length; n += 3) {
              const value = envelope(1);
              await fixture.write(rows[n]?.key ?? [], 0, value);
              written.set(n, value);
            }
          };
          // Each racer's envelopes are its own.
          const race = (list: readonly FixtureRow[]) =>
            store.replace(
              list.map((r) => ({
                key: r.key,
                tenant: r.tenant,
                changes: [{ field: 0, before: r.values[0] ?? Buffer.alloc(0), after: envelope(2) }],
              })),
            );
          const [one, two] = await Promise.all([race(rows), race([...rows].reverse()), app()]);
          const now = new Map((await fixture.rows()).map((r) => [JSON.stringify(r.key), r]));
          for (const [n, r] of rows.entries()) {
            const wins = [one[n], two[rows.length - 1 - n]].filter(
              (outcome) => outcome === 'replaced',
            ).length;
            const value = now.get(JSON.stringify(r.key))?.values[0] ?? Buffer.alloc(0);
            const own = written.get(n);
            if (own === undefined) expect(wins).toBe(1);
            else expect(Buffer.compare(value, own)).toBe(0);
            expect(wins).toBeLessThanOrEqual(1);
          }
        }
      });
    });

    describe('frames', () => {
      const hex = (value: FieldValue | undefined) => value && Buffer.from(value).toString('hex');
      const hexRows = async () =>
        (await fixture.rows()).map(({ key, tenant, values }) => ({ key, tenant, values: values.map(hex) }));
      const rewrapAll = (values: readonly { readonly bytes: Uint8Array; readonly omitted: number }[]) =>
        rewrapBatch(
          values.map(({ bytes }) => bytes),
          [kek(1)],
          kek(2),
          values.map(({ omitted }) => omitted),
        );
      const readFrames = async (keys: readonly RecordKey[]) =>
        (await store.readFrames(keys)).map((record) => {
          if (record === null) throw new Error('A record is missing.');
          return record;
        });
      /** Of each field that is on version 1. */
      const upgrade = ({ key, tenant, frames }: FramedRecord, only?: readonly number[]): FrameChange => ({
        key,
        tenant,
        changes: frames.flatMap((before, field) => {
          if (before === null || (only !== undefined && !only.includes(field))) return [];
          const [outcome] = rewrapAll([before]);
          if (outcome?.status !== 'rewrapped') return [];
          return [{ field, before, after: { bytes: outcome.envelope, omitted: before.omitted } }];
        }),
      });
      const oneRow = (values: readonly FieldValue[], n = 1): FixtureRow => ({
        key: fixture.keyOf(n),
        tenant: scope.tenant,
        values,
      });
      /** On either side of each form of the length header, of what is read whole, and a large one. */
      const PLAINTEXTS = [0, 7, 8, 90, 91, 239, 240, 241, 300, 65_519, 65_520, 70_000];

      it('show each value from its start and to its end, in the order asked for', async () => {
        expect(await store.readFrames([])).toEqual([]);
        const rows = fc.sample(anyRows(30), { seed: 2, numRuns: 20 }).sort((a, b) => b.length - a.length)[0];
        await fixture.insert(rows ?? []);
        const wanted = [...(rows ?? [])].reverse();
        const keys = [fixture.keyOf(999), ...wanted.map(({ key }) => key), fixture.keyOf(998)];
        const [first, ...found] = await store.readFrames(keys);
        expect([first, found.pop()]).toEqual([null, null]);
        for (const [i, { key, tenant, values }] of wanted.entries()) {
          expect(found[i]).toMatchObject({ key, tenant });
          for (const [f, value] of values.entries()) {
            const frame = found[i]?.frames[f];
            if (value === null) {
              expect(frame).toBeNull();
              continue;
            }
            const { bytes = new Uint8Array(), omitted = 0 } = frame ?? {};
            expect(bytes.length + omitted).toBe(value.length);
            const head = omitted === 0 ? bytes.length : bytes.length - TAIL_LENGTH;
            expect(hex(bytes.subarray(0, head))).toBe(hex(value.subarray(0, head)));
            expect(hex(bytes.subarray(head))).toBe(hex(value.subarray(head + omitted)));
          }
        }
      });

      it('rewrap values of every length, and leave all but the recipient bit for bit', async () => {
        const rows = [...PLAINTEXTS, largest()].map((length, n) =>
          oneRow(
            store.fields.map((_, f) =>
              (n + f) % 4 === 3 ? null : envelope(1, KEY_ID, 'x'.repeat(length + f)),
            ),
            n,
          ),
        );
        await fixture.insert(rows);
        const records = await readFrames(rows.map(({ key }) => key));
        const changes = records
          .map((record) => upgrade(record))
          .filter((change) => change.changes.length > 0);
        expect(changes.flatMap((change) => change.changes).length).toBe(
          rows.flatMap(({ values }) => values).filter((value) => value !== null).length,
        );
        expect(await store.replaceFrames(changes)).toEqual(changes.map(() => 'replaced'));
        const now = new Map((await fixture.rows()).map((r) => [JSON.stringify(r.key), r]));
        for (const { key, values } of rows) {
          const after = now.get(JSON.stringify(key))?.values;
          // The whole envelopes, rewrapped: AES-KW is deterministic.
          const expected = values.map((value) => value && rewrap(value, kek(1), kek(2)));
          expect(after?.map(hex)).toEqual(expected.map(hex));
        }
        expect(await store.replaceFrames(changes)).toEqual(changes.map(() => 'conflict'));
        expect(await store.replaceFrames([])).toEqual([]);
      });

      it('rewrap to what whole values rewrap to, and fail like them, however a value is damaged', async () => {
        const damaged = fc
          .record({
            length: fc.constantFrom(...PLAINTEXTS),
            version: fc.constantFrom(1, 1, 1, 2, 3),
            keyId: fc.constantFrom(KEY_ID, KEY_ID, KEY_ID, OTHER_KEY_ID),
            damage: fc.constantFrom('none', 'head', 'tail', 'longer', 'shorter', 'headless', 'tailless'),
            at: fc.nat({ max: 69 }),
            byte: fc.integer({ min: 1, max: 255 }),
          })
          .map(({ length, version, keyId, damage, at, byte }): Uint8Array => {
            const value = Buffer.from(envelope(version, keyId, 'x'.repeat(length)));
            const place = damage === 'head' ? at % 28 : value.length - 1 - at;
            if (damage === 'head' || damage === 'tail') value[place] = (value[place] ?? 0) ^ byte;
            if (damage === 'longer') return Buffer.concat([value.subarray(0, 30), value.subarray(29)]);
            if (damage === 'shorter') return Buffer.concat([value.subarray(0, 30), value.subarray(31)]);
            if (damage === 'headless') return value.subarray(at);
            return damage === 'tailless' ? value.subarray(0, value.length - at) : value;
          });
        await fc.assert(
          fc.asyncProperty(fc.array(damaged, { minLength: 30, maxLength: 30 }), async (values) => {
            await fixture.clear();
            await fixture.insert(
              values.map((value, n) =>
                oneRow(
                  store.fields.map(() => value),
                  n,
                ),
              ),
            );
            const records = await readFrames(values.map((_, n) => fixture.keyOf(n)));
            const whole = rewrapAll(values.map((bytes) => ({ bytes, omitted: 0 })));
            for (const [f] of store.fields.entries()) {
              const frames = records.map(
                ({ frames: all }) => all[f] ?? { bytes: Buffer.alloc(0), omitted: 0 },
              );
              for (const [i, outcome] of rewrapAll(frames).entries()) {
                const expected = whole[i];
                if (expected?.status !== 'rewrapped' || outcome.status !== 'rewrapped') {
                  expect(outcome).toEqual(expected);
                  continue;
                }
                const { omitted = 0 } = frames[i] ?? {};
                const head = expected.envelope.length - omitted - TAIL_LENGTH;
                const kept = [
                  expected.envelope.subarray(0, head),
                  expected.envelope.subarray(head + omitted),
                ];
                expect(hex(outcome.envelope)).toBe(hex(Buffer.concat(kept)));
              }
            }
          }),
          { numRuns: 4 },
        );
      });

      it('fail as malformed for what is no envelope, short or long', async () => {
        const long = 'no envelope '.repeat(Math.min(9_000, largest() / 12));
        const values = ['', 'tiny', 'no envelope '.repeat(20), long].map((text) => Buffer.from(text));
        await fixture.insert(
          values.map((value, n) =>
            oneRow(
              store.fields.map(() => value),
              n,
            ),
          ),
        );
        for (const { frames } of await readFrames(values.map((_, n) => fixture.keyOf(n)))) {
          const outcomes = rewrapAll(frames.map((frame) => frame ?? { bytes: envelope(1), omitted: 0 }));
          expect(outcomes).toEqual(
            store.fields.map(() => ({ status: 'failed', code: 'ENVELOPE_MALFORMED' })),
          );
        }
      });

      it('say for each record, in order, what became of it', async () => {
        const rows = [1, 2, 3, 4].map((n) => row(n, 1));
        await fixture.insert(rows);
        const [a, b, c, d] = rows;
        if (!a || !b || !c || !d) throw new Error('unreachable');
        const [first, ...rest] = (await readFrames([d, c, b, a].map(({ key }) => key))).map((r) =>
          upgrade(r),
        );
        if (first === undefined) throw new Error('unreachable');
        await fixture.remove(b.key);
        await fixture.write(c.key, 0, envelope(1));
        const changes = [first, ...rest, { ...first, tenant: 'another' }];
        expect(await store.replaceFrames(rest)).toEqual(['conflict', 'missing', 'replaced']);
        expect(await store.replaceFrames([{ ...first, tenant: 'another' }])).toEqual(['conflict']);
        expect(await store.replaceFrames([first])).toEqual(['replaced']);
        expect(await store.replaceFrames(changes)).toEqual([
          'conflict',
          'conflict',
          'missing',
          'conflict',
          'conflict',
        ]);
      });

      it('conflict with every other value: of another length, another recipient, or none', async () => {
        const others: readonly ((value: Buffer) => FieldValue)[] = [
          () => envelope(1, KEY_ID, 'x'.repeat(300)),
          // The same end behind a ciphertext that is longer or shorter by one byte.
          (value) => Buffer.concat([value.subarray(0, 60), value.subarray(59)]),
          (value) => Buffer.concat([value.subarray(0, 60), value.subarray(61)]),
          (value) => rewrap(value, kek(1), kek(7)),
          ...[1, 40, 41, KID_FROM_END - 19, KID_FROM_END, TAIL_LENGTH].map((fromEnd) => (value: Buffer) => {
            const other = Buffer.from(value);
            other[other.length - fromEnd] = (other[other.length - fromEnd] ?? 0) ^ 1;
            return other;
          }),
          () => Buffer.alloc(0),
          () => null,
        ];
        const rows = others.map((_, n) =>
          oneRow(
            store.fields.map(() => envelope(1, KEY_ID, 'x'.repeat(300))),
            n,
          ),
        );
        await fixture.insert(rows);
        const changes = (await readFrames(rows.map(({ key }) => key))).map((record) => upgrade(record));
        // The last field: with several, the others would still fit.
        const last = store.fields.length - 1;
        for (const [n, other] of others.entries())
          await fixture.write(fixture.keyOf(n), last, other(Buffer.from(rows[n]?.values[last] ?? [])));
        const before = await hexRows();
        expect(await store.replaceFrames(changes)).toEqual(others.map(() => 'conflict'));
        expect(await hexRows()).toEqual(before);
      });

      it('change the named fields and no other', async () => {
        const rows = [1, 2].map((n) => row(n, 1));
        await fixture.insert(rows);
        const last = store.fields.length - 1;
        const [one, two] = await readFrames(rows.map(({ key }) => key));
        if (!one || !two) throw new Error('unreachable');
        expect(await store.replaceFrames([upgrade(one, [last]), upgrade(two, [0])])).toEqual([
          'replaced',
          'replaced',
        ]);
        const now = new Map((await fixture.rows()).map((r) => [JSON.stringify(r.key), r]));
        for (const [record, changed] of [
          [one, last],
          [two, 0],
        ] as const) {
          const found = now.get(JSON.stringify(record.key))?.values ?? [];
          expect(found.map((value) => value && inspect(value).version)).toEqual(
            store.fields.map((_, f) => (f === changed ? 2 : 1)),
          );
        }
      });

      it('let exactly one of two racing rewraps win, and an application write always', async () => {
        for (let round = 0; round < 5; round++) {
          await fixture.clear();
          const rows = Array.from({ length: 30 }, (_, n) => row(n, 1));
          await fixture.insert(rows);
          const changes = (await readFrames(rows.map(({ key }) => key))).map((record) => upgrade(record));
          const written = new Map<number, Uint8Array>();
          const app = async () => {
            for (let n = 0; n < rows.length; n += 3) {
              const value = envelope(1);
              await fixture.write(rows[n]?.key ?? [], 0, value);
              written.set(n, value);
            }
          };
          const [one, two] = await Promise.all([
            store.replaceFrames(changes),
            store.replaceFrames([...changes].reverse()),
            app(),
          ]);
          const now = new Map((await fixture.rows()).map((r) => [JSON.stringify(r.key), r]));
          for (const [n, r] of rows.entries()) {
            const wins = [one[n], two[rows.length - 1 - n]].filter((o) => o === 'replaced').length;
            const own = written.get(n);
            expect(wins).toBeLessThanOrEqual(1);
            if (own === undefined) expect(wins).toBe(1);
            else expect(hex(now.get(JSON.stringify(r.key))?.values[0])).toBe(hex(own));
          }
        }
      });

      it('refuse keys that are none', async () => {
        await fixture.insert([row(1, 1)]);
        const code = { code: 'RECORD_KEY_INVALID' };
        const [record] = await readFrames([fixture.keyOf(1)]);
        if (record === undefined) throw new Error('unreachable');
        const long = [...fixture.keyOf(1), '1'];
        await expect(store.readFrames([long])).rejects.toMatchObject(code);
        await expect(store.readFrames([[]])).rejects.toMatchObject(code);
        await expect(store.replaceFrames([{ ...upgrade(record), key: long }])).rejects.toMatchObject(code);
      });
    });

    it('refuses keys, cursors and segments that it did not make', async () => {
      await fixture.insert([row(1, 1)]);
      const [segment = ''] = await store.segments(scope, 1);
      const code = { code: 'RECORD_KEY_INVALID' };
      for (const forged of [
        '',
        'x',
        'c',
        's',
        segment.slice(0, -3),
        `${segment}AAAA`,
        'cW10',
        'sW10',
        'sWzEsMl0',
      ]) {
        await expect(store.listStale(scope, 2, forged, null, 5)).rejects.toMatchObject(code);
        await expect(store.listStale(scope, 2, segment, forged, 5)).rejects.toMatchObject(code);
        await expect(store.listStale(scope, 2, segment, null, 5, forged)).rejects.toMatchObject(code);
        await expect(store.census(scope, forged, 'tenant')).rejects.toMatchObject(code);
      }
      const long = [...fixture.keyOf(1), '1'];
      await expect(store.read([long])).rejects.toMatchObject(code);
      await expect(store.read([[]])).rejects.toMatchObject(code);
      await expect(
        store.replace([
          { key: long, tenant: 't', changes: [{ field: 0, before: envelope(1), after: envelope(2) }] },
        ]),
      ).rejects.toMatchObject(code);
    });

    it('reaches every record of a table that changes under the sweep', async () => {
      await fixture.insert(Array.from({ length: 40 }, (_, n) => row(n, 1)));
      const seen = new Set<string>();
      let n = 0;
      for (const segment of await store.segments(scope, 3)) {
        for (let after: string | null = null; ; ) {
          const page = await store.listStale(scope, 2, segment, after, 5);
          const records = (await store.read(page.keys)).filter((r) => r !== null);
          await fixture.remove(fixture.keyOf(n++ % 40));
          const outcomes = await store.replace(
            records.map((r) => ({
              key: r.key,
              tenant: r.tenant,
              changes: r.values.map((before, field) => ({
                field,
                before: before ?? Buffer.alloc(0),
                after: envelope(2),
              })),
            })),
          );
          for (const [i, outcome] of outcomes.entries()) {
            expect(['replaced', 'missing']).toContain(outcome);
            const name = JSON.stringify(records[i]?.key);
            expect(seen.has(name)).toBe(false);
            seen.add(name);
          }
          if (page.cursor === null) break;
          after = page.cursor;
        }
      }
      const left = await fixture.rows();
      expect(left.every((r) => r.values.every((value) => value && inspect(value).version === 2))).toBe(true);
    });
  });
}
