import type pg from 'pg';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../../../shared/clock/system.ts';
import { seal } from '../../../../shared/envelope/index.ts';
import { toText } from '../../../../shared/envelope/text.ts';
import { createPostgresSearch } from '../../../../shared/records/postgres/envelope-columns.ts';
import { createPostgresPool } from '../../../../shared/records/postgres/pool.ts';
import type { SearchResult } from '../../../../shared/records/store-search.ts';
import { envelope, KEY_ID, kek, OTHER_KEY_ID } from '../../../contracts/record-store.ts';
import { describeStoreSearch } from '../../../contracts/store-search.ts';
import { createTestPool, startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';

let postgres: TestPostgres;
let admin: pg.Pool;
let pool: pg.Pool;
let databases = 0;
const role = 'reader';

beforeAll(async () => {
  postgres = await startTestPostgres();
  await postgres.admin.query(`CREATE ROLE ${role} LOGIN PASSWORD '${role}'`);
});
afterAll(() => postgres.stop());

// A search reads the whole database: one for each test.
beforeEach(async () => {
  databases += 1;
  const name = `search${databases}`;
  await postgres.server.createDatabase(name);
  const url = postgres.server.url(name);
  admin = createTestPool(url, 2);
  pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, url, { store: 'main' });
});
afterEach(async () => {
  await pool.end();
  await admin.end();
});

type Declared = Parameters<typeof createPostgresSearch>[0]['declared'];

const SCOPE = { keyId: KEY_ID, version: 1 };

async function searchAll(
  declared: Declared = [],
  { of = 3, deadline = Number.POSITIVE_INFINITY, on = pool } = {},
): Promise<Pick<SearchResult, 'found' | 'unsearched'>> {
  const search = createPostgresSearch({ store: 'main', declared, pool: on, clock: systemClock });
  const parts = await search.parts(of);
  const results = [];
  for (const part of parts) results.push(await search.search(part, SCOPE, deadline));
  return {
    found: results.flatMap(({ found }) => found),
    unsearched: results.flatMap(({ unsearched }) => unsearched),
  };
}

const counts = (envelopes: number, ofKey: number, onVersion: number) => ({
  materialized: false,
  envelopes,
  ofKey,
  onVersion,
});

describe('a search of a PostgreSQL database', () => {
  it('finds envelopes in every form of column that holds text or bytes, by key and version', async () => {
    await admin.query(`
      CREATE EXTENSION IF NOT EXISTS citext;
      CREATE DOMAIN secret AS bytea; CREATE DOMAIN secret2 AS secret;
      CREATE TABLE t (id int8, a bytea, b text, c varchar, d varchar(500), e char(500), f citext, g secret2, h text, tight varchar(40));
    `);
    const bytes = [envelope(1), envelope(2), envelope(1, OTHER_KEY_ID), Buffer.from('plain'), null];
    for (const value of bytes) {
      const text = value === null ? null : Buffer.from(value).toString('base64url');
      const given = value === null ? null : Buffer.from(value);
      await admin.query(
        'INSERT INTO t (id, a, b, c, d, e, f, g, h) VALUES (1, $1::bytea, $2::text, $2::text, $2::text, $2::text, $2::text, $1::bytea, NULL)',
        [given, text],
      );
    }
    const { found, unsearched } = await searchAll();
    expect(found).toEqual(
      ['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((column) => ({
        table: 'public.t',
        column,
        ...counts(3, 2, 1),
      })),
    );
    expect(unsearched).toEqual([]);
  });

  it('leaves out what is declared, by the table that the name means', async () => {
    await admin.query(`
      CREATE SCHEMA other;
      CREATE TABLE people (id int8, a bytea, b bytea);
      CREATE TABLE other.people (id int8, a bytea);
    `);
    for (const table of ['people', 'other.people']) {
      await admin.query(`INSERT INTO ${table} (id, a) VALUES (1, $1)`, [Buffer.from(envelope(1))]);
    }
    await admin.query('UPDATE people SET b = a');
    const { found } = await searchAll([
      { table: 'people', columns: ['a'] },
      { table: 'gone', columns: ['a'] },
    ]);
    expect(found).toEqual([
      { table: 'other.people', column: 'a', ...counts(1, 1, 1) },
      { table: 'public.people', column: 'b', ...counts(1, 1, 1) },
    ]);
    expect((await searchAll([{ table: 'public.people', columns: ['a', 'b'] }])).found).toHaveLength(1);
  });

  it('takes odd names as they are', async () => {
    const table = `"Tab.le ""x"" ; --"`;
    await admin.query(`
      CREATE SCHEMA "Sch ema.""1""";
      CREATE TABLE "Sch ema.""1""".${table} ("sélect $1 ""col""" text, "%s" bytea, "ok" text)`);
    await admin.query(`INSERT INTO "Sch ema.""1""".${table} VALUES ($1, $2, 'no')`, [
      toText(envelope(2)),
      Buffer.from(envelope(1)),
    ]);
    expect((await searchAll()).found).toEqual([
      { table: 'Sch ema."1".Tab.le "x" ; --', column: 'sélect $1 "col"', ...counts(1, 1, 0) },
      { table: 'Sch ema."1".Tab.le "x" ; --', column: '%s', ...counts(1, 1, 1) },
    ]);
  });

  it('reads partitions through their root, heirs by themselves, and materialized views as copies', async () => {
    await admin.query(`
      CREATE TABLE p (id int8, a bytea) PARTITION BY RANGE (id);
      CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10) PARTITION BY RANGE (id);
      CREATE TABLE p11 PARTITION OF p1 FOR VALUES FROM (0) TO (10);
      CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);
      CREATE TABLE parent (id int8, a bytea);
      CREATE TABLE child () INHERITS (parent);`);
    const value = [Buffer.from(envelope(1))];
    await admin.query('INSERT INTO p VALUES (1, $1), (11, $1)', value);
    await admin.query('INSERT INTO child VALUES (1, $1)', value);
    await admin.query('CREATE MATERIALIZED VIEW copy AS SELECT * FROM p');
    await admin.query('CREATE MATERIALIZED VIEW unfilled AS SELECT * FROM p WITH NO DATA');
    const found = (await searchAll()).found.map(({ table, envelopes, materialized }) => ({
      table,
      envelopes,
      materialized,
    }));
    expect(found).toEqual([
      { table: 'public.child', envelopes: 1, materialized: false },
      { table: 'public.copy', envelopes: 2, materialized: true },
      { table: 'public.p', envelopes: 2, materialized: false },
    ]);
    const declared = (...tables: string[]) => searchAll(tables.map((table) => ({ table, columns: ['a'] })));
    const tables = async (...names: string[]) => (await declared(...names)).found.map(({ table }) => table);
    expect(await tables('p')).not.toContain('public.p');
    // Every leaf, one of them by the table above it; and not all of them.
    expect(await tables('p1', 'p2')).not.toContain('public.p');
    expect(await tables('p11', 'p2')).not.toContain('public.p');
    expect(await tables('p2')).toContain('public.p');
  });

  it('counts declared columns on the version in the pass over the whole table, of partitions through their root', async () => {
    await admin.query(`
      CREATE TABLE p (id int8, a bytea, b text, tight varchar(40)) PARTITION BY RANGE (id);
      CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
      CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20);`);
    await admin.query('INSERT INTO p VALUES (1, $1, $2), (11, $1, NULL), (12, $3, NULL)', [
      Buffer.from(envelope(1)),
      toText(envelope(1)),
      Buffer.from(envelope(2)),
    ]);
    const read = async (...declared: Declared) => {
      const search = createPostgresSearch({ store: 'main', declared, pool });
      const [part = ''] = await search.parts(1);
      return (await search.search(part, SCOPE, Number.POSITIVE_INFINITY)).declared;
    };
    const a = (table: string) => ({ table, column: 'a', onVersion: 2 });
    const columns = ['a', 'b', 'tight'];
    expect(await read({ table: 'p', columns })).toEqual([
      a('p'),
      { table: 'p', column: 'b', onVersion: 1 },
      { table: 'p', column: 'tight', onVersion: 0 },
    ]);
    // By each name that the configuration has for it: of a part of the table the count is the whole table's.
    const named = await read({ table: 'public.p1', columns: ['a'] }, { table: 'p2', columns: ['a'] });
    expect(named).toEqual([a('public.p1'), a('p2')]);
    expect(await read({ table: 'p2', columns: ['a'] })).toEqual([a('p2')]);
    // What is not there was not read.
    expect(await read({ table: 'p', columns: ['a', 'c'] }, { table: 'gone', columns: ['a'] })).toEqual([
      a('p'),
    ]);
  });

  it('names what it may not or cannot read, and never leaves it out', async () => {
    await admin.query(`
      GRANT USAGE ON SCHEMA public TO ${role};
      CREATE SCHEMA hidden;
      CREATE TABLE hidden.t (a text, n int8);
      CREATE TABLE part (a text, b bytea, n int8);
      GRANT SELECT (a, n) ON part TO ${role};
      CREATE TABLE secured (a text);
      ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
      GRANT SELECT ON secured TO ${role};
      CREATE TYPE pair AS (a text, b text);
      CREATE TABLE docs (id uuid, j json, jb jsonb, x xml, arr text[], nums int8[], e bytea[], t tsvector, p pair, d date);
      GRANT SELECT ON docs TO ${role};
      CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;
      CREATE FOREIGN TABLE far (a text, n int8) SERVER files OPTIONS (filename '/nowhere');
    `);
    const url = new URL(postgres.server.url(pool.options.database ?? ''));
    url.username = role;
    url.password = role;
    const reader = createPostgresPool({ tls: 'off', maxConnections: 2 }, url.href, { store: 'main' });
    try {
      const { found, unsearched } = await searchAll([], { on: reader, of: 1 });
      expect(found).toEqual([]);
      expect(unsearched).toEqual([
        { table: 'hidden.t', columns: ['a'], reason: 'RIGHTS' },
        { table: 'public.docs', columns: ['j', 'jb', 'x', 'arr', 'e', 'p'], reason: 'TYPE' },
        { table: 'public.far', columns: ['a'], reason: 'FOREIGN' },
        { table: 'public.part', columns: ['b'], reason: 'RIGHTS' },
        { table: 'public.secured', columns: ['a'], reason: 'ROW_SECURITY' },
      ]);
    } finally {
      await reader.end();
    }
  });

  it('has no second count of a partition that this role reads by itself only', async () => {
    await admin.query(`
      CREATE TABLE root (id int, a bytea) PARTITION BY RANGE (id);
      CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (10);
      GRANT SELECT ON leaf TO ${role}`);
    const url = new URL(postgres.server.url(pool.options.database ?? ''));
    url.username = role;
    url.password = role;
    const reader = createPostgresPool({ tls: 'off', maxConnections: 2 }, url.href, { store: 'main' });
    try {
      const search = createPostgresSearch({
        store: 'main',
        declared: [{ table: 'leaf', columns: ['a'] }],
        pool: reader,
      });
      const [part = ''] = await search.parts(1);
      const { declared, unsearched } = await search.search(part, SCOPE, Number.POSITIVE_INFINITY);
      expect(declared).toEqual([{ table: 'leaf', column: 'a', onVersion: null }]);
      expect(unsearched).toEqual([]);
    } finally {
      await reader.end();
    }
  });

  it('searches what nobody declares before it counts what is declared once more', async () => {
    await admin.query('CREATE TABLE a (a bytea); CREATE TABLE z (a bytea)');
    await admin.query('INSERT INTO z VALUES ($1)', [Buffer.from(envelope(1))]);
    // The time is over after the first table that is looked into.
    let calls = 0;
    const deadline = 1_000_000;
    const clock = { ...systemClock, now: () => (++calls <= 2 ? deadline - 60_000 : deadline) };
    const declared = [{ table: 'a', columns: ['a'] }];
    const search = createPostgresSearch({ store: 'main', declared, pool, clock });
    const [part = ''] = await search.parts(1);
    const result = await search.search(part, SCOPE, deadline);
    expect(result).toMatchObject({ found: [{ table: 'public.z', onVersion: 1 }], unsearched: [] });
    expect(result.declared).toEqual([{ table: 'a', column: 'a', onVersion: null }]);
  });

  it('names what there was no time for, before it began or in the middle', async () => {
    await admin.query('CREATE TABLE large (a text, b bytea); CREATE TABLE small (a bytea)');
    await admin.query('INSERT INTO large SELECT repeat(md5(i::text), 5) FROM generate_series(1, 300000) i');
    await admin.query('INSERT INTO small VALUES ($1)', [Buffer.from(envelope(1))]);
    const large = { table: 'public.large', columns: ['a', 'b'], reason: 'TIME' };
    const small = { table: 'public.small', columns: ['a'], reason: 'TIME' };
    expect((await searchAll([], { deadline: systemClock.now() - 1, of: 1 })).unsearched).toEqual([
      large,
      small,
    ]);
    // Five milliseconds are left, whenever it is asked.
    const deadline = 1_000_000;
    const clock = { ...systemClock, now: () => deadline - 5 };
    const search = createPostgresSearch({ store: 'main', declared: [], pool, clock });
    const [part = ''] = await search.parts(1);
    const { found, unsearched } = await search.search(part, SCOPE, deadline);
    expect(unsearched).toContainEqual(large);
    expect(found.length + unsearched.length).toBe(2);
    // A declared column's ranges are counted however large it is: that there was no second count is told, and blocks nothing.
    const declared = [{ table: 'large', columns: ['b'] }];
    const late = createPostgresSearch({ store: 'main', declared, pool, clock });
    const result = await late.search(part, SCOPE, deadline);
    expect(result.unsearched).toContainEqual({ ...large, columns: ['a'] });
    expect(result.declared).toEqual([{ table: 'large', column: 'b', onVersion: null }]);
    // The limit was that statement's alone.
    expect((await searchAll()).found).toHaveLength(1);
  });

  it('waits for a transaction that writes, and gives up rather than not see it', async () => {
    await admin.query('CREATE TABLE t (a bytea)');
    const client = await admin.connect();
    try {
      await client.query('BEGIN');
      await client.query('INSERT INTO t VALUES ($1)', [Buffer.from(envelope(1))]);
      const search = createPostgresSearch({ store: 'main', declared: [], pool, openTransactionWaitMs: 100 });
      const [part = ''] = await search.parts(1);
      await expect(search.search(part, SCOPE, Number.POSITIVE_INFINITY)).rejects.toMatchObject({
        code: 'STORE_OPEN_TRANSACTIONS',
        retryable: true,
      });
      const patient = createPostgresSearch({ store: 'main', declared: [], pool });
      const waiting = patient.search(part, SCOPE, Number.POSITIVE_INFINITY);
      await client.query('COMMIT');
      expect((await waiting).found).toHaveLength(1);
    } finally {
      client.release();
    }
  });

  it('takes what only begins as an envelope for one, and says that it is not the key’s', async () => {
    await admin.query('CREATE TABLE t (a bytea, b text)');
    const whole = Buffer.from(envelope(1));
    const cut = whole.subarray(0, 40);
    await admin.query('INSERT INTO t VALUES ($1, $2)', [cut, cut.toString('base64url')]);
    expect((await searchAll()).found).toEqual([
      { table: 'public.t', column: 'a', ...counts(1, 0, 0) },
      { table: 'public.t', column: 'b', ...counts(1, 0, 0) },
    ]);
  });

  it('finds the one envelope among many rows, and long ones that are stored out of line', async () => {
    await admin.query('CREATE TABLE t (id int8, a bytea, b text)');
    await admin.query(
      "INSERT INTO t SELECT i, decode(md5(i::text), 'hex'), repeat(md5(i::text), 100) FROM generate_series(1, 20000) i",
    );
    const long = seal(Buffer.alloc(100_000, 'x'), kek(1), {
      ...{ tenant: 't', recordSet: 'r', recordId: ['1'], field: 'f' },
    });
    await admin.query('UPDATE t SET a = $1, b = $2 WHERE id = 7777', [Buffer.from(long), toText(long)]);
    expect((await searchAll()).found).toEqual([
      { table: 'public.t', column: 'a', ...counts(1, 1, 1) },
      { table: 'public.t', column: 'b', ...counts(1, 1, 1) },
    ]);
  });

  describe('while tables are moved about', () => {
    /** Takes the list of tables, and has this done right after. */
    async function searchDuring(ddl: string): Promise<SearchResult> {
      const query = pool.query.bind(pool);
      let done = false;
      const moving = Object.assign(Object.create(pool), {
        query: async (statement: pg.QueryConfig) => {
          const listed = await query(statement);
          if (!done && statement.text.includes('pg_partition_tree')) {
            done = true;
            await admin.query(ddl);
          }
          return listed;
        },
      });
      const search = createPostgresSearch({ store: 'main', declared: [], pool: moving });
      const [part = ''] = await search.parts(1);
      return search.search(part, SCOPE, Number.POSITIVE_INFINITY);
    }

    const ROOT = 'CREATE TABLE root (id int, a bytea) PARTITION BY RANGE (id)';
    const VALUES = 'FOR VALUES FROM (0) TO (10)';
    it.each([
      ['renamed', 'CREATE TABLE t (id int, a bytea)', 'ALTER TABLE t RENAME TO archive'],
      [
        'given another schema',
        'CREATE TABLE t (id int, a bytea)',
        'CREATE SCHEMA s; ALTER TABLE t SET SCHEMA s',
      ],
      [
        'detached',
        `${ROOT}; CREATE TABLE t PARTITION OF root ${VALUES}`,
        'ALTER TABLE root DETACH PARTITION t',
      ],
      [
        'attached',
        `${ROOT}; CREATE TABLE t (id int, a bytea)`,
        `ALTER TABLE root ATTACH PARTITION t ${VALUES}`,
      ],
    ])('is begun anew where one is %s', async (_, before, during) => {
      await admin.query(before);
      await admin.query('INSERT INTO t VALUES (1, $1)', [Buffer.from(envelope(1))]);
      await expect(searchDuring(during)).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true });
      expect((await searchAll()).found).toMatchObject([{ column: 'a', onVersion: 1 }]);
    });

    it.each([
      ['a dropped table', 'CREATE TABLE t (a bytea)', 'DROP TABLE t'],
      ['a new one', 'SELECT 1', 'CREATE TABLE t (a bytea)'],
      ['a dropped partition', `${ROOT}; CREATE TABLE t PARTITION OF root ${VALUES}`, 'DROP TABLE t'],
      ['a new partition', ROOT, `CREATE TABLE t PARTITION OF root ${VALUES}`],
    ])('goes on beside %s', async (_, before, during) => {
      await admin.query(before);
      expect(await searchDuring(during)).toMatchObject({ found: [], unsearched: [] });
    });
  });

  it('shares the tables out to its parts, each to one; the store is named where it fails', async () => {
    for (let i = 0; i < 40; i++) {
      await admin.query(`CREATE TABLE t${i} (a bytea)`);
      await admin.query(`INSERT INTO t${i} VALUES ($1)`, [Buffer.from(envelope(1))]);
    }
    const search = createPostgresSearch({ store: 'main', declared: [], pool });
    const part = (n: number) => `s${Buffer.from(JSON.stringify({ part: n, of: 3 })).toString('base64url')}`;
    const tables = [];
    for (const n of [0, 1, 2]) {
      const { found } = await search.search(part(n), SCOPE, Number.POSITIVE_INFINITY);
      expect(found.length).toBeGreaterThan(0);
      tables.push(...found.map(({ table }) => table));
    }
    expect(tables.sort()).toEqual(Array.from({ length: 40 }, (_, i) => `public.t${i}`).sort());
    await expect(search.search('sx', SCOPE, 0)).rejects.toMatchObject({ code: 'RECORD_KEY_INVALID' });
    const nowhere = createPostgresPool({ tls: 'off', maxConnections: 1 }, 'postgres://x@127.0.0.1:1/x', {
      store: 'main',
    });
    const failed = createPostgresSearch({ store: 'main', declared: [], pool: nowhere }).parts(1);
    await expect(failed).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      message: expect.stringContaining('Store "main"'),
    });
    await nowhere.end();
  });

  it('searches a thousand columns', async () => {
    const tables = Array.from({ length: 50 }, (_, t) => {
      const columns = Array.from({ length: 20 }, (_, c) => `c${c} text`).join(', ');
      return `CREATE TABLE wide${t} (${columns}); INSERT INTO wide${t} (c19) SELECT md5(i::text) FROM generate_series(1, 1000) i;`;
    });
    await admin.query(tables.join('\n'));
    await admin.query(
      `CREATE TABLE widest (${Array.from({ length: 450 }, (_, c) => `c${c} text`).join(', ')})`,
    );
    await admin.query('INSERT INTO widest (c449) VALUES ($1)', [toText(envelope(1))]);
    const { found } = await searchAll();
    expect(found).toEqual([{ table: 'public.widest', column: 'c449', ...counts(1, 1, 1) }]);
  });
});

describeStoreSearch('PostgreSQL, bytea and text', async () => {
  await admin.query('CREATE TABLE people (id serial, declared bytea, "left" bytea, other text)');
  const declared = [{ table: 'people', columns: ['declared'] }];
  return {
    table: 'public.people',
    declaredAs: 'people',
    search: createPostgresSearch({ store: 'searched', declared, pool }),
    async insert(rows) {
      for (const { declared: a = null, left = null, other = null } of rows) {
        await admin.query('INSERT INTO people (declared, "left", other) VALUES ($1, $2, $3)', [
          a && Buffer.from(a),
          left && Buffer.from(left),
          other && Buffer.from(other).toString('base64url'),
        ]);
      }
    },
    // The database is the test's.
    close: async () => {},
  };
});
