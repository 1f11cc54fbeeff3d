import type { Deps } from '../deps/deps.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { CensusResult, Job, StoredCensus } from '../rotation/rotation.ts';

/** Keeps censuses in the ledger: what was read, when, by whom, and what was not. */

/**
 * A census of a job: its name follows from the job and from when it counted, so that a repeated step keeps it once. A count that
 * was made anew in between, by a segment's second try, is another census, and has an entry of its own.
 */
export async function keepJobCensus(
  deps: Pick<Deps, 'ledger'>,
  job: Job,
  round: number,
  active: number,
  result: CensusResult,
): Promise<StoredCensus> {
  const { jobId, attempt, keyId, tenant, purpose, from, restoreEpoch } = job;
  const taken = Date.parse(result.takenAt).toString(36);
  const censusId = `${jobId}-${attempt}-${round}-${taken}`;
  const census: StoredCensus = {
    ...{ censusId, keyId, tenant, purpose, active, version: from },
    ...{ restoreEpoch, jobId, attempt, round, result },
  };
  return (await deps.ledger.putStoredCensus(census)).item;
}

/** One that somebody asked for by itself. */
export async function keepCensus(
  deps: Pick<Deps, 'ledger' | 'newId'>,
  key: TenantKey,
  result: CensusResult,
): Promise<StoredCensus> {
  const { keyId, tenant, purpose, active, restoreEpoch } = key;
  const census: StoredCensus = {
    ...{ censusId: deps.newId(), keyId, tenant, purpose, active, version: active },
    ...{ restoreEpoch, jobId: null, attempt: null, round: null, result },
  };
  return (await deps.ledger.putStoredCensus(census)).item;
}
