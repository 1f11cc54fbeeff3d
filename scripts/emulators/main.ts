import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';
import { PROJECT } from './cache.ts';
import { dynamoDbLocalJars } from './dynamodb-local.ts';
import { PYTHON_ENVIRONMENTS, programsOf } from './python.ts';

/**
 * `npm run test:emulators`: installs the pinned emulators where they are not yet, then runs the suites against them.
 * Arguments name test files, to run these only.
 */

const { positionals } = parseArgs({ allowPositionals: true });

await install();
process.exitCode = await runSuites(positionals);

async function install(): Promise<void> {
  const began = performance.now();
  for (const environment of PYTHON_ENVIRONMENTS) await programsOf(environment);
  if ((await dynamoDbLocalJars()) === null) {
    console.log('DynamoDB Local is left out: it needs Java 17 or later (a JDK) and Maven.');
  }
  console.log(`The emulators are there (${Math.round((performance.now() - began) / 1000)} s).`);
}

/** The exit code of vitest. */
async function runSuites(files: readonly string[]): Promise<number> {
  const vitest = spawn('vitest', ['run', '--project', 'emulator', ...files], {
    cwd: PROJECT,
    stdio: 'inherit',
    env: { ...process.env, KEYTURN_EMULATORS: 'true' },
  });
  const [code] = await once(vitest, 'close');
  return code ?? 1;
}
