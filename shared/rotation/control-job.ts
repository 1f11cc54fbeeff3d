import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import { callOffPurge, decided, touch } from './cancel-job.ts';
import { changeJob, changeKey, getJob, getKey, timestamp } from './change.ts';
import { pauseJob, resumeJob } from './pause-job.ts';
import { lookAgain } from './root-key-trouble.ts';
import { isRunning, type Job, RUNNING_STATUSES } from './rotation.ts';

/** What people say to a job that has begun. Each word is one conditional write to the job, and may be repeated. */

/**
 * The job rests until a person takes it up. Also one that rests already, for its root key or for approvals: the person's
 * word stands above these. The version of a purge is RETIRING again, unless its destruction is decided: then throws
 * ROTATION_STATE, as for a job that nobody works on.
 */
export async function pauseByPerson(deps: Deps, jobId: string, by: string): Promise<Job> {
  const job = await getJob(deps, jobId);
  if (!mayPause(job)) throw idle(job, 'paused');
  if (job.kind === 'purge' && (await isDecided(deps, job))) throw decided(job);
  const at = timestamp(deps.clock.now());
  const paused = await pauseJob(deps, jobId, { reason: 'PERSON', rootKeyId: null, by, at });
  if (!isPausedByPerson(paused)) throw idle(paused, 'paused');
  if (paused.kind === 'purge' && !(await callOffPaused(deps, paused))) throw decided(paused);
  return paused;
}

/**
 * After the job: a step that looked at it before finds the key changed, or has fenced the version, and this takes it back.
 * Returns false when the destruction was decided in the same moment: that has no way back, so the job goes on.
 */
export async function callOffPaused(deps: Deps, { jobId, tenant, purpose, from }: Job): Promise<boolean> {
  const key = await changeKey(deps, tenant, purpose, async (current) =>
    isPausedByPerson(await getJob(deps, jobId)) ? (callOffPurge(current, from) ?? touch(current)) : current,
  );
  const version = key.versions[String(from)];
  if (version === undefined || version.destroyAuthorizedAt === null) return true;
  await resumeJob(deps, jobId, 'PERSON');
  return false;
}

/**
 * Takes up a job that a person paused, by a new attempt. Where its root key cannot be used it rests on, for that. Throws
 * ROTATION_STATE for a job that runs or is over, and for one that waits for something else.
 */
export async function resumeByPerson(deps: Deps, jobId: string): Promise<Job> {
  const job = await getJob(deps, jobId);
  if (job.status !== 'PAUSED') throw idle(job, 'resumed');
  if (job.pause?.reason === 'ROOT_KEY') {
    throw new RotationError('JOB_PAUSED', `Job ${jobId} waits for root key ${job.pause.rootKeyId ?? ''}`, {
      remedy: 'Enable the root key, or ask whose it is: the job goes on by itself when it can be used.',
    });
  }
  if (job.pause?.reason === 'APPROVAL') {
    throw new RotationError('JOB_PAUSED', `Job ${jobId} waits for people's approvals`, {
      remedy: '`keyturn approvals list` shows what is to be approved; the last approval takes it up.',
    });
  }
  const looked = await lookAgain(deps, job);
  return looked.pause?.reason === 'PERSON' ? resumeJob(deps, jobId, 'PERSON') : looked;
}

/** Most records listed a second from the lister's next page on; null: no limit. Throws ROTATION_STATE for a job that is over. */
export async function limitJob(deps: Deps, jobId: string, recordsPerSecond: number | null): Promise<Job> {
  return changeJob(deps, jobId, (job) => {
    if (job.status === 'COMPLETED' || job.status === 'CANCELLED' || job.kind === 'purge')
      throw idle(job, 'limited');
    return job.recordsPerSecond === recordsPerSecond ? job : { ...job, recordsPerSecond };
  });
}

/**
 * The key's jobs that are not over, the one that holds its lock first. Lists lag behind, so that a job that was just asked
 * for may be missing; the holder of the lock never is.
 */
export async function listOpenJobs(
  deps: Pick<Deps, 'ledger'>,
  key: Pick<TenantKey, 'keyId' | 'rotationId'>,
): Promise<readonly Job[]> {
  const statuses = [...RUNNING_STATUSES, 'PAUSED', 'BLOCKED'] as const;
  const listed = (await deps.ledger.listJobs({ statuses })).filter(({ keyId }) => keyId === key.keyId);
  const ids = new Set(listed.map(({ jobId }) => jobId));
  if (key.rotationId !== null) ids.add(key.rotationId);
  const jobs = await Promise.all([...ids].map((jobId) => getJob(deps, jobId)));
  const open: readonly string[] = statuses;
  return jobs
    .filter(({ status }) => open.includes(status))
    .sort((a, b) => Number(b.jobId === key.rotationId) - Number(a.jobId === key.rotationId));
}

function mayPause({ status }: Job): boolean {
  return isRunning(status) || status === 'PAUSED';
}

export function isPausedByPerson({ status, pause }: Job): boolean {
  return status === 'PAUSED' && pause?.reason === 'PERSON';
}

async function isDecided(deps: Deps, { tenant, purpose, from }: Job): Promise<boolean> {
  const version = (await getKey(deps, tenant, purpose)).versions[String(from)];
  return version !== undefined && version.destroyAuthorizedAt !== null;
}

function idle({ jobId, status, kind }: Job, what: 'paused' | 'resumed' | 'limited'): RotationError {
  const remedy =
    what === 'limited' && kind === 'purge'
      ? 'A purge changes no records: it only reads them.'
      : status === 'BLOCKED'
        ? `Asking for it again takes it up: \`keyturn ${kind}\`. \`keyturn cancel\` calls it off for good.`
        : '`keyturn status` shows the jobs.';
  return new RotationError('ROTATION_STATE', `Job ${jobId} is ${status} and cannot be ${what}`, { remedy });
}
