import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import type { Timestamp } from '../keyring/key.ts';
import { isSeen, renewGrace as renew } from '../keyring/sightings.ts';
import { type Refusal, whyCalledOff } from './call-off-purge.ts';
import { changeKey, getRunningJob, timestamp } from './change.ts';
import { backupHolds } from './holds.ts';
import { noEarlierThan } from './no-earlier.ts';
import type { Job } from './rotation.ts';

/**
 * A purge whose count found nothing, on a version on which something was found since it was retired. Backups that were taken
 * until now contain it, so that it is not destroyed but retired once more: its grace and the holds of backups begin with
 * this count, which covers what was found, declared or not. One conditional write. Returns why the purge ends; null: there
 * is nothing to renew, or the version is not this purge's any more.
 */
export async function renewGrace(deps: Deps, job: Job, countedAt: Timestamp): Promise<Refusal | null> {
  let refusal: Refusal | null = null;
  await changeKey(deps, job.tenant, job.purpose, async (current) => {
    refusal = null;
    const found = versionOf(current, job.from);
    const fenced = found.state === 'DESTROY_PENDING' && found.destroyPendingAt === job.fencedAt;
    if (!isSeen(found) || !fenced || found.destroyAuthorizedAt !== null) return current;
    // After the key: whoever calls the job off writes the job first.
    await getRunningJob(deps, job.jobId);
    const now = deps.clock.now();
    refusal = whyCalledOff(current, job, now, deps.config);
    if (refusal !== null) return current;
    const begins = noEarlierThan(now, [found.destroyPendingAt, job.barrierUntil, countedAt]);
    const at = timestamp(begins);
    const { clockSkewSeconds } = deps.config.rotation;
    const purgeNotBefore = timestamp(begins + (job.times.graceSeconds + clockSkewSeconds) * 1000);
    refusal = {
      code: 'HELD',
      message: `Something was found on version ${job.from} after it was retired. This count found nothing any more, and backups of until now contain it: its grace and their holds begin anew, and no purge begins before ${purgeNotBefore}`,
    };
    const holds = backupHolds(current, [job.from], deps.config, at);
    return renew(current, job.from, { at, purgeNotBefore, holds });
  });
  return refusal;
}
