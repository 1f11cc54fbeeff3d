import {
  BatchWriteItemCommand,
  CreateTableCommand,
  type DynamoDBClient,
  paginateScan,
  type WriteRequest,
} from '@aws-sdk/client-dynamodb';
import type pg from 'pg';
import type { EnvelopeContext } from '../../../shared/envelope/index.ts';
import { fromText, toText } from '../../../shared/envelope/text.ts';
import type { FieldCipher } from '../../../shared/keyring/field-cipher.ts';

/** The application's records: customers in DynamoDB, as binary and as text; invoices in PostgreSQL. */

export const CUSTOMERS = 'customers';
export const INVOICES = 'invoices';

export const RECORD_SETS = {
  [CUSTOMERS]: {
    store: 'main',
    table: CUSTOMERS,
    key: ['pk', 'sk'],
    tenant: { column: 'tenant' },
    index: 'by-tenant',
    fields: [
      { name: 'email', column: 'email' },
      { name: 'iban', column: 'iban' },
    ],
  },
  [INVOICES]: {
    store: 'billing',
    table: INVOICES,
    key: ['id'],
    tenant: { column: 'tenant' },
    fields: [{ name: 'address', column: 'address_enc' }],
  },
};

export const email = (tenant: string, i: number) => `plaintext-${tenant}-${i}@example.com`;
export const iban = (tenant: string, i: number) => `plaintext-${tenant}-IBAN-${i}`;
export const address = (tenant: string, i: number) => `plaintext-${tenant}-address-${i}`;
/** What every plaintext of the records contains, and nothing else may. */
export const PLAINTEXT_MARK = 'plaintext-';

export async function createCustomers(client: DynamoDBClient): Promise<void> {
  const attribute = (name: string) => ({ AttributeName: name, AttributeType: 'S' as const });
  await client.send(
    new CreateTableCommand({
      TableName: CUSTOMERS,
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [attribute('pk'), attribute('sk'), attribute('tenant')],
      KeySchema: [
        { AttributeName: 'pk', KeyType: 'HASH' },
        { AttributeName: 'sk', KeyType: 'RANGE' },
      ],
      GlobalSecondaryIndexes: [
        {
          IndexName: 'by-tenant',
          KeySchema: [{ AttributeName: 'tenant', KeyType: 'HASH' }],
          Projection: { ProjectionType: 'KEYS_ONLY' },
        },
      ],
    }),
  );
}

const recordKey = (tenant: string, i: number) => [`${tenant}#${i}`, 'profile'] as const;
const BATCH = 25;

/** Customers 0 to `count`, sealed under the tenant's active version. */
export async function putCustomers(
  client: DynamoDBClient,
  cipher: FieldCipher,
  tenant: string,
  count: number,
): Promise<void> {
  for (let from = 0; from < count; from += BATCH) {
    const batch: WriteRequest[] = [];
    for (let i = from; i < Math.min(from + BATCH, count); i++) {
      const [pk, sk] = recordKey(tenant, i);
      const at = { tenant, recordSet: CUSTOMERS, recordId: [pk, sk] };
      batch.push({
        PutRequest: {
          Item: {
            pk: { S: pk },
            sk: { S: sk },
            tenant: { S: tenant },
            email: { B: await cipher.seal({ ...at, field: 'email' }, Buffer.from(email(tenant, i))) },
            iban: { S: toText(await cipher.seal({ ...at, field: 'iban' }, Buffer.from(iban(tenant, i)))) },
          },
        },
      });
    }
    await client.send(new BatchWriteItemCommand({ RequestItems: { [CUSTOMERS]: batch } }));
  }
}

export async function createInvoices(pool: pg.Pool): Promise<void> {
  await pool.query('CREATE TABLE invoices (id int PRIMARY KEY, tenant text NOT NULL, address_enc bytea)');
}

/** Invoices `from` to `from + count`, sealed under the tenant's active version. */
export async function putInvoices(
  pool: pg.Pool,
  cipher: FieldCipher,
  tenant: string,
  from: number,
  count: number,
): Promise<void> {
  for (let i = from; i < from + count; i++) {
    const context = { tenant, recordSet: INVOICES, recordId: [String(i)], field: 'address' };
    const envelope = await cipher.seal(context, Buffer.from(address(tenant, i)));
    await pool.query('INSERT INTO invoices VALUES ($1, $2, $3)', [i, tenant, envelope]);
  }
}

/** One encrypted value as it is stored. */
export interface StoredValue {
  readonly context: EnvelopeContext;
  readonly envelope: Uint8Array;
}

export async function readCustomers(client: DynamoDBClient, tenant: string): Promise<StoredValue[]> {
  const values: StoredValue[] = [];
  for await (const { Items = [] } of paginateScan(
    { client },
    { TableName: CUSTOMERS, ConsistentRead: true },
  )) {
    for (const { pk, sk, tenant: owner, email, iban } of Items) {
      if (owner?.S !== tenant) continue;
      const at = { tenant, recordSet: CUSTOMERS, recordId: [pk?.S ?? '', sk?.S ?? ''] };
      values.push({ context: { ...at, field: 'email' }, envelope: email?.B ?? new Uint8Array() });
      values.push({ context: { ...at, field: 'iban' }, envelope: fromText(iban?.S ?? '') });
    }
  }
  return values;
}

export async function readInvoices(pool: pg.Pool, tenant: string): Promise<StoredValue[]> {
  const { rows } = await pool.query('SELECT id, address_enc FROM invoices WHERE tenant = $1', [tenant]);
  return rows.map(({ id, address_enc }) => ({
    context: { tenant, recordSet: INVOICES, recordId: [String(id)], field: 'address' },
    envelope: new Uint8Array(address_enc),
  }));
}

/** The plaintext that was sealed at this place. */
export function expected({ tenant, recordSet, recordId, field }: EnvelopeContext): string {
  const [first = ''] = recordId;
  if (recordSet === INVOICES) return address(tenant, Number(first));
  const i = Number(first.split('#')[1]);
  return field === 'email' ? email(tenant, i) : iban(tenant, i);
}
