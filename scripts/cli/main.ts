import { CommanderError } from 'commander';
import { z } from 'zod';
import type { Cli } from './command.ts';
import { reportFailure } from './failures.ts';
import { createOutput } from './output.ts';
import { createProgram } from './program.ts';
import { openSession } from './session.ts';
import { tellingUnverified } from './unverified.ts';

const globalsSchema = z.object({
  config: z.string().optional(),
  dir: z.string().optional(),
  json: z.boolean(),
});

/** Runs one command line and returns its exit code. */
export async function main(argv: readonly string[]): Promise<number> {
  const { stdout, stderr, stdin } = process;
  // The reader of a pipe is gone, as in `keyturn status | head -1`: there is nobody to tell.
  stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    throw error;
  });
  let exitCode = 0;
  const program = createProgram(async (command, input) => {
    const globals = globalsSchema.parse(program.opts());
    const out = createOutput({ stdout, stderr, stdin }, globals.json);
    const place = { globals, environment: process.env, cwd: process.cwd() };
    const cli: Cli = {
      ...place,
      out,
      withSession: async (work) => {
        const session = await openSession(place);
        try {
          return await tellingUnverified(session, out, work);
        } finally {
          await session.deps.close();
        }
      },
    };
    exitCode = await command.execute(input, cli);
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    return reportFailure(error, { json: argv.includes('--json'), stdout, stderr });
  }
}
