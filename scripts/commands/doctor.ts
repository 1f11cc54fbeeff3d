import { z } from 'zod';
import { type Check, type CheckStatus, runChecks } from '../cli/checks.ts';
import { defineCommand } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { counted } from '../cli/format.ts';
import type { Style } from '../cli/output.ts';

const STYLES = {
  ok: 'green',
  warning: 'yellow',
  failed: 'red',
  skipped: 'dim',
} as const satisfies Record<CheckStatus, Style>;

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'Check everything, and say what to do about what is wrong',
  details:
    'Looks at Node, configuration, keystore, timing, stack, ledger, queue, state machines, clock, and each record set\n' +
    'with its keys; and in PostgreSQL for columns that hold envelopes and that nobody declares, for half a minute at\n' +
    'most. Prints a line for each with a remedy where one is needed, and never stops at the first failure.\n' +
    'Ends with exit code 4 if anything failed; warnings are not failures.',
  json: '{ok: boolean, checks: [{name, status: "ok" | "warning" | "failed" | "skipped", message, remedy}]}',
  examples: [{ line: 'keyturn doctor', says: 'after init, after a change, before a rotation' }],
  input: z.object({}),
  run: async (_, cli) => {
    const { out } = cli;
    const checks: Check[] = [];
    await runChecks(cli, (check) => {
      checks.push(check);
      const { name, status, message, remedy } = check;
      const [first = '', ...more] = message.split('\n');
      out.line(`${out.paint(STYLES[status], status.padEnd(8))} ${name}: ${first}`);
      for (const line of more) out.line(`         ${line}`);
      if (remedy !== null) out.line(`         -> ${remedy}`);
    });
    const failed = checks.filter(({ status }) => status === 'failed').length;
    out.line();
    out.line(summaryOf(checks));
    out.result({ ok: failed === 0, checks });
    return failed === 0 ? EXIT_CODES.done.code : EXIT_CODES.refused.code;
  },
});

/** Warnings are counted, too: one may be what blocks every purge. */
export function summaryOf(checks: readonly Pick<Check, 'status'>[]): string {
  const of = (wanted: CheckStatus) => checks.filter(({ status }) => status === wanted).length;
  const [failed, warnings] = [of('failed'), of('warning')];
  if (failed + warnings === 0) return 'Nothing is wrong.';
  const rest = warnings === 0 ? '' : `, ${counted(warnings, 'warning')}`;
  return `${failed === 0 ? 'Nothing' : counted(failed, 'check')} failed${rest}.`;
}
