import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import pg from 'pg';
import { type EmbeddedPostgres, startPostgres } from '../../local/postgres.ts';
import { copyTemplate, DATABASE } from './postgres-template.ts';

/** Throw-away data: nothing of it must survive a power cut. */
const FAST = { fsync: 'off', synchronous_commit: 'off', full_page_writes: 'off', max_connections: '60' };

export interface TestPostgres {
  readonly server: EmbeddedPostgres;
  readonly url: string;
  /** A pool of the superuser on that database. */
  readonly admin: pg.Pool;
  /** Makes an empty schema with a name of its own, for one test. */
  schema(): Promise<string>;
  stop(): Promise<void>;
}

/** Stopping the server ends connections that idle, and those that are being closed: that must end no test. */
export function createTestPool(url: string | undefined, max = 10): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

/** A server for one test file; call `stop` in afterAll. */
export async function startTestPostgres(
  settings: Readonly<Record<string, string>> = {},
): Promise<TestPostgres> {
  const dir = await mkdtemp(path.join(tmpdir(), 'keyturn-postgres-'));
  await copyTemplate(dir);
  const server = await startPostgres({ dir, settings: { ...FAST, ...settings } });
  const url = server.url(DATABASE);
  const admin = createTestPool(url, 4);
  return {
    server,
    url,
    admin,
    async schema() {
      const name = `t${randomBytes(6).toString('hex')}`;
      await admin.query(`CREATE SCHEMA ${name}`);
      return name;
    },
    async stop() {
      await admin.end();
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}
