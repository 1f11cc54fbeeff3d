import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import { retireFrom } from '../keyring/versions.ts';
import { announceEnd } from './announce-end.ts';
import { changeJob, changeKey, getRunningJob, moveJob, timestamp } from './change.ts';

/**
 * Step 7: the old version decrypts on until its grace is over; the rotation is complete and the key's lock free.
 * The grace counts from the census, which is later than any write under the old version.
 */
export async function retireVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getRunningJob(deps, jobId);
  if (job.status === 'COMPLETED') return;
  // The census of an earlier round stands while the next one sweeps: only a clean one ends in this status.
  if (job.status !== 'CENSUS' || job.census === null)
    throw new RotationError('ROTATION_STATE', `Rotation ${jobId} is ${job.status} and has no clean census`);
  const now = deps.clock.now();
  // Another machine decides when it is over, by its own clock.
  const { clockSkewSeconds } = deps.config.rotation;
  const purgeNotBefore = timestamp(now + (job.times.graceSeconds + clockSkewSeconds) * 1000);
  const key = await changeKey(deps, job.tenant, job.purpose, (current) =>
    retireFrom(current, job.from, { purgeNotBefore, rotationId: jobId }),
  );
  const ended = await changeJob(deps, jobId, (current) =>
    current.status === 'COMPLETED'
      ? current
      : moveJob(current, 'COMPLETED', {
          completedAt: timestamp(now),
          purgeNotBefore: key.versions[String(job.from)]?.purgeNotBefore ?? purgeNotBefore,
        }),
  );
  await announceEnd(deps, job.status, ended);
}
