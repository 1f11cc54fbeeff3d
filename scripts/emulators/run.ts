import { spawn } from 'node:child_process';

/** A program that could not be run, or failed; its message holds the end of what it printed. */
export class ProgramError extends Error {
  override readonly name = 'ProgramError';
  readonly program: string;
  readonly exitCode: number | null;

  constructor(program: string, exitCode: number | null, output: string) {
    const how = exitCode === null ? 'could not be run' : `ended with exit code ${exitCode}`;
    super(`${program} ${how}${output === '' ? '' : `:\n${output}`}`);
    this.program = program;
    this.exitCode = exitCode;
  }
}

const TAIL = 4_000;

/** Runs a program to its end. Returns what it printed; throws a ProgramError. */
export function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    const collect = (part: Buffer) => {
      output += part.toString();
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    child.once('error', (error) => reject(new ProgramError(program, null, error.message)));
    child.once('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new ProgramError([program, ...args].join(' '), code ?? -1, output.slice(-TAIL).trimEnd()));
    });
  });
}

/** Whether the program is there and answers. */
export async function answers(program: string, args: readonly string[]): Promise<boolean> {
  return run(program, args).then(
    () => true,
    () => false,
  );
}
