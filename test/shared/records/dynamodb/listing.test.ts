import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Item } from '../../../../shared/records/dynamodb/attributes.ts';
import { storedValue } from '../../../../shared/records/dynamodb/attributes.ts';
import type { RecordKey, RecordStore, Scope } from '../../../../shared/records/record-store.ts';
import { envelope, type FixtureRow, KEY_ID, listAll } from '../../../contracts/record-store.ts';
import { connect, startTestDynamoDb, type TestDynamoDb } from '../../../support/dynamodb.ts';
import {
  FIXED_TENANT,
  makeFixture,
  STRING_KEY,
  type TableCase,
  TENANT_PARTITION,
} from '../../../support/dynamodb-records.ts';
import { type Fault, type FaultyDynamoDb, startFaultyDynamoDb } from '../../../support/faulty-dynamodb.ts';

let dynamodb: TestDynamoDb;
/** Only counts here. */
let proxy: FaultyDynamoDb;
beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
  proxy = await startFaultyDynamoDb(dynamodb.server.endpoint);
});
afterAll(async () => {
  await proxy.stop();
  await dynamodb.stop();
});

/** STRING_KEY with an index on a tenant attribute of strings. */
const STRING_INDEX: TableCase = { ...STRING_KEY, name: 'an index', index: { name: 'by-tenant' } };

const scopeOf = ({ tenants }: TableCase): Scope => ({ tenant: tenants[0], keyId: KEY_ID });
const names = (keys: readonly RecordKey[]) => keys.map((key) => JSON.stringify(key));

async function tableWith(tableCase: TableCase, count: number, version = 1, text = 'some plaintext') {
  const fixture = await makeFixture(dynamodb.client, tableCase);
  const rows = Array.from(
    { length: count },
    (_, n): FixtureRow => ({
      key: fixture.keyOf(n),
      tenant: tableCase.tenants[0],
      values: tableCase.fields.map(() => envelope(version, KEY_ID, text)),
    }),
  );
  await fixture.insert(rows);
  return { fixture, rows };
}

describe.each([STRING_KEY, STRING_INDEX, TENANT_PARTITION, FIXED_TENANT])('a range, $name', (tableCase) => {
  const scope = scopeOf(tableCase);
  const range = (store: RecordStore, segment: string, after: string | null, until: string, limit = 100) =>
    listAll((from) => store.listStale(scope, 2, segment, from ?? after, limit, until), limit);

  it('whose last record is gone still ends there, and goes on after it', async () => {
    const { fixture } = await tableWith(tableCase, 20);
    const { store } = fixture;
    const [segment = ''] = await store.segments(scope, 1);
    const whole = (await store.listStale(scope, 2, segment, null, 100)).keys;
    const until = store.cursorAfter(whole[7] ?? []);
    await fixture.remove(whole[7] ?? []);
    expect(await range(store, segment, null, until)).toEqual(whole.slice(0, 7));
    const tail = await store.listStale(scope, 2, segment, until, 100);
    expect(tail).toEqual({ keys: whole.slice(8), cursor: null });
    // Also the end of the whole segment, and a range with nothing left in it.
    const end = store.cursorAfter(whole[19] ?? []);
    await fixture.remove(whole[19] ?? []);
    expect(await range(store, segment, until, end)).toEqual(whole.slice(8, 19));
    expect(await range(store, segment, until, until)).toEqual([]);
  });

  it('whose last record is no longer stale, or another tenant’s, ends there', async () => {
    const { fixture } = await tableWith(tableCase, 12);
    const { store } = fixture;
    const [segment = ''] = await store.segments(scope, 1);
    const whole = (await store.listStale(scope, 2, segment, null, 100)).keys;
    const last = whole[5] ?? [];
    for (const f of tableCase.fields.keys()) await fixture.write(last, f, envelope(2));
    expect(await range(store, segment, null, store.cursorAfter(last))).toEqual(whole.slice(0, 5));
    if (tableCase.tenants.length === 1) return;
    await fixture.insert([{ key: last, tenant: tableCase.tenants[1] ?? '', values: [envelope(1)] }]);
    expect(await range(store, segment, null, store.cursorAfter(last))).toEqual(whole.slice(0, 5));
  });

  it('loses no record of its own when its last and the one after are deleted while it is listed', async () => {
    const { fixture } = await tableWith(tableCase, 20);
    const [segment = ''] = await fixture.store.segments(scope, 1);
    const whole = (await fixture.store.listStale(scope, 2, segment, null, 100)).keys;
    const until = fixture.store.cursorAfter(whole[4] ?? []);
    const client = connect(proxy.endpoint);
    const { config } = fixture;
    const store = (await makeFixture(dynamodb.client, tableCase, { client, config, pageItems: 3 })).store;
    let removed = false;
    proxy.fault = async (operation, body): Promise<Fault> => {
      // Once it has looked for the end, with a limit of 1.
      if (removed || body['Limit'] === 1 || !['Scan', 'Query'].includes(operation)) return 'pass';
      removed = true;
      await fixture.remove(whole[4] ?? []);
      await fixture.remove(whole[5] ?? []);
      return 'pass';
    };
    const listed: RecordKey[] = [];
    for (let after: string | null = null; listed.length < 5; ) {
      const page = await store.listStale(scope, 2, segment, after, 5 - listed.length, until);
      listed.push(...page.keys);
      if (page.cursor === null) break;
      after = page.cursor;
    }
    proxy.fault = () => 'pass';
    expect(removed).toBe(true);
    // As many as were asked for: those of the range, then others, which are listed once more later on.
    expect(listed).toEqual([...whole.slice(0, 4), whole[6]]);
    client.destroy();
  });
});

it('an index and a scan list the same records', async () => {
  const { fixture, rows } = await tableWith(STRING_INDEX, 60);
  await fixture.insert(
    rows.map(({ values }, n) => ({ key: [`other-${n}`], tenant: STRING_KEY.tenants[1] ?? '', values })),
  );
  for (const { key } of rows.slice(0, 20)) await fixture.write(key, 0, envelope(2));
  const { index: _, ...scanned } = fixture.config;
  const scanning = (await makeFixture(dynamodb.client, STRING_KEY, { config: scanned })).store;
  const expected = names(rows.slice(20).map(({ key }) => key)).sort();
  for (const store of [fixture.store, scanning]) {
    for (const count of [1, 3]) {
      const segments = await store.segments(scopeOf(STRING_KEY), count);
      expect(segments).toHaveLength(count);
      const parts = await Promise.all(
        segments.map((segment) =>
          listAll((after, limit) => store.listStale(scopeOf(STRING_KEY), 2, segment, after, limit), 7),
        ),
      );
      expect(names(parts.flat()).sort()).toEqual(expected);
      // Each has a share.
      expect(Math.min(...parts.map((part) => part.length))).toBeGreaterThan(0);
    }
  }
  // A segment of an index is not listed any more when the configuration has none.
  const [segment = ''] = await fixture.store.segments(scopeOf(STRING_KEY), 1);
  await expect(scanning.listStale(scopeOf(STRING_KEY), 2, segment, null, 5)).rejects.toMatchObject({
    code: 'RECORD_KEY_INVALID',
  });
});

it('a tenant that is the partition key costs what its own records cost, also in the census', async () => {
  const { fixture, rows } = await tableWith(TENANT_PARTITION, 5);
  const others = Array.from({ length: 3 }, (_, t) =>
    rows.map(({ values }, n) => ({ key: [`other ${t}`, `AAA${n}`], tenant: `other ${t}`, values })),
  );
  await fixture.insert(others.flat());
  const reads: number[] = [];
  proxy.fault = () => ({
    output: (output) => {
      if (typeof output['ScannedCount'] === 'number') reads.push(output['ScannedCount']);
      return output;
    },
  });
  const client = connect(proxy.endpoint);
  const { config } = fixture;
  const { store } = await makeFixture(dynamodb.client, TENANT_PARTITION, { client, config });
  const scope = { tenant: 'other 1', keyId: KEY_ID };
  const [segment = '', ...none] = await store.segments(scope, 4);
  expect(none).toEqual([]);
  const { keys } = await store.listStale(scope, 2, segment, null, 100);
  expect(keys).toEqual(others[1]?.map(({ key }) => key));
  expect(await store.census(scope, segment, 'tenant')).toMatchObject({ rows: 5, versions: { 1: 10 } });
  expect(reads).toEqual([5, 5]);
  // A purge's reach is the table, whichever segment it is asked of.
  expect(await store.census(scope, segment, 'everywhere')).toMatchObject({ rows: 20, versions: { 1: 40 } });
  proxy.fault = () => 'pass';
  client.destroy();
});

it('pages end at 1 MB, and may hold nothing of the tenant', async () => {
  const { fixture, rows } = await tableWith(STRING_KEY, 24, 1, 'x'.repeat(300_000));
  const scope = scopeOf(STRING_KEY);
  const rare: FixtureRow = { key: ['rare'], tenant: STRING_KEY.tenants[1] ?? '', values: [envelope(1)] };
  await fixture.insert([rare]);
  proxy.counts.clear();
  const client = connect(proxy.endpoint);
  const { config } = fixture;
  const { store } = await makeFixture(dynamodb.client, STRING_KEY, { client, config, scanPages: 2 });
  const [segment = ''] = await store.segments(scope, 1);
  const all = await listAll((after, limit) => store.listStale(scope, 2, segment, after, limit), 100);
  expect(names(all).sort()).toEqual(names(rows.map(({ key }) => key)).sort());
  expect(proxy.counts.get('Scan')).toBeGreaterThanOrEqual(7);
  // Several pages without a record of this tenant, and listings that end with nothing but a cursor.
  const theirs = { ...scope, tenant: rare.tenant };
  let empty = 0;
  const found: RecordKey[] = [];
  for (let after: string | null = null; ; ) {
    const page = await store.listStale(theirs, 2, segment, after, 100);
    if (page.keys.length === 0 && page.cursor !== null) empty += 1;
    found.push(...page.keys);
    if (page.cursor === null) break;
    after = page.cursor;
  }
  expect(found).toEqual([rare.key]);
  expect(empty).toBeGreaterThan(0);
  const counted = await Promise.all(
    (await store.segments(scope, 2)).map((part) => store.census(scope, part, 'tenant')),
  );
  expect(counted.reduce((sum, { rows: count }) => sum + count, 0)).toBe(24);
  // 24 records of 300 KB, and the answer of a batch holds 16 MB.
  expect((await store.read(rows.map(({ key }) => key))).filter((record) => record !== null)).toHaveLength(24);
  client.destroy();
});

describe('attributes of every type', () => {
  const B = (bytes: Uint8Array) => storedValue('B', bytes);
  const S = (bytes: Uint8Array) => storedValue('S', bytes);

  it('binary and text stand side by side, each written as what it is', async () => {
    const { fixture } = await tableWith(STRING_KEY, 0);
    const tenant = { S: STRING_KEY.tenants[0] };
    const values = Array.from({ length: 6 }, () => envelope(1));
    for (const [n, value] of values.entries()) {
      await fixture.put({ id: { S: `${n}` }, tenant, secret: n % 2 === 0 ? B(value) : S(value) });
    }
    const keys = values.map((_, n) => [`${n}`]);
    const records = await fixture.store.read(keys);
    expect(records.map((record) => Buffer.from(record?.values[0] ?? []))).toEqual(
      values.map((v) => Buffer.from(v)),
    );
    const after = values.map(() => envelope(2));
    const changes = values.map((before, n) => ({
      ...{ key: [`${n}`], tenant: tenant.S },
      changes: [{ field: 0, before, after: after[n] ?? before }],
    }));
    expect(await fixture.store.replace(changes)).toEqual(values.map(() => 'replaced'));
    expect(await fixture.store.replace(changes)).toEqual(values.map(() => 'conflict'));
    const stored = await fixture.items();
    for (const [n, value] of after.entries()) {
      expect(stored.find(({ id }) => id?.S === `${n}`)).toEqual({
        ...{ id: { S: `${n}` }, tenant },
        secret: n % 2 === 0 ? B(value) : S(value),
      });
    }
  });

  const NOT_ENVELOPES: Record<string, Item[string]> = {
    number: { N: '12' },
    boolean: { BOOL: true },
    map: { M: { a: { S: 'x' } } },
    list: { L: [] },
    strings: { SS: ['a'] },
    text: { S: 'no base64url!' },
    padded: { S: `${Buffer.from(envelope(1)).toString('base64')}==` },
  };

  it('what is neither is stale and malformed; only a text can be replaced, as it stands', async () => {
    const { fixture } = await tableWith(STRING_KEY, 0);
    const { store } = fixture;
    const tenant = { S: STRING_KEY.tenants[0] };
    for (const [name, value] of Object.entries(NOT_ENVELOPES)) {
      await fixture.put({ id: { S: name }, tenant, secret: value });
    }
    await fixture.put({ id: { S: 'null' }, tenant, secret: { NULL: true } });
    await fixture.put({ id: { S: 'missing' }, tenant });
    const before = await fixture.items();
    const scope = scopeOf(STRING_KEY);
    const [segment = ''] = await store.segments(scope, 1);
    const { keys } = await store.listStale(scope, 2, segment, null, 100);
    expect(keys.flat().sort()).toEqual(Object.keys(NOT_ENVELOPES).sort());
    const count = { rows: 9, values: 7, malformed: 7, foreign: 0, tombstones: 0, versions: {} };
    expect(await store.census(scope, segment, 'tenant')).toEqual(count);
    const [empty, none] = await store.read([['null'], ['missing']]);
    expect([empty?.values, none?.values]).toEqual([[null], [null]]);
    const records = await store.read(keys);
    const outcomes = await store.replace(
      records.flatMap((record) =>
        record === null
          ? []
          : [
              {
                ...{ key: record.key, tenant: record.tenant },
                changes: [{ field: 0, before: record.values[0] ?? Buffer.alloc(0), after: envelope(2) }],
              },
            ],
      ),
    );
    const isText = (id: string | undefined) => id === 'text' || id === 'padded';
    expect(outcomes).toEqual(keys.map(([id]) => (isText(id) ? 'replaced' : 'conflict')));
    const others = (items: readonly Item[]) => items.filter(({ id }) => !isText(id?.S));
    const now = await fixture.items();
    expect(others(now)).toEqual(others(before));
    for (const item of now) if (isText(item['id']?.S)) expect(item['secret']?.S).toMatch(/^2GCE/);
  });

  it('a record without a tenant is nobody’s, and a purge sees its envelopes', async () => {
    const { fixture } = await tableWith(STRING_KEY, 0);
    const { store } = fixture;
    await fixture.put({ id: { S: 'none' }, secret: B(envelope(1)) });
    await fixture.put({ id: { S: 'binary' }, tenant: { B: Buffer.from('acme') }, secret: B(envelope(1)) });
    await fixture.put({ id: { S: 'number' }, tenant: { N: '7' }, secret: B(envelope(1)) });
    const scope = scopeOf(STRING_KEY);
    const [segment = ''] = await store.segmentsEverywhere(1);
    expect((await store.listStale(scope, 2, segment, null, 10)).keys).toEqual([]);
    expect((await store.listStale({ ...scope, tenant: '7' }, 2, segment, null, 10)).keys).toEqual([
      ['number'],
    ]);
    expect(await store.census(scope, segment, 'tenant')).toMatchObject({ rows: 0, versions: {} });
    expect(await store.census(scope, segment, 'everywhere')).toMatchObject({ rows: 3, versions: { 1: 3 } });
    expect((await store.read([['none'], ['binary']])).map((record) => record?.tenant)).toEqual(['', '']);
  });
});
