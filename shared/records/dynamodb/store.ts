import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type { Clock } from '../../clock/clock.ts';
import { systemClock, uniformRandom } from '../../clock/system.ts';
import type { RecordSetConfig } from '../../config/schema.ts';
import type { AdoptableStore, RecordStore, Scope } from '../record-store.ts';
import { countEnvelopes } from './census.ts';
import { checkRights } from './check.ts';
import { formatCursor, formatSegment, parseSegment } from './cursor.ts';
import { listStaleKeys } from './listing.ts';
import { withoutAdoption } from './no-adoption.ts';
import { type Forms, readRecords } from './read.ts';
import { applyChanges, assertChanges } from './replace.ts';
import { createRequests } from './requests.ts';
import type { Slots } from './slots.ts';
import { type Problem, problemError, readShape, type TableShape } from './table.ts';

export interface DynamoDbRecordStoreOptions {
  /** Name of the record set. */
  readonly recordSet: string;
  readonly config: RecordSetConfig;
  /** From createStoreClient. Shared by the store's record sets; `close` leaves it open. */
  readonly client: DynamoDBClient;
  /** Requests in flight; shared like the client. */
  readonly slots: Slots;
  readonly clock?: Clock;
  /** In [0, 1), for the jitter of waits. */
  readonly random?: () => number;
  /** Most pages (1 MB or `pageItems`) that one listing reads. Default 20. */
  readonly scanPages?: number;
  /** Fewest items that a page of a listing is limited to. Default 500. */
  readonly pageItems?: number;
}

/**
 * Envelopes in a DynamoDB table: binary attributes, or strings of base64url. Nothing of a rotation is kept in the
 * table but the envelopes. A tenant's records are found by the partition key, where that is the tenant; by an index of
 * keys on the tenant; or by a scan of the table. A census never reads an index.
 *
 * Scans and queries are paid by what they read, not by what they return. docs/decisions/0017 has the numbers.
 */
export function createDynamoDbRecordStore(options: DynamoDbRecordStoreOptions): AdoptableStore {
  const { recordSet, config, client, slots } = options;
  const limits = { pages: options.scanPages ?? 20, pageItems: options.pageItems ?? 500 };
  const requests = createRequests({
    ...{ client, slots },
    place: { recordSet, table: config.table },
    clock: options.clock ?? systemClock,
    random: options.random ?? uniformRandom,
  });
  const forms: Forms = new Map();
  let known: Promise<TableShape> | undefined;

  const describe = async () => {
    return readShape(config, await requests.describe());
  };
  /** Read once, and again when it could not be used. */
  const shapeOf = (): Promise<TableShape> => {
    known ??= describe().then(({ shape, problems }) => {
      assertNone(problems);
      return shape;
    });
    known.catch(() => {
      known = undefined;
    });
    return known;
  };
  const assertNone = ([first, ...rest]: readonly Problem[]) => {
    if (first !== undefined) throw problemError(requests.place, [first, ...rest]);
  };
  const cut = async (scope: Scope | undefined, count: number): Promise<readonly string[]> => {
    // Every sweep and census begins here: a table that was changed since stops it.
    known = undefined;
    const { tenant } = await shapeOf();
    const byTenant = scope === undefined || 'fixed' in tenant ? undefined : tenant;
    if (byTenant?.partition !== undefined) return [formatSegment({ kind: 'partition' })];
    const of = Math.max(1, Math.trunc(count));
    const kind = byTenant?.index === undefined ? 'scan' : 'index';
    return Array.from({ length: of }, (_, part) => formatSegment({ kind, part, of }));
  };

  const store: RecordStore = {
    recordSet,
    fields: config.fields.map(({ name }) => name),

    async check() {
      const { shape, problems } = await describe();
      assertNone(problems);
      await checkRights(requests, shape);
    },

    segments: (scope, count) => cut(scope, count),
    segmentsEverywhere: (count) => cut(undefined, count),

    async listStale(scope, active, segment, after, limit, until) {
      const at = { segment, after, limit, until };
      return listStaleKeys(requests, await shapeOf(), scope, active, at, limits);
    },

    cursorAfter: (key) => formatCursor(key),

    read: async (keys) => readRecords(requests, await shapeOf(), keys, forms),

    async replace(changes) {
      const shape = await shapeOf();
      assertChanges(shape, changes);
      return applyChanges(requests, shape, changes, forms);
    },

    // DynamoDB has no way to read or write a part of a value: whole ones.
    async readFrames(keys) {
      const records = await store.read(keys);
      return records.map((record) => {
        if (record === null) return null;
        const { key, tenant, values } = record;
        return { key, tenant, frames: values.map((bytes) => bytes && { bytes, omitted: 0 }) };
      });
    },
    replaceFrames: (records) =>
      store.replace(
        records.map(({ key, tenant, changes }) => ({
          key,
          tenant,
          changes: changes.map(({ field, before, after }) => ({
            field,
            before: before.bytes,
            after: after.bytes,
          })),
        })),
      ),

    async census(scope, segment, reach) {
      return countEnvelopes(requests, await shapeOf(), scope, parseSegment(segment), reach);
    },

    // DynamoDB has nothing that looks at a write before it is made.
    setMinimum: async () => null,
    fence: null,

    async close() {},
  };
  return withoutAdoption(store);
}
