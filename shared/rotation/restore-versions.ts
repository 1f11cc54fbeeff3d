import type { Deps } from '../deps/deps.ts';
import type { Hold, KeyVersion, TenantKey, Timestamp } from '../keyring/key.ts';
import { timestamp } from './change.ts';
import { findCleanMoment } from './clean-moment.ts';
import type { Restore } from './restore.ts';
import { declaredTables } from './served.ts';

/** Which versions of a key a backup may contain. In doubt, it may. */

/** It may have rows of any moment from its begin to its end. */
export interface Backup {
  readonly store: string;
  readonly backupTime: Timestamp;
  readonly backupEnd: Timestamp;
}

/** Pure. The backup of a restore. Where nobody asked for its end, that may have been any moment until it was registered. */
export function backupOf({ store, backupTime, backupEnd, begunAt }: Restore): Backup {
  return { store, backupTime, backupEnd: backupEnd ?? begunAt };
}

/** A version that the backup may need and that is gone. */
export interface LostVersion {
  readonly tenant: string;
  readonly purpose: string;
  readonly version: number;
  /** When its destruction was decided. */
  readonly destroyedAt: string;
}

/** Whether envelopes of the key stand, or ever stood, in the store. */
export function servesStore({ config, recordSets }: Pick<Deps, 'config' | 'recordSets'>, store: string) {
  return ({ tenant, purpose, serves }: TenantKey): boolean =>
    [...serves, ...declaredTables(config, recordSets.ofKey(tenant, purpose))].some(
      (table) => table.store === store,
    );
}

/**
 * Pure. What a restore holds: every version that was ever activated and is not destroyed, whenever it was made and whatever a
 * census found. A value may have been quarantined, a time given for the backup wrong, and a hold costs nothing.
 */
export function versionsToHold(key: Pick<TenantKey, 'versions'>): number[] {
  return Object.values(key.versions)
    .filter((found) => !isGone(found) && found.activatedAt !== null)
    .map(({ version }) => version)
    .sort((a, b) => a - b);
}

/** Pure. The hold of a restore in the item of one key. */
export function holdOf(
  { restoreId, store, requestedBy, begunAt }: Restore,
  versions: readonly number[],
): Hold {
  return {
    holdId: restoreId,
    versions,
    reason: 'RESTORE',
    store,
    note: null,
    by: requestedBy,
    at: begunAt,
    until: null,
    endedEpoch: null,
  };
}

/** The versions that the backup may contain and that are destroyed, or decided to be. */
export async function findLostVersions(
  deps: Pick<Deps, 'ledger' | 'config'>,
  key: TenantKey,
  backup: Backup,
  restores: readonly Restore[],
): Promise<LostVersion[]> {
  const { clockSkewSeconds } = deps.config.rotation;
  const lost: LostVersion[] = [];
  for (const found of Object.values(key.versions)) {
    if (!isGone(found)) continue;
    const destroyedAt = found.destroyAuthorizedAt ?? found.destroyedAt ?? timestamp(0);
    const there = { createdAt: found.createdAt, goneAt: destroyedAt };
    if (!mayContain(backup, { ...there, cleanAt: null }, restores, clockSkewSeconds)) continue;
    const cleanAt = await findCleanMoment(deps, key, found, backup.store);
    if (mayContain(backup, { ...there, cleanAt }, restores, clockSkewSeconds)) {
      lost.push({ tenant: key.tenant, purpose: key.purpose, version: found.version, destroyedAt });
    }
  }
  return lost;
}

/** When records could name a version that is gone by now. */
export interface Presence {
  readonly createdAt: string;
  /** A census found nothing on it, and nothing was written under it any more; null: not known. */
  readonly cleanAt: string | null;
  /** Its destruction was decided: nothing named it then. */
  readonly goneAt: string;
}

/**
 * Pure. A backup contains a version from its creation until a clean census, and again from a restore of an earlier backup
 * that contained it.
 */
export function mayContain(
  backup: Backup,
  presence: Presence,
  restores: readonly Restore[],
  clockSkewSeconds: number,
): boolean {
  const skew = clockSkewSeconds * 1000;
  const from = Date.parse(backup.backupTime) - skew;
  const to = Date.parse(backup.backupEnd) + skew;
  if (Date.parse(presence.createdAt) > to || Date.parse(presence.goneAt) < from) return false;
  const cleanAt = presence.cleanAt === null ? null : Date.parse(presence.cleanAt);
  if (cleanAt === null || cleanAt >= from) return true;
  return restores.some((restore) => {
    const back =
      restore.store === backup.store &&
      (restore.status === 'READY' || restore.status === 'ENDED') &&
      Date.parse(restore.begunAt) <= to &&
      (restore.endedAt === null || Date.parse(restore.endedAt) >= cleanAt - skew);
    const earlier = restores.filter(({ begunAt }) => begunAt < restore.begunAt);
    return back && mayContain(backupOf(restore), presence, earlier, clockSkewSeconds);
  });
}

function isGone({ state, destroyAuthorizedAt }: KeyVersion): boolean {
  return state === 'DESTROYED' || destroyAuthorizedAt !== null;
}
