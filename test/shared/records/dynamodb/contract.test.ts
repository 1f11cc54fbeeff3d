import { afterAll, beforeAll } from 'vitest';
import { describeRecordStore } from '../../../contracts/record-store.ts';
import { startTestDynamoDb, type TestDynamoDb } from '../../../support/dynamodb.ts';
import { INDEXED, makeFixture, TABLE_CASES } from '../../../support/dynamodb-records.ts';

let dynamodb: TestDynamoDb;
beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
});
afterAll(() => dynamodb.stop());

for (const tableCase of TABLE_CASES) {
  describeRecordStore(`DynamoDB, ${tableCase.name}`, () => makeFixture(dynamodb.client, tableCase));
}
// Listings that end on the bound of pages read, not of keys found.
describeRecordStore('DynamoDB, an index, reading 2 keys a page and one page a listing', () =>
  makeFixture(dynamodb.client, INDEXED, { scanPages: 1, pageItems: 2 }),
);
