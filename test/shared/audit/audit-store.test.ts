import { afterAll, beforeAll } from 'vitest';
import { describeAuditStore } from '../../contracts/audit-store.ts';
import { startTestDynamoDb, type TestDynamoDb } from '../../support/dynamodb.ts';
import { createMemoryLedger } from '../../support/memory-ledger.ts';

let dynamodb: TestDynamoDb;
beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
});
afterAll(() => dynamodb.stop());

describeAuditStore('memory', async () => createMemoryLedger());
describeAuditStore('DynamoDB', () => dynamodb.makeLedger());
