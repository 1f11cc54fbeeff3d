import { afterAll, beforeAll, expect, it } from 'vitest';
import { rewrapBatch } from '../../../../shared/envelope/index.ts';
import { createPostgresPool } from '../../../../shared/records/postgres/pool.ts';
import { createPostgresRecordStore } from '../../../../shared/records/postgres/store.ts';
import type { AdoptableStore, Frame, RecordKey } from '../../../../shared/records/record-store.ts';
import { envelope, kek } from '../../../contracts/record-store.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';
import { INT_KEY, recordSetConfig, type TableCase } from '../../../support/postgres-records.ts';

/** A chunk's statements are prepared once a connection. Whatever becomes of the table, they go on with what is there. */

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

const KEYS: readonly RecordKey[] = [['1'], ['2'], ['3']];
/** After five runs PostgreSQL keeps one plan for all. */
const RUNS = 7;

async function makeStore() {
  const table = `${await postgres.schema()}.people`;
  const pool = createPostgresPool({ tls: 'off', maxConnections: 1 }, postgres.url, { store: 'main' });
  const config = recordSetConfig(table, INT_KEY);
  const store = createPostgresRecordStore({ recordSet: 'people', config, pool, closePool: true });
  const fill = async () => {
    await postgres.admin.query(INT_KEY.ddl.replaceAll('%T', table));
    for (const [id] of KEYS)
      await postgres.admin.query(`INSERT INTO ${table} VALUES ($1, 'acme', $2)`, [id, envelope(1)]);
  };
  await fill();
  return { table, pool, store, fill };
}

/** Rewraps all from one version to the next. */
async function rewrapFrom(store: AdoptableStore, version: number): Promise<void> {
  const records = (await store.readFrames(KEYS)).filter((record) => record !== null);
  const frames = records.map(
    ({ frames: [frame] }): Frame => frame ?? { bytes: new Uint8Array(), omitted: 0 },
  );
  const outcomes = rewrapBatch(
    frames.map(({ bytes }) => bytes),
    [kek(version)],
    kek(version + 1),
    frames.map(({ omitted }) => omitted),
  );
  const changes = records.map(({ key, tenant }, i) => {
    const [before, outcome] = [frames[i], outcomes[i]];
    if (before === undefined || outcome?.status !== 'rewrapped') throw new Error('The rewrap failed.');
    const after = { bytes: outcome.envelope, omitted: before.omitted };
    return { key, tenant, changes: [{ field: 0, before, after }] };
  });
  expect(await store.replaceFrames(changes)).toEqual(KEYS.map(() => 'replaced'));
  // The same again finds other bytes.
  expect(await store.replaceFrames(changes)).toEqual(KEYS.map(() => 'conflict'));
}

it('a connection parses them once, and keeps no more of them with every chunk', async () => {
  const { pool, store } = await makeStore();
  for (let version = 1; version <= RUNS; version++) await rewrapFrom(store, version);
  const { rows } = await pool.query('SELECT generic_plans::int4 AS generic FROM pg_prepared_statements');
  expect(rows).toHaveLength(2);
  for (const { generic } of rows) expect(generic).toBeGreaterThan(0);
  await store.close();
});

it.each([
  ['a narrower key', 'ALTER TABLE %T ALTER id TYPE int4'],
  ['another type of tenant', 'ALTER TABLE %T ALTER tenant TYPE varchar(40)'],
  [
    'envelopes as text',
    `ALTER TABLE %T ALTER secret TYPE text USING translate(rtrim(encode(secret, 'base64'), E'=\\n'), E'+/\\n', '-_')`,
  ],
  ['a column more', 'ALTER TABLE %T ADD COLUMN note text DEFAULT $$x$$'],
  [
    'another primary key',
    'ALTER TABLE %T DROP CONSTRAINT people_pkey, ADD PRIMARY KEY (id) INCLUDE (tenant)',
  ],
])('the table gets %s', async (_, change) => {
  const { table, store } = await makeStore();
  for (let version = 1; version <= RUNS; version++) await rewrapFrom(store, version);
  await postgres.admin.query(change.replaceAll('%T', table));
  for (let version = RUNS + 1; version <= 2 * RUNS; version++) await rewrapFrom(store, version);
  await store.close();
});

it('the table is made anew', async () => {
  const { table, store, fill } = await makeStore();
  for (let version = 1; version <= RUNS; version++) await rewrapFrom(store, version);
  await postgres.admin.query(`DROP TABLE ${table}`);
  await expect(store.readFrames(KEYS)).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' });
  await fill();
  for (let version = 1; version <= RUNS; version++) await rewrapFrom(store, version);
  await store.close();
});

it('a connection keeps no plan for each choice of fields that the records of a chunk happen to have', async () => {
  const name = (n: number) => ({ name: `f${n}`, column: `f${n}`, sensitivity: 'high' as const });
  const table = `${await postgres.schema()}.people`;
  await postgres.admin.query(
    `CREATE TABLE ${table} (id int8 PRIMARY KEY, tenant text NOT NULL, f0 bytea, f1 bytea, f2 bytea, f3 bytea)`,
  );
  const wide: TableCase = { ...INT_KEY, fields: [name(0), name(1), name(2), name(3)] };
  const pool = createPostgresPool({ tls: 'off', maxConnections: 1 }, postgres.url, { store: 'main' });
  const store = createPostgresRecordStore({
    ...{ recordSet: 'people', config: recordSetConfig(table, wide), pool, closePool: true },
  });
  for (let choice = 1; choice < 16; choice++) {
    const fields = [0, 1, 2, 3].filter((f) => (choice >> f) % 2 === 1);
    const values = [0, 1, 2, 3].map((f) => (fields.includes(f) ? envelope(1) : null));
    await postgres.admin.query(`INSERT INTO ${table} VALUES ($1, 'acme', $2, $3, $4, $5)`, [
      choice,
      ...values,
    ]);
    const [record] = await store.readFrames([[String(choice)]]);
    const changes = fields.map((field) => {
      const before = record?.frames[field] ?? { bytes: new Uint8Array(), omitted: 0 };
      const [outcome] = rewrapBatch([before.bytes], [kek(1)], kek(2), [before.omitted]);
      if (outcome?.status !== 'rewrapped') throw new Error('The rewrap failed.');
      return { field, before, after: { bytes: outcome.envelope, omitted: before.omitted } };
    });
    expect(await store.replaceFrames([{ key: [String(choice)], tenant: 'acme', changes }])).toEqual([
      'replaced',
    ]);
  }
  const { rows } = await pool.query('SELECT name FROM pg_prepared_statements');
  expect(rows).toHaveLength(2);
  await store.close();
});

it('what a pooler took away is not run, and the failure says so', async () => {
  const { pool, store } = await makeStore();
  await rewrapFrom(store, 1);
  // As a pooler does that gives each transaction another connection.
  await pool.query('DEALLOCATE ALL');
  await expect(store.readFrames(KEYS)).rejects.toMatchObject({
    ...{ code: 'STORE_FAILED', retryable: false },
    remedy: expect.stringContaining('pooler'),
  });
  // The connection went with it.
  await rewrapFrom(store, 2);
  await store.close();
});
