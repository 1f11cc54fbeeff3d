import type { Deps } from '../../shared/deps/deps.ts';
import { RotationError } from '../../shared/errors/errors.ts';
import { getJob, getKey } from '../../shared/rotation/change.ts';
import { isPausedByPerson, listOpenJobs } from '../../shared/rotation/control-job.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { CliError } from './cli-error.ts';
import { mapConcurrently } from './concurrent.ts';
import { keyName, nameOf, stepOf } from './job-words.ts';
import { readCalledOff } from './watch-jobs.ts';

const READERS = 8;

/** Which jobs a person means: one by its id, or the open ones of a key. */
export interface Choice {
  readonly tenant?: string | undefined;
  readonly purpose: string;
  readonly job?: string | undefined;
}

/**
 * Of a key those that `may`, or all its open ones when none may: what is asked of them then says why not. Throws
 * ROTATION_NOT_FOUND where there is none.
 */
export async function chooseJobs(
  deps: Deps,
  { tenant, purpose, job: jobId }: Choice,
  may: (job: Job) => boolean,
  wanted: 'open' | 'paused' = 'open',
): Promise<readonly Job[]> {
  if (jobId !== undefined) {
    const job = await getJob(deps, jobId);
    if (tenant !== undefined && tenant !== job.tenant) {
      throw new CliError('USAGE', `Job ${jobId} is of tenant "${job.tenant}", not of "${tenant}"`);
    }
    return [job];
  }
  if (tenant === undefined) throw new CliError('USAGE', 'Name a key by --tenant, or a job by --job');
  const key = await getKey(deps, tenant, purpose);
  const open = await listOpenJobs(deps, key);
  if (open.length === 0) {
    throw new RotationError('ROTATION_NOT_FOUND', `Nothing of ${keyName(key)} is ${wanted}`, {
      remedy: '`keyturn status` shows the jobs.',
    });
  }
  const chosen = open.filter(may);
  return chosen.length > 0 ? chosen : open;
}

/** For what is said to one job only. Throws USAGE that lists them. */
export function onlyOne(jobs: readonly Job[]): Job {
  const [job, ...others] = jobs;
  if (job !== undefined && others.length === 0) return job;
  const names = jobs.map((each) => `${nameOf(each)} (--job ${each.jobId})`).join(', ');
  throw new CliError('USAGE', `There are ${jobs.length} such jobs: ${names}`, {
    remedy: 'Name one of them by --job.',
  });
}

/** Of those that chooseJobs found. Throws for a key none of whose jobs rests, and for a job that a person did not pause. */
export async function onlyPaused(
  deps: Deps,
  jobs: readonly Job[],
  { tenant, purpose, job: jobId }: Choice,
): Promise<readonly Job[]> {
  const paused = jobs.filter(({ status }) => status === 'PAUSED');
  if (paused.length === 0 && jobId === undefined && tenant !== undefined) {
    const open = await mapConcurrently(
      jobs,
      READERS,
      async (job) => `${nameOf(job)} (${await stepNow(deps, job)})`,
    );
    throw new RotationError('ROTATION_NOT_FOUND', `Nothing of ${keyName({ tenant, purpose })} is paused`, {
      remedy: `Open is: ${open.join('; ')}.`,
    });
  }
  const job = (paused.length > 0 ? paused : jobs).find((each) => !isPausedByPerson(each));
  if (job === undefined) return paused;
  const code = job.status === 'PAUSED' ? 'JOB_PAUSED' : 'ROTATION_STATE';
  throw new RotationError(code, `No person paused it: ${nameOf(job)} is ${await stepNow(deps, job)}`, {
    remedy: '`keyturn status` shows the jobs.',
  });
}

async function stepNow(deps: Deps, job: Job): Promise<string> {
  return stepOf(job, await readCalledOff(deps, job));
}
