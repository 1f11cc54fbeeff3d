import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import { activateVersion as activate } from '../keyring/versions.ts';
import { changeJob, changeKey, getJob, timestamp } from './change.ts';

/**
 * Step 3: one conditional write makes the old version RETIRING and the new one ACTIVE. The propagation barrier
 * counts from the time that this write recorded, not from when this step last ran.
 */
export async function activateVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getJob(deps, jobId);
  const key = await changeKey(deps, job.tenant, job.purpose, (current) =>
    activate(current, job.to, timestamp(deps.clock.now()), jobId),
  );
  const { activatedAt } = versionOf(key, job.to);
  const activated = activatedAt === null ? deps.clock.now() : Date.parse(activatedAt);
  const barrierUntil = timestamp(activated + job.times.barrierSeconds * 1000);
  await changeJob(deps, jobId, (current) =>
    current.barrierUntil === null ? { ...current, barrierUntil } : current,
  );
}
