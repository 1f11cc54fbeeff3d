import { KeyError } from '../errors/errors.ts';
import { changeVersion, noEarlier, refused, requireStep, versionOf } from './change-version.ts';
import type { Agreement, ErasedWrapping, KeyVersion, TenantKey, Timestamp } from './key.ts';
import { isSeen } from './sightings.ts';

/**
 * The way of a version to its end: fenced (begin), then called off (cancel) or decided (authorize), then erased
 * (finish), or kept after all (withdraw). Pure; a repeat returns the same object.
 */

/** RETIRING -> DESTROY_PENDING. Throws VERSION_STATE before `purgeNotBefore`. */
export function beginDestroy(key: TenantKey, version: number, at: Timestamp): TenantKey {
  const found = versionOf(key, version);
  if (found.state === 'DESTROY_PENDING') return key;
  requireStep(key, found, 'DESTROY_PENDING');
  // A cancelled purge goes back to RETIRING, which would wash the mark off a compromised version.
  if (found.state !== 'RETIRING') throw refused(key, found, `is ${found.state}, not RETIRING`);
  if (found.purgeNotBefore === null)
    throw refused(key, found, 'has a rotation away from it that is not complete');
  if (at < found.purgeNotBefore) throw refused(key, found, `is in its grace until ${found.purgeNotBefore}`);
  // An earlier use that no purge has answered for yet, since it was called off for something else.
  const used = key.canary !== null && [0, version].includes(key.canary.version) && !isSeen(found);
  const fenced = {
    state: 'DESTROY_PENDING',
    destroyPendingAt: at,
    destroyAuthorizedAt: null,
    seen: used ? { at, cleanAt: null } : found.seen,
  } as const;
  // What was asked for before is over; but not while another version waits, of which it may speak.
  const others = Object.values(key.versions).some(
    (other) => other.version !== version && other.state === 'DESTROY_PENDING',
  );
  return changeVersion(key, version, fenced, others ? {} : { canary: null });
}

/** DESTROY_PENDING -> RETIRING. Throws once the destruction is authorized: nobody but its own purge goes back then. */
export function cancelDestroy(key: TenantKey, version: number): TenantKey {
  const found = versionOf(key, version);
  if (found.state === 'RETIRING') return key;
  if (found.state === 'DESTROYED') throw destroyed(key, version);
  requireStep(key, found, 'RETIRING');
  if (found.state !== 'DESTROY_PENDING') throw refused(key, found, `is ${found.state}, not DESTROY_PENDING`);
  if (found.destroyAuthorizedAt !== null) throw refused(key, found, 'is decided to be destroyed');
  return changeVersion(key, version, { state: 'RETIRING', destroyPendingAt: null });
}

export interface Authorization {
  readonly at: Timestamp;
  readonly restoreEpoch: number;
  /** The approval request that is used up by it; null: none is required. */
  readonly approvedBy: string | null;
  /** Left out where no approvals are required. */
  readonly agreement?: Agreement;
}

/**
 * The write that decides, on condition that it is still pending, that no store was restored since `restoreEpoch`,
 * that nobody asked for a fenced version, and that the approvals were not used before.
 */
export function authorizeDestroy(
  key: TenantKey,
  version: number,
  { at, restoreEpoch, approvedBy, agreement = { required: 0, approvers: [] } }: Authorization,
): TenantKey {
  const found = versionOf(key, version);
  if (found.state === 'DESTROYED') return key;
  if (found.state !== 'DESTROY_PENDING') throw refused(key, found, `is ${found.state}, not DESTROY_PENDING`);
  if (found.destroyAuthorizedAt !== null) return key;
  if (key.restoreEpoch !== restoreEpoch) throw refused(key, found, 'had a store restored in between');
  if (key.canary !== null) throw refused(key, found, 'was asked for in between');
  if (isSeen(found)) throw refused(key, found, 'has to be retired anew first: something was found on it');
  const used =
    approvedBy !== null && Object.values(key.versions).some((one) => one.approvedBy === approvedBy);
  if (used) throw refused(key, found, 'has an approval that was used before');
  const authorizedAt = noEarlier(at, found.destroyPendingAt);
  return changeVersion(key, version, { destroyAuthorizedAt: authorizedAt, approvedBy, agreement });
}

/**
 * DESTROY_PENDING, authorized -> RETIRING: for the purge alone, when it finds before the erasure that something needs the
 * version after all. `approvedBy` stays: those approvals are used up.
 */
export function withdrawDestroy(key: TenantKey, version: number): TenantKey {
  const found = versionOf(key, version);
  if (found.state === 'RETIRING') return key;
  if (found.state === 'DESTROYED') throw destroyed(key, version);
  if (found.state !== 'DESTROY_PENDING' || found.destroyAuthorizedAt === null) {
    throw refused(key, found, `is ${found.state} and its destruction is not authorized`);
  }
  return changeVersion(key, version, {
    state: 'RETIRING',
    destroyPendingAt: null,
    destroyAuthorizedAt: null,
    agreement: null,
  });
}

/**
 * DESTROY_PENDING, authorized -> DESTROYED: the wrapped KEK is erased, the metadata stays. Throws where anything asked for
 * the version since it was authorized.
 */
export function finishDestroy(key: TenantKey, version: number, at: Timestamp): TenantKey {
  const found = versionOf(key, version);
  if (found.state === 'DESTROYED') return key;
  if (found.state !== 'DESTROY_PENDING' || found.destroyAuthorizedAt === null) {
    throw refused(key, found, `is ${found.state} and its destruction is not authorized`);
  }
  if (key.canary !== null) throw refused(key, found, 'was asked for since');
  return changeVersion(key, version, {
    state: 'DESTROYED',
    wrapped: null,
    formerWrapped: null,
    erased: wrappingsOf(found),
    destroyedAt: noEarlier(at, found.destroyAuthorizedAt),
  });
}

function wrappingsOf({ wrapped, formerWrapped }: KeyVersion): ErasedWrapping[] {
  const named = [wrapped, formerWrapped].filter((each) => each !== null);
  return named.map(({ rootKeyId, materialId }) => ({ rootKeyId, materialId }));
}

function destroyed(key: TenantKey, version: number): KeyError {
  return new KeyError('VERSION_DESTROYED', `Version ${version} of key ${key.keyId} is destroyed`);
}
