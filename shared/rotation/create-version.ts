import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import { addVersion, highestVersion, nextVersion } from '../keyring/versions.ts';
import { changeJob, getKey, getRunningJob, moveJob, timestamp } from './change.ts';
import { askProvider } from './root-key-trouble.ts';

/**
 * Step 1 of a rotation: one conditional write puts the new version PRE_ACTIVE and the rotation's id on the key,
 * which is the key's lock. Repeated: finds them there and changes nothing.
 */
export async function createVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getRunningJob(deps, jobId);
  const key = await getKey(deps, job.tenant, job.purpose);
  // With a version of its own it was here before; it may even have freed the lock and crashed before its end.
  if (key.rotationId !== jobId && job.to === 0) {
    if (key.rotationId !== null || key.active !== job.from) {
      throw new RotationError(
        'ROTATION_STATE',
        `Rotation ${jobId} leaves version ${job.from}, but ${key.active} is active`,
      );
    }
    const context = { tenant: key.tenant, purpose: key.purpose, keyId: key.keyId, version: nextVersion(key) };
    const wrapped = await askProvider(deps, job, () => deps.provider.generateKek(context));
    const provider = deps.provider.name;
    const at = timestamp(deps.clock.now());
    // The KEK is bound to this version number: only the key that was read may take it, so a lost race is an error
    // that the state machine tries again, with a KEK for the number that is next by then.
    await deps.ledger.replaceKey(
      addVersion(key, { wrapped, provider, at, rotationId: jobId, leaves: job.from }),
    );
  }
  const locked = await getKey(deps, job.tenant, job.purpose);
  const to = job.to === 0 ? highestVersion(locked) : job.to;
  await changeJob(deps, jobId, (current) =>
    current.status === 'REQUESTED'
      ? moveJob(current, 'PREPARING', { to, startedAt: current.startedAt ?? timestamp(deps.clock.now()) })
      : current,
  );
}
