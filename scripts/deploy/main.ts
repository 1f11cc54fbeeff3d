#!/usr/bin/env node
import { Command, CommanderError } from 'commander';
import { DEFAULT_STAGE, PROJECT_FOLDER, readStage, type Stage } from '../../infrastructure/stage.ts';
import { CliError } from '../cli/cli-error.ts';
import { reportFailure } from '../cli/failures.ts';
import { createOutput, type Output } from '../cli/output.ts';
import { readEnvironment, shellExports } from './environment.ts';
import { runOsls } from './osls.ts';
import { PACKAGE_FOLDER, packageStage } from './package.ts';
import { removeStage } from './remove.ts';

/** `npm run package | deploy | deploy:env | remove`: what is in AWS, by a stage's file. Exit codes as in docs/errors.md. */

interface Options {
  readonly stage: string;
  readonly json: boolean;
  readonly yes?: boolean;
}

function createProgram(output: (options: Options) => Output): Command {
  const program = new Command('deploy').exitOverride();
  const command = (name: string, description: string) =>
    program
      .command(name)
      .description(description)
      .option('--json', 'Standard output is JSON, and nothing else', false);

  command('package', 'Bundle the functions and make the template. Needs no AWS account')
    .option('--stage <name>', 'keyturn.<name>.yaml, or one of examples/', DEFAULT_STAGE)
    .action(async (options: Options) => {
      readStage(options.stage);
      await packageStage(options.stage, PROJECT_FOLDER, output(options));
    });

  command('deploy', 'Package, then make or change the stack')
    .requiredOption('--stage <name>', 'keyturn.<name>.yaml')
    .action(async (options: Options) => {
      const stage = readOwnStage(options.stage);
      const out = output(options);
      await packageStage(stage.name, PROJECT_FOLDER, out);
      await runOsls({
        folder: PROJECT_FOLDER,
        arguments: ['deploy', '--stage', stage.name, '--package', PACKAGE_FOLDER],
        verbose: !options.json,
      });
      out.line(`Next: eval "$(npm run --silent deploy:env -- --stage ${stage.name})" && npx keyturn doctor`);
    });

  command('env', 'Print the variables that point the keyturn command line at the stack')
    .requiredOption('--stage <name>', 'keyturn.<name>.yaml')
    .action(async (options: Options) => {
      const out = output(options);
      const variables = await readEnvironment(readOwnStage(options.stage));
      for (const line of shellExports(variables)) out.line(line);
      out.result(variables);
    });

  command('remove', 'Delete the stack. Refused while a key is not destroyed')
    .requiredOption('--stage <name>', 'keyturn.<name>.yaml')
    .option('--yes', 'Do not ask', false)
    .action(async (options: Options) => {
      await removeStage(readOwnStage(options.stage), PROJECT_FOLDER, output(options), options.yes ?? false);
    });
  return program;
}

function readOwnStage(name: string): Stage {
  const stage = readStage(name);
  if (!stage.example) return stage;
  throw new CliError('USAGE', `${stage.file} is an example, and is packaged only`, {
    remedy: `Copy it to keyturn.<stage>.yaml and put your own in.`,
  });
}

async function main(argv: readonly string[]): Promise<number> {
  const program = createProgram((options) => createOutput(process, options.json));
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return reportFailure(error, { ...process, json: argv.includes('--json') });
  }
}

process.exitCode = await main(process.argv.slice(2));
