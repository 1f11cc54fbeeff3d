import { KeyError, RotationError } from '../errors/errors.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';

/** Throws unless the version is retired, its grace is over, and nothing has decided against its purge. */
export function checkPurgeable(key: TenantKey, version: number, now: number): void {
  const found = getVersion(key, version);
  const name = `Version ${version} of ${key.tenant}/${key.purpose}`;
  if (found.state === 'DESTROY_PENDING' || found.state === 'DESTROYED') return;
  if (found.state !== 'RETIRING') {
    throw new RotationError('PURGE_REFUSED', `${name} is ${found.state}; only a RETIRING version is purged`, {
      remedy: found.state === 'ACTIVE' ? 'Rotate the key first: `keyturn rotate`.' : '`keyturn keys show` has its state.',
    });
  }
  if (found.purgeNotBefore === null) {
    throw new RotationError('PURGE_REFUSED', `${name} still has its rotation running, or it never completed`, {
      remedy: '`keyturn status` shows the rotation; run `keyturn rotate` again to take it up.',
    });
  }
  if (now < Date.parse(found.purgeNotBefore)) {
    throw new RotationError('PURGE_REFUSED', `${name} is in its grace until ${found.purgeNotBefore}`, {
      remedy: 'Wait: backups and queued messages may still need it. The daily sweep purges it when grace is over.',
    });
  }
}

export function getVersion(key: TenantKey, version: number): KeyVersion {
  const found = key.versions[String(version)];
  if (found === undefined) {
    throw new KeyError('VERSION_NOT_FOUND', `${key.tenant}/${key.purpose} has no version ${version}`, {
      remedy: `It has: ${Object.keys(key.versions).join(', ')}.`,
    });
  }
  return found;
}
