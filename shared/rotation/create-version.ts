import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import { addVersion, highestVersion, lockKey, nextVersion } from '../keyring/versions.ts';
import { changeJob, getKey, getRunningJob, moveJob, requireRunning, timestamp } from './change.ts';
import { hasRoomForVersion, keyFull } from './key-room.ts';
import { requireRetiring } from './rollback-rules.ts';
import { askProvider } from './root-key-trouble.ts';
import type { Job } from './rotation.ts';

/**
 * Step 1 of a rotation: one conditional write puts the new version PRE_ACTIVE and the rotation's id on the key,
 * which is the key's lock. A rollback and a re-sweep make no version and take the lock alone. Repeated: finds it all
 * there and changes nothing.
 */
export async function createVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getRunningJob(deps, jobId);
  const key = await getKey(deps, job.tenant, job.purpose);
  // Once it has begun, it had the lock; it may even have freed it and crashed before its end.
  if (key.rotationId !== jobId && job.startedAt === null) {
    if (key.rotationId !== null || key.active !== job.from) {
      throw new RotationError(
        'ROTATION_STATE',
        `Rotation ${jobId} leaves version ${job.from}, but ${key.active} is active`,
      );
    }
    const locked = await lock(deps, job, key);
    // Whoever cancels the job writes that first, and then the key: so this finds it, or the write finds another key.
    await getRunningJob(deps, jobId);
    // The KEK is bound to this version number: only the key that was read may take it, so a lost race is an error
    // that the state machine tries again, with a KEK for the number that is next by then.
    await deps.ledger.replaceKey(locked);
  }
  const locked = await getKey(deps, job.tenant, job.purpose);
  const to = job.to === 0 ? highestVersion(locked) : job.to;
  await changeJob(deps, jobId, (current) =>
    requireRunning(current).status === 'REQUESTED'
      ? moveJob(current, 'PREPARING', { to, startedAt: current.startedAt ?? timestamp(deps.clock.now()) })
      : current,
  );
}

/** Pure but for the new KEK. */
async function lock(deps: Deps, job: Job, key: TenantKey): Promise<TenantKey> {
  const { jobId: rotationId, from: leaves, to } = job;
  if (job.goal === 'ROLLBACK') requireRetiring(key, to);
  if (job.goal !== 'NEW_VERSION') return lockKey(key, { rotationId, leaves, to });
  if (!hasRoomForVersion(key, deps.config)) throw keyFull(key);
  const context = { tenant: key.tenant, purpose: key.purpose, keyId: key.keyId, version: nextVersion(key) };
  const wrapped = await askProvider(deps, job, () => deps.provider.generateKek(context));
  const at = timestamp(deps.clock.now());
  return addVersion(key, { wrapped, provider: deps.provider.name, at, rotationId, leaves });
}
