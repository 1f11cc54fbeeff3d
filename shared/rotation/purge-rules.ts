import { RotationError } from '../errors/errors.ts';
import { versionOf } from '../keyring/change-version.ts';
import type { TenantKey } from '../keyring/key.ts';

/** Throws unless the version is retired, its grace is over, and nothing has decided against its purge. */
export function checkPurgeable(key: TenantKey, version: number, now: number): void {
  const found = versionOf(key, version);
  const name = `Version ${version} of ${key.tenant}/${key.purpose}`;
  if (found.state === 'DESTROY_PENDING' || found.state === 'DESTROYED') return;
  if (found.state !== 'RETIRING') {
    throw new RotationError('PURGE_REFUSED', `${name} is ${found.state}; only a RETIRING version is purged`, {
      remedy:
        found.state === 'ACTIVE'
          ? 'Rotate the key first: `keyturn rotate`.'
          : '`keyturn keys show` has its state.',
    });
  }
  if (found.purgeNotBefore === null) {
    throw new RotationError(
      'PURGE_REFUSED',
      `${name} still has its rotation running, or it never completed`,
      {
        remedy: '`keyturn status` shows the rotation; run `keyturn rotate` again to take it up.',
      },
    );
  }
  if (now < Date.parse(found.purgeNotBefore)) {
    throw new RotationError('PURGE_REFUSED', `${name} is in its grace until ${found.purgeNotBefore}`, {
      remedy:
        'Wait: backups and queued messages may still need it. The daily sweep purges it when grace is over.',
    });
  }
}
