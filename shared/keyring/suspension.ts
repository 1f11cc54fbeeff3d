import { changeVersion, refused, requireStep, versionOf } from './change-version.ts';
import type { TenantKey } from './key.ts';

/** A version that may not be used for a while: the BYOK owner or an admin said so. Pure; a repeat returns the same object. */

export function suspendVersion(key: TenantKey, version: number): TenantKey {
  const found = versionOf(key, version);
  if (found.state === 'SUSPENDED') return key;
  requireStep(key, found, 'SUSPENDED');
  return changeVersion(key, version, { state: 'SUSPENDED' });
}

/** Back to what it is without the suspension: ACTIVE when it is the key's active version, else RETIRING. */
export function resumeVersion(key: TenantKey, version: number): TenantKey {
  const found = versionOf(key, version);
  const state = key.active === version ? 'ACTIVE' : 'RETIRING';
  if (found.state === state) return key;
  if (found.state !== 'SUSPENDED') throw refused(key, found, `is ${found.state}, not SUSPENDED`);
  return changeVersion(key, version, { state });
}
