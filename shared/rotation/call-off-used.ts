import { resumeApproved } from '../approvals/resume-approved.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import { usedVersions } from '../keyring/canary.ts';
import type { TenantKey } from '../keyring/key.ts';
import { markSeen } from '../keyring/sightings.ts';
import { callOff, whyCalledOff } from './call-off-purge.ts';
import { changeKey, getKey, timestamp } from './change.ts';
import { purgeJobId } from './job-id.ts';
import { isRunning, waitsForApproval } from './rotation.ts';

/**
 * Calls off the purge of every version that something asked for while it waits: an application marks that, and may not
 * change more. A purge that runs also sees it by itself; nobody looks at one that waits for approvals. Returns how many
 * versions there were.
 */
export async function callOffUsed(deps: Deps, keys: readonly TenantKey[]): Promise<number> {
  let used = 0;
  for (const key of keys) {
    for (const version of usedVersions(key)) {
      used += 1;
      await attempt(deps, key, version);
    }
  }
  return used;
}

/** One that fails blocks no other: the next look comes in 15 minutes, and the decision itself looks too. */
async function attempt(deps: Deps, { tenant, purpose }: TenantKey, version: number): Promise<void> {
  const fields = { tenant, purpose, version };
  try {
    await callOffOne(deps, tenant, purpose, version);
    deps.log.error('a version that waits for its purge was asked for: the purge is called off', {
      ...fields,
      code: 'DESTROY_PENDING_USED',
    });
  } catch (error) {
    const code = error instanceof KeyturnError ? error.code : 'UNEXPECTED';
    deps.log.error('a purge whose version was asked for could not be called off', { ...fields, code });
  }
}

async function callOffOne(deps: Deps, tenant: string, purpose: string, version: number): Promise<void> {
  const key = await getKey(deps, tenant, purpose);
  // The list lags behind.
  if (!usedVersions(key).includes(version)) return;
  const job = await deps.ledger.getJob(purgeJobId(key.keyId, version));
  if (job !== null && waitsForApproval(job)) {
    // Its next attempt ends with the use as its blocker. Until then the version stays as it is, and so does the mark.
    await resumeApproved(deps, [job]);
    return;
  }
  const refusal = job === null ? null : whyCalledOff(key, job, deps.clock.now(), deps.config);
  if (job !== null && refusal !== null && isRunning(job.status)) {
    await callOff(deps, job, refusal);
    return;
  }
  // Whoever fenced it did not come to its end.
  await changeKey(deps, tenant, purpose, (current) =>
    usedVersions(current).includes(version)
      ? markSeen(current, version, timestamp(deps.clock.now()))
      : current,
  );
}
