import { z } from 'zod';
import { requestRollback } from '../../shared/rotation/rollback.ts';
import {
  defineCommand,
  NO_WAIT,
  option,
  PURPOSE,
  RATE,
  rateOrNone,
  required,
  TENANT,
  wholeNumber,
  YES,
} from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { exitCodeOfJobs, follow, requestedBy } from '../cli/follow.ts';
import { jobJson, keyName, nameOf } from '../cli/job-words.ts';
import { reportRotation } from '../cli/rotation-words.ts';

export const rollback = defineCommand({
  name: 'rollback',
  summary: 'Bring a key back to an older version, until its purge',
  details:
    'Proves the version anew, activates it, and brings every record back to it, with barrier and census as in a rotation.\n' +
    'The version that is left is retired. A rotation of the key, or the purge of the version, is cancelled first. Refused\n' +
    'with exit code 4 where the version is suspended, compromised or destroyed, or its destruction is authorized. On a\n' +
    'terminal it asks first, unless --yes. Ctrl-C leaves it running in the stack.',
  json: '{answer, cancelled: [{jobId, kind, …}], job: {jobId, goal: "ROLLBACK", status, from, to, progress, census, …}}; job is null where what was cancelled had not left the version yet',
  options: [
    required(TENANT, 'Whose key'),
    required('--to <version>', 'The version to activate again').argParser(wholeNumber),
    PURPOSE(),
    option('--records-per-second <n>', 'Most records a second, or none').argParser(rateOrNone),
    NO_WAIT(),
    YES(),
  ],
  examples: [{ line: 'keyturn rollback --tenant acme --to 1', says: 'asks, then shows the progress' }],
  input: z.object({
    tenant: z.string(),
    to: z.number(),
    purpose: z.string(),
    recordsPerSecond: RATE.optional(),
    wait: z.boolean(),
    yes: z.boolean().default(false),
  }),
  asks: ({ tenant, purpose, to }) => ({ tenant, purpose, version: to }),
  run: ({ tenant, to, purpose, recordsPerSecond, wait, yes }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const name = keyName({ tenant, purpose });
      await confirm(out, `This makes version ${to} of ${name} the active one again.`, yes);
      const asked = { tenant, purpose, to, requestedBy: requestedBy() };
      const limited = recordsPerSecond === undefined ? asked : { ...asked, recordsPerSecond };
      const { cancelled, request } = await requestRollback(deps, limited);
      for (const job of cancelled) out.line(out.paint('yellow', `Cancelled first: ${nameOf(job)}.`));
      const was = cancelled.map((job) => jobJson(job, null));
      if (request === null) {
        out.line(`Version ${to} of ${name} is the active one still: nothing had left it.`);
        out.result({ answer: 'completed', cancelled: was, job: null });
        return EXIT_CODES.done.code;
      }
      const followed = await follow(deps, out, [request], wait);
      for (const each of followed) reportRotation(out, each);
      const jobs = followed.map(({ job, counts }) => jobJson(job, counts));
      out.result({ answer: request.answer, cancelled: was, job: jobs[0] ?? null });
      return exitCodeOfJobs(followed.map(({ job }) => job));
    }),
});
