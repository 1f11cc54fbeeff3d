import { z } from 'zod';
import { getKey } from '../../shared/rotation/change.ts';
import { checkApprovable, checkPurgeable } from '../../shared/rotation/purge-rules.ts';
import { requestPurge } from '../../shared/rotation/request-job.ts';
import { defineCommand, NO_WAIT, PURPOSE, required, TENANT, wholeNumber, YES } from '../cli/command.ts';
import { confirm } from '../cli/confirm.ts';
import { exitCodeOfJobs, follow, requestedBy } from '../cli/follow.ts';
import { jobJson, keyName } from '../cli/job-words.ts';
import { printPurge } from '../cli/purge-words.ts';

export const purge = defineCommand({
  name: 'purge',
  summary: 'Destroy a retired version, after its grace',
  details:
    'Fences the version for its rehearsal (rotation.soakSeconds), takes a census of every row of every table that the key\n' +
    'may serve, and destroys the version only if none is on it and the approvers agree. Ends with exit code 4 while it\n' +
    'waits for approvals, which it asks for with the command to give them; while the grace lasts or a hold stands; and when\n' +
    'anything still needs the version: then it is RETIRING again. The stack asks for the same by itself when a grace is\n' +
    'over. On a terminal it asks first, unless --yes.',
  json: '{answer, job: {jobId, status, from, census, blocker, pause, approvalId, completedAt, …}}',
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
  asks: ({ tenant, purpose, version }) => ({ tenant, purpose, version }),
  run: ({ tenant, version, purpose, wait, yes }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const key = await getKey(deps, tenant, purpose);
      checkPurgeable(key, version, deps.clock.now(), deps.config);
      checkApprovable(key, version, deps.config, requestedBy());
      if (key.versions[String(version)]?.state !== 'DESTROYED') {
        const name = `version ${version} of ${keyName(key)}`;
        const question = `This destroys ${name}: what only a backup still has on it can never be read again.`;
        await confirm(out, question, yes);
      }
      const request = await requestPurge(deps, { tenant, purpose, version, requestedBy: requestedBy() });
      const [followed] = await follow(deps, out, [request], wait);
      const job = followed?.job ?? request.job;
      const already = request.answer === 'completed';
      await printPurge(deps, out, job, { already });
      out.result({ answer: request.answer, job: jobJson(job, null) });
      return exitCodeOfJobs([job]);
    }),
});
