import {
  BatchWriteItemCommand,
  CreateTableCommand,
  DeleteTableCommand,
  type DynamoDBClient,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from '@aws-sdk/client-dynamodb';
import type pg from 'pg';
import { type Kek, seal } from '../../shared/envelope/index.ts';
import { byteaArray } from '../../shared/records/postgres/values.ts';

/** The same records in either store, for the counting of requests. */
export interface CountedStore {
  readonly name: 'PostgreSQL' | 'DynamoDB';
  /** Its key's purpose. */
  readonly purpose: string;
  /** Makes the table anew: a census of DynamoDB reads a table whole, so it must not hold records of other runs. */
  fill(tenant: string, records: number, kek: Kek): Promise<void>;
}

const FIELDS = [{ name: 'secret', column: 'secret' }];
const TENANT = { column: 'tenant' };

/** The configuration of both. */
export const COUNTED_SETS = {
  people: { store: 'sql', table: 'people', key: ['id'], tenant: TENANT, purpose: 'sql', fields: FIELDS },
  // Found by the partition key, which is the tenant. (dynalite's indexes lose items whose keys' hashes begin alike.)
  items: {
    ...{ store: 'nosql', table: 'items', key: ['tenant', 'id'], tenant: TENANT },
    ...{ purpose: 'nosql', fields: FIELDS },
  },
};

/** An e-mail address or an account number, with its envelope about 300 B. */
const PLAINTEXT = Buffer.alloc(185, 'x');

export function postgresRecords(pool: pg.Pool): CountedStore {
  const page = 10_000;
  return {
    name: 'PostgreSQL',
    purpose: COUNTED_SETS.people.purpose,
    async fill(tenant, records, kek) {
      await pool.query('DROP TABLE IF EXISTS people');
      await pool.query('CREATE TABLE people (id int8 PRIMARY KEY, tenant text NOT NULL, secret bytea)');
      for (let from = 0; from < records; from += page) {
        const sealed = sealRecords('people', tenant, kek, ids(from, Math.min(page, records - from)));
        await pool.query(
          'INSERT INTO people SELECT $1 + i, $2, v FROM unnest($3::bytea[]) WITH ORDINALITY AS c(v, i)',
          [from - 1, tenant, byteaArray(sealed)],
        );
      }
    },
  };
}

export function dynamoDbRecords(client: DynamoDBClient): CountedStore {
  const table = COUNTED_SETS.items.table;
  const page = 25;
  const lanes = 8;
  let exists = false;
  const put = async (tenant: string, kek: Kek, from: number, count: number) => {
    const requests = sealRecords('items', tenant, kek, ids(from, count, [tenant])).map((secret, i) => ({
      PutRequest: { Item: { id: { S: String(from + i) }, tenant: { S: tenant }, secret: { B: secret } } },
    }));
    await client.send(new BatchWriteItemCommand({ RequestItems: { [table]: requests } }));
  };
  return {
    name: 'DynamoDB',
    purpose: COUNTED_SETS.items.purpose,
    async fill(tenant, records, kek) {
      const wait = { client, minDelay: 1, maxDelay: 1, maxWaitTime: 60 };
      if (exists) {
        await client.send(new DeleteTableCommand({ TableName: table }));
        await waitUntilTableNotExists(wait, { TableName: table });
      }
      await client.send(new CreateTableCommand(tableDefinition(table)));
      await waitUntilTableExists(wait, { TableName: table });
      exists = true;
      const pages = Array.from({ length: Math.ceil(records / page) }, (_, i) => i * page).values();
      const lane = async () => {
        for (const from of pages) await put(tenant, kek, from, Math.min(page, records - from));
      };
      await Promise.all(Array.from({ length: lanes }, lane));
    },
  };
}

function tableDefinition(TableName: string) {
  const attribute = (AttributeName: string) => ({ AttributeName, AttributeType: 'S' as const });
  return {
    TableName,
    BillingMode: 'PAY_PER_REQUEST' as const,
    AttributeDefinitions: [attribute('id'), attribute('tenant')],
    KeySchema: [
      { AttributeName: 'tenant', KeyType: 'HASH' as const },
      { AttributeName: 'id', KeyType: 'RANGE' as const },
    ],
  };
}

/** Record ids: what stands before in the key, and a number. */
function ids(from: number, count: number, before: readonly string[] = []): string[][] {
  return Array.from({ length: count }, (_, i) => [...before, String(from + i)]);
}

function sealRecords(
  recordSet: string,
  tenant: string,
  kek: Kek,
  recordIds: readonly (readonly string[])[],
): Uint8Array[] {
  return recordIds.map((recordId) => seal(PLAINTEXT, kek, { tenant, recordSet, recordId, field: 'secret' }));
}
