import {
  CreateTableCommand,
  type CreateTableCommandInput,
  DescribeTableCommand,
  type DynamoDBClient,
  type KeySchemaElement,
  type TableDescription,
} from '@aws-sdk/client-dynamodb';
import { systemClock } from '../clock/system.ts';
import { LedgerError } from '../errors/errors.ts';
import { LIST_INDEX, LIST_KEY, LIST_ORDER, PARTITION_KEY, SORT_KEY } from './attributes.ts';
import { isTableInUse, isTableMissing, translateError } from './translate-error.ts';

/** The table's definition. In AWS the stack makes it; on one machine, and in tests, this does. */

export const TABLE_DEFINITION = {
  AttributeDefinitions: [PARTITION_KEY, SORT_KEY, LIST_KEY, LIST_ORDER].map((name) => ({
    AttributeName: name,
    AttributeType: 'S',
  })),
  KeySchema: keySchema(PARTITION_KEY, SORT_KEY),
  GlobalSecondaryIndexes: [
    {
      IndexName: LIST_INDEX,
      KeySchema: keySchema(LIST_KEY, LIST_ORDER),
      Projection: { ProjectionType: 'ALL' },
    },
  ],
  BillingMode: 'PAY_PER_REQUEST',
} satisfies Omit<CreateTableCommandInput, 'TableName'>;

/** How long point-in-time backups of the table go back in AWS. D/amazondynamodb/latest/developerguide/Point-in-time-recovery.html */
export const LEDGER_BACKUP_DAYS = 35;
export const LEDGER_BACKUP_SECONDS = LEDGER_BACKUP_DAYS * 86_400;

const POLL_MILLISECONDS = 50;
const POLLS = 1200;

/** Creates the table and waits until it can be used. Repeating it changes nothing. */
export async function createLedgerTable(client: DynamoDBClient, tableName: string): Promise<void> {
  try {
    const table = await describe(client, tableName);
    if (table === null) await create(client, tableName);
    await waitUntilActive(client, tableName);
  } catch (error) {
    throw translateError(error, tableName);
  }
  await checkLedgerTable(client, tableName);
}

/** Throws when the table is missing, out of reach, or not one of this definition. */
export async function checkLedgerTable(client: DynamoDBClient, tableName: string): Promise<void> {
  let table: TableDescription | null;
  try {
    table = await describe(client, tableName);
  } catch (error) {
    throw translateError(error, tableName);
  }
  if (table === null) {
    throw new LedgerError('LEDGER_NOT_FOUND', `The ledger's table ${tableName} does not exist`, {
      remedy: '`keyturn local start` makes it on one machine, a deployment in AWS.',
    });
  }
  const index = table.GlobalSecondaryIndexes?.find(({ IndexName }) => IndexName === LIST_INDEX);
  const right =
    hasKeys(table.KeySchema, PARTITION_KEY, SORT_KEY) && hasKeys(index?.KeySchema, LIST_KEY, LIST_ORDER);
  if (!right) {
    throw new LedgerError(
      'LEDGER_ITEM_INVALID',
      `The table ${tableName} is not a Keyturn ledger: its keys or index differ`,
      {
        remedy: 'Name the table that `keyturn local start` or a deployment made.',
      },
    );
  }
}

function keySchema(hash: string, range: string): KeySchemaElement[] {
  return [
    { AttributeName: hash, KeyType: 'HASH' },
    { AttributeName: range, KeyType: 'RANGE' },
  ];
}

function hasKeys(schema: readonly KeySchemaElement[] | undefined, hash: string, range: string): boolean {
  const find = (type: string) => schema?.find(({ KeyType }) => KeyType === type)?.AttributeName;
  return find('HASH') === hash && find('RANGE') === range;
}

async function describe(client: DynamoDBClient, tableName: string): Promise<TableDescription | null> {
  try {
    const { Table } = await client.send(new DescribeTableCommand({ TableName: tableName }));
    return Table ?? null;
  } catch (error) {
    if (isTableMissing(error)) return null;
    throw error;
  }
}

async function create(client: DynamoDBClient, tableName: string): Promise<void> {
  try {
    await client.send(new CreateTableCommand({ TableName: tableName, ...TABLE_DEFINITION }));
  } catch (error) {
    // Somebody else creates it at this moment.
    if (!isTableInUse(error)) throw error;
  }
}

async function waitUntilActive(client: DynamoDBClient, tableName: string): Promise<void> {
  for (let polls = 0; polls < POLLS; polls++) {
    const table = await describe(client, tableName);
    if (table?.TableStatus === 'ACTIVE' || table?.TableStatus === 'UPDATING') return;
    await systemClock.sleep(POLL_MILLISECONDS);
  }
  throw new LedgerError('LEDGER_UNAVAILABLE', `The ledger's table ${tableName} did not become active`, {
    retryable: true,
  });
}
