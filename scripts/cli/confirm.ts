import { createInterface } from 'node:readline/promises';
import { CliError } from './cli-error.ts';
import type { Output } from './output.ts';

/** Asks before what cannot be undone. Throws NOT_CONFIRMED when it is declined or nobody can be asked. */
export async function confirm(out: Output, question: string, yes: boolean): Promise<void> {
  if (yes) return;
  if (!out.canAsk) {
    throw new CliError('NOT_CONFIRMED', `${question} There is no terminal to ask on`, {
      remedy: 'Say so with --yes.',
    });
  }
  const readline = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await readline.question(`${question} Type "yes" to go on: `);
    if (answer.trim().toLowerCase() !== 'yes') throw new CliError('NOT_CONFIRMED', 'Nothing was changed');
  } finally {
    readline.close();
  }
}
