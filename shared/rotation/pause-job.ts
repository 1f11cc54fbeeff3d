import type { Deps } from '../deps/deps.ts';
import { announceEnd } from './announce-end.ts';
import { changeJob, getJob, getKey, moveJob, timestamp } from './change.ts';
import { executionName } from './job-id.ts';
import { noEarlierThan } from './no-earlier.ts';
import { retiredAt } from './retire-version.ts';
import { isRunning, type Job, type Pause, type PauseReason } from './rotation.ts';
import { MACHINES, startExecution, takeUpAgain } from './take-up.ts';

/** A job at rest. Whoever works on it ends at the next look, without an error and without counting anything. */

/**
 * One conditional write. A job that is over, or rests already, stays as it is: the first reason stands. But a person's
 * word stands above any other.
 */
export async function pauseJob(deps: Pick<Deps, 'ledger'>, jobId: string, pause: Pause): Promise<Job> {
  return changeJob(deps, jobId, (job) => {
    const stands = job.status === 'PAUSED' && (job.pause?.reason === 'PERSON' || pause.reason !== 'PERSON');
    return stands || !mayRest(job) ? job : moveJob(job, 'PAUSED', { pause });
  });
}

function mayRest({ status }: Job): boolean {
  return isRunning(status) || status === 'PAUSED';
}

/**
 * Takes a job up again that was paused for this reason, by a new attempt. What was done is found done; a sweep begins a
 * new round.
 */
export async function resumeJob(
  deps: Deps,
  jobId: string,
  reason: PauseReason,
  askedBy: string | null = null,
): Promise<Job> {
  const may = ({ status, pause }: Job) => status === 'PAUSED' && pause?.reason === reason;
  const job = await getJob(deps, jobId);
  if (!may(job)) return job;
  const finished = await finishRetired(deps, job);
  if (finished !== null) return finished;
  // While it is still PAUSED. The former attempt may wait for hours in one state, and would go on beside the new one.
  await deps.executions.stop(MACHINES[job.kind], executionName(jobId, job.attempt));
  const next = await takeUpAgain(deps, jobId, may, askedBy);
  if (isRunning(next.status)) await startExecution(deps, next);
  return next;
}

/** The lock is taken before a rotation begins, and only its last step, or its cancellation, gives it up. */
export async function hasFreedLock(deps: Pick<Deps, 'ledger'>, job: Job): Promise<boolean> {
  if (job.kind !== 'rotate' || job.startedAt === null) return false;
  return (await getKey(deps, job.tenant, job.purpose)).rotationId !== job.jobId;
}

/**
 * A rotation that retired its version and freed the key's lock before it came to rest, or was stopped, has nothing left
 * to do. Another may have taken the lock since, so its steps are not repeated. Null: it is none.
 */
export async function finishRetired(deps: Deps, job: Job): Promise<Job | null> {
  if (!(await hasFreedLock(deps, job))) return null;
  const key = await getKey(deps, job.tenant, job.purpose);
  const happened = [job.census?.takenAt, job.barrierUntil, job.startedAt];
  const retired = retiredAt(deps.config, job, key, deps.clock.now());
  const completedAt = timestamp(noEarlierThan(retired, happened));
  const purgeNotBefore =
    job.goal === 'RESWEEP' ? null : (key.versions[String(job.from)]?.purgeNotBefore ?? null);
  const finished = await changeJob(deps, job.jobId, (current) =>
    current.status === job.status
      ? moveJob(current, 'COMPLETED', { completedAt, purgeNotBefore, blocker: null })
      : current,
  );
  await announceEnd(deps, job.status, finished);
  return finished;
}
