import { Command as Commander } from 'commander';
import { COMMANDS } from '../commands/index.ts';
import { CliError } from './cli-error.ts';
import type { Command } from './command.ts';

/** The commander program made from the list of commands. */

const GROUPS: Readonly<Record<string, string>> = {
  local: 'The embedded stack on this machine',
  keys: 'Keys and their versions',
  holds: 'What keeps versions from their destruction',
  restore: 'Restores of stores from backups',
  fence: "The writers' fence: PostgreSQL refuses versions below a key's minimum",
  certificate: 'Retirement certificates: signed proofs of destructions',
  audit: 'The audit chains and their archive',
  approvals: 'Requests for approval',
  approvers: 'Who may approve',
  quarantine: 'Records that could not be rewrapped',
};

const EXIT_CODES_HINT = '\n`keyturn help exit-codes` lists the exit codes. docs/cli.md has every command.';

export type Execute = (command: Command, input: object) => Promise<void>;

export function createProgram(execute: Execute): Commander {
  const program = new Commander('keyturn')
    .description('Rotates the encryption keys of a multi-tenant service and proves that nothing was lost.')
    .option(
      '--config <file>',
      'Configuration (default: keyturn.yaml, .yml or .json in the working directory)',
    )
    .option('--dir <folder>', "The embedded stack's folder (default: .keyturn beside the configuration)")
    .option('--json', 'Print one line of JSON instead of text', false)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText('after', EXIT_CODES_HINT);
  quiet(program);
  const groups = new Map<string, Commander>();
  for (const command of COMMANDS) {
    const words = command.name.split(' ');
    const [first = '', second] = words;
    if (second === undefined) {
      groups.set(first, add(program, first, command, execute));
      continue;
    }
    let group = groups.get(first);
    if (group === undefined) {
      group = program.command(first).description(GROUPS[first] ?? '');
      quiet(group);
      groups.set(first, group);
    }
    add(group, second, command, execute);
  }
  return program;
}

function add(parent: Commander, word: string, command: Command, execute: Execute): Commander {
  const made = parent
    .command(word)
    .summary(command.summary)
    .description(`${command.summary}\n\n${command.details.replace(/\n(?! )/g, ' ')}`)
    .configureHelp({ showGlobalOptions: true });
  quiet(made);
  for (const { name, description } of command.arguments) made.argument(name, description);
  for (const option of command.options) made.addOption(option);
  const width = Math.max(...command.examples.map(({ line }) => line.length));
  const examples = command.examples.map(({ line, says }) => `  $ ${line.padEnd(width)}  # ${says}`);
  made.addHelpText('after', `\nExamples:\n${examples.join('\n')}\n\nWith --json: ${command.json}`);
  made.action(async () => {
    const named = made.processedArgs.map((value: unknown, i) => [argumentName(command, i), value]);
    // Of `census list` the options that `census` has too were taken by that one.
    await execute(command, { ...Object.fromEntries(named), ...made.optsWithGlobals() });
  });
  return made;
}

function argumentName(command: Command, index: number): string {
  return (command.arguments[index]?.name ?? '').replace(/[<>[\].]/g, '');
}

/** Errors are thrown, not printed, so that all look alike. */
function quiet(command: Commander): void {
  command
    .exitOverride((error) => {
      // Help and nothing else: already printed.
      if (error.exitCode === 0 || error.code === 'commander.help') throw error;
      throw new CliError('USAGE', error.message.replace(/^error: /, ''), {
        remedy: `\`${fullName(command)} --help\` shows how it is used.`,
      });
    })
    .configureOutput({ outputError: () => undefined });
}

function fullName(command: Commander): string {
  return command.parent === null ? command.name() : `${fullName(command.parent)} ${command.name()}`;
}
