import { afterAll, beforeAll } from 'vitest';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { describeAuditStore } from '../../contracts/audit-store.ts';
import { startTestDynamoDb, type TestDynamoDb } from '../../support/dynamodb.ts';

let dynamodb: TestDynamoDb;
beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
});
afterAll(() => dynamodb.stop());

describeAuditStore('memory', async () => createMemoryLedger());
describeAuditStore('DynamoDB', () => dynamodb.makeLedger());
