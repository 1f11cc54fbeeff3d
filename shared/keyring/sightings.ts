import { changeKeyItem, changeVersion, refused, versionOf } from './change-version.ts';
import type { Hold, KeyVersion, ServedTable, TenantKey, Timestamp } from './key.ts';

/**
 * A version that was retired, and then something was found on it after all: backups of now contain it, and the time that
 * was counted from its retirement is void. Pure; a repeat returns the same object.
 */

/** Something was found on the version, and no purge has counted nothing on it since. */
export function isSeen({ seen }: Pick<KeyVersion, 'seen'>): boolean {
  return seen !== null && seen.cleanAt === null;
}

/**
 * By whoever sees more than a sweep does: a purge, whose count covers what is not declared and the rows of other tenants;
 * or something that asked for the version. Only the clean count of a purge answers that: see `renewGrace`. Also calls off
 * its destruction. Nothing is changed on a version in duty, and on one whose destruction is decided.
 */
export function markSeen(key: TenantKey, version: number, at: Timestamp): TenantKey {
  const found = versionOf(key, version);
  if (!isLeft(key, found) || (isSeen(found) && found.state !== 'DESTROY_PENDING')) return key;
  return changeVersion(key, version, { ...calledOff(found), seen: { at, cleanAt: null } });
}

/**
 * By a sweep that holds the lock: the versions are retired no more, and the clean census that ends the sweep retires them
 * anew, with its grace and its holds. Numbers that are no versions out of duty are passed over.
 */
export function endRetirement(key: TenantKey, numbers: readonly number[]): TenantKey {
  const versions = { ...key.versions };
  const retired = Object.values(versions).filter(
    (found) => numbers.includes(found.version) && isLeft(key, found) && found.purgeNotBefore !== null,
  );
  if (retired.length === 0) return key;
  for (const found of retired) {
    versions[found.version] = { ...calledOff(found), purgeNotBefore: null, retiredBy: null };
  }
  return changeKeyItem(key, { versions });
}

/** What a chunk, or a census, of job `jobId` found on versions other than the active one. */
export function seenBySweep(
  key: TenantKey,
  jobId: string,
  numbers: readonly number[],
  at: Timestamp,
): TenantKey {
  if (key.rotationId === jobId) return endRetirement(key, numbers);
  // A late chunk: no census of its job is to come.
  const marked = numbers
    .filter((version) => (key.versions[String(version)]?.purgeNotBefore ?? null) !== null)
    .reduce((next, version) => markSeen(next, version, at), key);
  return marked === key ? key : { ...marked, revision: key.revision + 1 };
}

/** What the clean count of a purge begins anew. */
export interface Renewal {
  readonly at: Timestamp;
  readonly purgeNotBefore: Timestamp;
  readonly holds: readonly Hold[];
  /** What it read and the census that retired the version had not. */
  readonly besides: readonly ServedTable[];
}

/**
 * The count of a purge found nothing on a version that was seen, or in a table that nobody had read when it was retired:
 * not destroyed, but retired as of now. Its grace and the holds of backups begin anew.
 */
export function renewGrace(
  key: TenantKey,
  version: number,
  { at, purgeNotBefore, holds, besides }: Renewal,
): TenantKey {
  const found = versionOf(key, version);
  if (found.state === 'RETIRING' && found.seen?.cleanAt === at) return key;
  if (found.state !== 'DESTROY_PENDING' || found.destroyAuthorizedAt !== null)
    throw refused(key, found, `is ${found.state}, and no purge of it counts`);
  const later =
    found.purgeNotBefore !== null && found.purgeNotBefore > purgeNotBefore
      ? found.purgeNotBefore
      : purgeNotBefore;
  const seen = {
    at: found.seen?.at ?? at,
    cleanAt: at,
    ...(besides.length === 0 ? {} : { besides }),
  };
  return changeVersion(key, version, { ...calledOff(found), seen, purgeNotBefore: later }, { holds });
}

/** Out of duty, and not gone. */
function isLeft(key: TenantKey, { version, state, destroyAuthorizedAt }: KeyVersion): boolean {
  const gone = state === 'DESTROYED' || destroyAuthorizedAt !== null;
  return version !== key.active && state !== 'PRE_ACTIVE' && !gone;
}

function calledOff(found: KeyVersion): KeyVersion {
  return found.state === 'DESTROY_PENDING' ? { ...found, state: 'RETIRING', destroyPendingAt: null } : found;
}
