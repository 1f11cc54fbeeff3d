import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, expect, it } from 'vitest';
import { type Item, marshalItem } from '../../../shared/ledger/attribute-values.ts';
import { ITEM_LIMIT, itemSize } from '../../../shared/ledger/item-size.ts';
import { createLedgerTable } from '../../../shared/ledger/table.ts';
import { tooLarge } from '../../../shared/ledger/too-large.ts';
import { startTestDynamoDb } from '../../support/dynamodb.ts';

/** How DynamoDB counts the bytes of an item, and what is said of one that is too large. */

const db = await startTestDynamoDb();
afterAll(() => db.stop());

// By hand, from "DynamoDB item sizes and formats".
it.each([
  ['a text, in UTF-8', { name: 'grün🔒' }, 4 + 9],
  ['bytes', { b: new Uint8Array(10) }, 1 + 10],
  ['null', { nothing: null }, 7 + 1],
  ['a Boolean', { yes: true }, 3 + 1],
  ['an empty list', { l: [] }, 1 + 3],
  ['a list of texts', { l: ['ab', 'cd'] }, 1 + 3 + 2 * (1 + 2)],
  ['a map', { m: { ab: 'x', c: null } }, 1 + 3 + (1 + 2 + 1) + (1 + 1 + 1)],
  // A byte for two digits, and one; DynamoDB's own engine on one machine counts one more for some.
  ['a number', { n: 123 }, 1 + 2 + 2],
])('counts %s', (_, fields, bytes) => {
  // The item is a map of its attributes: 3 bytes, and 1 each.
  expect(itemSize(marshalItem(fields))).toBe(3 + 1 + bytes);
});

it('counts no less than an engine does', async () => {
  const tableName = db.newTableName();
  await createLedgerTable(db.client, tableName);
  const many = Array.from({ length: 3000 }, (_, i) => ({
    number: i,
    at: '2026',
    nothing: null,
    yes: i % 2 === 0,
  }));
  const base = marshalItem({ pk: 'p', sk: 's', many, fill: '' });
  const put = (more: number) => {
    const fill = { S: 'x'.repeat(ITEM_LIMIT - itemSize(base) + more) };
    return db.client.send(
      new PutItemCommand({ TableName: tableName, Item: { ...base, fill } satisfies Item }),
    );
  };
  await put(0);
  // It counts lists and maps, and they are not nothing.
  await expect(put(40_000)).rejects.toMatchObject({ name: 'ValidationException' });
});

it.each([
  ['KEY#acme#default', 'KEY', 'a key', 'KEY_FULL'],
  ['JOB#j', 'ROUND#0000000001', 'a sweep', 'rotation.segments'],
  ['JOB#j', 'PAGE#0000000001#0000000000#0000000000', 'chunks', 'key columns'],
  ['JOB#j', 'JOB', 'a job', 'purpose'],
  ['JOB#j', 'CENSUS#1-1#0000000000', 'a census', 'purpose'],
  ['CENSUS#k', '2026#c', 'a census', 'purpose'],
  ['APPROVAL#r', 'REQUEST', 'an approval', 'purpose'],
  ['CERTIFICATE#k', '0000000001', 'a certificate', 'purpose'],
  ['QUARANTINE#k', 'people#SECRET-ID#email', 'another kind', 'report'],
])('says what helps for %s / %s', (pk, sk, name, remedy) => {
  const error = tooLarge({ pk, sk }, 500_000);
  expect(error).toMatchObject({ code: 'LEDGER_ITEM_INVALID', retryable: false });
  expect(error.message).toContain(`of ${name}`.replace('of chunks', 'chunks'));
  expect(error.remedy).toContain(remedy);
  expect(`${error.message} ${error.remedy}`).not.toContain('SECRET');
});
