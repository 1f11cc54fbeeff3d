import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { chmod, chown, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import pg from 'pg';
import { type Account, assertReachable, serverAccount } from './postgres-account.ts';
import { findBinaries, type PostgresBinaries } from './postgres-binaries.ts';

/**
 * A real PostgreSQL on this machine, on 127.0.0.1 only, with its data in one folder that lasts between runs.
 * It ends with the process that started it, also when that is killed: see WATCH.
 */

export interface EmbeddedPostgresOptions {
  /** Folder of this server's data, password and port. Created when missing. */
  readonly dir: string;
  /** 0 or absent: the port of the last run when it is free, else any free one. */
  readonly port?: number;
  readonly log?: (line: string) => void;
  /** Server settings besides the fixed ones, such as `fsync=off` for throw-away data. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Of another PostgreSQL than the embedded one, such as the machine's own. */
  readonly binaries?: PostgresBinaries;
}

export interface EmbeddedPostgres {
  readonly port: number;
  readonly pid: number;
  readonly adminUrl: string;
  url(database: string): string;
  /** Does nothing when the database exists. */
  createDatabase(name: string): Promise<void>;
  /** Ends open connections, writes everything to disk and waits until the server is gone. */
  stop(): Promise<void>;
}

const USER = 'keyturn';
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 30_000;
/** How long a server that nobody stops may stay "ready" before it is taken for another process's. */
const LEFTOVER_MS = 3_000;

/**
 * The shell becomes the server (same pid); a small process beside it waits on a pipe that only we hold. When the
 * pipe closes, because we stop or because we died, it asks the server for a fast shutdown. A word on the pipe
 * says that the server is gone already, so that no other process that got its pid is signalled.
 */
const WATCH =
  '( { read -r word <&3; [ -n "$word" ] || kill -INT $$; } >/dev/null 2>&1 & ); exec "$@" 3<&- </dev/null';

const BUILTIN_LOCALE = ['--locale-provider=builtin', '--builtin-locale=C.UTF-8'];

const run = promisify(execFile);

export async function startPostgres(options: EmbeddedPostgresOptions): Promise<EmbeddedPostgres> {
  if (process.platform === 'win32') throw new Error('The embedded PostgreSQL runs on Linux and macOS.');
  const dir = path.resolve(options.dir);
  const log = options.log ?? (() => {});
  const binaries = options.binaries ?? findBinaries();
  const account = await serverAccount();
  await prepareFolder(dir, account, binaries.postgres);
  const data = path.join(dir, 'data');
  await waitForLeftover(data);
  const password = await readOrMakePassword(dir, account);
  // Versions before 17 do not know it.
  const locale = options.binaries === undefined ? BUILTIN_LOCALE : [];
  await createCluster(dir, data, binaries.initdb, locale, account);
  const port = await choosePort(dir, options.port ?? 0);
  const server = await spawnServer(binaries.postgres, data, port, account, options.settings ?? {}, log);
  await writeFile(path.join(dir, 'port'), `${port}\n`);

  const url = (database: string) =>
    `postgres://${USER}:${encodeURIComponent(password)}@127.0.0.1:${port}/${encodeURIComponent(database)}`;
  return {
    port,
    pid: server.pid,
    adminUrl: url('postgres'),
    url,
    createDatabase: (name) => createDatabase(url('postgres'), name),
    stop: server.stop,
  };
}

async function prepareFolder(dir: string, account: Account | undefined, postgres: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  if (account === undefined) return;
  // The server's account must pass through the folder, not list it.
  await chmod(dir, (await stat(dir)).mode | 0o011);
  await assertReachable(dir, account, 'the data folder');
  await assertReachable(path.dirname(postgres), account, "PostgreSQL's programs");
}

async function readOrMakePassword(dir: string, account: Account | undefined): Promise<string> {
  const file = path.join(dir, 'password');
  const kept = await readIfThere(file);
  if (kept !== undefined && kept.trim() !== '') return kept.trim();
  const password = randomBytes(24).toString('base64url');
  const draft = `${file}.new`;
  await writeFile(draft, `${password}\n`, { mode: 0o600 });
  // initdb reads it as the server's account; root reads it in any case.
  if (account !== undefined) await chown(draft, account.uid, account.gid);
  await rename(draft, file);
  return password;
}

/** Built beside and renamed, so that an interrupted initdb leaves nothing that looks like a database. */
async function createCluster(
  dir: string,
  data: string,
  initdb: string,
  locale: readonly string[],
  account: Account | undefined,
): Promise<void> {
  if ((await readIfThere(path.join(data, 'PG_VERSION'))) !== undefined) return;
  const draft = `${data}.new`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: 0o700 });
  if (account !== undefined) await chown(draft, account.uid, account.gid);
  const flags = [
    `--pgdata=${draft}`,
    `--username=${USER}`,
    `--pwfile=${path.join(dir, 'password')}`,
    '--auth=scram-sha-256',
    '--encoding=UTF8',
    // The same order and case rules on every machine, whatever locales it has.
    '--locale=C',
    ...locale,
    '--no-instructions',
  ];
  try {
    await run(initdb, flags, { ...account, cwd: draft, env: serverEnvironment() });
  } catch (cause) {
    await rm(draft, { recursive: true, force: true });
    throw new Error(`PostgreSQL could not create its data in ${data}.`, { cause });
  }
  await rename(draft, data);
}

/** The machine's own locale, time zone and PG* variables must not matter. */
function serverEnvironment(): NodeJS.ProcessEnv {
  return { PATH: process.env['PATH'], LC_ALL: 'C', TZ: 'UTC' };
}

interface RunningServer {
  readonly pid: number;
  stop(): Promise<void>;
}

async function spawnServer(
  postgres: string,
  data: string,
  port: number,
  account: Account | undefined,
  settings: Readonly<Record<string, string>>,
  log: (line: string) => void,
): Promise<RunningServer> {
  const fixed = { listen_addresses: '127.0.0.1', port: String(port), unix_socket_directories: '' };
  const flags = Object.entries({ ...settings, ...fixed }).flatMap(([key, value]) => [
    '-c',
    `${key}=${value}`,
  ]);
  const child = spawn('/bin/sh', ['-c', WATCH, 'sh', postgres, '-D', data, ...flags], {
    ...account,
    cwd: data,
    env: serverEnvironment(),
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    // A group of its own: Ctrl-C in a terminal is for us, and we stop the server when we are done with it.
    detached: true,
  });
  const { pid } = child;
  const stderr = child.stdio[2];
  const lifeline = child.stdio[3];
  if (pid === undefined || stderr === null || !lifeline || !('end' in lifeline)) {
    const [cause] = await once(child, 'error');
    throw new Error('PostgreSQL could not be started.', { cause });
  }
  lifeline.on('error', () => {});
  const tail: string[] = [];
  stderr.setEncoding('utf8').on('data', (text: string) => {
    for (const line of text.split('\n').filter((l) => l !== '')) {
      log(line);
      tail.push(line);
      if (tail.length > 8) tail.shift();
    }
  });
  let gone = false;
  const exited = new Promise<void>((resolve) => {
    child.once('exit', () => {
      gone = true;
      lifeline.end('gone\n');
      resolve();
    });
  });
  const stop = async (): Promise<void> => {
    child.ref();
    if (!gone) lifeline.end();
    const timer = AbortSignal.timeout(STOP_TIMEOUT_MS);
    await Promise.race([exited, once(timer, 'abort')]);
    if (!gone) child.kill('SIGQUIT');
    await exited;
  };
  const deadline = Date.now() + START_TIMEOUT_MS;
  while ((await serverStatus(data, pid)) !== 'ready') {
    if (gone || Date.now() > deadline) {
      await stop();
      throw new Error(`PostgreSQL did not start on 127.0.0.1:${port}. Its last lines: ${tail.join(' | ')}`);
    }
    await sleep(10);
  }
  // The event loop need not stay alive for the server's sake.
  child.unref();
  for (const stream of [stderr, lifeline])
    if ('unref' in stream && typeof stream.unref === 'function') stream.unref();
  return { pid, stop };
}

interface PidFile {
  readonly pid: number;
  /** `starting`, `stopping`, `ready` or `standby`: the eighth line of postmaster.pid. */
  readonly status: string;
}

async function readPidFile(data: string): Promise<PidFile | undefined> {
  const lines = (await readIfThere(path.join(data, 'postmaster.pid')))?.split('\n');
  const pid = Number(lines?.[0]);
  if (!Number.isInteger(pid) || pid <= 1) return undefined;
  return { pid, status: lines?.[7]?.trim() ?? '' };
}

async function serverStatus(data: string, pid: number): Promise<string> {
  const file = await readPidFile(data);
  return file?.pid === pid ? file.status : '';
}

/** A server whose starter was killed is on its way down; one that stays up is in use. A stale file is removed. */
async function waitForLeftover(data: string): Promise<void> {
  const since = Date.now();
  for (;;) {
    const file = await readPidFile(data);
    if (file === undefined || !(await isPostgres(file.pid))) break;
    if (file.status !== 'stopping' && Date.now() - since > LEFTOVER_MS) {
      throw new Error(
        `Another process is running the PostgreSQL in ${data} (pid ${file.pid}). Stop it, or use another folder.`,
      );
    }
    if (Date.now() - since > START_TIMEOUT_MS) throw new Error(`PostgreSQL (pid ${file.pid}) does not stop.`);
    await sleep(25);
  }
  await rm(path.join(data, 'postmaster.pid'), { force: true });
}

/** After a reboot the pid may be anybody's. */
async function isPostgres(pid: number): Promise<boolean> {
  if (process.platform === 'linux') {
    const command = await readIfThere(`/proc/${pid}/cmdline`);
    return command?.split('\0')[0]?.endsWith('postgres') ?? false;
  }
  const found = await run('ps', ['-p', String(pid), '-o', 'comm=']).catch(() => ({ stdout: '' }));
  return found.stdout.trim().endsWith('postgres');
}

async function choosePort(dir: string, wanted: number): Promise<number> {
  if (wanted !== 0) {
    if (await isFree(wanted)) return wanted;
    throw new Error(`Port ${wanted} on 127.0.0.1 is in use. Choose another one, or 0 for any.`);
  }
  const last = Number(await readIfThere(path.join(dir, 'port')));
  if (Number.isInteger(last) && last > 0 && (await isFree(last))) return last;
  return freePort();
}

async function isFree(port: number): Promise<boolean> {
  return (await freePort(port).catch(() => undefined)) !== undefined;
}

async function freePort(port = 0): Promise<number> {
  const probe = createServer();
  probe.listen(port, '127.0.0.1');
  await once(probe, 'listening');
  const address = probe.address();
  probe.close();
  await once(probe, 'close');
  if (address === null || typeof address === 'string') throw new Error('No free port on 127.0.0.1.');
  return address.port;
}

const DUPLICATE_DATABASE = '42P04';
const UNIQUE_VIOLATION = '23505';

async function createDatabase(adminUrl: string, name: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    const found = await client.query('SELECT FROM pg_database WHERE datname = $1', [name]);
    if (found.rowCount === 0) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(name)}`);
  } catch (error) {
    // Somebody else made it in between.
    const raced =
      error instanceof pg.DatabaseError && [DUPLICATE_DATABASE, UNIQUE_VIOLATION].includes(error.code ?? '');
    if (!raced) throw error;
  } finally {
    await client.end();
  }
}

async function readIfThere(file: string): Promise<string | undefined> {
  return readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT' || error.code === 'ESRCH') return undefined;
    throw error;
  });
}
