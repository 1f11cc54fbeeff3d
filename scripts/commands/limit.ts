import { z } from 'zod';
import { limitJob } from '../../shared/rotation/control-job.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { chooseJobs } from '../cli/chosen-jobs.ts';
import { defineCommand, JOB, option, PURPOSE, RATE, rateOrNone, required, TENANT } from '../cli/command.ts';
import { EXIT_CODES } from '../cli/exit-codes.ts';
import { jobJson, limitWords, nameOf } from '../cli/job-words.ts';

export const limit = defineCommand({
  name: 'limit',
  summary: 'Change how many records a second a running job works on',
  details:
    'Over all workers together, from the next page on, within seconds. What is queued already is worked on; chunks that are\n' +
    'sent again, after a pause or a crash, come on top of it for a moment. The configuration (rotation.recordsPerSecond) and\n' +
    '`keyturn rotate --records-per-second` say what a rotation begins with.',
  json: '{jobs: [{jobId, kind, goal, status, recordsPerSecond, …}]}',
  options: [
    option(TENANT, 'Whose key'),
    PURPOSE(),
    JOB(),
    required('--records-per-second <n>', 'A whole number, or none').argParser(rateOrNone),
  ],
  examples: [
    { line: 'keyturn limit --tenant acme --records-per-second 200', says: 'slower, in office hours' },
    { line: 'keyturn limit --tenant acme --records-per-second none', says: 'as fast as the workers are' },
  ],
  input: z.object({
    tenant: z.string().optional(),
    purpose: z.string(),
    job: z.string().optional(),
    recordsPerSecond: RATE,
  }),
  asks: ({ tenant, purpose, job }) => ({ tenant, purpose, jobId: job }),
  run: ({ recordsPerSecond, ...choice }, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const chosen = await chooseJobs(deps, choice, ({ kind }) => kind !== 'purge');
      const jobs: Job[] = [];
      for (const { jobId } of chosen) jobs.push(await limitJob(deps, jobId, recordsPerSecond));
      for (const job of jobs) out.line(`${nameOf(job)}${limitWords(job) || ', without a limit'}`);
      out.result({ jobs: jobs.map((job) => jobJson(job, null)) });
      return EXIT_CODES.done.code;
    }),
});
