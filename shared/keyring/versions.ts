import { KeyError } from '../errors/errors.ts';
import type { WrappedKek } from '../providers/root-key-provider.ts';
import {
  changeKeyItem,
  changeVersion,
  noEarlier,
  refused,
  requireLock,
  requireStep,
  versionOf,
} from './change-version.ts';
import type { Hold, KeyVersion, TenantKey, Timestamp } from './key.ts';
import type { VersionState } from './states.ts';

/** How a key gets its versions, and how one takes over from another. Pure; a repeat returns the same object. */

export interface NewVersion {
  /** Wrapped in the context of version `nextVersion(key)`; 1 for a new key. */
  readonly wrapped: WrappedKek;
  /** The provider's name. */
  readonly provider: string;
  readonly at: Timestamp;
}

/** A new key with its version 1, PRE_ACTIVE: prove and activate it. */
export function createTenantKey(
  { keyId, tenant, purpose }: Pick<TenantKey, 'keyId' | 'tenant' | 'purpose'>,
  first: NewVersion,
): TenantKey {
  return {
    keyId,
    tenant,
    purpose,
    active: 0,
    revision: 1,
    rotationId: null,
    restoreEpoch: 0,
    activations: 0,
    canary: null,
    holds: [],
    createdAt: first.at,
    serves: [],
    versions: { '1': preActive(1, first) },
  };
}

/** The number that addVersion will give. Numbers are never used again. */
export function nextVersion(key: TenantKey): number {
  return highestVersion(key) + 1;
}

export function highestVersion(key: TenantKey): number {
  return Math.max(0, ...Object.values(key.versions).map(({ version }) => version));
}

/**
 * Step 1 of a rotation: the lock and the new version in one change. `leaves` is the version that the rotation
 * leaves: a late repeat, after the rotation is over, is refused instead of adding one more version.
 */
export function addVersion(
  key: TenantKey,
  added: NewVersion & { readonly rotationId: string; readonly leaves: number },
): TenantKey {
  if (key.rotationId === added.rotationId) return key;
  requireLock(key, null);
  if (key.active !== added.leaves || added.leaves === 0) {
    throw refused(key, versionOf(key, added.leaves || highestVersion(key)), 'is not the active version');
  }
  const version = nextVersion(key);
  return changeKeyItem(key, {
    rotationId: added.rotationId,
    versions: { ...key.versions, [version]: preActive(version, added) },
  });
}

/**
 * Step 1 of a rollback to `to`, or of a re-sweep (`to` is the active version): the lock alone, since no version is made.
 * A version that comes back loses its purge date, so that no purge of it can begin before its activation.
 */
export function lockKey(
  key: TenantKey,
  { rotationId, leaves, to }: { readonly rotationId: string; readonly leaves: number; readonly to: number },
): TenantKey {
  if (key.rotationId === rotationId) return key;
  requireLock(key, null);
  if (key.active !== leaves || leaves === 0) {
    throw refused(key, versionOf(key, leaves || highestVersion(key)), 'is not the active version');
  }
  if (to === leaves) return changeKeyItem(key, { rotationId });
  const found = versionOf(key, to);
  if (found.state !== 'RETIRING') throw refused(key, found, `is ${found.state}, not RETIRING`);
  return changeVersion(key, to, { purgeNotBefore: null, retiredBy: null }, { rotationId });
}

/** A cancelled rotation gives up the lock, and in the same change the version that it made and did not activate. */
export function releaseLock(key: TenantKey, rotationId: string, at: Timestamp): TenantKey {
  if (key.rotationId !== rotationId) return key;
  const versions = Object.fromEntries(
    Object.entries(key.versions).map(([name, version]) => [
      name,
      version.state === 'PRE_ACTIVE' ? abandoned(version, at) : version,
    ]),
  );
  return changeKeyItem(key, { rotationId: null, versions });
}

/** No envelope names it: it was never active. */
function abandoned(version: KeyVersion, at: Timestamp): KeyVersion {
  return { ...version, state: 'DESTROYED', wrapped: null, formerWrapped: null, destroyedAt: at };
}

/** Step 2: the stored KEK was unwrapped by another step, which found `check`. Throws KEY_CHECK_FAILED when proved otherwise before. */
export function proveVersion(key: TenantKey, version: number, check: string, at: Timestamp): TenantKey {
  const found = versionOf(key, version);
  if (found.check === check) return key;
  if (found.check !== null) {
    throw new KeyError(
      'KEY_CHECK_FAILED',
      `Version ${version} of key ${key.keyId} was proved with other key bytes`,
    );
  }
  if (found.state !== 'PRE_ACTIVE') throw refused(key, found, `is ${found.state} and is not proved any more`);
  return changeVersion(key, version, { check, provedAt: noEarlier(at, found.createdAt) });
}

/**
 * Step 3, and a rollback: the version becomes ACTIVE and the one before it RETIRING, in one change. A suspended or
 * compromised predecessor keeps its state. `rotationId`: who must hold the lock; null for a key's first version.
 */
export function activateVersion(
  key: TenantKey,
  version: number,
  at: Timestamp,
  rotationId: string | null,
): TenantKey {
  const found = versionOf(key, version);
  if (key.active === version && found.state === 'ACTIVE') return key;
  requireLock(key, rotationId);
  requireStep(key, found, 'ACTIVE');
  // Leaving SUSPENDED is resumeVersion's: it needs the people who may.
  if (found.state === 'SUSPENDED') throw refused(key, found, 'is SUSPENDED: resume it first');
  if (found.provedAt === null || found.check === null) throw refused(key, found, 'was not proved');
  const activatedAt = noEarlier(at, found.provedAt);
  const activated = changeVersion(
    key,
    version,
    { state: 'ACTIVE', activatedAt, retiringAt: null, purgeNotBefore: null, retiredBy: null },
    { active: version, activations: key.activations + 1 },
  );
  if (key.active === 0) return activated;
  const left = versionOf(key, key.active);
  // No purge date from an earlier retirement may stand: the sweep away from it only begins now.
  const deactivated: KeyVersion = { ...left, retiringAt: activatedAt, purgeNotBefore: null, retiredBy: null };
  if (left.state === 'ACTIVE') requireStep(key, left, 'RETIRING');
  const state = left.state === 'ACTIVE' ? 'RETIRING' : left.state;
  return { ...activated, versions: { ...activated.versions, [left.version]: { ...deactivated, state } } };
}

/** Of a version out of duty that is not on its way to its destruction. */
const RETIRABLE: readonly VersionState[] = ['RETIRING', 'SUSPENDED', 'COMPROMISED'];

/** What a clean census allows. */
export interface Retirement {
  /** The versions may be purged from then on; a date that was set before may only grow. */
  readonly purgeNotBefore: Timestamp;
  /** Who holds the lock; it is free afterwards. */
  readonly rotationId: string;
  /** The key's holds from now on. Left out: as they are. */
  readonly holds?: readonly Hold[];
}

/**
 * Which versions a rotation away from `from` retires: a clean census found nothing on any but the active one. So those
 * count, too, that a cancelled rotation left behind and nobody has retired yet.
 */
export function leftBehind(key: TenantKey, from: number): readonly number[] {
  return outOfDuty(key).flatMap(({ version, purgeNotBefore }) =>
    version === from || purgeNotBefore === null ? [version] : [],
  );
}

/** Step 7: the census found nothing on the version. */
export function retireFrom(key: TenantKey, version: number, retirement: Retirement): TenantKey {
  const found = versionOf(key, version);
  if (key.rotationId !== retirement.rotationId && found.retiredBy === retirement.rotationId) return key;
  requireLock(key, retirement.rotationId);
  if (version === key.active || found.retiringAt === null) throw refused(key, found, 'has no successor yet');
  if (!RETIRABLE.includes(found.state)) throw refused(key, found, `is ${found.state} and was retired before`);
  return retire(key, leftBehind(key, version), retirement);
}

/** Which versions a re-sweep retires anew: all that records may have come back on. */
export function allLeft(key: TenantKey): readonly number[] {
  return outOfDuty(key).map(({ version }) => version);
}

/** The same step of a re-sweep: the grace of every version begins anew. */
export function endResweep(key: TenantKey, retirement: Retirement): TenantKey {
  requireLock(key, retirement.rotationId);
  return retire(key, allLeft(key), retirement);
}

function outOfDuty(key: TenantKey): readonly KeyVersion[] {
  return Object.values(key.versions).filter(
    ({ version, state, retiringAt }) =>
      version !== key.active && retiringAt !== null && RETIRABLE.includes(state),
  );
}

function retire(
  key: TenantKey,
  numbers: readonly number[],
  { purgeNotBefore, rotationId, holds = key.holds }: Retirement,
): TenantKey {
  // The lock is not given up with a version that only its holder knows of.
  const unused = Object.values(key.versions).find(({ state }) => state === 'PRE_ACTIVE');
  if (unused !== undefined) throw refused(key, unused, 'is PRE_ACTIVE still');
  const versions = { ...key.versions };
  for (const number of numbers) {
    const found = versionOf(key, number);
    const held = found.purgeNotBefore;
    versions[number] = {
      ...found,
      purgeNotBefore: held !== null && held > purgeNotBefore ? held : purgeNotBefore,
      retiredBy: held === null ? rotationId : (found.retiredBy ?? rotationId),
    };
  }
  return changeKeyItem(key, { rotationId: null, versions, holds });
}

function preActive(version: number, { wrapped, provider, at }: NewVersion): KeyVersion {
  return {
    version,
    state: 'PRE_ACTIVE',
    wrapped,
    formerWrapped: null,
    suspended: null,
    provider,
    check: null,
    createdAt: at,
    provedAt: null,
    activatedAt: null,
    retiringAt: null,
    purgeNotBefore: null,
    destroyPendingAt: null,
    destroyAuthorizedAt: null,
    destroyedAt: null,
    retiredBy: null,
    seen: null,
    erased: null,
    approvedBy: null,
    agreement: null,
  };
}
