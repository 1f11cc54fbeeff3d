import { z } from 'zod';
import { isPausedByPerson, resumeByPerson } from '../../shared/rotation/control-job.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { chooseJobs, onlyPaused } from '../cli/chosen-jobs.ts';
import { defineCommand, JOB, option, PURPOSE, TENANT } from '../cli/command.ts';
import { exitCodeOfJobs } from '../cli/follow.ts';
import { jobJson, nameOf, pauseWords } from '../cli/job-words.ts';

export const resume = defineCommand({
  name: 'resume',
  summary: 'Take up a job that a person paused',
  details:
    'By a new attempt, which finds done what was done: a sweep begins a new round, a purge is fenced and rehearsed anew.\n' +
    'Ends with exit code 3 where nothing of the key is paused. Refused with exit code 4 where the job waits for its root\n' +
    'key, and goes on by itself when that can be used, or for approvals. One that was paused by a person and whose root key\n' +
    'cannot be used now rests on, for that.',
  json: '{jobs: [{jobId, kind, goal, status, attempt, pause, …}]}',
  options: [option(TENANT, 'Whose key'), PURPOSE(), JOB()],
  examples: [{ line: 'keyturn resume --tenant acme', says: 'whatever a person paused of that key' }],
  input: z.object({ tenant: z.string().optional(), purpose: z.string(), job: z.string().optional() }),
  asks: ({ tenant, purpose, job }) => ({ tenant, purpose, jobId: job }),
  run: (choice, { out, withSession }) =>
    withSession(async ({ deps }) => {
      const chosen = await onlyPaused(
        deps,
        await chooseJobs(deps, choice, isPausedByPerson, 'paused'),
        choice,
      );
      const jobs: Job[] = [];
      for (const { jobId } of chosen) jobs.push(await resumeByPerson(deps, jobId));
      for (const job of jobs) {
        if (job.status === 'PAUSED') out.line(out.paint('yellow', `${nameOf(job)}: ${pauseWords(job)}.`));
        else
          out.line(`Resumed: ${nameOf(job)} (attempt ${job.attempt}). \`keyturn status --watch\` shows it.`);
      }
      out.result({ jobs: jobs.map((job) => jobJson(job, null)) });
      return exitCodeOfJobs(jobs);
    }),
});
