import type { Deps } from '../deps/deps.ts';
import type { KeyVersion, TenantKey, Timestamp } from '../keyring/key.ts';
import { coveredBy, findCleanCounts, leftOf } from './clean-counts.ts';
import { purgeJobId } from './job-id.ts';
import type { CensusResult, Job } from './rotation.ts';

/**
 * Since when backups of the store contain nothing on a version that is gone; null: not known. The end of the job whose census
 * found nothing on it and covered every table that the key served there when the version was destroyed: the rotation away from
 * it, a purge that began its grace anew, or else the purge that destroyed it. What was declared later still is not
 * asked for: that purge had searched the stores for what nobody declared.
 */
export async function findCleanMoment(
  { ledger }: Pick<Deps, 'ledger'>,
  { keyId, serves }: Pick<TenantKey, 'keyId' | 'serves'>,
  found: Pick<KeyVersion, 'version' | 'retiredBy' | 'seen'>,
  store: string,
): Promise<Timestamp | null> {
  const { version, retiredBy, seen } = found;
  const purge = await ledger.getJob(purgeJobId(keyId, version));
  const retiring = retiredBy === null ? null : await ledger.getJob(retiredBy);
  const retiredAt = cleanEndOf(retiring, version);
  if (retiredAt !== null) {
    const { atRetirement, since } = await findCleanCounts({ ledger }, found);
    const here = serves.filter((table) => table.store === store);
    const later = purge?.census ? leftOf(here, coveredBy(purge.census)) : [];
    const served = leftOf(here, later);
    const first = leftOf(served, atRetirement).length === 0 ? retiredAt : null;
    const again = leftOf(served, [...atRetirement, ...since]).length === 0 ? (seen?.cleanAt ?? null) : null;
    // What was found on the version after its retirement was gone only when a purge said so.
    const cleanAt = first !== null && (again === null || again < first) ? first : again;
    if (cleanAt !== null) return cleanAt;
  }
  return cleanEndOf(purge, version);
}

function cleanEndOf(job: Job | null, version: number): Timestamp | null {
  if (job === null || job.status !== 'COMPLETED' || job.census === null) return null;
  return isCleanOf(job.census, version) ? job.completedAt : null;
}

/** A quarantined value is in the census, too; one whose version cannot be told may be of any. */
function isCleanOf({ coverage, malformed }: CensusResult, version: number): boolean {
  return malformed === 0 && Object.values(coverage).every(({ versions }) => !versions[String(version)]);
}
