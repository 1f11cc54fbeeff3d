import { KeyError } from '../errors/errors.ts';
import type { KeyVersion, TenantKey, Timestamp } from './key.ts';
import { mayBecome, type VersionState } from './states.ts';

/** What every change of a key shares. A change returns a new key, one revision on, or the very same object: nothing to do. */

/** Throws VERSION_NOT_FOUND. */
export function versionOf(key: TenantKey, version: number): KeyVersion {
  const found = key.versions[String(version)];
  if (found !== undefined) return found;
  throw new KeyError('VERSION_NOT_FOUND', `Key ${key.keyId} has no version ${version}`, {
    remedy: `It has ${Object.keys(key.versions).join(', ')}`,
  });
}

export function changeKeyItem(key: TenantKey, changes: Partial<TenantKey>): TenantKey {
  return { ...key, ...changes, revision: key.revision + 1 };
}

export function changeVersion(
  key: TenantKey,
  version: number,
  changes: Partial<KeyVersion>,
  keyChanges: Partial<TenantKey> = {},
): TenantKey {
  const changed = { ...versionOf(key, version), ...changes };
  return changeKeyItem(key, { ...keyChanges, versions: { ...key.versions, [version]: changed } });
}

/** A clock that is set back does not change the order of what happened: a certificate would contradict itself. */
export function noEarlier(at: Timestamp, before: Timestamp | null): Timestamp {
  return before !== null && at < before ? before : at;
}

/** Throws VERSION_STATE unless the table of states has that step. */
export function requireStep(key: TenantKey, version: KeyVersion, to: VersionState): void {
  if (!mayBecome(version.state, to))
    throw refused(key, version, `is ${version.state} and cannot become ${to}`);
}

/** Throws VERSION_STATE unless the lock is this rotation's (null: unless nobody holds it). */
export function requireLock(key: TenantKey, rotationId: string | null): void {
  if (key.rotationId === rotationId) return;
  const holder = key.rotationId === null ? 'held by no rotation' : `held by rotation ${key.rotationId}`;
  throw new KeyError(
    'VERSION_STATE',
    `The lock of key ${key.keyId} is ${holder}, not by ${rotationId ?? 'nobody'}`,
  );
}

export function refused(key: TenantKey, version: KeyVersion, why: string): KeyError {
  return new KeyError('VERSION_STATE', `Version ${version.version} of key ${key.keyId} ${why}`);
}
