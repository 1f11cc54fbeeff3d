import type { Deps } from '../deps/deps.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';
import { finishCancellation } from './cancel-job.ts';
import { callOffPaused, isPausedByPerson } from './control-job.ts';
import { purgeJobId } from './job-id.ts';

/** Jobs that a person called off, by a command that died between its write to the job and the one to the key. */

/** Whether the key looks as one would that such a job has left. */
export function mayBeHalfCalledOff({ rotationId, versions }: TenantKey): boolean {
  return rotationId !== null || Object.values(versions).some(isFenced);
}

/** May be repeated; changes nothing where a job goes on. One whose destruction was decided all the same is taken up. */
export async function finishCalledOff(deps: Deps, key: TenantKey): Promise<void> {
  const ids = Object.values(key.versions).flatMap((version) =>
    isFenced(version) ? [purgeJobId(key.keyId, version.version)] : [],
  );
  if (key.rotationId !== null) ids.push(key.rotationId);
  for (const jobId of ids) {
    const job = await deps.ledger.getJob(jobId);
    if (job === null) continue;
    if (job.status === 'CANCELLED') await finishCancellation(deps, job);
    if (job.kind === 'purge' && isPausedByPerson(job)) await callOffPaused(deps, job);
  }
}

function isFenced({ state }: KeyVersion): boolean {
  return state === 'DESTROY_PENDING';
}
