import { execFile } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';

/** The PostgreSQL of the machine, which has pg_dump and pg_restore; the embedded one ships neither. */

export interface SystemPostgres {
  readonly initdb: string;
  readonly postgres: string;
  readonly pgDump: string;
  readonly pgRestore: string;
}

/** Where Debian puts the programs of each version. */
const DEBIAN = '/usr/lib/postgresql';

/** null: not installed. Of several the newest. */
export function findSystemPostgres(): SystemPostgres | null {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).sort((a, b) => Number(b) - Number(a)) : [];
  const path = (process.env['PATH'] ?? '').split(delimiter);
  for (const bin of [...versions.map((version) => join(DEBIAN, version, 'bin')), ...path]) {
    const found = {
      initdb: join(bin, 'initdb'),
      postgres: join(bin, 'postgres'),
      pgDump: join(bin, 'pg_dump'),
      pgRestore: join(bin, 'pg_restore'),
    };
    if (Object.values(found).every((file) => existsSync(file))) return found;
  }
  return null;
}

const run = promisify(execFile);

/** The whole database into one file. */
export async function dump({ pgDump }: SystemPostgres, url: string, file: string): Promise<void> {
  await run(pgDump, ['--format=custom', `--file=${file}`], { env: connection(url) });
}

/** In place of what the database has, all at once. */
export async function restore({ pgRestore }: SystemPostgres, url: string, file: string): Promise<void> {
  const database = new URL(url).pathname.slice(1);
  const flags = ['--clean', '--if-exists', '--single-transaction', `--dbname=${database}`];
  await run(pgRestore, [...flags, file], { env: connection(url) });
}

/** By libpq's variables: everybody on the machine can read a process's arguments. */
function connection(url: string): NodeJS.ProcessEnv {
  const { hostname, port, username, password, pathname } = new URL(url);
  return {
    PATH: process.env['PATH'],
    PGHOST: hostname,
    PGPORT: port,
    PGUSER: username,
    PGPASSWORD: decodeURIComponent(password),
    PGDATABASE: pathname.slice(1),
  };
}
