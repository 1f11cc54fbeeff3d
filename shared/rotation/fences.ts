import type { Config } from '../config/schema.ts';
import type { Deps } from '../deps/deps.ts';
import type { TenantKey } from '../keyring/key.ts';
import { getKey } from './change.ts';
import type { Job } from './rotation.ts';

/**
 * The databases' fences against writers that hold a retired version (protocol.md, invariant 5). A store without one
 * takes no notice. Each call says as of which revision of the key it speaks, so that one that comes late, from a step
 * that was overtaken, changes nothing.
 */

type FenceDeps = Pick<Deps, 'recordSets' | 'audit'>;

/**
 * Once no writer can still hold an older version in good faith: nothing below the active version is taken any more. Not
 * while a store is being restored, whose rows are of older versions; the sweep after it raises again.
 */
export async function raiseFences(deps: FenceDeps, key: TenantKey): Promise<void> {
  if (!isBeingRestored(key)) await setFences(deps, key, key.active);
}

/**
 * The same, once the barrier of a job has passed. The rotation that holds the key, and activated its version, waited for the
 * writers of the one that it left. Any other job, also one that is over, may come while a rotation's own barrier still runs.
 */
export async function raiseAfterBarrier(
  deps: FenceDeps & Pick<Deps, 'ledger' | 'clock' | 'config'>,
  { jobId, tenant, purpose, kind, goal, to }: Job,
): Promise<void> {
  const key = await getKey(deps, tenant, purpose);
  const holds = key.rotationId === jobId && key.active === to;
  const waited = holds && kind === 'rotate' && goal !== 'RESWEEP';
  if (waited || isFenceDue(key, deps.clock.now(), deps.config)) await raiseFences(deps, key);
}

/**
 * Before writes of an older version become rightful again: a rollback that is about to activate it, a restore that brings
 * its records back. `key` as it is read right before; a restore's after its epoch was bumped.
 */
export function lowerFences(deps: FenceDeps, key: TenantKey, version: number): Promise<void> {
  return setFences(deps, key, Math.min(version, key.active));
}

/** Pure. Every writer has had the time to learn of the active version, and no restore is under way. */
export function isFenceDue(key: TenantKey, now: number, { rotation }: Pick<Config, 'rotation'>): boolean {
  const activatedAt = key.versions[String(key.active)]?.activatedAt ?? null;
  if (activatedAt === null || isBeingRestored(key)) return false;
  const { cacheMaxAgeSeconds, clockSkewSeconds, maxTransactionSeconds } = rotation;
  return (
    now >= Date.parse(activatedAt) + (cacheMaxAgeSeconds + clockSkewSeconds + maxTransactionSeconds) * 1000
  );
}

function isBeingRestored({ holds }: TenantKey): boolean {
  return holds.some(({ reason, endedEpoch }) => reason === 'RESTORE' && endedEpoch === null);
}

async function setFences({ recordSets, audit }: FenceDeps, key: TenantKey, version: number): Promise<void> {
  if (version < 1) return;
  const { tenant, purpose, keyId, revision } = key;
  // The minimums are the database's: one of its record sets speaks for all.
  const byStore = new Map(
    recordSets.ofKey(tenant, purpose).map((name) => [recordSets.config(name).store, name]),
  );
  for (const [store, name] of byStore) {
    const since = await recordSets.store(name).setMinimum({ keyId, version, revision });
    if (since === null) continue;
    // By the change, not by the call: a repeat tells of what one that died right after it did, and of nothing twice.
    await audit.record(tenant, {
      eventId: `fence-minimum/${store}/${keyId}/${version}/${since}`,
      type: 'fence.minimum-set',
      detail: { store, purpose, keyId, version, keyRevision: revision },
    });
  }
}
