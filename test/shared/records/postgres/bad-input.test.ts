import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RecordSetConfig } from '../../../../shared/config/schema.ts';
import { createPostgresPool } from '../../../../shared/records/postgres/pool.ts';
import { createPostgresRecordStore } from '../../../../shared/records/postgres/store.ts';
import { envelope, KEY_ID } from '../../../contracts/record-store.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

const scope = { tenant: 'acme', keyId: KEY_ID };

/** A store on `ddl` (`%S` is a fresh schema) with these parts of the configuration, on a URL of one's own if given. */
async function storeOn(
  ddl: string,
  parts: Partial<RecordSetConfig> = {},
  login?: (schema: string) => Promise<string>,
) {
  const schema = await postgres.schema();
  await postgres.admin.query(ddl.replaceAll('%S', schema));
  const url = (await login?.(schema)) ?? postgres.url;
  const pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, url, {
    store: 'main',
    connectTimeoutMs: 2_000,
  });
  const config: RecordSetConfig = {
    store: 'main',
    table: `${schema}.people`,
    key: ['id'],
    tenant: { column: 'tenant' },
    purpose: 'default',
    fields: [{ name: 'secret', column: 'secret', sensitivity: 'high' }],
    ...parts,
  };
  const table = parts.table?.replaceAll('%S', schema) ?? config.table;
  const recordSet = { ...config, table };
  const store = createPostgresRecordStore({
    recordSet: 'people',
    config: recordSet,
    pool,
    closePool: true,
    openTransactionWaitMs: 150,
  });
  return { store, schema, pool };
}

const GOOD = 'CREATE TABLE %S.people (id int PRIMARY KEY, tenant text NOT NULL, secret bytea)';

async function role(schema: string, grants: string, options = ''): Promise<string> {
  const name = `role_${schema}`;
  await postgres.admin.query(
    `CREATE ROLE ${name} LOGIN PASSWORD 'pw' ${options}; GRANT USAGE ON SCHEMA ${schema} TO ${name}; ${grants.replaceAll('%R', name).replaceAll('%S', schema)}`,
  );
  const url = new URL(postgres.url);
  url.username = name;
  url.password = 'pw';
  return url.href;
}

interface Refusal {
  readonly name: string;
  readonly ddl?: string;
  readonly config?: Partial<RecordSetConfig>;
  readonly login?: (schema: string) => Promise<string>;
  readonly code: string;
  readonly says: readonly string[];
}

const field = (column: string) => ({ name: 'secret', column, sensitivity: 'high' as const });

const REFUSALS: readonly Refusal[] = [
  {
    name: 'a table with a typo',
    config: { table: '%S.peple' },
    code: 'TABLE_NOT_FOUND',
    says: ['peple" does not exist', 'Did you mean "people"?'],
  },
  {
    name: 'a table unlike any',
    config: { table: '%S.x' },
    code: 'TABLE_NOT_FOUND',
    says: ['There are: "people".'],
  },
  {
    name: 'a view',
    ddl: `${GOOD}; CREATE VIEW %S.v AS SELECT * FROM %S.people`,
    config: { table: '%S.v' },
    code: 'TABLE_NOT_FOUND',
    says: ['.v" is a view, not a table'],
  },
  {
    name: 'a key column with a typo',
    config: { key: ['ids'] },
    code: 'COLUMN_NOT_FOUND',
    says: ['key column "ids" does not exist. Did you mean "id"?'],
  },
  {
    name: 'a tenant column with other case',
    config: { tenant: { column: 'Tenant' } },
    code: 'COLUMN_NOT_FOUND',
    says: ['tenant column "Tenant" does not exist. Did you mean "tenant"?'],
  },
  {
    name: 'a field that is missing',
    config: { fields: [field('geheim')] },
    code: 'COLUMN_NOT_FOUND',
    says: ['column of field "secret" "geheim" does not exist', 'There are: "id", "tenant", "secret"'],
  },
  {
    name: 'several things at once',
    config: { key: ['nr'], tenant: { column: 'secret' } },
    code: 'COLUMN_NOT_FOUND',
    says: ['key column "nr"', 'tenant column "secret" is bytea'],
  },
  {
    name: 'a field of another type',
    ddl: 'CREATE TABLE %S.people (id int PRIMARY KEY, tenant text, secret json)',
    code: 'COLUMN_TYPE',
    says: ['column "secret" is json; envelopes need bytea'],
  },
  {
    name: 'a text field that is too short',
    ddl: 'CREATE TABLE %S.people (id int PRIMARY KEY, tenant text, secret varchar(100))',
    code: 'COLUMN_TYPE',
    says: ['column "secret" holds 100 characters; the shortest envelope has 146'],
  },
  {
    name: 'a generated field',
    ddl: "CREATE TABLE %S.people (id int PRIMARY KEY, tenant text, secret text GENERATED ALWAYS AS ('a' || tenant) STORED)",
    code: 'COLUMN_TYPE',
    says: ['column "secret" is generated'],
  },
  {
    name: 'a key type without order',
    ddl: 'CREATE TABLE %S.people (id float8 PRIMARY KEY, tenant text, secret bytea)',
    code: 'COLUMN_TYPE',
    says: ['key column "id" is float8'],
  },
  {
    name: 'a key that is not unique',
    ddl: 'CREATE TABLE %S.people (id int NOT NULL, tenant text, secret bytea)',
    code: 'KEY_COLUMNS_NOT_UNIQUE',
    says: ['no primary key or unique index is on exactly "id"'],
  },
  {
    name: 'a key that is unique in part',
    ddl: 'CREATE TABLE %S.people (id int NOT NULL, tenant text, secret bytea); CREATE UNIQUE INDEX ON %S.people (id) WHERE id > 0',
    code: 'KEY_COLUMNS_NOT_UNIQUE',
    says: ['no primary key or unique index'],
  },
  {
    name: 'a key with NULLs',
    ddl: 'CREATE TABLE %S.people (id int UNIQUE, tenant text, secret bytea)',
    code: 'KEY_COLUMNS_NOT_UNIQUE',
    says: ['key column "id" may be NULL'],
  },
  {
    name: 'a key with NULLs from before its constraint',
    ddl: `CREATE TABLE %S.people (id int UNIQUE, tenant text, secret bytea);
      INSERT INTO %S.people VALUES (NULL, 'acme', NULL);
      ALTER TABLE %S.people ADD CONSTRAINT filled NOT NULL id NOT VALID`,
    code: 'KEY_COLUMNS_NOT_UNIQUE',
    says: ['key column "id" may be NULL', 'validated'],
  },
  {
    name: 'a key of a domain that is NOT NULL, and holds NULL',
    ddl: `CREATE DOMAIN %S.number AS int NOT NULL; CREATE TABLE %S.people (id %S.number UNIQUE, tenant text, secret bytea);
      INSERT INTO %S.people VALUES ((SELECT id FROM %S.people WHERE false), 'acme', NULL)`,
    code: 'KEY_COLUMNS_NOT_UNIQUE',
    says: ['key column "id" may be NULL'],
  },
  {
    name: 'a tenant column that takes two tenants for one',
    ddl: `CREATE COLLATION %S.ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      CREATE TABLE %S.people (id int PRIMARY KEY, tenant text COLLATE %S.ci NOT NULL, secret bytea)`,
    code: 'COLUMN_TYPE',
    says: ['tenant column "tenant" has a nondeterministic collation'],
  },
  {
    name: 'a key of a part of the primary key',
    ddl: 'CREATE TABLE %S.people (id int, no int, tenant text, secret bytea, PRIMARY KEY (id, no))',
    code: 'KEY_COLUMNS_NOT_UNIQUE',
    says: ['on exactly "id"'],
  },
  {
    name: 'a table with inheriting tables',
    ddl: `${GOOD}; CREATE TABLE %S.more () INHERITS (%S.people)`,
    code: 'KEY_COLUMNS_NOT_UNIQUE',
    says: ['other tables inherit from it'],
  },
  {
    name: 'no right to write',
    login: (s) => role(s, 'GRANT SELECT ON %S.people TO %R'),
    code: 'STORE_DENIED',
    says: ['the role may not UPDATE column "secret"'],
  },
  {
    name: 'no right to read',
    login: (s) => role(s, 'GRANT UPDATE, SELECT (id, tenant) ON %S.people TO %R'),
    code: 'STORE_DENIED',
    says: ['the role may not SELECT column "secret"'],
  },
  {
    name: 'row-level security',
    login: (s) => role(s, 'GRANT ALL ON %S.people TO %R; ALTER TABLE %S.people ENABLE ROW LEVEL SECURITY'),
    code: 'STORE_DENIED',
    says: ['row-level security hides rows'],
  },
  {
    name: 'a read-only role',
    login: (s) =>
      role(s, 'GRANT ALL ON %S.people TO %R; ALTER ROLE %R SET default_transaction_read_only = on'),
    code: 'STORE_READ_ONLY',
    says: ['read-only'],
  },
  {
    name: 'a wrong password',
    login: async (s) => (await role(s, '')).replace(':pw@', ':other@'),
    code: 'STORE_DENIED',
    says: ['refuses this role or its password'],
  },
  {
    name: 'a database that does not exist',
    login: async () => postgres.url.replace(/\w+$/, 'nowhere'),
    code: 'STORE_FAILED',
    says: ["the URL's database does not exist"],
  },
  {
    name: 'a server that is down',
    login: async () => postgres.url.replace(/:\d+\//, ':1/'),
    code: 'STORE_UNAVAILABLE',
    says: ['cannot be reached (ECONNREFUSED)'],
  },
  {
    name: 'a server without TLS',
    login: async () => postgres.url,
    code: 'STORE_TLS',
    says: ['it does not offer TLS'],
  },
];

describe('check names what is wrong', () => {
  it.each(REFUSALS)('$name', async ({ ddl = GOOD, config, login, code, says }) => {
    const { store, pool } = await storeOn(ddl, config, login);
    if (code === 'STORE_TLS') pool.options.ssl = true;
    const error: unknown = await store.check().catch((e: unknown) => e);
    expect(error).toMatchObject({ code });
    const message = error instanceof Error ? error.message : '';
    for (const part of says) expect(message).toContain(part);
    expect(message).toContain('Record set "people"');
    expect(message).not.toMatch(/pw|\.\.$/);
    await store.close();
  });
});

describe('no operation goes on where it would not see every row', () => {
  const BLIND = [
    'a key with NULLs',
    'a key that is not unique',
    'a table with inheriting tables',
    'row-level security',
  ];

  it.each(REFUSALS.filter(({ name }) => BLIND.includes(name)))(
    '$name',
    async ({ ddl = GOOD, config, login, code, says }) => {
      const { store } = await storeOn(ddl, config, login);
      const whole = await wholeTable();
      const refusal = { code, message: expect.stringContaining(says[0] ?? '') };
      await expect(store.segments(scope, 4)).rejects.toMatchObject(refusal);
      await expect(store.segmentsEverywhere(4)).rejects.toMatchObject(refusal);
      await expect(store.listStale(scope, 2, whole, null, 10)).rejects.toMatchObject(refusal);
      await expect(store.census(scope, whole, 'everywhere')).rejects.toMatchObject(refusal);
      await expect(store.dropPlaintext(async () => {})).rejects.toMatchObject(refusal);
      await store.close();
    },
  );

  it('also where that came after the first look: segments and census look again', async () => {
    const { store, schema } = await storeOn(
      'CREATE TABLE %S.people (id int NOT NULL UNIQUE, tenant text NOT NULL, secret bytea)',
    );
    const [segment = ''] = await store.segments(scope, 1);
    await store.listStale(scope, 2, segment, null, 10);
    await postgres.admin.query(
      `ALTER TABLE ${schema}.people ALTER id DROP NOT NULL; INSERT INTO ${schema}.people VALUES (NULL, 'acme', '\\x00')`,
    );
    const refusal = {
      code: 'KEY_COLUMNS_NOT_UNIQUE',
      message: expect.stringContaining('key column "id" may be NULL'),
    };
    await expect(store.census(scope, segment, 'tenant')).rejects.toMatchObject(refusal);
    await expect(store.segments(scope, 1)).rejects.toMatchObject(refusal);
    await store.close();
  });

  /** A segment of all keys, by a store on a table that is as it should be. */
  async function wholeTable(): Promise<string> {
    const { store } = await storeOn(GOOD);
    const [segment = ''] = await store.segments(scope, 1);
    await store.close();
    return segment;
  }
});

describe('trouble while it runs', () => {
  it('a role without the right to write, and a read-only one, are told apart', async () => {
    const change = [
      { key: ['1'], tenant: 'acme', changes: [{ field: 0, before: envelope(1), after: envelope(2) }] },
    ];
    const denied = await storeOn(GOOD, {}, (s) => role(s, 'GRANT SELECT ON %S.people TO %R'));
    await expect(denied.store.replace(change)).rejects.toMatchObject({
      code: 'STORE_DENIED',
      retryable: false,
    });
    await denied.store.close();
    const readOnly = await storeOn(GOOD, {}, (s) =>
      role(s, 'GRANT ALL ON %S.people TO %R; ALTER ROLE %R SET default_transaction_read_only = on'),
    );
    await expect(readOnly.store.replace(change)).rejects.toMatchObject({ code: 'STORE_READ_ONLY' });
    await readOnly.store.close();
  });

  it('names a column that is renamed under the sweep, and goes on when it is back', async () => {
    const { store, schema } = await storeOn(GOOD);
    const [segment = ''] = await store.segments(scope, 1);
    await store.listStale(scope, 2, segment, null, 10);
    await postgres.admin.query(`ALTER TABLE ${schema}.people RENAME secret TO secret_old`);
    await expect(store.listStale(scope, 2, segment, null, 10)).rejects.toMatchObject({
      code: 'COLUMN_NOT_FOUND',
      message: expect.stringContaining('"secret" does not exist'),
    });
    await postgres.admin.query(`ALTER TABLE ${schema}.people RENAME secret_old TO secret`);
    expect((await store.listStale(scope, 2, segment, null, 10)).keys).toEqual([]);
    await postgres.admin.query(`DROP TABLE ${schema}.people`);
    await expect(store.read([['1']])).rejects.toMatchObject({ code: 'TABLE_NOT_FOUND' });
    await store.close();
  });

  it('takes a column that changes from bytea to text as it is now', async () => {
    const { store, schema } = await storeOn(GOOD);
    await postgres.admin.query(`INSERT INTO ${schema}.people VALUES (1, 'acme', $1)`, [envelope(1)]);
    await store.read([['1']]);
    await postgres.admin.query(
      `ALTER TABLE ${schema}.people ALTER secret TYPE text USING translate(rtrim(encode(secret, 'base64'), '='), E'+/\\n', '-_')`,
    );
    const [segment = ''] = await store.segments(scope, 1);
    const page = await store.listStale(scope, 2, segment, null, 10);
    expect(page.keys).toEqual([['1']]);
    await store.close();
  });

  it('counts nothing while a transaction that wrote before is open, and all once it has ended', async () => {
    const { store, schema } = await storeOn(GOOD);
    const client = await postgres.admin.connect();
    await client.query('BEGIN');
    await client.query(`INSERT INTO ${schema}.people VALUES (1, 'acme', $1)`, [envelope(1)]);
    const [segment = ''] = await store.segments(scope, 1);
    await expect(store.census(scope, segment, 'tenant')).rejects.toMatchObject({
      code: 'STORE_OPEN_TRANSACTIONS',
      retryable: true,
    });
    const census = store.census(scope, segment, 'tenant');
    await client.query('COMMIT');
    client.release();
    expect((await census).versions).toEqual({ 1: 1 });
    await store.close();
  });

  it('is busy, not broken, when rows stay locked', async () => {
    const { store, schema, pool } = await storeOn(GOOD);
    await postgres.admin.query(`INSERT INTO ${schema}.people VALUES (1, 'acme', $1)`, [envelope(1)]);
    await pool.query('SELECT 1');
    await postgres.admin.query(`ALTER DATABASE app SET lock_timeout = '100ms'`);
    const client = await postgres.admin.connect();
    await client.query('BEGIN');
    await client.query(`SELECT FROM ${schema}.people FOR UPDATE`);
    const before = (await store.read([['1']]))[0]?.values[0] ?? new Uint8Array();
    const again = createPostgresPool({ tls: 'off', maxConnections: 1 }, postgres.url, {
      store: 'main',
      statementTimeoutMs: 60_000,
    });
    const config = {
      store: 'main',
      table: `${schema}.people`,
      key: ['id'],
      tenant: { column: 'tenant' },
      purpose: 'default',
      fields: [field('secret')],
    };
    const second = createPostgresRecordStore({ recordSet: 'people', config, pool: again, closePool: true });
    await expect(
      second.replace([{ key: ['1'], tenant: 'acme', changes: [{ field: 0, before, after: envelope(2) }] }]),
    ).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true });
    await client.query('ROLLBACK');
    client.release();
    await postgres.admin.query('ALTER DATABASE app RESET lock_timeout');
    await second.close();
    await store.close();
  });

  it('lives on when the server ends its connections', async () => {
    const { store, pool } = await storeOn(GOOD);
    await store.read([['1']]);
    await postgres.admin.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'keyturn' AND pid <> pg_backend_pid()`,
    );
    await expect.poll(() => pool.totalCount, { timeout: 60_000 }).toBe(0);
    expect(await store.read([['1']])).toEqual([null]);
    await store.close();
  });
});

describe('poison rows', () => {
  it('of text are listed, read as they are, counted, and stop nobody', async () => {
    const { store, schema } = await storeOn(
      'CREATE TABLE %S.people (id int PRIMARY KEY, tenant text NOT NULL, secret text)',
    );
    const good = Buffer.from(envelope(2)).toString('base64url');
    const poison = [
      `${good}=`,
      good.replace(/.$/, '='),
      `${good.slice(0, -5)}é${good.slice(-4)}`,
      `é${good.slice(1)}`,
      `${good.slice(0, -2)}\n${good.slice(-1)}`,
      good.replaceAll('-', '+').replaceAll('_', '/').replace(/^../, '+/'),
      'é'.repeat(200),
      '='.repeat(200),
      `${'A'.repeat(200)}B`,
      '',
      'x',
    ];
    for (const [i, text] of [good, ...poison].entries()) {
      await postgres.admin.query(`INSERT INTO ${schema}.people VALUES ($1, 'acme', $2)`, [i, text]);
    }
    const [segment = ''] = await store.segments(scope, 1);
    const records = await store.read([good, ...poison].map((_, i) => [String(i)]));
    expect(Buffer.from(records[0]?.values[0] ?? []).toString('base64url')).toBe(good);
    for (const [i, text] of poison.entries()) {
      const value = Buffer.from(records[i + 1]?.values[0] ?? []);
      // Text that is base64url of something is that; all else is as it stands.
      expect([value.toString('utf8'), value.toString('base64url')]).toContain(text);
    }
    const { keys } = await store.listStale(scope, 2, segment, null, 100);
    const count = await store.census(scope, segment, 'tenant');
    expect(count.values).toBe(poison.length + 1);
    // A broken head with a sound end counts for the version that it names, and is not stale.
    const named = count.versions[2] ?? 0;
    expect(keys.length).toBe(poison.length + 1 - named);
    expect(count.malformed + named).toBe(poison.length + 1);
    expect(named).toBeGreaterThanOrEqual(1);
    await store.close();
  });

  it('of many megabytes are read and replaced in parts', async () => {
    const { store, schema } = await storeOn(GOOD);
    const big = Buffer.alloc(6_000_000, 7);
    for (let i = 0; i < 12; i++)
      await postgres.admin.query(`INSERT INTO ${schema}.people VALUES ($1, 'acme', $2)`, [i, big]);
    const keys = Array.from({ length: 13 }, (_, i) => [String(i)]);
    const records = await store.read(keys);
    expect(records[12]).toBeNull();
    expect(records.slice(0, 12).every((r) => r?.values[0]?.length === big.length)).toBe(true);
    const after = envelope(2);
    const changes = keys.map((key) => ({ key, tenant: 'acme', changes: [{ field: 0, before: big, after }] }));
    expect(await store.replace(changes)).toEqual([...Array(12).fill('replaced'), 'missing']);
    await store.close();
  });
});
