import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { afterAll, describe, expect, it } from 'vitest';
import { createDynamoDbLedger } from '../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../shared/ledger/table.ts';
import { createStoreClient } from '../../shared/records/dynamodb/client.ts';
import { testState } from '../../simulation/models/state-key.ts';
import { describeLedger } from '../contracts/ledger.ts';
import { describeRecordStore, envelope, KEY_ID, listAll } from '../contracts/record-store.ts';
import {
  INDEXED,
  makeFixture,
  STRING_KEY,
  TABLE_CASES,
  type TableCase,
} from '../support/dynamodb-records.ts';
import { clientOf, startDynamoDbLocal } from './support/emulators.ts';

/** Record store and ledger on the DynamoDB that AWS publishes for tests: stricter than the embedded one about requests. */

const emulator = await startDynamoDbLocal();
const place = clientOf(emulator ?? { endpoint: 'http://127.0.0.1:9' });
const application = new DynamoDBClient(place);
const client = createStoreClient({ type: 'dynamodb', requestsInFlight: 16 }, place);

describe.skipIf(emulator === null)('DynamoDB Local', () => {
  afterAll(async () => {
    client.destroy();
    application.destroy();
    await emulator?.stop();
  });

  for (const tableCase of TABLE_CASES) {
    describeRecordStore(`DynamoDB Local, ${tableCase.name}`, () =>
      makeFixture(application, tableCase, { client }),
    );
  }

  let ledgers = 0;
  describeLedger('DynamoDB Local', async () => {
    ledgers += 1;
    const tableName = `ledger-${ledgers}`;
    await createLedgerTable(application, tableName);
    return createDynamoDbLedger({ client: application, tableName, authenticator: testState });
  });

  it('shows what it found instead, so that a conflict costs no read', async () => {
    const fixture = await makeFixture(application, STRING_KEY, { client });
    const key = fixture.keyOf(1);
    const tenant = fixture.tenants[0];
    await fixture.insert([{ key, tenant, values: [envelope(1)] }]);
    const requests: unknown[] = [];
    client.middlewareStack.add(
      (next, { commandName }) =>
        (args) => {
          requests.push(commandName);
          return next(args);
        },
      { step: 'initialize', name: 'count' },
    );
    const change = { field: 0, before: envelope(1), after: envelope(2) };
    expect(await fixture.store.replace([{ key, tenant, changes: [change] }])).toEqual(['conflict']);
    client.middlewareStack.remove('count');
    expect(requests.filter((name) => name !== 'DescribeTableCommand')).toEqual(['UpdateItemCommand']);
    await fixture.close();
  });

  it('writes each number as the one text that a key of it has', async () => {
    const numbered: TableCase = { ...STRING_KEY, key: [{ name: 'id', type: 'N' }] };
    const fixture = await makeFixture(application, numbered, { client });
    const { store, tenants } = fixture;
    const numbers = [
      '1E+30',
      '-1e125',
      '1E-30',
      '0.10',
      '+7',
      '-0',
      '00012.500',
      `${'9'.repeat(38)}`,
      '1.5E-100',
    ];
    for (const N of numbers) {
      await fixture.put({ id: { N }, tenant: { S: tenants[0] }, secret: { B: envelope(1) } });
    }
    const scope = { tenant: tenants[0], keyId: KEY_ID };
    const [segment = ''] = await store.segments(scope, 1);
    const keys = await listAll((after, limit) => store.listStale(scope, 2, segment, after, limit), 2);
    expect(keys).toHaveLength(numbers.length);
    const records = await store.read(keys);
    expect(records.map((record) => record?.key)).toEqual(keys);
    await fixture.close();
  });

  it.each([STRING_KEY, INDEXED])('ends a range whose last record is gone: $name', async (tableCase) => {
    const fixture = await makeFixture(application, tableCase, { client });
    const { store } = fixture;
    const scope = { tenant: tableCase.tenants[0], keyId: KEY_ID };
    for (let n = 0; n < 30; n++) {
      const values = tableCase.fields.map(() => envelope(1));
      await fixture.insert([{ key: fixture.keyOf(n), tenant: scope.tenant, values }]);
    }
    for (const segment of await store.segments(scope, 3)) {
      const { keys } = await store.listStale(scope, 2, segment, null, 100);
      const at = Math.floor(keys.length / 2);
      const until = store.cursorAfter(keys[at] ?? []);
      await fixture.remove(keys[at] ?? []);
      const head = await listAll(
        (after, limit) => store.listStale(scope, 2, segment, after, limit, until),
        2,
      );
      expect(head).toEqual(keys.slice(0, at));
      const tail = await listAll(
        (after, limit) => store.listStale(scope, 2, segment, after ?? until, limit),
        2,
      );
      expect(tail).toEqual(keys.slice(at + 1));
    }
    await fixture.close();
  });
});
