import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import type { Server } from 'node:http';
import { join } from 'node:path';
import dynalite from 'dynalite';
import { Level } from 'level';
import { LedgerError } from '../shared/errors/errors.ts';

/** The DynamoDB of the embedded stack: npm `dynalite`, for this machine only. It checks no credentials. */

const LOOPBACK = '127.0.0.1';

export interface LocalDynamoDb {
  readonly endpoint: string;
  readonly port: number;
  stop(): Promise<void>;
}

/**
 * Listens on the loopback address only. `dir` keeps the tables between runs (LevelDB; one process at a time);
 * without it they live in memory. `port` 0 or absent: any free one. Throws a LedgerError where it cannot start.
 */
export async function startDynamoDb(
  options: { readonly dir?: string; readonly port?: number } = {},
): Promise<LocalDynamoDb> {
  const lock = options.dir === undefined ? null : await lockFolder(options.dir);
  const server = dynalite({
    ...(options.dir === undefined ? {} : { path: tablesFolder(options.dir) }),
    createTableMs: 0,
    deleteTableMs: 0,
    updateTableMs: 0,
  });
  try {
    const port = await listen(server, options.port ?? 0);
    return {
      endpoint: `http://${LOOPBACK}:${port}`,
      port,
      stop: () => close(server).finally(() => lock?.close()),
    };
  } catch (error) {
    // dynalite closes its store only together with a server that listens.
    await listen(server, 0);
    await close(server);
    await lock?.close();
    throw error;
  }
}

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
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await lock.open();
    const tables = new Level(tablesFolder(dir));
    await tables.open();
    await tables.close();
    return lock;
  } catch (cause) {
    await lock.close();
    throw new LedgerError('LEDGER_UNAVAILABLE', `The local DynamoDB cannot open its folder ${dir}`, {
      cause,
      remedy: 'Another process uses it, or it is not writable: stop that process or name another folder',
    });
  }
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
