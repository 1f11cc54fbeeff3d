import type { Config } from '../config/schema.ts';
import { hasEnded, heldBy, isFreed } from '../keyring/holds.ts';
import type { Hold, TenantKey, Timestamp } from '../keyring/key.ts';
import { timestamp } from './change.ts';

/**
 * What backups still need. The latest backup that contains a version decides: it was taken, at the latest, when a census
 * found the last of its records gone, and is kept for the store's retention.
 */

/** How long a store's backups are kept. Also of one that the configuration does not name any more. */
function backupRetentionOf(config: Config, store: string): number {
  const own = Object.hasOwn(config.stores, store) ? config.stores[store]?.backupRetentionSeconds : undefined;
  return own ?? config.rotation.backupRetentionSeconds;
}

/** The holds that stand on the version. A retention that was made longer since counts; one made shorter does not. */
export function standingHolds(
  key: Pick<TenantKey, 'holds'>,
  version: number,
  now: number,
  config: Config,
): readonly Hold[] {
  const holds = key.holds.map((hold) => extended(hold, config));
  return heldBy({ holds }, version, now, config.rotation.clockSkewSeconds);
}

/** For a blocker or a refusal: why, and until when. */
export function describeHolds(holds: readonly Hold[]): string {
  return holds.map(describeHold).join('; ');
}

function describeHold({ holdId, reason, store, until, endedEpoch }: Hold): string {
  const end = until === null ? '' : ` until ${until}`;
  switch (reason) {
    case 'BACKUP':
      return `backups of store ${store ?? ''} may contain it${end}`;
    case 'RESTORE':
      return endedEpoch === null
        ? `store ${store ?? ''} is being restored (restore ${holdId})`
        : `store ${store ?? ''} was restored (restore ${holdId}), and its records are not swept yet`;
    case 'PERSON':
      return `a person holds it (hold ${holdId})${end}`;
  }
}

/**
 * Pure. The key's holds when a census has found the last records of `versions` gone: of each store that the key serves,
 * or served, a hold for as long as its backups live. Called again, after a rollback or a restore, it renews them; the
 * later end stands. Holds on what is destroyed are left out.
 */
export function backupHolds(
  key: TenantKey,
  versions: readonly number[],
  config: Config,
  at: Timestamp,
): readonly Hold[] {
  const stores = [...new Set(key.serves.map(({ store }) => store))];
  const placed = stores.flatMap((store) =>
    versions
      .filter((version) => isHoldable(key, version))
      .map((version) => backupHold(key, version, store, config, at)),
  );
  const renewed = new Set(placed.map(({ holdId }) => holdId));
  const kept = key.holds.filter(({ holdId }) => !renewed.has(holdId));
  return prunedHolds({ ...key, holds: [...kept, ...placed] });
}

/**
 * Pure. The same, and what a clean sweep that began in `restoreEpoch` frees: the restores that had ended by then. Their
 * versions stood in the store again until now, so its backups contain them anew.
 */
export function holdsAfterSweep(
  key: TenantKey,
  sweep: { readonly versions: readonly number[]; readonly restoreEpoch: number },
  config: Config,
  at: Timestamp,
): readonly Hold[] {
  const freed = key.holds.filter((hold) => isFreed(hold, sweep.restoreEpoch));
  const versions = [...sweep.versions, ...freed.flatMap((hold) => hold.versions)];
  const holds = key.holds.filter((hold) => !freed.includes(hold));
  const left = [...new Set(versions)].filter((version) => version !== key.active);
  return backupHolds({ ...key, holds }, left, config, at);
}

/** Pure. The holds that stand, each with its end as the configuration is now; and those of people that have ended. */
export function currentHolds(
  key: Pick<TenantKey, 'holds' | 'versions'>,
  config: Config,
  now: number,
): readonly Hold[] {
  return key.holds
    .map((hold) => extended(hold, config))
    .filter(
      (hold) =>
        (hold.reason === 'PERSON' || !hasEnded(hold, now, config.rotation.clockSkewSeconds)) &&
        hold.versions.some((version) => isHoldable(key, version)),
    );
}

/**
 * Pure. Without those whose versions are all destroyed: the key's item stays small. Those that have ended stay, since a
 * clock that is ahead for a moment would forget them for good; there is one a store and version, and few are people's.
 */
export function prunedHolds(key: Pick<TenantKey, 'holds' | 'versions'>): readonly Hold[] {
  return key.holds.filter((hold) => hold.versions.some((version) => isHoldable(key, version)));
}

function isHoldable({ versions }: Pick<TenantKey, 'versions'>, version: number): boolean {
  const state = versions[String(version)]?.state;
  return state !== undefined && state !== 'DESTROYED';
}

export function backupHoldId(store: string, version: number): string {
  return `backup/${store}/${version}`;
}

function backupHold(key: TenantKey, version: number, store: string, config: Config, at: Timestamp): Hold {
  const holdId = backupHoldId(store, version);
  const before = key.holds.find((hold) => hold.holdId === holdId);
  const since = latest([at, key.versions[String(version)]?.retiringAt, before?.at]);
  const hold: Hold = {
    holdId,
    versions: [version],
    reason: 'BACKUP',
    store,
    note: null,
    by: 'policy',
    at: since,
    until: latest([since, before?.until]),
    endedEpoch: null,
  };
  return extended(hold, config);
}

/** As long as the store's retention is now, at least. What asks whether it stands adds the clocks' skew. */
function extended(hold: Hold, config: Config): Hold {
  if (hold.reason !== 'BACKUP' || hold.store === null || hold.until === null) return hold;
  const end = Date.parse(hold.at) + backupRetentionOf(config, hold.store) * 1000;
  return { ...hold, until: latest([hold.until, timestamp(end)]) };
}

/** Timestamps are of one form, so their order is that of the text. */
function latest(times: readonly (Timestamp | null | undefined)[]): Timestamp {
  return (
    times
      .filter((time) => time !== null && time !== undefined)
      .toSorted()
      .at(-1) ?? timestamp(0)
  );
}
