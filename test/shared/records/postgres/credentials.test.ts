import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { recordSetSchema } from '../../../../shared/config/schema.ts';
import { readCredentials } from '../../../../shared/records/postgres/credentials.ts';
import { createPostgresPool } from '../../../../shared/records/postgres/pool.ts';
import { createPostgresRecordStore } from '../../../../shared/records/postgres/store.ts';
import type { Secrets } from '../../../../shared/secrets/secrets.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';

const PEOPLE = recordSetSchema.parse({
  store: 'main',
  table: 'people',
  key: ['id'],
  tenant: { fixed: 'acme' },
  fields: [{ name: 'email', column: 'email' }],
});
const RDS = { username: 'app', password: 'p%40:/SECRET', host: 'db.example.org', port: 6432, dbname: 'shop' };

function secretsOf(values: Readonly<Record<string, unknown>>): Secrets {
  return {
    read: async (id) => (typeof values[id] === 'string' ? values[id] : JSON.stringify(values[id])),
  };
}

describe('user and password from a secret', () => {
  it('come with host, port and database, unless the configuration names those', async () => {
    const secrets = secretsOf({ rds: RDS });
    const all = await readCredentials(secrets, 'main', { secret: 'rds' });
    expect(all.url).toBe('postgres://app@db.example.org:6432/shop');
    expect(await all.login()).toEqual({ user: 'app', password: RDS.password });
    const named = { secret: 'rds', host: 'proxy.example.org', port: 5433, database: 'other' };
    expect((await readCredentials(secrets, 'main', named)).url).toBe(
      'postgres://app@proxy.example.org:5433/other',
    );
  });

  it('take a port in quotes, and 5432 without any', async () => {
    const secrets = secretsOf({ quoted: { ...RDS, port: '6433' }, none: { ...RDS, port: undefined } });
    expect((await readCredentials(secrets, 'main', { secret: 'quoted' })).url).toContain(':6433/');
    expect((await readCredentials(secrets, 'main', { secret: 'none' })).url).toContain(':5432/');
  });

  it.each([
    ['no JSON', 'not {json SECRET', /is not JSON/],
    ['a list', [], /no usable object/],
    ['no password', { ...RDS, password: undefined }, /no usable password/],
    ['an empty user', { ...RDS, username: '' }, /no usable username/],
    ['a port out of range', { ...RDS, port: 70_000 }, /no usable port/],
    ['no host', { ...RDS, host: undefined }, /names no host/],
    ['no database', { ...RDS, dbname: undefined }, /names no database/],
  ])('are refused with %s, and nothing of the secret is shown', async (_, value, message) => {
    const error: unknown = await readCredentials(secretsOf({ bad: value }), 'main', { secret: 'bad' }).catch(
      (caught: unknown) => caught,
    );
    expect(error).toMatchObject({ code: 'SECRET_INVALID', message, remedy: expect.any(String) });
    expect(JSON.stringify([String(error), error])).not.toContain('SECRET"');
    expect(String(error)).not.toContain(RDS.password);
  });
});

describe('a rotated password', () => {
  let postgres: TestPostgres;
  beforeAll(async () => {
    postgres = await startTestPostgres();
  });
  afterAll(() => postgres.stop());

  it('is used by the next connection, without a restart', async () => {
    const { hostname, port } = new URL(postgres.url);
    const { pathname } = new URL(postgres.url);
    const secret = {
      username: 'rotating',
      password: 'first',
      host: hostname,
      port,
      dbname: pathname.slice(1),
    };
    await postgres.admin.query(`CREATE ROLE rotating LOGIN PASSWORD 'first'`);
    const credentials = await readCredentials({ read: async () => JSON.stringify(secret) }, 'main', {
      secret: 'rds',
    });
    const pool = createPostgresPool({ tls: 'off', maxConnections: 1 }, credentials.url, {
      store: 'main',
      login: credentials.login,
    });
    try {
      const whoami = async () => (await pool.query('SELECT current_user AS who')).rows[0]?.who;
      expect(await whoami()).toBe('rotating');
      await postgres.admin.query(`ALTER ROLE rotating PASSWORD 'second'`);
      await postgres.admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'`,
      );
      await expect.poll(() => pool.totalCount).toBe(0);
      await expect(whoami()).rejects.toThrow(/password authentication failed/);
      // As a record store tells it: nobody's fault, and over in a minute.
      const store = createPostgresRecordStore({ recordSet: 'people', config: PEOPLE, pool });
      await expect(store.check()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true });
      secret.password = 'second';
      expect(await whoami()).toBe('rotating');

      // The other way to rotate: two users in turn.
      await postgres.admin.query(`CREATE ROLE rotating_clone LOGIN PASSWORD 'third'`);
      Object.assign(secret, { username: 'rotating_clone', password: 'third' });
      await postgres.admin.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'rotating'`,
      );
      await expect.poll(() => pool.totalCount).toBe(0);
      await expect(whoami()).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE', retryable: true });
      expect(await whoami()).toBe('rotating_clone');
    } finally {
      await pool.end();
    }
  });
});
