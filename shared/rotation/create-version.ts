import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import { addVersion, nextVersion } from '../keyring/versions.ts';
import { changeJob, changeKey, getJob, getKey, moveJob, timestamp } from './change.ts';

/**
 * Step 1 of a rotation: one conditional write puts the new version PRE_ACTIVE and the rotation's id on the key,
 * which is the key's lock. Repeated: finds them there and changes nothing.
 */
export async function createVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getJob(deps, jobId);
  const key = await getKey(deps, job.tenant, job.purpose);
  if (key.rotationId !== jobId) {
    if (key.rotationId !== null || key.active !== job.from) {
      throw new RotationError('ROTATION_STATE', `Rotation ${jobId} leaves version ${job.from}, but ${key.active} is active`);
    }
    const context = { tenant: key.tenant, purpose: key.purpose, keyId: key.keyId, version: nextVersion(key) };
    const wrapped = await deps.provider.generateKek(context);
    // Made for this very version number: when somebody else took it, the conditional write fails and the KEK is dropped.
    await changeKey(deps, job.tenant, job.purpose, (current) =>
      current.rotationId === jobId
        ? current
        : addVersion(current, {
            version: context.version,
            wrapped,
            provider: deps.provider.name,
            rotationId: jobId,
            at: timestamp(deps.clock.now()),
          }),
    );
  }
  const locked = await getKey(deps, job.tenant, job.purpose);
  const to = Math.max(...Object.keys(locked.versions).map(Number));
  await changeJob(deps, jobId, (current) =>
    current.status === 'REQUESTED'
      ? moveJob(current, 'PREPARING', { to, startedAt: current.startedAt ?? timestamp(deps.clock.now()) })
      : current,
  );
}
