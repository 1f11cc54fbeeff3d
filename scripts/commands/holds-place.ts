import { z } from 'zod';
import { holdVersion } from '../../shared/rotation/holds-by-people.ts';
import { CliError } from '../cli/cli-error.ts';
import { defineCommand, option, PURPOSE, REASON, required, TENANT, wholeNumber } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { requestedBy } from '../cli/follow.ts';
import { time } from '../cli/format.ts';
import { keyName } from '../cli/job-words.ts';
import { parseTime } from '../cli/parse-time.ts';

export const holdsPlace = defineCommand({
  name: 'holds place',
  summary: 'Keep a version from its destruction, such as for a lawsuit',
  details:
    'The version is not destroyed while the hold stands, whatever its grace; a purge that is under way is called off. Refused\n' +
    'with exit code 4 once the destruction is decided. The reason is kept in the audit and shown to approvers: put a case\n' +
    'number in it, and no personal data.',
  json: '{tenant, purpose, purgeCalledOff, hold: {holdId, versions, reason, note, by, at, until}}',
  options: [
    required(TENANT, 'Whose key'),
    required('--version <number>', 'The version to hold').argParser(wholeNumber),
    required('--reason <text>', 'Why, in at most 300 characters'),
    option(
      '--until <time>',
      'When it ends by itself, such as 2027-01-01T00:00:00Z; left out: when it is released',
    ),
    PURPOSE(),
  ],
  examples: [
    {
      line: 'keyturn holds place --tenant acme --version 1 --reason case-4711',
      says: 'until `keyturn holds release`',
    },
  ],
  input: z.object({
    tenant: z.string(),
    version: z.number(),
    reason: REASON,
    until: z.string().optional(),
    purpose: z.string(),
  }),
  asks: ({ tenant, purpose, version }) => ({ tenant, purpose, version }),
  run: ({ tenant, version, reason, until, purpose }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const end = until === undefined ? null : parseTime(until);
      if (end !== null && Date.parse(end) <= deps.clock.now()) {
        throw new CliError('INPUT_INVALID', `--until ${end} is not in the future`);
      }
      const { hold, purgeCalledOff } = await holdVersion(deps, {
        ...{ tenant, purpose, version },
        note: reason,
        until: end,
        by: requestedBy(),
      });
      const words = hold.until === null ? 'until it is released' : `until ${time(hold.until)}`;
      const name = keyName({ tenant, purpose });
      out.line(out.paint('green', `Version ${version} of ${name} is held ${words}.`));
      out.line(`  hold    ${hold.holdId}`);
      if (purgeCalledOff)
        out.line('  purge   was under way and is called off: the version is RETIRING again');
      const { endedEpoch: _, ...shown } = hold;
      out.result({ tenant, purpose, purgeCalledOff, hold: shown });
      return EXIT_CODES.done.code;
    }),
});
