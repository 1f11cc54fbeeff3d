import { z } from 'zod';
import { CliError } from './cli-error.ts';

/** A time with its date and offset, to the millisecond, as the ledger writes times. Throws INPUT_INVALID. */
export function parseTime(text: string): string {
  const { success, data } = z.iso.datetime({ offset: true }).safeParse(text);
  if (success) return new Date(data).toISOString();
  throw new CliError('INPUT_INVALID', `"${text}" is no time`, {
    remedy: 'Give it with its date and its offset, such as 2026-03-01T04:00:00Z.',
  });
}
