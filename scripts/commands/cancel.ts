import { z } from 'zod';
import type { TenantKey } from '../../shared/keyring/key.ts';
import { cancelJob } from '../../shared/rotation/cancel-job.ts';
import { getKey } from '../../shared/rotation/change.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { chooseJobs, onlyOne } from '../cli/chosen-jobs.ts';
import { defineCommand, JOB, option, PURPOSE, TENANT } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { requestedBy } from '../cli/follow.ts';
import { jobJson, nameOf } from '../cli/job-words.ts';

export const cancel = defineCommand({
  name: 'cancel',
  summary: 'Call a job off for good',
  details:
    'A rotation that has not activated its version gives that up, and the key is as it was. After the activation both\n' +
    'versions stay, and the older one is not purged before a later rotation ends with a clean census. The version of a purge\n' +
    'is RETIRING again; an adoption leaves sealed what is sealed. No policy and no event begins anew what was\n' +
    'called off: people do, by the same command as before. Refused with exit code 4 once a destruction is authorized, or the\n' +
    'job is completed.',
  json: '{job: {jobId, kind, goal, status, cancelled: {by, at}, …}}',
  options: [option(TENANT, 'Whose key'), PURPOSE(), JOB()],
  examples: [
    { line: 'keyturn cancel --tenant acme', says: 'the job of that key, where there is one' },
    { line: 'keyturn cancel --job 4ad4bd28-7ff5-59dd-8da0-b5dd1cd8f235', says: 'one of several' },
  ],
  input: z.object({ tenant: z.string().optional(), purpose: z.string(), job: z.string().optional() }),
  asks: ({ tenant, purpose, job }) => ({ tenant, purpose, jobId: job }),
  run: (choice, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const { jobId } = onlyOne(await chooseJobs(deps, choice, () => true));
      const job = await cancelJob(deps, jobId, requestedBy());
      if (job.status === 'COMPLETED') {
        out.line(out.paint('yellow', `${nameOf(job)} is completed: there was nothing left to cancel.`));
      } else {
        out.line(`Cancelled: ${nameOf(job)}.`);
        const key = await getKey(deps, job.tenant, job.purpose);
        for (const line of whatStays(job, key)) out.line(`  ${line}`);
      }
      out.result({ job: jobJson(job, null) });
      return job.status === 'COMPLETED' ? EXIT_CODES.refused.code : EXIT_CODES.done.code;
    }),
});

/** What a cancelled job leaves behind. */
export function whatStays(job: Job, { active, versions }: TenantKey): readonly string[] {
  const { kind, goal, from, to, recordSets } = job;
  if (kind === 'adopt') return [`What is sealed in ${recordSets.join(', ')} stays sealed.`];
  if (kind === 'purge') {
    return [
      `Version ${from} is RETIRING again and decrypts on.`,
      'The daily sweep purges it no more: `keyturn purge` does.',
    ];
  }
  if (goal === 'RESWEEP') return ['Versions that it was to free stay held. `keyturn status` shows them.'];
  const older = `decrypts on, and is not purged before a later rotation ends with a clean census.`;
  if (active === to) return [`Version ${to} stays active. Version ${from} ${older}`];
  const made = versions[String(to)];
  const given =
    goal === 'NEW_VERSION' && made?.state === 'DESTROYED'
      ? [`Version ${to} was never used and is erased.`]
      : [];
  const back = goal === 'ROLLBACK' ? [`Version ${to} ${older}`] : [];
  return [`Version ${active} stays active.`, ...given, ...back];
}
