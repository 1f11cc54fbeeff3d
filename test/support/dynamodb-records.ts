import {
  type AttributeValue,
  BatchWriteItemCommand,
  CreateTableCommand,
  DeleteItemCommand,
  DeleteTableCommand,
  DescribeTableCommand,
  type DynamoDBClient,
  PutItemCommand,
  ScanCommand,
  UpdateItemCommand,
  type WriteRequest,
} from '@aws-sdk/client-dynamodb';
import type { RecordSetConfig } from '../../shared/config/schema.ts';
import {
  type Item,
  type KeyType,
  keyItem,
  keyOf,
  storedValue,
} from '../../shared/records/dynamodb/attributes.ts';
import { createSlots } from '../../shared/records/dynamodb/slots.ts';
import {
  createDynamoDbRecordStore,
  type DynamoDbRecordStoreOptions,
} from '../../shared/records/dynamodb/store.ts';
import type { AdoptableStore, FieldValue, RecordKey } from '../../shared/records/record-store.ts';
import type { FixtureRow, RecordStoreFixture } from '../contracts/record-store.ts';

/** A shape of table that the contract suite runs on. */
export interface TableCase {
  readonly name: string;
  readonly key: readonly { readonly name: string; readonly type: KeyType }[];
  readonly tenant: RecordSetConfig['tenant'];
  /** Of the tenant attribute. */
  readonly tenantType?: 'S' | 'N';
  readonly tenants: readonly [string, ...string[]];
  readonly index?: { readonly name: string; readonly sort?: string };
  readonly fields: RecordSetConfig['fields'];
  readonly textFields: boolean;
  readonly largestValue: number;
  keyOf(n: number): RecordKey;
}

const field = (name: string, column: string) => ({ name, column, sensitivity: 'high' as const });

/** The same numbers in another order, so that insertion order is not key order. */
const scatter = (n: number) => (n * 7919) % 100_003;

export const STRING_KEY: TableCase = {
  name: 'string key, tenant attribute, binary, no index',
  key: [{ name: 'id', type: 'S' }],
  tenant: { column: 'tenant' },
  tenants: ['acme', 'Zürich "AG"'],
  fields: [field('secret', 'secret')],
  textFields: false,
  largestValue: 390_000,
  keyOf: (n) => [`p-${scatter(n)}-ü`],
};

export const INDEXED: TableCase = {
  name: 'compound key (number, string), numbered tenants, an index, text, several fields, odd names',
  key: [
    { name: 'no.', type: 'N' },
    { name: 'Region', type: 'S' },
  ],
  tenant: { column: 'Ten"ant' },
  tenantType: 'N',
  tenants: ['7', '-12.5'],
  index: { name: 'by-tenant', sort: 'no.' },
  fields: [field('first', 'first field'), field('second', 'size'), field('third', 'Drittes.Ü')],
  textFields: true,
  largestValue: 90_000,
  keyOf: (n) => [['0', '-0.5', `${scatter(n)}`, `-${scatter(n)}.25`][n % 4] ?? '0', `r${n}`],
};

export const TENANT_PARTITION: TableCase = {
  name: 'the tenant is the partition key, binary sort key, two fields',
  key: [
    { name: 'tenant', type: 'S' },
    { name: 'id', type: 'B' },
  ],
  tenant: { column: 'tenant' },
  tenants: ['acme'],
  fields: [field('a', 'a'), field('b', 'b')],
  textFields: false,
  largestValue: 190_000,
  keyOf: (n) => ['acme', Buffer.from(`${scatter(n)}`).toString('base64url')],
};

export const FIXED_TENANT: TableCase = {
  name: 'fixed tenant, binary partition key, two fields',
  key: [{ name: 'id', type: 'B' }],
  tenant: { fixed: 'the only one' },
  tenants: ['the only one'],
  fields: [field('a', 'a'), field('b', 'b')],
  textFields: false,
  largestValue: 190_000,
  keyOf: (n) => [Buffer.from(`k${scatter(n)}`).toString('base64url')],
};

export const TABLE_CASES = [STRING_KEY, INDEXED, TENANT_PARTITION, FIXED_TENANT];

export function recordSetConfig(table: string, tableCase: TableCase): RecordSetConfig {
  const { key, tenant, fields, index } = tableCase;
  return {
    store: 'tables',
    table,
    key: key.map(({ name }) => name),
    tenant,
    purpose: 'default',
    fields,
    ...(index === undefined ? {} : { index: index.name }),
  };
}

export async function createRecordTable(
  client: DynamoDBClient,
  TableName: string,
  { key, tenant, tenantType = 'S', index }: TableCase,
): Promise<void> {
  const types = new Map<string, KeyType>(key.map(({ name, type }) => [name, type]));
  if (index !== undefined && 'column' in tenant) types.set(tenant.column, tenantType);
  if (index?.sort !== undefined && !types.has(index.sort)) types.set(index.sort, 'S');
  const schema = ([hash = '', range]: readonly string[]) => [
    { AttributeName: hash, KeyType: 'HASH' as const },
    ...(range === undefined ? [] : [{ AttributeName: range, KeyType: 'RANGE' as const }]),
  ];
  const indexKey =
    'column' in tenant ? [tenant.column, ...(index?.sort === undefined ? [] : [index.sort])] : [];
  await client.send(
    new CreateTableCommand({
      TableName,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [...types].map(([AttributeName, AttributeType]) => ({
        AttributeName,
        AttributeType,
      })),
      KeySchema: schema(key.map(({ name }) => name)),
      ...(index === undefined
        ? {}
        : {
            GlobalSecondaryIndexes: [
              {
                IndexName: index.name,
                KeySchema: schema(indexKey),
                Projection: { ProjectionType: 'KEYS_ONLY' as const },
              },
            ],
          }),
    }),
  );
  await tableActive(client, TableName);
}

/** An engine answers CreateTable before the table, or its index, can be used. */
export async function tableActive(client: DynamoDBClient, TableName: string): Promise<void> {
  for (;;) {
    const { Table } = await client.send(new DescribeTableCommand({ TableName }));
    const indexes = Table?.GlobalSecondaryIndexes ?? [];
    const states = [Table?.TableStatus, ...indexes.map(({ IndexStatus }) => IndexStatus)];
    if (states.every((state) => state === 'ACTIVE')) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

export interface DynamoDbFixture extends RecordStoreFixture<AdoptableStore> {
  readonly table: string;
  readonly config: RecordSetConfig;
  /** Puts attributes of any type beside those of the rows. */
  put(item: Item): Promise<void>;
  /** Every item as it is stored. */
  items(): Promise<readonly Item[]>;
}

/** Most writes of one request. */
const BATCH = 25;

let tables = 0;

/** `client` is the application's; the store has it too, unless the options say another. */
export async function makeFixture(
  client: DynamoDBClient,
  tableCase: TableCase,
  options: Partial<DynamoDbRecordStoreOptions> = {},
): Promise<DynamoDbFixture> {
  tables += 1;
  const TableName = `people-${tables}`;
  await createRecordTable(client, TableName, tableCase);
  const config = recordSetConfig(TableName, tableCase);
  const store = createDynamoDbRecordStore({
    ...{ recordSet: 'people', config, client, slots: createSlots(16) },
    ...options,
  });
  const { key: keys, tenant, tenantType = 'S', fields, textFields, largestValue } = tableCase;
  const stored = (value: FieldValue): AttributeValue =>
    value === null ? { NULL: true } : storedValue(textFields ? 'S' : 'B', new Uint8Array(value));
  const read = (value: AttributeValue | undefined): FieldValue => {
    if (value?.S !== undefined) return Buffer.from(value.S, 'base64url');
    return value?.B ?? null;
  };
  const put = async (Item: Item) => {
    await client.send(new PutItemCommand({ TableName, Item: { ...Item } }));
  };
  const itemOf = (row: FixtureRow): Item => ({
    ...('column' in tenant
      ? { [tenant.column]: tenantType === 'S' ? { S: row.tenant } : { N: row.tenant } }
      : {}),
    ...keyItem(row.key, keys),
    ...Object.fromEntries(fields.map(({ column }, f) => [column, stored(row.values[f] ?? null)])),
    'of the application': { S: 'stays' },
  });
  const items = async () => {
    const found: Item[] = [];
    for (let after: Record<string, AttributeValue> | undefined; ; ) {
      const page = await client.send(
        new ScanCommand({ TableName, ConsistentRead: true, ...(after && { ExclusiveStartKey: after }) }),
      );
      found.push(...(page.Items ?? []));
      after = page.LastEvaluatedKey;
      if (after === undefined) return found;
    }
  };
  const writeAll = async (writes: readonly WriteRequest[]) => {
    for (let from = 0; from < writes.length; ) {
      const batch = writes.slice(from, from + BATCH);
      const { UnprocessedItems } = await client.send(
        new BatchWriteItemCommand({ RequestItems: { [TableName]: batch } }),
      );
      if (Object.keys(UnprocessedItems ?? {}).length > 0) throw new Error('Not all of a batch was written');
      from += batch.length;
    }
  };
  return {
    store,
    table: TableName,
    config,
    tenants: tableCase.tenants,
    keyOf: tableCase.keyOf,
    largestValue,
    wholeTenants: 'column' in tenant && tenant.column === keys[0]?.name,
    put,
    items,
    async remove(key) {
      await client.send(new DeleteItemCommand({ TableName, Key: keyItem(key, keys) }));
    },
    insert: (rows) => writeAll(rows.map((row) => ({ PutRequest: { Item: { ...itemOf(row) } } }))),
    async write(key, f, value) {
      await client.send(
        new UpdateItemCommand({
          TableName,
          Key: keyItem(key, keys),
          UpdateExpression: 'SET #f = :v',
          ExpressionAttributeNames: { '#f': fields[f]?.column ?? '' },
          ExpressionAttributeValues: { ':v': stored(value) },
        }),
      );
    },
    async rows() {
      return (await items()).map((item): FixtureRow => {
        const owner = 'column' in tenant ? item[tenant.column] : undefined;
        return {
          key: keyOf(item, keys),
          tenant: 'fixed' in tenant ? tenant.fixed : (owner?.S ?? owner?.N ?? ''),
          values: fields.map(({ column }) => read(item[column])),
        };
      });
    },
    clear: async () =>
      writeAll((await items()).map((item) => ({ DeleteRequest: { Key: keyItem(keyOf(item, keys), keys) } }))),
    async close() {
      await store.close();
      await client.send(new DeleteTableCommand({ TableName }));
    },
  };
}
