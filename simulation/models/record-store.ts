import { z } from 'zod';
import { inspect, isTombstone, KID_FROM_END, KID_LENGTH, parseKid } from '../../shared/envelope/index.ts';
import { EnvelopeError, RecordStoreError } from '../../shared/errors/errors.ts';
import { REFUSED } from '../../shared/records/postgres/sql/fence.ts';
import type {
  AdoptableStore,
  FieldValue,
  MinimumVersion,
  RecordKey,
  ReplaceOutcome,
  Scope,
} from '../../shared/records/record-store.ts';
import { postgresError } from '../adapter-errors.ts';

/**
 * A record store in memory, held to the same contract as the PostgreSQL one. Keys have one column. The store replaces rows
 * and changes none, so that a copy of the map alone is a backup.
 */

export interface MemoryRow {
  readonly key: RecordKey;
  tenant: string;
  readonly values: FieldValue[];
  readonly plaintext: (Uint8Array | null)[];
}

export interface MemoryRecordStore extends AdoptableStore {
  /** By the JSON of their key: what an application or a test does beside the store. */
  readonly rows: Map<string, MemoryRow>;
  /** The plaintext columns are there. */
  plaintextColumns: boolean;
  /** What the fence was told, by key id; null: no fence is installed. */
  minimums: Map<string, MinimumVersion & { readonly since: string }> | null;
  /** An application writes a whole row. Throws STORE_FENCED for an envelope below its key's minimum, as the trigger does. */
  put(row: MemoryRow): void;
  /** An application deletes a row. False: there was none. */
  remove(key: RecordKey): boolean;
}

/** `rewrap`, `tombstone` and `adoption` are the pipeline's writes, `put` and `remove` an application's. */
export type RowChange = 'rewrap' | 'tombstone' | 'adoption' | 'put' | 'remove';

export interface RecordStoreOptions {
  /** Told of every change of a row: of the row as it is now, or, when it was removed, as it was last. */
  readonly onCommit?: (change: RowChange, row: MemoryRow) => void;
}

export function createMemoryRecordStore(
  recordSet: string,
  fields: readonly string[],
  { onCommit = () => {} }: RecordStoreOptions = {},
): MemoryRecordStore {
  const rows = new Map<string, MemoryRow>();
  let minimumChanges = 0;
  const inOrder = () => [...rows.values()].sort((a, b) => compare(a.key, b.key));
  const find = (key: RecordKey) => rows.get(JSON.stringify(assertKey(key)));

  function cut(tenant: string | null, count: number): string[] {
    const keys = inOrder()
      .filter((row) => tenant === null || row.tenant === tenant)
      .map(({ key }) => key);
    const parts = Math.max(1, Math.min(count, keys.length));
    const bounds = Array.from(
      { length: parts - 1 },
      (_, i) => keys[Math.ceil(((i + 1) * keys.length) / parts) - 1],
    );
    const ends = [null, ...bounds.map((key) => key ?? null), null];
    return ends.slice(1).map((to, i) => `s${JSON.stringify([ends[i] ?? null, to])}`);
  }

  function list(
    wanted: (row: MemoryRow) => boolean,
    segment: string,
    after: string | null,
    limit: number,
    until?: string,
  ) {
    const [from, to] = parseSegment(segment);
    const behind = after === null ? null : parseCursor(after);
    const end = until === undefined ? null : parseCursor(until);
    const found = inOrder().filter(
      (row) =>
        isIn(row.key, from, to) &&
        (behind === null || compare(row.key, behind) > 0) &&
        (end === null || compare(row.key, end) <= 0) &&
        wanted(row),
    );
    const keys = found.slice(0, limit).map(({ key }) => key);
    const last = keys.at(-1);
    return { keys, cursor: found.length > limit && last !== undefined ? cursorOf(last) : null };
  }

  /** The trigger: what was there before passes again. Adds nothing where no fence is. */
  function assertRightful(values: readonly FieldValue[], before: readonly FieldValue[]): void {
    for (const [field, value] of values.entries()) {
      const kid = value === null ? null : kidAt(value);
      if (value === null || kid === null || isSame(before[field], value)) continue;
      const required = store.minimums?.get(kid.keyId)?.version;
      if (required !== undefined && kid.version > 0 && kid.version < required)
        throw postgresError(recordSet, REFUSED);
    }
  }

  /** All of them or, where the fence refuses one, none: a chunk is one statement. */
  function apply(changes: readonly NewValues[], how: 'rewrap' | 'adoption'): ReplaceOutcome[] {
    const changed = new Map<string, MemoryRow>();
    const commits: (() => void)[] = [];
    const outcomes = changes.map(({ key, tenant, fits, values }): ReplaceOutcome => {
      const name = JSON.stringify(assertKey(key));
      const row = changed.get(name) ?? rows.get(name);
      if (row === undefined) return 'missing';
      if (row.tenant !== tenant || !fits(row)) return 'conflict';
      const next = { ...row, values: [...row.values] };
      // Copied, as a database does: the new bytes are views of a batch's memory.
      for (const [field, value] of values) next.values[field] = Uint8Array.from(value);
      assertRightful(next.values, row.values);
      changed.set(name, next);
      const change = values.some(([, value]) => isTombstone(value)) ? 'tombstone' : how;
      commits.push(() => {
        rows.set(name, next);
        onCommit(change, next);
      });
      return 'replaced';
    });
    for (const commit of commits) commit();
    return outcomes;
  }

  const store: MemoryRecordStore = {
    recordSet,
    fields,
    rows,
    plaintextColumns: false,
    minimums: null,
    fence: null,
    async check() {},
    segments: async (scope, count) => cut(scope.tenant, count),
    segmentsEverywhere: async (count) => cut(null, count),
    listStale: async (scope, active, ...range) =>
      list(
        (row) => row.tenant === scope.tenant && row.values.some((value) => isStale(value, scope, active)),
        ...range,
      ),
    cursorAfter: cursorOf,
    read: async (keys) =>
      keys.map((key) => {
        const row = find(key);
        return row === undefined ? null : { key: row.key, tenant: row.tenant, values: [...row.values] };
      }),
    replace: async (changes) =>
      apply(
        changes.map(({ key, tenant, changes: of }) => ({
          key,
          tenant,
          fits: (row) => of.every(({ field, before }) => isSame(row.values[field], before)),
          values: of.map(({ field, after }) => [field, after]),
        })),
        'rewrap',
      ),
    // Leaves nothing out: whole values.
    readFrames: async (keys) =>
      (await store.read(keys)).map((record) => {
        if (record === null) return null;
        const { key, tenant, values } = record;
        return { key, tenant, frames: values.map((bytes) => bytes && { bytes, omitted: 0 }) };
      }),
    replaceFrames: (changes) =>
      store.replace(
        changes.map(({ key, tenant, changes: frames }) => ({
          key,
          tenant,
          changes: frames.map(({ field, before, after }) => ({
            field,
            before: before.bytes,
            after: after.bytes,
          })),
        })),
      ),
    async census(scope, segment, reach) {
      const [from, to] = parseSegment(segment);
      const count = { rows: 0, values: 0, foreign: 0, malformed: 0, tombstones: 0 };
      const versions: Record<string, number> = {};
      for (const row of inOrder()) {
        const mine = row.tenant === scope.tenant;
        if (!isIn(row.key, from, to) || !(mine || reach === 'everywhere')) continue;
        count.rows += 1;
        for (const value of row.values) {
          if (value === null) continue;
          count.values += 1;
          const named = nameOf(value);
          if (named?.keyId === scope.keyId) versions[named.version] = (versions[named.version] ?? 0) + 1;
          else if (mine && isTombstone(value)) count.tombstones += 1;
          else if (mine) count[named === null ? 'malformed' : 'foreign'] += 1;
        }
      }
      return { ...count, versions };
    },
    async setMinimum(minimum) {
      if (store.minimums === null) return null;
      const known = store.minimums.get(minimum.keyId);
      const later = known === undefined || minimum.revision > known.revision;
      const noHigher = minimum.revision === known?.revision && minimum.version <= known.version;
      if (!later && !noHigher) return null;
      const since = known?.version === minimum.version ? known.since : `change ${++minimumChanges}`;
      store.minimums.set(minimum.keyId, { ...minimum, since });
      return since;
    },
    async close() {},
    hasPlaintext: async () => store.plaintextColumns,
    prepareAdoption: async () => [],
    tenants: async () => [...new Set(inOrder().map(({ tenant }) => tenant))].sort(),
    listPlaintext: async (scope, ...range) =>
      list((row) => row.tenant === scope.tenant && row.plaintext.some((_, f) => isLeft(row, f)), ...range),
    readPlaintext: async (keys) =>
      keys.map((key) => {
        const row = find(key);
        if (row === undefined) return null;
        const { tenant, plaintext, values } = row;
        return { key: row.key, tenant, plaintext: [...plaintext], values: [...values] };
      }),
    fill: async (changes) =>
      apply(
        changes.map(({ key, tenant, changes: of }) => ({
          key,
          tenant,
          fits: (row) =>
            of.every(({ field, plaintext }) => isLeft(row, field) && isSame(row.plaintext[field], plaintext)),
          values: of.map(({ field, envelope }) => [field, envelope]),
        })),
        'adoption',
      ),
    put(row) {
      const name = JSON.stringify(assertKey(row.key));
      assertRightful(row.values, rows.get(name)?.values ?? []);
      const stored = { ...row, values: row.values.map((value) => value && Uint8Array.from(value)) };
      rows.set(name, stored);
      onCommit('put', stored);
    },
    remove(key) {
      const row = find(key);
      if (row === undefined) return false;
      rows.delete(JSON.stringify(key));
      onCommit('remove', row);
      return true;
    },
    async dropPlaintext() {
      throw new Error('Dropping plaintext is the database’s own; the PostgreSQL store is tested for it');
    },
  };
  return store;
}

interface NewValues {
  readonly key: RecordKey;
  readonly tenant: string;
  readonly fits: (row: MemoryRow) => boolean;
  readonly values: readonly (readonly [field: number, value: Uint8Array])[];
}

const keySchema = z.tuple([z.string()]);
const rangeSchema = z.tuple([keySchema.nullable(), keySchema.nullable()]);

function isIn(key: RecordKey, from: RecordKey | null, to: RecordKey | null): boolean {
  return (from === null || compare(key, from) > 0) && (to === null || compare(key, to) <= 0);
}

/** Of equal length in digits by number: what an integer column does. */
function compare([a = '']: RecordKey, [b = '']: RecordKey): number {
  return a.length - b.length || (a < b ? -1 : a > b ? 1 : 0);
}

function cursorOf(key: RecordKey): string {
  return `c${JSON.stringify(assertKey(key))}`;
}

function parseCursor(cursor: string): RecordKey {
  return parseText('c', keySchema, cursor);
}

function parseSegment(segment: string): readonly [RecordKey | null, RecordKey | null] {
  return parseText('s', rangeSchema, segment);
}

function parseText<T>(kind: string, schema: z.ZodType<T>, text: string): T {
  try {
    if (!text.startsWith(kind)) throw new SyntaxError('another kind');
    return schema.parse(JSON.parse(text.slice(1)));
  } catch (cause) {
    throw new RecordStoreError('RECORD_KEY_INVALID', 'Not made by this record store', { cause });
  }
}

function assertKey(key: RecordKey): RecordKey {
  if (key.length !== 1) throw new RecordStoreError('RECORD_KEY_INVALID', `A key of ${key.length} parts`);
  return key;
}

function isSame(value: FieldValue | undefined, bytes: Uint8Array): boolean {
  return value !== null && value !== undefined && Buffer.compare(value, bytes) === 0;
}

function isLeft(row: MemoryRow, field: number): boolean {
  return (row.plaintext[field] ?? null) !== null && (row.values[field] ?? null) === null;
}

/** What stands where an envelope has its kid: that is all that the trigger looks at. */
export function kidAt(value: Uint8Array): { readonly keyId: string; readonly version: number } | null {
  if (value.length < KID_FROM_END) return null;
  const at = value.length - KID_FROM_END;
  const kid = value.subarray(at, at + KID_LENGTH);
  const version = new DataView(kid.buffer, kid.byteOffset).getUint32(KID_LENGTH - 4);
  // What was damaged may say 0, which parseKid refuses.
  if (version > 0) return parseKid(kid);
  const readable = kid.slice();
  readable[KID_LENGTH - 1] = 1;
  return { ...parseKid(readable), version };
}

function nameOf(value: Uint8Array): { readonly keyId: string; readonly version: number } | null {
  try {
    return inspect(value);
  } catch (error) {
    if (error instanceof EnvelopeError) return null;
    throw error;
  }
}

function isStale(value: FieldValue, scope: Scope, active: number): boolean {
  if (value === null || isTombstone(value)) return false;
  const named = nameOf(value);
  return named === null || named.keyId !== scope.keyId || named.version !== active;
}
