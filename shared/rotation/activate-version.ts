import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import type { TenantKey } from '../keyring/key.ts';
import { activateVersion as activate } from '../keyring/versions.ts';
import { changeJob, changeKeyOf, getKey, getRunningJob, timestamp } from './change.ts';
import { lowerFences } from './fences.ts';
import { noEarlierThan } from './no-earlier.ts';
import type { Job } from './rotation.ts';

/**
 * Step 3: one conditional write makes the old version RETIRING and the new one ACTIVE. The propagation barrier
 * counts from when the write was known to be done. A re-sweep activates nothing; its barrier counts from here too.
 */
export async function activateVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getRunningJob(deps, jobId);
  const key = job.goal === 'RESWEEP' ? await getKey(deps, job.tenant, job.purpose) : await take(deps, job);
  const { activatedAt } = versionOf(key, job.to);
  // After the write, not when it was prepared: until then a writer could still cache the old version.
  const activated = noEarlierThan(deps.clock.now(), [activatedAt, job.startedAt, job.requestedAt]);
  const barrierUntil = timestamp(activated + job.times.barrierSeconds * 1000);
  await changeJob(deps, jobId, (current) =>
    current.barrierUntil === null ? { ...current, barrierUntil } : current,
  );
}

async function take(deps: Deps, job: Job): Promise<TenantKey> {
  if (job.goal === 'ROLLBACK') {
    const key = await getKey(deps, job.tenant, job.purpose);
    // Databases that refuse writes below the version that is left must take the older one from the first moment.
    if (key.rotationId === job.jobId && key.active === job.from) await lowerFences(deps, key, job.to);
  }
  return changeKeyOf(deps, job, (current) => {
    const { createdAt, provedAt } = versionOf(current, job.to);
    const { activatedAt = null } = current.versions[String(current.active)] ?? {};
    const happened = [createdAt, provedAt, activatedAt, job.startedAt, job.requestedAt];
    return activate(current, job.to, timestamp(noEarlierThan(deps.clock.now(), happened)), job.jobId);
  });
}
