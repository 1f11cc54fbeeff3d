import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startPostgres } from '../../local/postgres.ts';

const LOCAL = fileURLToPath(new URL('../../local/postgres.ts', import.meta.url));
const settings = { fsync: 'off' };

describe('embedded PostgreSQL', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(path.join(tmpdir(), 'keyturn-local-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  const query = async (url: string, sql: string) => {
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    const { rows } = await client.query(sql);
    await client.end();
    return rows;
  };

  it('keeps data, password and port between runs, and listens on this machine only', async () => {
    const first = await startPostgres({ dir, settings });
    await first.createDatabase('App "1"');
    await first.createDatabase('App "1"');
    await query(first.url('App "1"'), 'CREATE TABLE t AS SELECT 7 AS n');
    expect(
      await query(
        first.adminUrl,
        `SELECT current_setting('listen_addresses') AS listen, current_setting('unix_socket_directories') AS sockets,
           current_setting('fsync') AS fsync, datlocprovider AS provider, datlocale AS locale
         FROM pg_database WHERE datname = 'App "1"'`,
      ),
    ).toEqual([{ listen: '127.0.0.1', sockets: '', fsync: 'off', provider: 'b', locale: 'C.UTF-8' }]);
    expect((await stat(path.join(dir, 'password'))).mode & 0o777).toBe(0o600);
    await expect(query(first.adminUrl.replace(/:[^:@]*@/, ':wrong@'), 'SELECT 1')).rejects.toMatchObject({
      code: '28P01',
    });
    await first.stop();
    await first.stop();

    const second = await startPostgres({ dir });
    expect(second.url('x')).toBe(first.url('x'));
    expect(await query(second.url('App "1"'), "SELECT n, current_setting('fsync') AS fsync FROM t")).toEqual([
      { n: 7, fsync: 'on' },
    ]);
    await second.stop();
  });

  it('takes another port when the last one is in use, and refuses a given one', async () => {
    const first = await startPostgres({ dir, settings });
    await first.stop();
    const squatter = createServer().listen(first.port, '127.0.0.1');
    await once(squatter, 'listening');
    await expect(startPostgres({ dir, settings, port: first.port })).rejects.toThrow(`Port ${first.port}`);
    const second = await startPostgres({ dir, settings });
    expect(second.port).not.toBe(first.port);
    await second.stop();
    squatter.close();
  });

  it('ends with its starter, killed or not, and starts again at once', async () => {
    for (const signal of ['SIGKILL', 'SIGTERM'] as const) {
      const script = `
        const { startPostgres } = await import(${JSON.stringify(LOCAL)});
        const server = await startPostgres({ dir: ${JSON.stringify(dir)}, settings: { fsync: 'off' } });
        console.log(server.pid);
        setInterval(() => {}, 1000);`;
      const starter = spawn(process.execPath, ['--input-type=module', '-e', script], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [line] = await once(starter.stdout, 'data');
      starter.kill(signal);
      await once(starter, 'exit');
      const server = await startPostgres({ dir, settings });
      expect(server.pid).not.toBe(Number(String(line)));
      expect(await query(server.adminUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await server.stop();
    }
  });

  it('refuses a folder that another process is using, and removes a stale pid file', async () => {
    const server = await startPostgres({ dir, settings });
    await expect(startPostgres({ dir, settings })).rejects.toThrow(`(pid ${server.pid})`);
    expect(await query(server.adminUrl, 'SELECT 1 AS one')).toEqual([{ one: 1 }]);
    const pidFile = path.join(dir, 'data', 'postmaster.pid');
    const stale = (await readFile(pidFile, 'utf8')).replace(/^\d+/, String(process.pid));
    await server.stop();
    // After a crash and a reboot the pid may be any process's: here our own.
    await writeFile(pidFile, stale);
    const again = await startPostgres({ dir, settings });
    await again.stop();
  });
});
