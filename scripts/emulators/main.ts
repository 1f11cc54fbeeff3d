import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { PROJECT } from './cache.ts';
import { checkTemplates } from './check-template.ts';
import { dynamoDbLocalJars } from './dynamodb-local.ts';
import { PYTHON_ENVIRONMENTS, programsOf } from './python.ts';

/**
 * `npm run test:emulators`: installs the pinned emulators where they are not yet, checks the packaged templates, then
 * runs the suites against the emulators. Arguments name test files, to run these and nothing else.
 */

const { positionals: files } = parseArgs({ allowPositionals: true });

try {
  await install();
  if (files.length === 0) await checkTemplates(say);
  process.exitCode = await runSuites();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
}

async function install(): Promise<void> {
  const began = performance.now();
  const [jars] = await Promise.all([dynamoDbLocalJars(), ...PYTHON_ENVIRONMENTS.map(programsOf)]);
  if (jars === null) {
    say('DynamoDB Local is left out: it needs Java 17 or later (a JDK) and Maven');
  }
  say(`the emulators are installed (${Math.round((performance.now() - began) / 1000)} s)`);
}

/** The exit code of vitest. */
async function runSuites(): Promise<number> {
  const vitest = spawn('vitest', ['run', '--project', 'emulator', ...files], {
    cwd: PROJECT,
    stdio: 'inherit',
    env: { ...process.env, KEYTURN_EMULATORS: 'true' },
  });
  const [code] = await once(vitest, 'close');
  return code ?? 1;
}

function say(line: string): void {
  console.log(`-- ${line}`);
}
