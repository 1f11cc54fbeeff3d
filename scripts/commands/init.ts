import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';
import { CONFIG_FILE_NAMES } from '../../shared/config/load.ts';
import { fillRandom } from '../../shared/envelope/seed.ts';
import { initKeystore } from '../../shared/providers/local/keystore.ts';
import { initKeyFile } from '../../shared/providers/local/secret.ts';
import { CliError } from '../cli/cli-error.ts';
import { type Cli, defineCommand } from '../cli/command.ts';
import { exampleConfig } from '../cli/example-config.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { stackFolder } from '../cli/session.ts';

const SCHEMA = fileURLToPath(new URL('../../docs/keyturn.schema.json', import.meta.url));

export const init = defineCommand({
  name: 'init',
  summary: 'Make a configuration and a local keystore',
  details:
    'Writes keyturn.yaml with comments, and a keystore and its key file (mode 0600) in the stack folder.\n' +
    'Nothing that exists is overwritten, and nothing else is touched.',
  json: '{config, keystore, keyFile, rootKeyId}',
  examples: [
    { line: 'keyturn init', says: 'keyturn.yaml here, the keystore in .keyturn' },
    { line: 'keyturn init --dir /srv/keyturn', says: 'the keystore and later the stack elsewhere' },
  ],
  input: z.object({}),
  run: async (_, cli) => {
    const config = resolve(cli.cwd, cli.globals.config ?? CONFIG_FILE_NAMES[0]);
    const dir = stackFolder(cli, config);
    const keystore = join(dir, 'keystore.json');
    const keyFile = join(dir, 'keystore.key');
    await refuseExisting(config);
    await makeFolder(dir);
    await makeFolder(dirname(config));
    // First the secrets: a configuration that names files which are missing would only mislead.
    await initKeyFile(keyFile, fillRandom);
    const rootKeyId = await initKeystore({
      keystorePath: keystore,
      secret: { keyFilePath: keyFile },
      random: fillRandom,
    });
    const base = dirname(config);
    await createFile(
      config,
      exampleConfig({
        schema: relative(base, SCHEMA),
        keystore: relative(base, keystore),
        keyFile: relative(base, keyFile),
      }),
    );
    report(cli, config, keystore, keyFile);
    cli.out.result({ config, keystore, keyFile, rootKeyId });
    return EXIT_CODES.done.code;
  },
});

function report({ out, globals }: Cli, config: string, keystore: string, keyFile: string): void {
  const rest = `${globals.config === undefined ? '' : ` --config ${globals.config}`}${globals.dir === undefined ? '' : ` --dir ${globals.dir}`}`;
  out.line(`Made ${config}`);
  out.line(`     ${keystore}  (the root key, wrapped)`);
  out.line(`     ${keyFile}  (opens it)`);
  out.line();
  out.line(
    'Losing either of these two loses everything that is encrypted under them: back up both, apart from',
  );
  out.line('each other, and keep them out of version control.');
  out.line();
  out.line('Next:');
  out.line(`  1. Declare your tables in ${CONFIG_FILE_NAMES[0]}, under recordSets.`);
  out.line(`  2. keyturn local start${rest}`);
  out.line(`  3. keyturn doctor${rest}`);
}

async function refuseExisting(config: string): Promise<void> {
  const found = await readFile(config).then(
    () => true,
    () => false,
  );
  if (found) throw exists(config);
}

function exists(path: string): CliError {
  return new CliError('FILE_EXISTS', `${path} exists already and is not overwritten`, {
    remedy: 'Use it, or name another one with --config.',
  });
}

async function makeFolder(dir: string): Promise<void> {
  try {
    // Others may pass through, as the embedded PostgreSQL must where root starts it; they see no list.
    await mkdir(dir, { recursive: true, mode: 0o711 });
  } catch (cause) {
    throw new CliError('FILE_FAILED', `The folder ${dir} cannot be made (${codeOf(cause)})`, { cause });
  }
}

async function createFile(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { flag: 'wx' });
  } catch (cause) {
    if (codeOf(cause) === 'EEXIST') throw exists(path);
    throw new CliError('FILE_FAILED', `${path} cannot be written (${codeOf(cause)})`, { cause });
  }
}

function codeOf(cause: unknown): string {
  return cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown';
}
