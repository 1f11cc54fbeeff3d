import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { PostgresStoreConfig } from '../../../../shared/config/schema.ts';
import { translate } from '../../../../shared/records/postgres/failures.ts';
import { createPostgresPool } from '../../../../shared/records/postgres/pool.ts';
import { selfSignedCertificate } from '../../../support/certificate.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';

const make = (tls: PostgresStoreConfig['tls'], url: string) =>
  createPostgresPool({ tls, maxConnections: 1, urlFrom: 'DATABASE_URL' }, url, { store: 'main' });

describe('the URL and the tls setting', () => {
  it.each([
    [
      'off',
      'postgres://u:geheim@db.example.com/app',
      'tls is "off", but "db.example.com" is not this machine',
    ],
    ['off', 'postgres://u:geheim@127.evil.example/app', 'is not this machine'],
    [
      'off',
      'postgres://u:geheim@localhost/app?sslmode=require',
      'the URL says sslmode=require, but tls is "off"',
    ],
    ['verify-full', 'postgres://u:geheim@db.example.com/app?sslmode=disable', 'the URL says sslmode=disable'],
    [
      'verify-full',
      'postgres://u:geheim@db.example.com/app?sslmode=no-verify',
      'the URL says sslmode=no-verify',
    ],
    ['verify-full', 'postgres://u:geheim@x/app?host=/run/postgresql', 'no TLS on a unix socket'],
    [
      { ca: 'no-such-file.pem' },
      'postgres://u:geheim@db.example.com/app',
      'tls.ca "no-such-file.pem" cannot be read',
    ],
  ] as const)('refuses %j with %s', (tls, url, says) => {
    const error = failure(() => make(tls, url));
    expect(error).toMatchObject({ code: 'STORE_TLS', message: expect.stringContaining(says) });
    expect(error).toMatchObject({ message: expect.stringContaining('Store "main"') });
    expect(String(error)).not.toContain('geheim');
  });

  it.each([
    ['mysql://u:geheim@h/app', 'is not a postgres:// URL'],
    ['geheim', 'is not a postgres:// URL'],
    ['postgres://u:geheim@h', 'names no database'],
    ['postgres://h/app', 'names no user'],
    ['postgres://u:geheim@h/app?sslrootcert=x', 'has the parameter "sslrootcert"'],
    ['postgres://u:gehe%zzim@h/app', 'percent-encoded'],
  ])('refuses the URL %s', (url, says) => {
    const error = failure(() => make('verify-full', url));
    expect(error).toMatchObject({ code: 'ENVIRONMENT_INVALID', message: expect.stringContaining(says) });
    expect(error).toMatchObject({ message: expect.stringContaining('DATABASE_URL') });
    expect(String(error)).not.toContain('gehe');
  });

  it('takes loopback addresses and unix sockets without TLS', () => {
    for (const host of ['localhost', '127.0.0.1', '[::1]']) make('off', `postgres://u:p@${host}:5433/app`);
    make('off', 'postgres://u:p@x/app?host=/run/postgresql');
  });
});

describe('TLS to a server', () => {
  let postgres: TestPostgres;
  let dir: string;
  const certificate = selfSignedCertificate([127, 0, 0, 1]);
  const stranger = selfSignedCertificate([127, 0, 0, 1]);

  beforeAll(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'keyturn-tls-'));
    for (const [name, { cert }] of Object.entries({ certificate, stranger })) {
      await writeFile(path.join(dir, `${name}.pem`), cert);
    }
    postgres = await startTestPostgres();
  });
  afterAll(async () => {
    await postgres.stop();
    await rm(dir, { recursive: true });
  });

  /** Puts a certificate on the server, in its own way: files in its data folder. */
  async function serve({ cert, key }: { cert: string; key: string }): Promise<void> {
    const quoted = (text: string) => `'${text}'`;
    await postgres.admin.query(`DROP TABLE IF EXISTS pem; CREATE TABLE pem (line text)`);
    for (const [file, text] of [
      ['server.crt', cert],
      ['server.key', key],
    ] as const) {
      await postgres.admin.query(`TRUNCATE pem`);
      await postgres.admin.query('INSERT INTO pem SELECT unnest($1::text[])', [text.trim().split('\n')]);
      // The server writes it, as its own account and with its own umask.
      await postgres.admin.query(`COPY pem TO PROGRAM ${quoted(`umask 077; cat > ${file}`)}`);
    }
    await postgres.admin.query('ALTER SYSTEM SET ssl = on');
    await postgres.admin.query('SELECT pg_reload_conf()');
  }

  const connect = async (tls: PostgresStoreConfig['tls'], url = postgres.url): Promise<unknown> => {
    const pool = make(tls, url);
    try {
      const { rows } = await pool.query('SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()');
      return rows[0];
    } catch (error) {
      return translate(error, { recordSet: 'people', table: 'people' });
    } finally {
      await pool.end();
    }
  };

  it('is verified to the name, with the authority that was given', async () => {
    expect(await connect('verify-full')).toMatchObject({ code: 'STORE_TLS' });
    await serve(certificate);
    // The server takes its certificate anew a moment after it was told to.
    await expect
      .poll(() => connect({ ca: path.join(dir, 'certificate.pem') }), { timeout: 60_000 })
      .toEqual({ ssl: true });
    expect(await connect('verify-full')).toMatchObject({ code: 'STORE_TLS', retryable: false });
    expect(await connect({ ca: path.join(dir, 'stranger.pem') })).toMatchObject({ code: 'STORE_TLS' });
    // The certificate is for the address alone.
    const byName = postgres.url.replace('127.0.0.1', 'localhost');
    expect(await connect({ ca: path.join(dir, 'certificate.pem') }, byName)).toMatchObject({
      code: 'STORE_TLS',
      message: expect.stringContaining('ERR_TLS_CERT_ALTNAME_INVALID'),
    });
    expect(await connect('off')).toEqual({ ssl: false });
  });
});

function failure(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  throw new Error('It was accepted.');
}
