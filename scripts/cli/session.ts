import { access } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { composeLocal } from '../../local/stack.ts';
import { readStackInfo, type StackInfo } from '../../local/stack-info.ts';
import { openArchive } from '../../shared/audit/open-archive.ts';
import { CONFIG_FILE_NAMES, loadConfig } from '../../shared/config/load.ts';
import { type ComposedDeps, composeFromEnvironment } from '../../shared/deps/compose.ts';
import { ALL_NEEDS } from '../../shared/deps/needs.ts';
import { ConfigError } from '../../shared/errors/errors.ts';
import { silentLog } from '../../shared/log/log.ts';
import { CliError } from './cli-error.ts';
import type { Cli, Globals } from './command.ts';
import { userName } from './user-name.ts';

/** A connection to where the keys and records are: the embedded stack of the folder, or AWS by the environment. */
export interface Session {
  readonly deps: ComposedDeps;
  /** null: AWS. */
  readonly stack: StackInfo | null;
}

type Place = Pick<Cli, 'globals' | 'cwd' | 'environment'>;

/** People have no business on the bus. */
const CLI_NEEDS = ALL_NEEDS.filter((need) => need !== 'bus');

const STACK_FOLDER = '.keyturn';

export async function openSession(place: Place): Promise<Session> {
  const { environment } = place;
  const loaded = await loadConfig(await findConfig(place));
  const dir = stackFolder(place, loaded.path);
  const stack = await readStackInfo(dir);
  if (stack !== null) {
    return {
      stack,
      deps: await composeLocal(stack, { loaded, environment, log: silentLog, actor: actor() }),
    };
  }
  if (usesAws(environment)) {
    const variables = { ...environment, KEYTURN_CONFIG: loaded.path };
    const deps = await composeFromEnvironment(variables, CLI_NEEDS, {
      log: silentLog,
      actor: actor(),
      openArchive,
    });
    return { stack: null, deps };
  }
  throw notRunning(dir);
}

/** By the name that the machine knows them by. */
function actor(): string {
  return `person:${userName()}`;
}

export function usesAws(environment: Place['environment']): boolean {
  return (environment['KEYTURN_LEDGER_TABLE'] ?? '') !== '';
}

export function notRunning(dir: string): CliError {
  return new CliError('STACK_NOT_RUNNING', `No stack runs in ${dir}`, {
    remedy:
      'Start it with `keyturn local start`; for AWS set KEYTURN_LEDGER_TABLE and the variables beside it.',
  });
}

/** The configuration file: the one that was named, or the first of the known names in the working directory. */
export async function findConfig({ globals, cwd, environment }: Place): Promise<string> {
  const named = globals.config ?? environment['KEYTURN_CONFIG'];
  if (named !== undefined && named !== '') return resolve(cwd, named);
  for (const name of CONFIG_FILE_NAMES) {
    const path = join(cwd, name);
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  throw new ConfigError('CONFIG_NOT_FOUND', `There is no ${CONFIG_FILE_NAMES.join(', ')} in ${cwd}`, {
    remedy: 'Make one with `keyturn init`, or name it with --config.',
  });
}

/** The embedded stack's folder: beside the configuration file, where none is named. */
export function stackFolder({ globals, cwd }: { globals: Globals; cwd: string }, configPath: string): string {
  return globals.dir === undefined ? join(dirname(configPath), STACK_FOLDER) : resolve(cwd, globals.dir);
}

/** The same where there need not be a configuration: to see or stop what runs. */
export async function findStackFolder(place: Place): Promise<string> {
  const config = await findConfig(place).catch(() => join(place.cwd, CONFIG_FILE_NAMES[0]));
  return stackFolder(place, config);
}
