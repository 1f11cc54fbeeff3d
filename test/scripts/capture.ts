import { PassThrough } from 'node:stream';
import type { Cli } from '../../scripts/cli/command.ts';
import { createOutput, type Output } from '../../scripts/cli/output.ts';
import { createProgram } from '../../scripts/cli/program.ts';
import { tellingUnverified } from '../../scripts/cli/unverified.ts';
import type { Deps } from '../../shared/deps/deps.ts';

/** Standard streams that are no terminal, and what was written to them. */

export interface Captured {
  readonly out: Output;
  readonly stdout: PassThrough;
  readonly stderr: PassThrough;
  /** What was written since it was asked last. */
  text(): { readonly stdout: string; readonly stderr: string };
}

export function capture(json = false): Captured {
  const stdout = new PassThrough();
  const stderr = new PassThrough();
  return {
    out: createOutput({ stdout, stderr, stdin: {} }, json),
    stdout,
    stderr,
    text: () => ({ stdout: String(stdout.read() ?? ''), stderr: String(stderr.read() ?? '') }),
  };
}

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command line by the real program on these dependencies. Throws what the command throws. */
export async function runOn(
  deps: Deps,
  argv: readonly string[],
  captured = capture(argv.includes('--json')),
): Promise<Ran> {
  const session = { stack: null, deps: { ...deps, close: async () => undefined } };
  let code = 0;
  const program = createProgram(async (command, input) => {
    const cli: Cli = {
      globals: { json: captured.out.json },
      out: captured.out,
      environment: {},
      cwd: '/',
      withSession: (work) => tellingUnverified(session, captured.out, work),
    };
    code = await command.execute(input, cli);
  });
  await program.parseAsync([...argv], { from: 'user' });
  return { code, ...captured.text() };
}
