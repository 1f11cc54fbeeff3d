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
});
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

  describe('dropping plaintext beside an application', () => {
    const setUp = async (lockTimeoutMs: number) => {
      const fixture = await makeAdoptableFixture(postgres, INT_KEY, { lockTimeoutMs });
      await fixture.store.prepareAdoption();
      let rows = 0;
      const insert = () => fixture.insertPlaintext(fixture.keyOf(rows++), 'acme', ['text']);
      await insert();
      const client = await postgres.admin.connect();
      /** Calls `under` in the first verification under the lock. */
      const drop = (under: () => Promise<void>) => {
        let calls = 0;
        return fixture.store.dropPlaintext(async () => {
          calls += 1;
          if (calls === 1) await insert();
          if (calls === 2) await under();
        });
      };
      const end = async () => {
        client.release();
        await fixture.close();
      };
      return { ...fixture, insert, client, drop, end };
    };

    it('lets it read while it verifies, but not write', async () => {
      const { table, client, drop, insert, columns, end } = await setUp(5_000);
      let wrote: Promise<unknown> | undefined;
      const dropped = await drop(async () => {
        expect((await client.query(`SELECT secret_plain FROM ${table}`)).rows.length).toBe(2);
        await client.query(`SELECT FROM ${table} LIMIT 1 FOR UPDATE`);
        wrote = insert().catch((error: unknown) => error);
      });
      expect(dropped).toEqual(['secret_plain']);
      // It was kept waiting until its column was gone: no value slipped in unseen.
      expect(await wrote).toMatchObject({ code: '42703' });
      expect((await columns()).plaintext).toEqual([]);
      await end();
    });

    it('waits for a reader again and again, and gives up in time', async () => {
      const { table, client, drop, columns, end } = await setUp(600);
      const read = async () => {
        await client.query(`BEGIN; SELECT FROM ${table}`);
      };
      await expect(drop(read)).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true });
      expect((await columns()).plaintext).toEqual(['secret_plain']);
      await client.query('ROLLBACK');
      await end();
    });

    it('waits for a reader until it has ended', async () => {
      const { table, client, drop, columns, end } = await setUp(60_000);
      const ends = async () => {
        await client.query(`BEGIN; SELECT FROM ${table}`);
        setTimeout(() => client.query('ROLLBACK'), 300);
      };
      expect(await drop(ends)).toEqual(['secret_plain']);
      expect((await columns()).plaintext).toEqual([]);
      await end();
    });

    it('gives up at once rather than have a transaction fail that has read and is to write', async () => {
      const { table, client, drop, columns, end } = await setUp(30_000);
      let update: Promise<unknown> | undefined;
      const readThenWrite = async () => {
        await client.query(`BEGIN; SELECT FROM ${table}`);
        update = client.query(`UPDATE ${table} SET secret_plain = 'new'`);
        const waiting = async () => {
          const { rowCount } = await postgres.admin.query(
            `SELECT FROM pg_locks WHERE relation = '${table}'::regclass AND NOT granted`,
          );
          return rowCount;
        };
        await expect.poll(waiting).toBe(1);
      };
      await expect(drop(readThenWrite)).rejects.toMatchObject({ code: 'STORE_BUSY', retryable: true });
      await update;
      await client.query('COMMIT');
      expect((await columns()).plaintext).toEqual(['secret_plain']);
      await end();
    });
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
