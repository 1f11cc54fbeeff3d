import { BatchWriteItemCommand, DynamoDBClient, UpdateItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { rewrap } from '../../shared/envelope/index.ts';
import { keyItem } from '../../shared/records/dynamodb/attributes.ts';
import { envelope, KEY_ID, kek } from '../contracts/record-store.ts';
import { makeFixture, STRING_KEY, type TableCase, TENANT_PARTITION } from '../support/dynamodb-records.ts';
import { clientOf, startDynamoDbLocal } from './support/emulators.ts';

/** What docs/decisions/0017 and docs/cost-and-scale.md say that a record costs, in requests and capacity units. */

const RECORDS = 1_000;
/** Of another tenant, in the same table. */
const OTHERS = 250;
const CHUNK = 500;
/** An item of about 600 bytes: an envelope of 300 and as much of the application's own. */
const TEXT = 'x'.repeat(160);
const PAYLOAD = 'y'.repeat(260);

const emulator = await startDynamoDbLocal();
const place = clientOf(emulator ?? { endpoint: 'http://127.0.0.1:9' });
const application = new DynamoDBClient(place);
const counting = new DynamoDBClient(place);
const counts = new Map<string, { requests: number; units: number }>();
const capacity = z.object({
  ConsumedCapacity: z.union([
    z.object({ CapacityUnits: z.number() }),
    z.array(z.object({ CapacityUnits: z.number() })),
  ]),
});

beforeAll(() => {
  counting.middlewareStack.add(
    (next, { commandName = '' }) =>
      async (args) => {
        if (commandName === 'DescribeTableCommand') return next(args);
        Object.assign(args.input, { ReturnConsumedCapacity: 'TOTAL' });
        const result = await next(args);
        const { ConsumedCapacity } = capacity.parse(result.output);
        const units = [ConsumedCapacity].flat().reduce((sum, { CapacityUnits }) => sum + CapacityUnits, 0);
        const known = counts.get(commandName) ?? { requests: 0, units: 0 };
        counts.set(commandName, { requests: known.requests + 1, units: known.units + units });
        return result;
      },
    { step: 'initialize', name: 'count' },
  );
});
afterAll(async () => {
  counting.destroy();
  application.destroy();
  await emulator?.stop();
});

/** Requests and capacity units, each per 1,000 of `per`. */
async function measure(per: number, run: () => Promise<unknown>) {
  counts.clear();
  await run();
  return Object.fromEntries(
    [...counts].map(([name, { requests, units }]) => [
      name.replace('Command', ''),
      { requests: (1_000 * requests) / per, units: (1_000 * units) / per },
    ]),
  );
}

it.skipIf(emulator === null).each<[string, TableCase, { list: object; census: object }]>([
  [
    'found by a scan',
    STRING_KEY,
    // The whole table is read: half a unit for 4 KB of it, one where it is strongly consistent.
    { list: { Scan: [2, 100] }, census: { Scan: [5, 190] } },
  ],
  [
    'found by an index',
    { ...STRING_KEY, index: { name: 'by-tenant' } },
    // Half a unit a record for its envelope.
    { list: { Query: [2, 5], BatchGetItem: [11, 500] }, census: { Scan: [5, 190] } },
  ],
  ['found by the partition key', TENANT_PARTITION, { list: { Query: [2, 80] }, census: { Query: [2, 150] } }],
])(
  'records %s',
  async (_, tableCase, expected) => {
    const fixture = await makeFixture(application, tableCase);
    const scope = { tenant: tableCase.tenants[0], keyId: KEY_ID };
    const value = envelope(1, KEY_ID, TEXT);
    const keyOf = (n: number, tenant: string) => {
      const [first = '', ...rest] = tableCase.keyOf(n);
      return [fixture.wholeTenants ? tenant : first, ...rest];
    };
    const items = Array.from({ length: RECORDS + OTHERS }, (__, n) => {
      const tenant = n < RECORDS ? scope.tenant : 'other';
      return {
        tenant: { S: tenant },
        ...keyItem(keyOf(n, tenant), tableCase.key),
        [tableCase.fields[0]?.column ?? '']: { B: value },
        payload: { S: PAYLOAD },
      };
    });
    for (let start = 0; start < items.length; start += 25) {
      const puts = items.slice(start, start + 25).map((Item) => ({ PutRequest: { Item } }));
      await application.send(new BatchWriteItemCommand({ RequestItems: { [fixture.table]: puts } }));
    }
    const { config } = fixture;
    const { store } = await makeFixture(application, tableCase, { client: counting, config });
    const segments = await store.segments(scope, 1);
    const keys: (readonly string[])[] = [];
    const list = await measure(RECORDS, async () => {
      for (const segment of segments) {
        for (let after: string | null = null; ; ) {
          const page = await store.listStale(scope, 2, segment, after, CHUNK * 10);
          keys.push(...page.keys);
          if (page.cursor === null) break;
          after = page.cursor;
        }
      }
    });
    expect(keys).toHaveLength(RECORDS);
    const work = await measure(RECORDS, async () => {
      for (let start = 0; start < keys.length; start += CHUNK) {
        const records = await store.readFrames(keys.slice(start, start + CHUNK));
        const changes = records.flatMap((record) => {
          const before = record?.frames[0];
          if (!record || !before) return [];
          const after = { bytes: rewrap(before.bytes, kek(1), kek(2)), omitted: 0 };
          return [{ key: record.key, tenant: record.tenant, changes: [{ field: 0, before, after }] }];
        });
        const outcomes = await store.replaceFrames(changes);
        expect(outcomes.every((outcome) => outcome === 'replaced')).toBe(true);
      }
    });
    const census = await measure(RECORDS, async () => {
      for (const segment of segments) await store.census(scope, segment, 'tenant');
    });
    if (process.env['KEYTURN_SHOW_COSTS'] === 'true') console.log(JSON.stringify({ list, work, census }));
    // A read of 100 keys, a write of one; units of one record each, and none in the index.
    const atMost = (bounds: object) =>
      Object.fromEntries(
        Object.entries(z.record(z.string(), z.tuple([z.number(), z.number()])).parse(bounds)).map(
          ([name, [requests, units]]) => [
            name,
            {
              requests: expect.toSatisfy((n: number) => n <= requests),
              units: expect.toSatisfy((n: number) => n <= units),
            },
          ],
        ),
      );
    expect(list).toEqual(atMost(expected.list));
    expect(work).toEqual({
      BatchGetItem: { requests: 10, units: 1_000 },
      UpdateItem: { requests: 1_000, units: 1_000 },
    });
    expect(census).toEqual(atMost(expected.census));
  },
  60_000,
);

it.skipIf(emulator === null)(
  'an index with the version in it would make a rewrap cost three writes',
  async () => {
    const versioned = { ...STRING_KEY, index: { name: 'by-tenant-and-version', sort: 'version' } };
    const fixture = await makeFixture(application, versioned);
    const [key = ''] = fixture.keyOf(1);
    const item = { id: { S: key }, tenant: { S: 'acme' }, version: { S: '1' }, secret: { B: envelope(1) } };
    await fixture.put(item);
    const cost = await measure(1, () =>
      counting.send(
        new UpdateItemCommand({
          TableName: fixture.table,
          Key: { id: { S: key } },
          UpdateExpression: 'SET secret = :s, #v = :v',
          ExpressionAttributeNames: { '#v': 'version' },
          ExpressionAttributeValues: { ':s': { B: envelope(2) }, ':v': { S: '2' } },
        }),
      ),
    );
    expect(cost).toEqual({ UpdateItem: { requests: 1_000, units: 3_000 } });
  },
);
