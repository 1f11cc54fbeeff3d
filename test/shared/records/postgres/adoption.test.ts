import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createPostgresPool } from '../../../../shared/records/postgres/pool.ts';
import { createPostgresRecordStore } from '../../../../shared/records/postgres/store.ts';
import { describeAdoptableStore } from '../../../contracts/adoptable-store.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';
import {
  COMPOUND_KEY,
  FIXED_TENANT,
  INT_KEY,
  makeAdoptableFixture,
  recordSetConfig,
} from '../../../support/postgres-records.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
}, 60_000);
afterAll(() => postgres.stop());

for (const tableCase of [INT_KEY, COMPOUND_KEY, FIXED_TENANT]) {
  describeAdoptableStore(`PostgreSQL, ${tableCase.name}`, () => makeAdoptableFixture(postgres, tableCase));
}

describe('adoption of PostgreSQL tables', () => {
  it('names a plaintext column that does not exist, and makes nothing', async () => {
    const fixture = await makeAdoptableFixture(postgres, INT_KEY);
    const [field] = INT_KEY.fields;
    if (field === undefined) throw new Error('unreachable');
    const config = {
      ...recordSetConfig(fixture.table, INT_KEY),
      fields: [{ ...field, plaintextColumn: 'secret_plian' }],
    };
    const pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, postgres.url, { store: 'main' });
    const store = createPostgresRecordStore({ recordSet: 'people', config, pool, closePool: true });
    await expect(store.prepareAdoption()).rejects.toMatchObject({
      code: 'COLUMN_NOT_FOUND',
      message: expect.stringContaining('"secret_plian" does not exist. Did you mean "secret_plain"?'),
    });
    expect((await fixture.columns()).envelopes).toEqual([]);
    await store.close();
    await fixture.close();
  });

  it('gives the SQL to run to a role that does not own the table', async () => {
    const fixture = await makeAdoptableFixture(postgres, INT_KEY);
    const schema = fixture.table.split('.')[0];
    const role = `r${schema}`;
    await postgres.admin.query(
      `CREATE ROLE ${role} LOGIN PASSWORD 'pw'; GRANT USAGE ON SCHEMA ${schema} TO ${role}; GRANT SELECT, UPDATE ON ${fixture.table} TO ${role}`,
    );
    const url = new URL(postgres.url);
    url.username = role;
    url.password = 'pw';
    const pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, url.href, { store: 'main' });
    const config = recordSetConfig(fixture.table, INT_KEY);
    const store = createPostgresRecordStore({ recordSet: 'people', config, pool, closePool: true });
    await expect(store.prepareAdoption()).rejects.toMatchObject({
      code: 'STORE_DENIED',
      remedy: expect.stringContaining(
        `ALTER TABLE "${schema}"."people" ADD COLUMN IF NOT EXISTS "secret" bytea;`,
      ),
    });
    await postgres.admin.query(`ALTER TABLE ${fixture.table} ADD COLUMN secret bytea`);
    await expect(store.dropPlaintext(async () => {})).rejects.toMatchObject({
      code: 'STORE_DENIED',
      remedy: expect.stringContaining('DROP COLUMN IF EXISTS "secret_plain";'),
    });
    await store.close();
    await fixture.close();
    await postgres.admin.query(`DROP ROLE ${role}`);
  });

  it('names the views that depend on the plaintext, and drops nothing', async () => {
    const fixture = await makeAdoptableFixture(postgres, INT_KEY);
    await fixture.store.prepareAdoption();
    await postgres.admin.query(
      `CREATE VIEW ${fixture.table}_view AS SELECT secret_plain FROM ${fixture.table}`,
    );
    await expect(fixture.store.dropPlaintext(async () => {})).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('people_view (column "secret_plain")'),
    });
    expect((await fixture.columns()).plaintext).toEqual(['secret_plain']);
    await fixture.close();
  });

  it('does not wait long for a table that is in use', async () => {
    const fixture = await makeAdoptableFixture(postgres, INT_KEY, { lockTimeoutMs: 100 });
    const client = await postgres.admin.connect();
    await client.query('BEGIN');
    await client.query(`SELECT FROM ${fixture.table}`);
    await expect(fixture.store.prepareAdoption()).rejects.toMatchObject({
      code: 'STORE_BUSY',
      retryable: true,
    });
    await client.query('ROLLBACK');
    client.release();
    expect(await fixture.store.prepareAdoption()).toEqual(['secret']);
    await fixture.close();
  });

  it('refuses rows without a tenant', async () => {
    const fixture = await makeAdoptableFixture(postgres, COMPOUND_KEY);
    await fixture.store.prepareAdoption();
    await fixture.insertPlaintext(fixture.keyOf(1), '7', [null, null, null]);
    await postgres.admin.query(`UPDATE ${fixture.table} SET "Ten""ant" = NULL`);
    await expect(fixture.store.tenants()).rejects.toMatchObject({
      code: 'TENANT_INVALID',
      message: expect.stringContaining('tenant column "Ten"ant" is NULL'),
    });
    expect((await fixture.store.readPlaintext([fixture.keyOf(1)]))[0]?.tenant).toBe('');
    await fixture.close();
  });
});
