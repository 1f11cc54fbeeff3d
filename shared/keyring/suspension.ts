import { changeVersion, refused, requireStep, versionOf } from './change-version.ts';
import type { Suspension, TenantKey } from './key.ts';

/** A version that may not be used for a while, and why. Pure; a repeat returns the same object. */

/** Suspended already, for whatever reason: that reason stays, so that a root key does not undo what a person decided. */
export function suspendVersion(key: TenantKey, version: number, suspended: Suspension): TenantKey {
  const found = versionOf(key, version);
  if (found.state === 'SUSPENDED') return key;
  requireStep(key, found, 'SUSPENDED');
  return changeVersion(key, version, { state: 'SUSPENDED', suspended });
}

/** Back to what it is without the suspension: ACTIVE when it is the key's active version, else RETIRING. */
export function resumeVersion(key: TenantKey, version: number): TenantKey {
  const found = versionOf(key, version);
  const state = key.active === version ? 'ACTIVE' : 'RETIRING';
  if (found.state === state) return key;
  if (found.state !== 'SUSPENDED') throw refused(key, found, `is ${found.state}, not SUSPENDED`);
  return changeVersion(key, version, { state, suspended: null });
}
