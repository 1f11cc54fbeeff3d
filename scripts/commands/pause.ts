import { z } from 'zod';
import { isPausedByPerson, pauseByPerson } from '../../shared/rotation/control-job.ts';
import { isRunning, type Job } from '../../shared/rotation/rotation.ts';
import { chooseJobs } from '../cli/chosen-jobs.ts';
import { defineCommand, JOB, option, PURPOSE, TENANT } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { requestedBy } from '../cli/follow.ts';
import { jobJson, nameOf } from '../cli/job-words.ts';

export const pause = defineCommand({
  name: 'pause',
  summary: 'Let a running job rest until a person takes it up',
  details:
    'Of a key, every job that runs or waits. Workers end within seconds, and listers at their next page; nothing is undone,\n' +
    'and everything can be read. A person stands above everything else: neither a root key that comes back nor an approval,\n' +
    'a request or the daily sweep takes the job up. The version of a purge is RETIRING again, and its rehearsal begins anew\n' +
    'when it is resumed; refused with exit code 4 once its destruction is authorized.',
  json: '{jobs: [{jobId, kind, goal, status, pause: {reason, by, at}, …}]}',
  options: [option(TENANT, 'Whose key'), PURPOSE(), JOB()],
  examples: [
    { line: 'keyturn pause --tenant acme', says: 'whatever runs for that key' },
    { line: 'keyturn pause --job 4ad4bd28-7ff5-59dd-8da0-b5dd1cd8f235', says: 'one job' },
  ],
  input: z.object({ tenant: z.string().optional(), purpose: z.string(), job: z.string().optional() }),
  asks: ({ tenant, purpose, job }) => ({ tenant, purpose, jobId: job }),
  run: (choice, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const chosen = await chooseJobs(deps, choice, mayPause);
      const paused: Job[] = [];
      for (const { jobId } of chosen) paused.push(await pauseByPerson(deps, jobId, requestedBy()));
      for (const job of paused) {
        out.line(out.paint('yellow', `Paused: ${nameOf(job)}.`));
        if (job.kind === 'purge') out.line(`  Version ${job.from} is RETIRING again and decrypts on.`);
        out.line(`  keyturn resume --job ${job.jobId}`);
      }
      out.result({ jobs: paused.map((job) => jobJson(job, null)) });
      return EXIT_CODES.done.code;
    }),
});

function mayPause(job: Job): boolean {
  return isRunning(job.status) || (job.status === 'PAUSED' && !isPausedByPerson(job));
}
