import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import { allLeft, endResweep, leftBehind, retireFrom } from '../keyring/versions.ts';
import { announceEnd } from './announce-end.ts';
import { changeJob, changeKeyOf, getRunningJob, moveJob, timestamp } from './change.ts';
import { holdsAfterSweep } from './holds.ts';
import { noEarlierThan } from './no-earlier.ts';
import type { Job } from './rotation.ts';

/**
 * Step 7: the old version decrypts on until its grace is over; the rotation is complete and the key's lock free.
 * The grace counts from the census, which is later than any write under the old version. A re-sweep leaves no version: it
 * frees the lock, and the grace of all that were left before begins anew.
 */
export async function retireVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getRunningJob(deps, jobId);
  if (job.status === 'COMPLETED') return;
  // The census of an earlier round stands while the next one sweeps: only a clean one ends in this status.
  requireClean(job.status === 'CENSUS' && job.census !== null, job);
  const happened = [job.census?.takenAt, job.barrierUntil, job.startedAt];
  const now = noEarlierThan(deps.clock.now(), happened);
  const purgeNotBefore = timestamp(now + graceMs(deps.config, job));
  const key = await changeKeyOf(deps, job, (current, { status }) => {
    // Freed by an earlier try, which ended before the job's end was written.
    if (current.rotationId !== jobId || status === 'COMPLETED') return current;
    requireClean(status === 'CENSUS', job);
    return retire(deps.config, current, job, purgeNotBefore, timestamp(now));
  });
  const ended = await changeJob(deps, jobId, (current) =>
    current.status === 'COMPLETED'
      ? current
      : moveJob(current, 'COMPLETED', {
          completedAt: timestamp(noEarlierThan(retiredAt(deps.config, job, key, now), happened)),
          purgeNotBefore:
            job.goal === 'RESWEEP'
              ? null
              : (key.versions[String(job.from)]?.purgeNotBefore ?? purgeNotBefore),
        }),
  );
  await announceEnd(deps, job.status, ended);
}

/**
 * Pure. An earlier try may have retired the versions long before the job's end could be written, and their grace may be over
 * by now: it was then that they were retired.
 */
export function retiredAt(config: Deps['config'], job: Job, { versions }: TenantKey, now: number): number {
  const begun = Object.values(versions).flatMap(({ retiredBy, purgeNotBefore }) =>
    retiredBy === job.jobId && purgeNotBefore !== null
      ? [Date.parse(purgeNotBefore) - graceMs(config, job)]
      : [],
  );
  return Math.min(now, ...begun);
}

/** Another machine decides when it is over, by its own clock. */
function graceMs({ rotation }: Deps['config'], { times }: Job): number {
  return (times.graceSeconds + rotation.clockSkewSeconds) * 1000;
}

/** Pure. What the census found gone may still stand in backups, which hold their versions from now on. */
function retire(
  config: Deps['config'],
  key: TenantKey,
  job: Job,
  purgeNotBefore: string,
  at: string,
): TenantKey {
  const resweep = job.goal === 'RESWEEP';
  const versions = resweep ? allLeft(key) : leftBehind(key, job.from);
  const holds = holdsAfterSweep(key, { versions, restoreEpoch: job.restoreEpoch }, config, at);
  const retirement = { purgeNotBefore, rotationId: job.jobId, holds };
  return resweep ? endResweep(key, retirement) : retireFrom(key, job.from, retirement);
}

function requireClean(clean: boolean, { jobId, status }: Job): void {
  if (!clean)
    throw new RotationError('ROTATION_STATE', `Rotation ${jobId} is ${status} and has no clean census`);
}
