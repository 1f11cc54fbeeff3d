import { RotationError } from '../errors/errors.ts';
import { versionOf } from '../keyring/change-version.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { VersionState } from '../keyring/states.ts';

/** What a rollback may go back to: a version that is RETIRING. Pure. */

export interface RollbackObstacle {
  readonly message: string;
  readonly remedy: string;
}

const WAYS_ON = {
  PRE_ACTIVE: 'It was never active: `keyturn rotate` goes on with it.',
  SUSPENDED: 'Enable its root key, or ask who suspended it: a version comes back only from RETIRING.',
  COMPROMISED: 'Nothing is encrypted under it again. `keyturn rotate` makes a new version.',
  DESTROYED: 'What it encrypted is gone on purpose. `keyturn rotate` makes a new version.',
} as const satisfies Partial<Record<VersionState, string>>;

/** For a request: throws ROLLBACK_REFUSED. A purge of the version that is not decided is no obstacle: the request calls it off. */
export function checkReturnable(key: TenantKey, to: number): void {
  if (!isBeingPurged(key, to)) requireRetiring(key, to);
}

/** For the step that takes the key's lock: throws ROLLBACK_REFUSED for a purge that has begun since the request, too. */
export function requireRetiring(key: TenantKey, to: number): void {
  const obstacle = whyNotRetiring(key, to);
  if (obstacle !== null) throw refuseRollback(obstacle);
}

/** Null: the version may be activated again, or is active. */
export function whyNotRetiring(key: TenantKey, to: number): RollbackObstacle | null {
  const { state } = versionOf(key, to);
  const name = `Version ${to} of ${key.tenant}/${key.purpose}`;
  if (state === 'ACTIVE' || state === 'RETIRING') return null;
  if (isBeingPurged(key, to)) {
    return {
      message: `${name} was fenced for its purge after the rollback was asked for`,
      remedy: 'Ask for it once more: `keyturn rollback` calls that purge off.',
    };
  }
  if (state !== 'DESTROY_PENDING') return { message: `${name} is ${state}`, remedy: WAYS_ON[state] };
  return {
    message: `${name} is decided to be destroyed`,
    remedy: 'There is no way back. `keyturn rotate` makes a new version.',
  };
}

/** Whether no rollback can go back to it ever again. */
export function isGone({ versions }: Pick<TenantKey, 'versions'>, version: number): boolean {
  const { state, destroyAuthorizedAt = null } = versions[String(version)] ?? {};
  return state === 'DESTROYED' || destroyAuthorizedAt !== null;
}

/** Fenced, and not decided yet. */
function isBeingPurged(key: TenantKey, version: number): boolean {
  return versionOf(key, version).state === 'DESTROY_PENDING' && !isGone(key, version);
}

export function refuseRollback({ message, remedy }: RollbackObstacle): RotationError {
  return new RotationError('ROLLBACK_REFUSED', message, { remedy });
}
