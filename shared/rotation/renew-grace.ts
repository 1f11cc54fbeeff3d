import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import type { KeyVersion, ServedTable } from '../keyring/key.ts';
import { isSeen, renewGrace as renew } from '../keyring/sightings.ts';
import { type Refusal, whyCalledOff } from './call-off-purge.ts';
import { changeKey, getRunningJob, timestamp } from './change.ts';
import { findCleanCounts, leftOf, whyNotCounted } from './clean-counts.ts';
import { backupHolds } from './holds.ts';
import { noEarlierThan } from './no-earlier.ts';
import type { CensusResult, Job } from './rotation.ts';
import { addServed, declaredTables, describeTables } from './served.ts';

/**
 * A purge whose count found nothing, on a version on which something was found since it was retired; or with a table that
 * was declared since, and that no such count had read. Backups that were taken until now may contain the version, so that it
 * is not destroyed but retired once more: its grace and the holds of backups begin with this count, which covers what was
 * found, declared or not. What it read is kept, so that no table puts a purge off twice. One conditional write. Returns why
 * the purge ends; null: there is nothing to renew, or the version is not this purge's any more.
 */
export async function renewGrace(deps: Deps, job: Job, census: CensusResult): Promise<Refusal | null> {
  const declared = declaredTables(deps.config, deps.recordSets.ofKey(job.tenant, job.purpose));
  let refusal: Refusal | null = null;
  await changeKey(deps, job.tenant, job.purpose, async (stored) => {
    refusal = null;
    const found = versionOf(stored, job.from);
    const fenced = found.state === 'DESTROY_PENDING' && found.destroyPendingAt === job.fencedAt;
    if (!fenced || found.destroyAuthorizedAt !== null) return stored;
    // With the stores of tables that no sweep has registered yet: their backups hold it, too.
    const current = addServed(stored, declared);
    const { atRetirement, since } = await findCleanCounts(deps, found);
    const besides = leftOf(current.serves, atRetirement);
    const late = leftOf(besides, since);
    if (!isSeen(found) && late.length === 0) return stored;
    // After the key: whoever calls the job off writes the job first.
    await getRunningJob(deps, job.jobId);
    const now = deps.clock.now();
    refusal = whyCalledOff(current, job, now, deps.config) ?? whyNotCounted(current, deps.config, census);
    if (refusal !== null) return stored;
    const begins = noEarlierThan(now, [found.destroyPendingAt, job.barrierUntil, census.takenAt]);
    const at = timestamp(begins);
    const { clockSkewSeconds } = deps.config.rotation;
    const purgeNotBefore = timestamp(begins + (job.times.graceSeconds + clockSkewSeconds) * 1000);
    refusal = {
      code: 'HELD',
      message: `${whyRenewed(found, late)}: its grace and their holds begin anew, and no purge begins before ${purgeNotBefore}`,
    };
    const holds = backupHolds(current, [job.from], deps.config, at);
    const renewed = renew(current, job.from, { at, purgeNotBefore, holds, besides });
    return { ...renewed, revision: stored.revision + 1 };
  });
  return refusal;
}

/** What was found may be a value of which nobody can tell the version: no more is said than is known. */
function whyRenewed({ version, seen }: KeyVersion, late: readonly ServedTable[]): string {
  return late.length === 0
    ? `After version ${version} was retired, something was found that may need it (at ${seen?.at ?? 'no known time'}). This count found nothing of the kind any more, and backups of until now may contain the version`
    : `${describeTables(late)}: declared since version ${version} was retired, and not read before this count. It found nothing there, and backups of until now may contain the version`;
}
