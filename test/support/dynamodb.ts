import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { type LocalDynamoDb, startDynamoDb } from '../../local/dynamodb.ts';
import type { LedgerStore } from '../../shared/audit/outbox.ts';
import { createDynamoDbLedger } from '../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../shared/ledger/table.ts';
import { testState } from '../../simulation/models/state-key.ts';

/** A DynamoDB in memory for one test file. Tables cost nothing: take a new one for each test. */
export interface TestDynamoDb {
  readonly server: LocalDynamoDb;
  readonly client: DynamoDBClient;
  /** A ledger on an empty table of its own. */
  makeLedger(): Promise<LedgerStore>;
  newTableName(): string;
  stop(): Promise<void>;
}

export async function startTestDynamoDb(): Promise<TestDynamoDb> {
  const server = await startDynamoDb();
  const client = connect(server.endpoint);
  let tables = 0;
  const newTableName = () => {
    tables += 1;
    return `ledger-${tables}`;
  };
  return {
    server,
    client,
    newTableName,
    makeLedger: async () => {
      const tableName = newTableName();
      await createLedgerTable(client, tableName);
      return createDynamoDbLedger({ client, tableName, authenticator: testState });
    },
    stop: async () => {
      client.destroy();
      await server.stop();
    },
  };
}

export function connect(endpoint: string, maxAttempts = 3): DynamoDBClient {
  return new DynamoDBClient({
    endpoint,
    region: 'local',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts,
  });
}
