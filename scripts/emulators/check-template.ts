import { join } from 'node:path';
import { PACKAGE_FOLDER, TEMPLATE_FILE } from '../deploy/package.ts';
import { PROJECT } from './cache.ts';
import { programsOf } from './python.ts';
import { run } from './run.ts';

/** Stages of examples/: between them they make every kind of resource. */
const STAGES = ['dynamodb', 'postgres'];

/** Packages each example as users do, and has the template read by others' rules. Throws a ProgramError with what they found. */
export async function checkTemplates(say: (line: string) => void): Promise<void> {
  const cfnLint = join(await programsOf('emulators'), 'cfn-lint');
  const checkov = join(await programsOf('checkov'), 'checkov');
  const template = join(PACKAGE_FOLDER, TEMPLATE_FILE);
  for (const stage of STAGES) {
    await run('npm', ['run', 'package', '--', '--stage', stage], { cwd: PROJECT });
    await Promise.all([
      run(cfnLint, ['--config-file', 'infrastructure/cfnlint.yml', '-t', template], { cwd: PROJECT }),
      // Without the vendor's own descriptions of its rules, which it would fetch.
      run(checkov, ['--skip-download', '--config-file', 'infrastructure/checkov.yml', '-f', template], {
        cwd: PROJECT,
      }),
    ]);
    say(
      `cfn-lint and checkov find nothing in the template of ${stage} that is not explained in infrastructure/`,
    );
  }
  await run('npm', ['run', 'check:asl'], { cwd: PROJECT });
  say('the state machines are valid');
}
