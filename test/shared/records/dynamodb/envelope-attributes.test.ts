import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { toText } from '../../../../shared/envelope/text.ts';
import { createDynamoDbSearch } from '../../../../shared/records/dynamodb/envelope-attributes.ts';
import { createSlots } from '../../../../shared/records/dynamodb/slots.ts';
import { envelope, KEY_ID, OTHER_KEY_ID } from '../../../contracts/record-store.ts';
import { describeStoreSearch } from '../../../contracts/store-search.ts';
import { startTestDynamoDb, type TestDynamoDb } from '../../../support/dynamodb.ts';
import { FIXED_TENANT, makeFixture, STRING_KEY } from '../../../support/dynamodb-records.ts';

let dynamodb: TestDynamoDb;
beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
});
afterAll(() => dynamodb.stop());

const SCOPE = { keyId: KEY_ID, version: 1 };
const FOREVER = Number.POSITIVE_INFINITY;

function searchOf(...declared: readonly { readonly table: string; readonly columns: readonly string[] }[]) {
  return createDynamoDbSearch({ store: 'tables', declared, client: dynamodb.client, slots: createSlots(4) });
}

describe('a search of DynamoDB tables', () => {
  it('finds envelopes in every attribute that nobody declared, by key and version', async () => {
    const fixture = await makeFixture(dynamodb.client, STRING_KEY);
    const cut = envelope(1).subarray(0, 40);
    await fixture.put({
      id: { S: '1' },
      secret: { B: envelope(1) },
      'old one': { B: envelope(1) },
      n: { N: '7' },
    });
    await fixture.put({ id: { S: '2' }, 'old one': { S: toText(envelope(2)) }, note: { S: 'plain' } });
    await fixture.put({ id: { S: '3' }, 'old one': { B: envelope(1, OTHER_KEY_ID) }, cut: { B: cut } });
    // A key may be one, too.
    await fixture.put({ id: { S: toText(envelope(1)) }, gone: { NULL: true }, yes: { BOOL: true } });
    await fixture.put({
      id: { S: '5' },
      ...{
        map: { M: { a: { B: envelope(1) } } },
        list: { L: [] },
        texts: { SS: ['a'] },
        numbers: { NS: ['1'] },
      },
    });
    const search = searchOf({ table: fixture.table, columns: ['secret'] });
    const [part = '', ...more] = await search.parts(4);
    expect(more).toEqual([]);
    const { found, unsearched } = await search.search(part, SCOPE, FOREVER);
    const of = (column: string, envelopes: number, ofKey: number, onVersion: number) => ({
      ...{ table: fixture.table, column, materialized: false, envelopes, ofKey, onVersion },
    });
    expect(found.toSorted((a, b) => (a.column < b.column ? -1 : 1))).toEqual([
      of('cut', 1, 0, 0),
      of('id', 1, 1, 1),
      of('old one', 3, 2, 1),
    ]);
    expect(unsearched).toEqual([{ table: fixture.table, columns: ['list', 'map', 'texts'], reason: 'TYPE' }]);
  });

  it('takes each declared table once, with what all its record sets declare, and no other', async () => {
    const a = await makeFixture(dynamodb.client, STRING_KEY);
    const b = await makeFixture(dynamodb.client, STRING_KEY);
    const undeclared = await makeFixture(dynamodb.client, STRING_KEY);
    for (const { put } of [a, b, undeclared]) {
      await put({ id: { S: '1' }, x: { B: envelope(1) }, y: { B: envelope(1) } });
    }
    const search = searchOf(
      { table: a.table, columns: ['x'] },
      { table: b.table, columns: ['x'] },
      { table: a.table, columns: ['y'] },
    );
    const parts = await search.parts(1);
    expect(parts).toHaveLength(2);
    const found = [];
    for (const part of parts) found.push(...(await search.search(part, SCOPE, FOREVER)).found);
    expect(found.map(({ table, column }) => [table, column])).toEqual([[b.table, 'y']]);
  });

  it('reads page after page, and in segments, until it is done or the time is over', async () => {
    const fixture = await makeFixture(dynamodb.client, FIXED_TENANT);
    const large = envelope(1, KEY_ID, 'x'.repeat(150_000));
    for (let i = 0; i < 16; i++) await fixture.put({ id: { B: Buffer.from(`k${i}`) }, b: { B: large } });
    const search = searchOf({ table: fixture.table, columns: ['a'] });
    const part = (n: number) =>
      `s${Buffer.from(JSON.stringify({ table: fixture.table, part: n, of: 2 })).toString('base64url')}`;
    let envelopes = 0;
    for (const n of [0, 1]) {
      const { found } = await search.search(part(n), SCOPE, FOREVER);
      for (const column of found) envelopes += column.envelopes;
    }
    expect(envelopes).toBe(16);
    expect(await search.search(part(0), SCOPE, 0)).toEqual({
      found: [],
      declared: [],
      unsearched: [{ table: fixture.table, columns: [], reason: 'TIME' }],
    });
    await expect(search.search('sx', SCOPE, FOREVER)).rejects.toMatchObject({ code: 'RECORD_KEY_INVALID' });
  });

  it('names the store and the table where it fails', async () => {
    const search = searchOf({ table: 'nowhere', columns: ['a'] });
    await expect(search.parts(1)).rejects.toMatchObject({
      code: 'TABLE_NOT_FOUND',
      message: expect.stringContaining('Store "tables", table "nowhere"'),
    });
  });
});

describeStoreSearch('DynamoDB, binary and strings', async () => {
  const fixture = await makeFixture(dynamodb.client, STRING_KEY);
  const declared = [{ table: fixture.table, columns: ['declared'] }];
  const { client } = dynamodb;
  return {
    table: fixture.table,
    declaredAs: fixture.table,
    search: createDynamoDbSearch({ store: 'searched', declared, client, slots: createSlots(4) }),
    async insert(rows) {
      for (const [i, { declared: a, left, other }] of rows.entries()) {
        await fixture.put({
          id: { S: `p${i}` },
          ...(a && { declared: { B: a } }),
          ...(left && { left: { B: left } }),
          ...(other && { other: { S: toText(other) } }),
        });
      }
    },
    close: fixture.close,
  };
});
