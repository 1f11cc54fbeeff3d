import { once } from 'node:events';
import { mkdir, open } from 'node:fs/promises';
import type { Server } from 'node:http';
import { dirname, join, resolve } from 'node:path';
import dynalite from 'dynalite';
import { Level } from 'level';
import { systemClock } from '../shared/clock/system.ts';
import { LedgerError } from '../shared/errors/errors.ts';
import { repairIndexes } from './dynamodb-indexes.ts';
import { refuseForeign } from './loopback-guard.ts';

/** The DynamoDB of the embedded stack: npm `dynalite`, for this machine only. It checks no credentials. */

const LOOPBACK = '127.0.0.1';

export interface LocalDynamoDb {
  readonly endpoint: string;
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Listens on the loopback address only. `dir` keeps the tables between runs (LevelDB; one process at a time), and
 * what was answered survives a power cut; without it they live in memory. `port` 0 or absent: any free one. Throws a LedgerError where it cannot start.
 */
export async function startDynamoDb(
  options: { readonly dir?: string; readonly port?: number } = {},
): Promise<LocalDynamoDb> {
  const lock = options.dir === undefined ? null : await lockFolder(options.dir);
  const tables = options.dir === undefined ? undefined : tablesFolder(options.dir);
  if (tables !== undefined) writeThrough(tables);
  const server = dynalite({
    ...(tables === undefined ? {} : { path: tables }),
    createTableMs: 0,
    deleteTableMs: 0,
    updateTableMs: 0,
  });
  const finish = guard(server);
  try {
    const port = await listen(server, options.port ?? 0);
    return {
      endpoint: `http://${LOOPBACK}:${port}`,
      port,
      stop: async () => {
        await finish();
        await close(server).finally(() => lock?.close());
      },
    };
  } catch (error) {
    // dynalite closes its store only together with a server that listens.
    await listen(server, 0);
    await close(server);
    await lock?.close();
    throw error;
  }
}

/**
 * dynalite answers any origin: its listener gets what is ours only. Returned: takes no more requests, and waits for those that
 * are worked on, also when nobody waits for their answer. A store that is closed under them ends the process.
 */
function guard(server: Server): () => Promise<void> {
  const answer = server.listeners('request');
  const working = new Set<Promise<void>>();
  let stopping = false;
  server.removeAllListeners('request');
  server.on('request', (request, response) => {
    if (refuseForeign(request, response)) return;
    if (stopping) {
      response.writeHead(503).end();
      return;
    }
    const { promise, resolve: done } = Promise.withResolvers<void>();
    working.add(promise);
    promise.then(() => working.delete(promise));
    response.end = new Proxy(response.end, {
      apply(end, self, parts) {
        done();
        return Reflect.apply(end, self, parts);
      },
    });
    for (const listener of answer) listener.call(server, request, response);
  });
  return async () => {
    stopping = true;
    await Promise.race([Promise.all(working), systemClock.sleep(FINISH_MS)]);
  };
}

/** A request whose body never came is never answered. */
const FINISH_MS = 2000;

async function listen(server: Server, port: number): Promise<number> {
  server.listen(port, LOOPBACK);
  try {
    await once(server, 'listening');
  } catch (cause) {
    throw new LedgerError('LEDGER_UNAVAILABLE', `The local DynamoDB cannot listen on ${LOOPBACK}:${port}`, {
      cause,
      remedy: 'Stop the process that has this port, or choose another',
    });
  }
  const address = server.address();
  if (address === null || typeof address === 'string') {
    throw new LedgerError('LEDGER_UNAVAILABLE', 'The local DynamoDB has no TCP address');
  }
  return address.port;
}

/**
 * dynalite opens its folder lazily and lets a failure end the process. So the folder is tried out first, under a
 * lock of our own that lasts as long as the server: LevelDB's lock, which the system releases with the process.
 */
async function lockFolder(dir: string): Promise<Level> {
  const lock = new Level(join(dir, 'lock'));
  try {
    const made = await mkdir(dir, { recursive: true, mode: 0o700 });
    await lock.open();
    await repairIndexes(tablesFolder(dir));
    await syncNames(dir, made);
    return lock;
  } catch (cause) {
    await lock.close();
    throw new LedgerError('LEDGER_UNAVAILABLE', `The local DynamoDB cannot open its folder ${dir}`, {
      cause,
      remedy: 'Another process uses it, or it is not writable: stop that process or name another folder',
    });
  }
}

/**
 * LevelDB syncs its files, but nobody the names of the folders that were made: of the tables' in `dir`, and up to
 * `made`, the first that was.
 */
async function syncNames(dir: string, made: string | undefined): Promise<void> {
  const top = made === undefined ? resolve(dir) : dirname(resolve(made));
  for (let path = resolve(dir); ; path = dirname(path)) {
    const folder = await open(path, 'r');
    await folder.sync().finally(() => folder.close());
    if (path === top) return;
  }
}

/** The folders whose writes are synced; undefined until the class has its methods. */
let durable: Set<string> | undefined;

/** Where each way to write has its options. dynalite uses no other: not `clear`, not chained batches. */
const OPTIONS_AT = { put: 2, del: 1, batch: 1 } as const;

/**
 * From now on every write to the LevelDB in this folder is on disk before it is answered. A ledger that forgets an
 * activated version while PostgreSQL remembers the records that name it has lost those records.
 *
 * dynalite opens its database itself, gives no access to it, and writes without `sync`, which leaves the last writes
 * to the kernel's page cache. So the class gets methods of its own that add the option, for these folders only. The
 * sync costs little beside the HTTP request around it, more where the disk is slow to sync; LevelDB shares one among
 * writes that wait.
 */
function writeThrough(folder: string): void {
  durable ??= syncWrites();
  durable.add(folder);
}

function syncWrites(): Set<string> {
  const folders = new Set<string>();
  for (const [name, at] of Object.entries(OPTIONS_AT)) {
    const write: unknown = Reflect.get(Level.prototype, name);
    if (typeof write !== 'function') throw new TypeError(`Level has no ${name}`);
    const value = function (this: Level, ...args: unknown[]): unknown {
      if (!folders.has(this.location)) return Reflect.apply(write, this, args);
      const before = Array.from({ length: at }, (_, i) => args[i]);
      return Reflect.apply(write, this, [...before, { ...Object(args[at]), sync: true }]);
    };
    Object.defineProperty(Level.prototype, name, { value, writable: true, configurable: true });
  }
  return folders;
}

function tablesFolder(dir: string): string {
  return join(dir, 'tables');
}

async function close(server: Server): Promise<void> {
  const closed = new Promise<void>((resolve, reject) => {
    server.close((error) => (error === undefined || error === null ? resolve() : reject(error)));
  });
  // Idle keep-alive connections of SDK clients would hold the server open.
  server.closeAllConnections();
  await closed;
}
