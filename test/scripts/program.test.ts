import { describe, expect, it } from 'vitest';
import type { Command } from '../../scripts/cli/command.ts';
import { createProgram } from '../../scripts/cli/program.ts';
import { COMMANDS } from '../../scripts/commands/index.ts';
import { capture } from './capture.ts';

interface Asked {
  readonly command: Command;
  readonly input: object;
}

async function parse(argv: readonly string[]): Promise<Asked> {
  const asked: Asked[] = [];
  const program = createProgram(async (command, input) => {
    asked.push({ command, input });
  });
  await program.parseAsync([...argv], { from: 'user' });
  const [only] = asked;
  if (only === undefined || asked.length > 1) throw new Error(`${argv.join(' ')} asked for ${asked.length}`);
  return only;
}

/** The words of the keyturn call in an example, which may stand in a pipe or in quotes of the shell, and have some itself. */
function wordsOf(line: string): readonly string[] {
  const call = /\bkeyturn ((?:"[^"]*"|'[^']*'|[^|)"'<>])*)/.exec(line)?.[1];
  if (call === undefined) throw new Error(`no call in: ${line}`);
  const words = call.match(/"[^"]*"|'[^']*'|\S+/g) ?? [];
  return words.map((word) => word.replace(/^(["'])(.*)\1$/, '$2'));
}

const EXAMPLES = COMMANDS.flatMap((command) =>
  command.examples.map(({ line }) => ({ name: command.name, line, command })),
);

describe('the help', () => {
  it.each(EXAMPLES)('has an example that parses: $line', async ({ line, command }) => {
    const asked = await parse(wordsOf(line));
    expect(asked.command).toBe(command);
  });

  it('has a summary, details, an example and the JSON of every command', () => {
    for (const command of COMMANDS) {
      expect(command.examples.length, command.name).toBeGreaterThan(0);
      for (const text of [command.summary, command.details, command.json]) expect(text).not.toBe('');
    }
    expect(new Set(COMMANDS.map(({ name }) => name)).size).toBe(COMMANDS.length);
  });

  it('shows examples, exit codes and the JSON', () => {
    const program = createProgram(async () => undefined);
    expect(program.helpInformation()).toContain('rotate');
    let text = '';
    const rotate = program.commands.find((command) => command.name() === 'rotate');
    rotate?.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
    expect(text).toContain('$ keyturn rotate --tenant acme');
    expect(text).toContain('With --json: {answer');
    expect(text).toContain('--config <file>');
  });
});

describe('a wrong command line', () => {
  it.each([
    ['an unknown command', ['rotat']],
    ['an unknown option', ['rotate', '--tennant', 'acme']],
    ['a missing option', ['purge', '--tenant', 'a']],
    ['an option without its value', ['census', '--tenant']],
    ['a value that is none of the choices', ['rotate', '--tenant', 'a', '--mode', 'rewrapp']],
    ['a version that is no number', ['purge', '--tenant', 'a', '--version', '1.5']],
    ['version 0', ['purge', '--tenant', 'a', '--version', '0']],
    ['an argument too many', ['rotate', 'acme']],
    ['two options that exclude each other', ['rotate', '--tenant', 'a', '--all']],
    [
      'one tenant whose plaintext is dropped',
      ['adopt', '--record-set', 'a', '--tenant', 'b', '--drop-plaintext'],
    ],
  ])('is refused: %s', async (_, argv) => {
    await expect(parse(argv)).rejects.toMatchObject({
      code: 'USAGE',
      remedy: expect.stringMatching(/^`keyturn.* --help` shows how it is used\.$/),
    });
  });

  it('is refused: an option that needs another', async () => {
    const { command, input } = await parse(['adopt', '--record-set', 'a', '--envelope-only-rows-ok']);
    const nothing = {
      globals: { json: false },
      environment: {},
      cwd: '/',
      withSession: async () => 0,
    };
    await expect(command.execute(input, { ...nothing, out: capture().out })).rejects.toMatchObject({
      code: 'USAGE',
    });
  });
});
