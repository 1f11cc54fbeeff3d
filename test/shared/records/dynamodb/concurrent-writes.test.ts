import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createKek, inspect, rewrap, seal } from '../../../../shared/envelope/index.ts';
import type { StoredRecord } from '../../../../shared/records/record-store.ts';
import { KEY_ID } from '../../../contracts/record-store.ts';
import { startTestDynamoDb, type TestDynamoDb } from '../../../support/dynamodb.ts';
import { type DynamoDbFixture, INDEXED, makeFixture } from '../../../support/dynamodb-records.ts';

let dynamodb: TestDynamoDb;
let fixture: DynamoDbFixture;
beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
  fixture = await makeFixture(dynamodb.client, INDEXED);
});
afterAll(() => dynamodb.stop());

const secret = Buffer.alloc(32, 7);
const kek = (version: number) => createKek({ keyId: KEY_ID, version, key: secret });
let sealed = 0;
/** Of a text that no other has. */
const fresh = () => {
  sealed += 1;
  const context = { tenant: 't', recordSet: 'r', recordId: ['1'], field: 'f' };
  return seal(Buffer.from(`text ${sealed}`), kek(1), context);
};
/** All of an envelope but its recipient: what a rewrap must leave. */
const body = (value: Uint8Array) => Buffer.from(value.subarray(0, value.length - 70)).toString('hex');

const RECORDS = 3;
const FIELDS = INDEXED.fields.length;
const step = fc.record({
  record: fc.nat({ max: RECORDS - 1 }),
  field: fc.nat({ max: FIELDS - 1 }),
  does: fc.constantFrom('write', 'write', 'remove', 'read', 'replace', 'replace', 'move'),
});

it('an application’s write always stands, whatever was read before it and whoever replaces after it', async () => {
  const [tenant, another = ''] = INDEXED.tenants;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.array(step, { maxLength: 6 }), { minLength: 2, maxLength: 8 }),
      async (rounds) => {
        await fixture.clear();
        const keys = Array.from({ length: RECORDS }, (_, n) => fixture.keyOf(n));
        /** What the application wrote last, field by field; null: removed. */
        const committed = keys.map((): string[] | null => null);
        const insert = async (n: number, owner: string) => {
          const values = INDEXED.fields.map(fresh);
          committed[n] = values.map(body);
          await fixture.insert([{ key: keys[n] ?? [], tenant: owner, values }]);
        };
        for (const n of keys.keys()) await insert(n, tenant);
        const read: (StoredRecord | null)[] = keys.map(() => null);

        for (const round of rounds) {
          // The application's own steps on a record are in order; the worker's run beside them.
          const application = async () => {
            for (const { record, field, does } of round) {
              if (does === 'remove') {
                committed[record] = null;
                await fixture.remove(keys[record] ?? []);
              } else if (does === 'move') {
                await insert(record, another);
              } else if (does === 'write' && committed[record]) {
                const value = fresh();
                committed[record][field] = body(value);
                await fixture.write(keys[record] ?? [], field, value);
              }
            }
          };
          const worker = async () => {
            for (const { record, does } of round) {
              const known = read[record] ?? null;
              if (does === 'read') [read[record] = null] = await fixture.store.read([keys[record] ?? []]);
              if (does !== 'replace' || known === null) continue;
              const changes = known.values.flatMap((before, field) =>
                before !== null && inspect(before).version === 1
                  ? [{ field, before, after: rewrap(before, kek(1), kek(2)) }]
                  : [],
              );
              if (changes.length === 0) continue;
              const [outcome] = await fixture.store.replace([
                { key: known.key, tenant: known.tenant, changes },
              ]);
              expect(['replaced', 'conflict', 'missing']).toContain(outcome);
            }
          };
          await Promise.all([application(), worker(), worker()]);
          const rows = await fixture.rows();
          for (const [n, key] of keys.entries()) {
            const row = rows.find((each) => JSON.stringify(each.key) === JSON.stringify(key));
            expect(row?.values.map((value) => value && body(value)) ?? null).toEqual(committed[n]);
            // Wholly old or wholly new, but for what the application wrote since.
            expect(row?.values.every((value) => value !== null) ?? true).toBe(true);
          }
        }
      },
    ),
    { numRuns: 25 },
  );
});
