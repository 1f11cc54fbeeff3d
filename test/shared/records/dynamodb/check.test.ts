import {
  CreateTableCommand,
  type CreateTableCommandInput,
  type TableDescription,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RecordSetConfig } from '../../../../shared/config/schema.ts';
import { createSlots } from '../../../../shared/records/dynamodb/slots.ts';
import { createDynamoDbRecordStore } from '../../../../shared/records/dynamodb/store.ts';
import { readShape } from '../../../../shared/records/dynamodb/table.ts';
import { KEY_ID } from '../../../contracts/record-store.ts';
import { connect, startTestDynamoDb, type TestDynamoDb } from '../../../support/dynamodb.ts';
import { tableActive } from '../../../support/dynamodb-records.ts';

const TABLE = {
  TableName: 'customers',
  BillingMode: 'PAY_PER_REQUEST',
  AttributeDefinitions: ['region', 'no', 'tenant', 'other'].map((AttributeName) => ({
    AttributeName,
    AttributeType: 'S',
  })),
  KeySchema: [
    { AttributeName: 'region', KeyType: 'HASH' },
    { AttributeName: 'no', KeyType: 'RANGE' },
  ],
  GlobalSecondaryIndexes: [
    index('by-tenant', 'tenant'),
    index('by-tenant-and-no', 'tenant', 'no'),
    index('by-tenant-and-other', 'tenant', 'other'),
    index('by-other', 'other'),
  ],
} satisfies CreateTableCommandInput;

function index(IndexName: string, hash: string, range?: string) {
  return {
    IndexName,
    KeySchema: [
      { AttributeName: hash, KeyType: 'HASH' as const },
      ...(range === undefined ? [] : [{ AttributeName: range, KeyType: 'RANGE' as const }]),
    ],
    Projection: { ProjectionType: 'KEYS_ONLY' as const },
  };
}

const CONFIG: RecordSetConfig = {
  store: 'tables',
  table: 'customers',
  key: ['region', 'no'],
  tenant: { column: 'tenant' },
  index: 'by-tenant',
  purpose: 'default',
  fields: [{ name: 'email', column: 'email', sensitivity: 'high' }],
};

let dynamodb: TestDynamoDb;
beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
  await dynamodb.client.send(new CreateTableCommand(TABLE));
  await tableActive(dynamodb.client, TABLE.TableName);
});
afterAll(() => dynamodb.stop());

const open = (change: Partial<RecordSetConfig>, client = dynamodb.client) =>
  createDynamoDbRecordStore({
    recordSet: 'customers',
    config: { ...CONFIG, ...change },
    client,
    slots: createSlots(4),
  });

describe('a table that is not as declared', () => {
  it.each<[string, Partial<RecordSetConfig>, string, RegExp]>([
    [
      'is not there',
      { table: 'nowhere' },
      'TABLE_NOT_FOUND',
      /"nowhere": the table .*does not exist in this region/,
    ],
    [
      'has another key',
      { key: ['no'] },
      'KEY_COLUMNS_NOT_UNIQUE',
      /declared as "no", and the table's is "region" \(partition/,
    ],
    ['has its key in another order', { key: ['no', 'region'] }, 'KEY_COLUMNS_NOT_UNIQUE', /in this order/],
    [
      'has no such index',
      { index: 'by-tennant' },
      'TABLE_UNSUITABLE',
      /"by-tennant" is no global secondary index/,
    ],
    [
      'has an index of something else',
      { index: 'by-other' },
      'TABLE_UNSUITABLE',
      /partition key "other"; it must be .*"tenant"/,
    ],
    [
      'has an index with a sort key of its own',
      { index: 'by-tenant-and-other' },
      'TABLE_UNSUITABLE',
      /sort key "other"/,
    ],
  ])('%s: no operation goes on, and its error says what it is', async (_, change, code, message) => {
    const store = open(change);
    const error = { code, message: expect.stringMatching(message), remedy: expect.any(String) };
    await expect(store.check()).rejects.toMatchObject(code === 'TABLE_NOT_FOUND' ? { code } : error);
    const scope = { tenant: 'acme', keyId: KEY_ID };
    await expect(store.segments(scope, 4)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    await expect(store.read([['a', 'b']])).rejects.toMatchObject({ code });
  });

  it.each(['by-tenant', 'by-tenant-and-no'])('and one that is, with the index %s', async (name) => {
    await open({ index: name }).check();
  });
});

describe('what DescribeTable says', () => {
  const described: TableDescription = {
    ...TABLE,
    GlobalSecondaryIndexes: TABLE.GlobalSecondaryIndexes.map((each) => ({ ...each, IndexStatus: 'ACTIVE' })),
  };

  it('of an index that is being made: it does not have every record yet', () => {
    expect(readShape(CONFIG, described).problems).toEqual([]);
    const [first, ...rest] = described.GlobalSecondaryIndexes ?? [];
    for (const state of [{ IndexStatus: 'CREATING' as const }, { Backfilling: true }]) {
      const table = { ...described, GlobalSecondaryIndexes: [{ ...first, ...state }, ...rest] };
      expect(readShape(CONFIG, table).problems).toMatchObject([{ code: 'TABLE_UNSUITABLE' }]);
    }
  });

  it('of a global table: only strong consistency between its regions is safe', () => {
    const replicated = { ...described, Replicas: [{ RegionName: 'eu-west-1' }] };
    expect(readShape(CONFIG, replicated).problems).toMatchObject([{ code: 'TABLE_UNSUITABLE' }]);
    expect(readShape(CONFIG, { ...replicated, MultiRegionConsistency: 'STRONG' }).problems).toEqual([]);
  });

  it('of a replica that was added since: no sweep, listing or census goes on', async () => {
    const client = connect(dynamodb.server.endpoint);
    client.middlewareStack.add(
      (next) => async (args) => {
        const reply = await next(args);
        const output: object = reply.output;
        if ('Table' in output) Object.assign(output.Table ?? {}, { Replicas: [{ RegionName: 'eu-west-1' }] });
        return reply;
      },
      { step: 'initialize' },
    );
    const store = open({}, client);
    const scope = { tenant: 'acme', keyId: KEY_ID };
    const refusal = { code: 'TABLE_UNSUITABLE', message: expect.stringContaining('global table') };
    await expect(store.segments(scope, 2)).rejects.toMatchObject(refusal);
    await expect(store.segmentsEverywhere(2)).rejects.toMatchObject(refusal);
    client.destroy();
  });

  it('of a binary tenant attribute: it cannot be a tenant’s name', () => {
    const AttributeDefinitions = TABLE.AttributeDefinitions.map((each) =>
      each.AttributeName === 'tenant' ? { ...each, AttributeType: 'B' as const } : each,
    );
    const problems = [{ code: 'COLUMN_TYPE', what: 'tenant attribute "tenant" is binary' }];
    expect(readShape(CONFIG, { ...described, AttributeDefinitions }).problems).toEqual(problems);
  });
});

it('adoption in place is refused with what to do instead', async () => {
  const store = open({});
  expect(await store.hasPlaintext()).toBe(false);
  const refusal = { code: 'ADOPTION_NOT_OFFERED', remedy: expect.stringContaining('application') };
  await expect(store.prepareAdoption()).rejects.toMatchObject(refusal);
  await expect(store.tenants()).rejects.toMatchObject(refusal);
  await expect(store.dropPlaintext(async () => undefined)).rejects.toMatchObject(refusal);
});

describe('keys', () => {
  it.each([
    [
      'N',
      ['0', '-1', '12.5', '100000000000000000000', '0.001'],
      ['', '01', '1.0', '+1', '-0', '1e3', ' 1', 'x', '1.', '.5'],
    ],
    ['B', ['AA', 'AAAA'], ['', 'A', 'AB', 'AA==', 'a b', '+/+/']],
    ['S', [' ', 'ü', "'"], ['', '\ud800']],
  ] as const)('of type %s have one text each', async (type, good, bad) => {
    const TableName = `keys-${type}`;
    await dynamodb.client.send(
      new CreateTableCommand({
        ...{ TableName, BillingMode: 'PAY_PER_REQUEST' },
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: type }],
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
      }),
    );
    await tableActive(dynamodb.client, TableName);
    const { index: _, ...config } = { ...CONFIG, table: TableName, key: ['id'] };
    const store = createDynamoDbRecordStore({
      ...{ recordSet: 'keys', config, client: dynamodb.client, slots: createSlots(4) },
    });
    expect(await store.read(good.map((text) => [text]))).toEqual(good.map(() => null));
    for (const text of bad) {
      await expect(store.read([[text]])).rejects.toMatchObject({ code: 'RECORD_KEY_INVALID' });
    }
  });
});
