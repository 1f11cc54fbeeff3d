import { KeyturnError } from '../../shared/errors/errors.ts';
import { CliError } from './cli-error.ts';
import { exitCodeOf } from './exit-codes.ts';
import { printable } from './output.ts';

export interface ShownError {
  readonly code: string;
  readonly message: string;
  readonly remedy: string | null;
}

/** Any error as one of ours. What nobody foresaw is shown by its text; DEBUG=keyturn shows where it came from. */
export function asKeyturnError(error: unknown): KeyturnError & { readonly code: string } {
  if (error instanceof KeyturnError) return error;
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  return new CliError('UNEXPECTED', text, {
    cause: error,
    remedy: 'Set DEBUG=keyturn to see where it comes from, and please report it.',
  });
}

export function shownError(error: unknown): ShownError {
  const { code, message, remedy } = asKeyturnError(error);
  return { code, message, remedy: remedy ?? null };
}

/** Prints the error and returns the exit code. */
export function reportFailure(
  error: unknown,
  { json, stdout, stderr }: { json: boolean; stdout: NodeJS.WritableStream; stderr: NodeJS.WritableStream },
): number {
  const { code, message, remedy } = shownError(error);
  stderr.write(`keyturn: ${code}: ${indented(message)}\n`);
  if (remedy !== null) stderr.write(`  ${indented(remedy)}\n`);
  if (process.env['DEBUG'] === 'keyturn') stderr.write(`${stackOf(error)}\n`);
  if (json) stdout.write(`${JSON.stringify({ error: { code, message, remedy } })}\n`);
  return exitCodeOf(error);
}

/** Stacks of an error and its causes; their texts name shapes, never values. */
function stackOf(error: unknown): string {
  const lines: string[] = [];
  for (let at = error; at instanceof Error; at = at.cause) lines.push(at.stack ?? at.message);
  return lines.join('\ncaused by ');
}

/** Some errors have lines of their own: what a tool printed. None of them can pass for a line of keyturn's. */
function indented(text: string): string {
  return text.split('\n').map(printable).join('\n  ');
}
