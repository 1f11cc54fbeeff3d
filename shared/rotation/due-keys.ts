import { createHash } from 'node:crypto';
import type { TenantKey } from '../keyring/key.ts';

/**
 * Which keys a daily sweep rotates because of their age. Pure. A key is due a part of spreadDays before it is everyDays
 * old, always the same part for the same key: keys that were made on one day do not rotate on one day.
 */

export interface DuePolicy {
  /** Oldest that an active version may get, in days; null: keys rotate on request only. */
  readonly everyDays: number | null;
  readonly spreadDays: number;
}

export interface DueKeys {
  /** Oldest first. */
  readonly due: readonly TenantKey[];
  /** Due keys whose active version is suspended or compromised: a person's to look at. */
  readonly skipped: number;
}

/** Who asks, for what the daily sweep starts by itself. */
export const DAILY_SWEEP = 'daily sweep';

const DAY_MS = 86_400_000;
/** A key that would come due before the next sweep is due in this one: a day and the schedule's flexible window later. */
const UNTIL_NEXT_SWEEP_MS = DAY_MS + 3_600_000;

export function findDueKeys(keys: readonly TenantKey[], policy: DuePolicy, now: number): DueKeys {
  const due: TenantKey[] = [];
  let skipped = 0;
  for (const key of keys) {
    const from = dueFrom(key, policy);
    if (from === null || now < from) continue;
    if (key.versions[String(key.active)]?.state === 'ACTIVE') due.push(key);
    else skipped += 1;
  }
  return { due: due.sort((a, b) => activatedAt(a) - activatedAt(b)), skipped };
}

/** From when on a sweep rotates the key, in milliseconds; null: never. */
export function dueFrom(
  key: Pick<TenantKey, 'keyId' | 'active' | 'versions'>,
  { everyDays, spreadDays }: DuePolicy,
): number | null {
  const since = activatedAt(key);
  if (everyDays === null || Number.isNaN(since)) return null;
  const age = everyDays * DAY_MS;
  const ahead = UNTIL_NEXT_SWEEP_MS + spreadOf(key.keyId) * spreadDays * DAY_MS;
  // A wide spread or a short policy must not rotate a key again and again. One of a day or two can be late by hours.
  return since + Math.max(age - ahead, age / 2);
}

/** The key's part of the spread, from 0 to below 1, evenly: its id alone is in the order of time. */
function spreadOf(keyId: string): number {
  return createHash('sha256').update(keyId).digest().readUIntBE(0, 6) / 2 ** 48;
}

/** NaN where no version is active. */
function activatedAt({ active, versions }: Pick<TenantKey, 'active' | 'versions'>): number {
  return Date.parse(versions[String(active)]?.activatedAt ?? '');
}
