import { afterAll, beforeAll } from 'vitest';
import { describeRecordStore } from '../../../contracts/record-store.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';
import { COMPOUND_KEY, FIXED_TENANT, INT_KEY, makeFixture } from '../../../support/postgres-records.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

for (const tableCase of [INT_KEY, COMPOUND_KEY, FIXED_TENANT]) {
  describeRecordStore(`PostgreSQL, ${tableCase.name}`, () => makeFixture(postgres, tableCase));
}
// Pages that end on the bound of rows read, not of keys found.
describeRecordStore('PostgreSQL, reading 2 rows a page', () =>
  makeFixture(postgres, INT_KEY, { scanRows: 2 }),
);
