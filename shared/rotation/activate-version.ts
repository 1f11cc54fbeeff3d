import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import { activateVersion as activate } from '../keyring/versions.ts';
import { changeJob, changeKey, getRunningJob, timestamp } from './change.ts';

/**
 * Step 3: one conditional write makes the old version RETIRING and the new one ACTIVE. The propagation barrier
 * counts from when the write was known to be done.
 */
export async function activateVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getRunningJob(deps, jobId);
  const key = await changeKey(deps, job.tenant, job.purpose, (current) =>
    activate(current, job.to, timestamp(deps.clock.now()), jobId),
  );
  const { activatedAt } = versionOf(key, job.to);
  // After the write, not when it was prepared: until then a writer could still cache the old version.
  const activated = Math.max(deps.clock.now(), activatedAt === null ? 0 : Date.parse(activatedAt));
  const barrierUntil = timestamp(activated + job.times.barrierSeconds * 1000);
  await changeJob(deps, jobId, (current) =>
    current.barrierUntil === null ? { ...current, barrierUntil } : current,
  );
}
