import { KeyError } from '../errors/errors.ts';
import { changeKeyItem, refused, versionOf } from './change-version.ts';
import type { Hold, KeyVersion, TenantKey } from './key.ts';

/** Versions that may not be destroyed, and until when. Pure; a repeat returns the same object. */

/** There is room in the key's item for so many, with the longest notes. Those that have ended are in it, too. */
export const PERSON_LIMIT = 50;

/** The holds that stand on the version. `now` in milliseconds; clocks may differ by the skew. */
export function heldBy(
  key: Pick<TenantKey, 'holds'>,
  version: number,
  now: number,
  clockSkewSeconds: number,
): readonly Hold[] {
  return key.holds.filter(
    (hold) => hold.versions.includes(version) && !hasEnded(hold, now, clockSkewSeconds),
  );
}

export function hasEnded({ until }: Pick<Hold, 'until'>, now: number, clockSkewSeconds: number): boolean {
  return until !== null && now >= Date.parse(until) + clockSkewSeconds * 1000;
}

/**
 * Also calls off the destruction of its versions, in the same change. Throws VERSION_DESTROYED, or VERSION_STATE once
 * the destruction of one of them is authorized: a hold comes too late then.
 */
export function placeHold(key: TenantKey, hold: Hold): TenantKey {
  if (key.holds.some(({ holdId }) => holdId === hold.holdId)) return key;
  if (hold.reason === 'PERSON') {
    const placed = key.holds.filter(({ reason }) => reason === 'PERSON').length;
    if (placed >= PERSON_LIMIT) {
      throw new KeyError(
        'HOLD_REFUSED',
        `Key ${key.keyId} has ${placed} holds by people, the most it can have`,
        {
          remedy: 'Release those that have ended or are not needed: `keyturn holds list` shows them.',
        },
      );
    }
  }
  const versions = { ...key.versions };
  for (const version of hold.versions) versions[String(version)] = withHold(key, versionOf(key, version));
  return changeKeyItem(key, { versions, holds: [...key.holds, hold] });
}

function withHold(key: TenantKey, version: KeyVersion): KeyVersion {
  if (version.state === 'DESTROYED') {
    throw new KeyError('VERSION_DESTROYED', `Version ${version.version} of key ${key.keyId} is destroyed`);
  }
  if (version.destroyAuthorizedAt !== null) {
    throw refused(key, version, 'is decided to be destroyed: it is too late to hold it');
  }
  if (version.state !== 'DESTROY_PENDING') return version;
  return { ...version, state: 'RETIRING', destroyPendingAt: null };
}

/** Throws HOLD_NOT_FOUND, or HOLD_REFUSED for the hold of a restore: only that restore's end releases it. */
export function releaseHold(key: TenantKey, holdId: string): TenantKey {
  if (holdOf(key, holdId).reason === 'RESTORE') {
    throw new KeyError(
      'HOLD_REFUSED',
      `Hold ${holdId} is of a restore, and only the restore's end releases it`,
      {
        remedy: `\`keyturn restore end ${holdId}\` when all rows are back.`,
      },
    );
  }
  return withoutHold(key, holdId);
}

/** Throws HOLD_NOT_FOUND. */
export function holdOf(key: TenantKey, holdId: string): Hold {
  const found = key.holds.find((hold) => hold.holdId === holdId);
  if (found !== undefined) return found;
  throw new KeyError('HOLD_NOT_FOUND', `Key ${key.keyId} has no hold ${holdId}`, {
    remedy: '`keyturn holds list` shows them.',
  });
}

/**
 * Holds versions for a restore, and voids every purge that began before. One that an end of the restore
 * marked as ended, or that a sweep freed since, holds anew: rows may still come back.
 */
export function holdForRestore(key: TenantKey, hold: Hold): TenantKey {
  const before = key.holds.find(({ holdId }) => holdId === hold.holdId);
  if (before?.endedEpoch === null) return key;
  const held = placeHold({ ...key, holds: key.holds.filter((other) => other !== before) }, hold);
  return { ...held, restoreEpoch: key.restoreEpoch + 1 };
}

/** The restore is over: what sweeps and purges found out before it counts no more. */
export function endRestoreHold(key: TenantKey, restoreId: string): TenantKey {
  const restoreEpoch = key.restoreEpoch + 1;
  const open = key.holds.some(({ holdId, endedEpoch }) => holdId === restoreId && endedEpoch === null);
  if (!open) return key;
  const holds = key.holds.map((hold) =>
    hold.holdId === restoreId ? { ...hold, endedEpoch: restoreEpoch } : hold,
  );
  return changeKeyItem(key, { restoreEpoch, holds });
}

/** A sweep that began in `restoreEpoch` found nothing left: the restores that had ended by then hold nothing any more. */
export function isFreed({ reason, endedEpoch }: Hold, restoreEpoch: number): boolean {
  return reason === 'RESTORE' && endedEpoch !== null && endedEpoch <= restoreEpoch;
}

/** The same key when it has no such hold. */
export function withoutHold(key: TenantKey, holdId: string): TenantKey {
  const holds = key.holds.filter((hold) => hold.holdId !== holdId);
  return holds.length === key.holds.length ? key : changeKeyItem(key, { holds });
}
