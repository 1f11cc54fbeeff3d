import { join } from 'node:path';
import { cached, PROJECT } from './cache.ts';
import { answers, run } from './run.ts';

/** Python environments of the emulators, made on first use from test/emulator/requirements/. */

export const PYTHON_ENVIRONMENTS = ['emulators', 'localemu', 'checkov'] as const;
export type PythonEnvironment = (typeof PYTHON_ENVIRONMENTS)[number];

/** The folder with the environment's programs (`python`, `cfn-lint` and so on). */
export async function programsOf(environment: PythonEnvironment): Promise<string> {
  const requirements = join(PROJECT, 'test/emulator/requirements', `${environment}.txt`);
  const folder = await cached(environment, requirements, (target) => install(requirements, target));
  return join(folder, 'bin');
}

async function install(requirements: string, folder: string): Promise<void> {
  await checkPython();
  await run('python3', ['-m', 'venv', folder]);
  const pip = join(folder, 'bin/python');
  await run(pip, ['-m', 'pip', 'install', '--quiet', '--no-input', '--requirement', requirements]);
}

/** The pinned packages need 3.11; a system's Python often comes without its venv module. */
async function checkPython(): Promise<void> {
  if (!(await answers('python3', ['-c', 'import sys; sys.exit(sys.version_info < (3, 11))']))) {
    throw new Error(
      'The emulators need python3, 3.11 or later.\n  Install it (Debian: apt-get install python3)',
    );
  }
  if (!(await answers('python3', ['-c', 'import venv, ensurepip']))) {
    throw new Error("Python's venv module is missing.\n  Install it (Debian: apt-get install python3-venv)");
  }
}
