import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createStoreClient } from '../../../../shared/records/dynamodb/client.ts';
import { createSlots } from '../../../../shared/records/dynamodb/slots.ts';
import { createDynamoDbRecordStore } from '../../../../shared/records/dynamodb/store.ts';
import type { RecordStore } from '../../../../shared/records/record-store.ts';
import { envelope, type FixtureRow, KEY_ID, listAll } from '../../../contracts/record-store.ts';
import { connect, startTestDynamoDb, type TestDynamoDb } from '../../../support/dynamodb.ts';
import { type DynamoDbFixture, INDEXED, makeFixture } from '../../../support/dynamodb-records.ts';
import { type FaultyDynamoDb, type Json, startFaultyDynamoDb } from '../../../support/faulty-dynamodb.ts';

let dynamodb: TestDynamoDb;
let proxy: FaultyDynamoDb;
let fixture: DynamoDbFixture;
/** Through the proxy. The SDK tries once, and waits nothing. */
let client: DynamoDBClient;
let store: RecordStore;
/** Passes only while the store sleeps. */
let now = 0;
const clock = {
  now: () => now,
  monotonic: () => now,
  sleep: async (ms: number) => {
    now += ms;
  },
};

beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
  proxy = await startFaultyDynamoDb(dynamodb.server.endpoint);
  client = connect(proxy.endpoint, 1);
  fixture = await makeFixture(dynamodb.client, INDEXED);
});
afterAll(async () => {
  client.destroy();
  await proxy.stop();
  await dynamodb.stop();
});
beforeEach(async () => {
  proxy.fault = () => 'pass';
  proxy.counts.clear();
  await fixture.clear();
  store = openStore(client);
});

function openStore(through: DynamoDBClient): RecordStore {
  const { config } = fixture;
  const options = { recordSet: 'people', config, client: through, slots: createSlots(8), clock };
  return createDynamoDbRecordStore({ ...options, random: () => 0.5 });
}

const scope = { tenant: INDEXED.tenants[0], keyId: KEY_ID };
const rowsOf = (count: number, version = 1): FixtureRow[] =>
  Array.from({ length: count }, (_, n) => ({
    key: fixture.keyOf(n),
    tenant: scope.tenant,
    values: store.fields.map(() => envelope(version)),
  }));
const changeOf = ({ key, tenant, values }: FixtureRow, after = envelope(2)) => ({
  key,
  tenant,
  changes: [{ field: 0, before: values[0] ?? Buffer.alloc(0), after }],
});
const storedNow = async ({ key }: FixtureRow) =>
  (await fixture.rows()).find((row) => JSON.stringify(row.key) === JSON.stringify(key))?.values[0];

describe('a store that throttles', () => {
  it('slows down and fails nothing: every request is throttled several times', async () => {
    const rows = rowsOf(30);
    await fixture.insert(rows);
    let requests = 0;
    proxy.fault = () => {
      requests += 1;
      return requests % 4 === 0 ? 'pass' : { error: 'ProvisionedThroughputExceededException' };
    };
    const [segment = ''] = await store.segments(scope, 1);
    const keys = await listAll((after, limit) => store.listStale(scope, 2, segment, after, limit), 7);
    expect(keys).toHaveLength(30);
    expect(await store.read(keys)).not.toContain(null);
    expect(await store.replace(rows.map((row) => changeOf(row)))).toEqual(rows.map(() => 'replaced'));
    expect(await store.census(scope, segment, 'tenant')).toMatchObject({
      rows: 30,
      versions: { 1: 60, 2: 30 },
    });
    expect(now).toBeGreaterThan(0);
  });

  it.each(['ThrottlingException', 'RequestLimitExceeded', 'ProvisionedThroughputExceededException'])(
    'for good is given up after a bounded time, to be tried again later: %s',
    async (error) => {
      const [row] = rowsOf(1);
      if (row === undefined) throw new Error('unreachable');
      await fixture.insert([row]);
      await store.read([row.key]);
      const began = now;
      proxy.fault = () => ({ error });
      const throttled = { code: 'STORE_THROTTLED', retryable: true };
      await expect(store.replace([changeOf(row)])).rejects.toMatchObject(throttled);
      expect(now - began).toBeGreaterThan(5_000);
      expect(now - began).toBeLessThan(30_000);
      await expect(store.read([row.key])).rejects.toMatchObject(throttled);
      proxy.fault = () => 'pass';
      expect(await store.replace([changeOf(row)])).toEqual(['replaced']);
    },
  );

  it('and a transaction on an item, are waited for', async () => {
    const [row] = rowsOf(1);
    if (row === undefined) throw new Error('unreachable');
    await fixture.insert([row]);
    let tries = 0;
    proxy.fault = (operation) => {
      if (operation !== 'UpdateItem') return 'pass';
      tries += 1;
      return tries < 4 ? { error: 'TransactionConflictException' } : 'pass';
    };
    expect(await store.replace([changeOf(row)])).toEqual(['replaced']);
  });

  it('leaves keys of a batch unprocessed: they are asked for again, until all are there', async () => {
    const rows = rowsOf(230);
    await fixture.insert(rows);
    let batches = 0;
    proxy.fault = (operation, body) => {
      if (operation !== 'BatchGetItem') return 'pass';
      batches += 1;
      return leaveOut(body, batches % 3 === 0 ? 0 : 17);
    };
    const records = await store.read([...rows, ...rows.slice(0, 3)].map(({ key }) => key));
    expect(records.map((record) => record?.key)).toEqual(
      [...rows, ...rows.slice(0, 3)].map(({ key }) => key),
    );
    expect(batches).toBeGreaterThan(230 / 17);

    proxy.fault = (operation, body) => (operation === 'BatchGetItem' ? leaveOut(body, 0) : 'pass');
    await expect(store.read(rows.map(({ key }) => key))).rejects.toMatchObject({ code: 'STORE_THROTTLED' });
  });

  /** Takes only the first keys. */
  function leaveOut(body: Json, taken: number) {
    const table = Object.values(Object(body['RequestItems']))[0];
    const { Keys, ...rest } = Object(table);
    const request = (keys: readonly unknown[]) => ({ [fixture.table]: { ...rest, Keys: keys } });
    return {
      // At least one key must be asked for.
      input: { RequestItems: request(Keys.slice(0, Math.max(taken, 1))) },
      output: (output: Json) => ({
        ...output,
        ...(taken === 0 && { Responses: {} }),
        ...(Keys.length > taken && { UnprocessedKeys: request(Keys.slice(taken)) }),
      }),
    };
  }
});

describe('an answer that is lost', () => {
  /** As in AWS: with the SDK's own retries. */
  let patient: DynamoDBClient;
  beforeAll(() => {
    const place = {
      endpoint: proxy.endpoint,
      region: 'local',
      credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    };
    patient = createStoreClient({ type: 'dynamodb', requestsInFlight: 8 }, place);
  });
  afterAll(() => patient.destroy());

  const loseFirstUpdate = (then: () => Promise<void> = async () => undefined) => {
    let updates = 0;
    proxy.fault = async (operation) => {
      if (operation !== 'UpdateItem') return 'pass';
      updates += 1;
      if (updates === 2) await then();
      return updates === 1 ? 'lose-answer' : 'pass';
    };
  };

  it('of a write that was done: the repeat fails on our own write, and the record is replaced', async () => {
    const [row] = rowsOf(1);
    if (row === undefined) throw new Error('unreachable');
    await fixture.insert([row]);
    store = openStore(patient);
    await store.read([row.key]);
    loseFirstUpdate();
    const after = envelope(2);
    expect(await store.replace([changeOf(row, after)])).toEqual(['replaced']);
    expect(proxy.counts.get('UpdateItem')).toBe(2);
    expect(Buffer.compare((await storedNow(row)) ?? Buffer.alloc(0), after)).toBe(0);
  });

  it('and a store that throttles before the repeat: it is our own write all the same', async () => {
    const [row] = rowsOf(1);
    if (row === undefined) throw new Error('unreachable');
    await fixture.insert([row]);
    const twice = connect(proxy.endpoint, 2);
    store = openStore(twice);
    await store.read([row.key]);
    const faults = ['lose-answer', { error: 'ThrottlingException' }, 'pass'] as const;
    let updates = 0;
    proxy.fault = (operation) => (operation === 'UpdateItem' ? (faults[updates++] ?? 'pass') : 'pass');
    expect(await store.replace([changeOf(row)])).toEqual(['replaced']);
    expect(updates).toBe(3);
    twice.destroy();
  });

  it('and an application that writes before the repeat: its write stands, and it is a conflict', async () => {
    const [row] = rowsOf(1);
    if (row === undefined) throw new Error('unreachable');
    await fixture.insert([row]);
    store = openStore(patient);
    await store.read([row.key]);
    const own = envelope(1);
    loseFirstUpdate(() => fixture.write(row.key, 0, own));
    expect(await store.replace([changeOf(row)])).toEqual(['conflict']);
    expect(Buffer.compare((await storedNow(row)) ?? Buffer.alloc(0), own)).toBe(0);
  });

  it('and a record that is deleted before the repeat is missing', async () => {
    const [row] = rowsOf(1);
    if (row === undefined) throw new Error('unreachable');
    await fixture.insert([row]);
    store = openStore(patient);
    loseFirstUpdate(() => fixture.remove(row.key));
    expect(await store.replace([changeOf(row)])).toEqual(['missing']);
    expect(await fixture.rows()).toEqual([]);
  });
});

describe('a store that refuses', () => {
  it.each(['DescribeTable', 'Scan', 'Query', 'BatchGetItem', 'UpdateItem'])(
    'names the IAM action that is missing: %s',
    async (denied) => {
      proxy.fault = (operation) => (operation === denied ? { error: 'AccessDeniedException' } : 'pass');
      await expect(store.check()).rejects.toMatchObject({
        code: 'STORE_DENIED',
        message: expect.stringContaining(`may not call dynamodb:${denied} `),
      });
    },
  );

  it('changes nothing when it is checked', async () => {
    await fixture.insert(rowsOf(2));
    const before = await fixture.rows();
    await store.check();
    expect(await fixture.rows()).toEqual(before);
  });

  it('begins no other request once one has failed, and has none in flight', async () => {
    const rows = rowsOf(100);
    await fixture.insert(rows);
    proxy.fault = (operation) => (operation === 'UpdateItem' ? { error: 'AccessDeniedException' } : 'pass');
    await expect(store.replace(rows.map((row) => changeOf(row)))).rejects.toMatchObject({
      code: 'STORE_DENIED',
    });
    // So many as were in flight.
    expect(proxy.counts.get('UpdateItem')).toBeLessThanOrEqual(8);
    proxy.fault = () => 'pass';
  });

  it('is out of reach, which is told apart from being refused', async () => {
    const nowhere = connect('http://127.0.0.1:9', 1);
    await expect(openStore(nowhere).read([fixture.keyOf(1)])).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      retryable: true,
    });
    nowhere.destroy();
  });

  it('a role that may not write, also where the value would be too large', async () => {
    const [row] = rowsOf(1);
    if (row === undefined) throw new Error('unreachable');
    await fixture.insert([row]);
    proxy.fault = (operation) => (operation === 'UpdateItem' ? { error: 'AccessDeniedException' } : 'pass');
    const larger = envelope(2, KEY_ID, 'x'.repeat(1_000));
    await expect(store.replace([changeOf(row, larger)])).rejects.toMatchObject({ code: 'STORE_DENIED' });
  });

  it('a value that makes the record too large, and no other record of the batch', async () => {
    const rows = rowsOf(3);
    await fixture.insert(rows);
    const [a, b, c] = rows;
    if (!a || !b || !c) throw new Error('unreachable');
    const large = envelope(2, KEY_ID, 'x'.repeat(400_000));
    expect(await store.replace([changeOf(a), changeOf(b, large), changeOf(c)])).toEqual([
      'replaced',
      'conflict',
      'replaced',
    ]);
    expect(await storedNow(b)).toEqual(Buffer.from(b.values[0] ?? []));
  });
});
