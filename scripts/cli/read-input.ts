import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { CliError } from './cli-error.ts';

/** The text of a file, or of standard input for `-`. Throws INPUT_NOT_FOUND. */
export async function readInputText(file: string): Promise<string> {
  try {
    return file === '-' ? await text(process.stdin) : await readFile(file, 'utf8');
  } catch (cause) {
    throw new CliError('INPUT_NOT_FOUND', `${file} cannot be read`, { cause });
  }
}
