import { z } from 'zod';
import { getKey } from '../../shared/rotation/change.ts';
import { checkPurgeable } from '../../shared/rotation/purge-rules.ts';
import { requestPurge } from '../../shared/rotation/request-job.ts';
import { defineCommand, NO_WAIT, PURPOSE, required, TENANT, wholeNumber, YES } from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { exitCodeOfJobs, follow, requestedBy } from '../cli/follow.ts';
import { time } from '../cli/format.ts';
import { censusLines, jobJson, keyName, stepOf } from '../cli/job-words.ts';

export const purge = defineCommand({
  name: 'purge',
  summary: 'Destroy a retired version, after its grace',
  details:
    'Takes a census of every row of every table that the key may serve and destroys the version only if none is on it.\n' +
    'Refused with exit code 4 and the date while the grace lasts, and when anything still needs the version: then it is\n' +
    'RETIRING again. The stack does the same by itself when a grace is over. On a terminal it asks first, unless --yes.',
  json: '{answer, job: {jobId, status, from, census, blocker, completedAt, …}}',
  options: [
    required(TENANT, 'Whose key'),
    required('--version <number>', 'The version to destroy').argParser(wholeNumber),
    PURPOSE(),
    NO_WAIT(),
    YES(),
  ],
  examples: [
    { line: 'keyturn purge --tenant acme --version 1', says: 'asks, then shows the census' },
    { line: 'keyturn purge --tenant acme --version 1 --yes --json', says: 'in a script' },
  ],
  input: z.object({
    tenant: z.string(),
    version: z.number(),
    purpose: z.string(),
    wait: z.boolean(),
    yes: z.boolean().default(false),
  }),
  run: ({ tenant, version, purpose, wait, yes }, { out, withSession }) =>
    withSession(async ({ deps, stack }) => {
      const key = await getKey(deps, tenant, purpose);
      checkPurgeable(key, version, deps.clock.now(), deps.config);
      const name = `version ${version} of ${keyName(key)}`;
      if (key.versions[String(version)]?.state !== 'DESTROYED') {
        const question = `This destroys ${name}: what only a backup still has on it can never be read again.`;
        await confirm(out, question, yes);
      }
      const request = await requestPurge(deps, { tenant, purpose, version, requestedBy: requestedBy() });
      const [followed] = await follow(deps, out, [request], wait);
      const job = followed?.job ?? request.job;
      if (job.status === 'COMPLETED') {
        const already = request.answer === 'completed' ? ' already' : '';
        const at = job.completedAt === null ? '' : ` at ${time(job.completedAt)}`;
        out.line(out.paint('green', `Version ${version} of ${keyName(key)} is${already} destroyed${at}.`));
        for (const line of censusLines(job)) out.line(`  census  ${line}`);
        out.line('  Point-in-time backups of the ledger hold the wrapped key until they lapse.');
        if (stack !== null)
          out.line(
            "  LevelDB's files, the embedded ledger, may hold the erased blob until their next compaction.",
          );
      } else if (job.status === 'BLOCKED') {
        out.line(out.paint('red', `Not destroyed: ${job.blocker?.code ?? 'no code'}`));
        out.line(`  why     ${job.blocker?.message ?? 'no reason was written down'}`);
        for (const line of censusLines(job)) out.line(`  census  ${line}`);
        out.line(`  ${name} is RETIRING again and decrypts on.`);
      } else {
        out.line(`Purge of ${name}: ${stepOf(job)}. \`keyturn status --watch\` shows it.`);
      }
      out.result({ answer: request.answer, job: jobJson(job, null) });
      return exitCodeOfJobs([job]);
    }),
});
