import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import { changeKeyItem } from '../keyring/change-version.ts';
import { cancelDestroy } from '../keyring/destruction.ts';
import type { TenantKey } from '../keyring/key.ts';
import { releaseLock } from '../keyring/versions.ts';
import { changeJob, changeKey, getJob, getKey, moveJob, timestamp } from './change.ts';
import { executionName } from './job-id.ts';
import { noEarlierThan } from './no-earlier.ts';
import { finishRetired } from './pause-job.ts';
import { retiredAt } from './retire-version.ts';
import { isRunning, type Job } from './rotation.ts';
import { MACHINES, startExecution, takeUpAgain } from './take-up.ts';

/**
 * Calling a job off for good. The job is written first, and the key afterwards, always: a step that had looked at the
 * job before finds the key changed, looks again and ends (changeKeyOf). After a crash in between, a repeat, the next
 * request for the key, or the daily sweep finishes it.
 */

/**
 * Before its activation a rotation gives up the version that it made; after it both versions stay, and the old one has no
 * purge date until a later census is clean. A purge's version is RETIRING again. Returns the job as it is then, which may
 * be COMPLETED: then there was nothing left to call off. Throws ROTATION_STATE when the destruction is decided.
 */
export async function cancelJob(deps: Deps, jobId: string, by: string): Promise<Job> {
  const job = await finishEnded(deps, await getJob(deps, jobId));
  await requireWayBack(deps, job);
  const cancelled = { by, at: timestamp(deps.clock.now()) };
  const next = await changeJob(deps, jobId, (current) =>
    current.status === 'COMPLETED' || current.status === 'CANCELLED'
      ? current
      : moveJob(current, 'CANCELLED', { cancelled, blocker: null }),
  );
  return next.status === 'COMPLETED' ? next : finishCancellation(deps, next);
}

/** Whatever a cancelled job still holds is given up. May be repeated. Returns the job as it is then. */
export async function finishCancellation(deps: Deps, job: Job): Promise<Job> {
  await deps.executions.stop(MACHINES[job.kind], executionName(job.jobId, job.attempt));
  if (job.kind === 'rotate') return giveUpRotation(deps, job);
  if (job.kind === 'purge') return giveUpPurge(deps, job);
  return job;
}

/** A rotation that has freed its lock and was stopped before its own end was written is completed. */
async function finishEnded(deps: Deps, job: Job): Promise<Job> {
  if (job.status !== 'PAUSED' && job.status !== 'BLOCKED') return job;
  return (await finishRetired(deps, job)) ?? job;
}

async function giveUpRotation(deps: Deps, job: Job): Promise<Job> {
  const at = timestamp(deps.clock.now());
  const key = await changeIfCancelled(deps, job, touch);
  if (key?.rotationId === job.jobId) {
    // Nobody can activate it any more, and the lock keeps every other rotation away until it is gone.
    const unused = Object.values(key.versions).filter(({ state }) => state === 'PRE_ACTIVE');
    for (const { version, wrapped } of unused) {
      const context = { tenant: key.tenant, purpose: key.purpose, keyId: key.keyId, version };
      if (wrapped !== null) await deps.provider.destroyKek(wrapped, context);
    }
    await changeIfCancelled(deps, job, (current) => releaseLock(current, job.jobId, at));
  }
  const left = key?.versions[String(job.from)];
  if (key === null || left?.retiredBy !== job.jobId) return getJob(deps, job.jobId);
  // Its last write was made in the same moment: nothing was left to call off.
  const { purgeNotBefore } = left;
  const retired = retiredAt(deps.config, job, key, deps.clock.now());
  const completedAt = timestamp(noEarlierThan(retired, [job.census?.takenAt, job.barrierUntil]));
  return changeJob(deps, job.jobId, (current) =>
    current.status === 'CANCELLED' ? moveJob(current, 'COMPLETED', { completedAt, purgeNotBefore }) : current,
  );
}

async function giveUpPurge(deps: Deps, job: Job): Promise<Job> {
  const key = await changeIfCancelled(
    deps,
    job,
    (current) => callOffPurge(current, job.from) ?? touch(current),
  );
  const version = key?.versions[String(job.from)];
  const authorized = version?.state === 'DESTROY_PENDING' && version.destroyAuthorizedAt !== null;
  if (!authorized) return getJob(deps, job.jobId);
  // In the same moment: there is no way back, so it goes on.
  const again = await takeUpAgain(deps, job.jobId, ({ status }) => status === 'CANCELLED');
  if (isRunning(again.status)) await startExecution(deps, again);
  throw decided(job);
}

/** Pure. RETIRING again; null: it was not being purged, or its destruction is decided. */
export function callOffPurge(key: TenantKey, version: number): TenantKey | null {
  const found = key.versions[String(version)];
  const pending = found?.state === 'DESTROY_PENDING' && found.destroyAuthorizedAt === null;
  return pending ? cancelDestroy(key, version) : null;
}

/** Changes nothing but the revision: whoever read the key before has to read it, and the job, again. */
export function touch(key: TenantKey): TenantKey {
  return changeKeyItem(key, {});
}

/** Null: the job was asked for once more meanwhile, which begins with the lock given up. What stands there is its own. */
async function changeIfCancelled(
  deps: Deps,
  { jobId, tenant, purpose }: Job,
  change: (key: TenantKey) => TenantKey,
): Promise<TenantKey | null> {
  let cancelled = false;
  const key = await changeKey(deps, tenant, purpose, async (current) => {
    cancelled = (await getJob(deps, jobId)).status === 'CANCELLED';
    return cancelled ? change(current) : current;
  });
  return cancelled ? key : null;
}

/** Once a destruction is authorized, it is only finished. */
async function requireWayBack(deps: Deps, job: Job): Promise<void> {
  if (job.kind !== 'purge' || job.status === 'COMPLETED') return;
  const key = await getKey(deps, job.tenant, job.purpose);
  const version = key.versions[String(job.from)];
  if (version?.state === 'DESTROY_PENDING' && version.destroyAuthorizedAt !== null) throw decided(job);
}

export function decided({ from, tenant, purpose }: Job): RotationError {
  return new RotationError(
    'ROTATION_STATE',
    `The destruction of version ${from} of ${tenant}/${purpose} is authorized, and has no way back`,
    { remedy: 'It goes on by itself: `keyturn status` shows it.' },
  );
}
