import type { Deps } from '../deps/deps.ts';
import { KeyturnError, RotationError } from '../errors/errors.ts';
import { endRestoreHold, holdForRestore } from '../keyring/holds.ts';
import type { Hold, TenantKey } from '../keyring/key.ts';
import { addCounts, NO_COUNT } from '../records/census-count.ts';
import type { CensusCount } from '../records/record-store.ts';
import { changeKey, getKey, timestamp } from './change.ts';
import { type JobRequest, nextResweep, requestResweep, unlessCancelled } from './request-job.ts';
import type { Restore } from './restore.ts';
import { changeRestore, getRestore } from './restore-change.ts';
import { eachKey, type OnProgress } from './restore-lanes.ts';
import { holdOf, servesStore, versionsToHold } from './restore-versions.ts';

/**
 * All rows of the backup are back. Each key that the restore holds is counted in the store and swept once more; the
 * sweep's end, and nothing else, frees the versions.
 */

/** What came back of one key. */
export interface RestoredKey {
  readonly tenant: string;
  readonly purpose: string;
  /** In the restored store, the rows of the tenant. */
  readonly count: CensusCount;
  /** Versions that records name and that the key does not have: the ledger is older than the records. */
  readonly unknown: readonly number[];
  /** Versions that records name and that are destroyed. There is none, unless rows came back that were not registered. */
  readonly destroyed: readonly number[];
  /** The sweep. `running`: a rotation that began before; the daily sweep asks again when it is over. */
  readonly sweep: JobRequest['answer'];
  readonly jobId: string;
}

export interface FailedKey {
  readonly tenant: string;
  readonly purpose: string;
  readonly code: string;
}

export interface EndedRestore {
  readonly restore: Restore;
  readonly keys: readonly RestoredKey[];
  /** Then the restore is not ENDED yet, and its end is to be asked for again. */
  readonly failed: readonly FailedKey[];
}

/**
 * Repeated: goes on with the keys that are not freed yet; until it is ENDED with all keys, since rows may have come back
 * after an end that failed half-way had begun to free some. Throws RESTORE_REFUSED unless the restore is READY or ENDED.
 */
export async function endRestore(
  deps: Deps,
  restoreId: string,
  requestedBy: string,
  onProgress: OnProgress = () => {},
): Promise<EndedRestore> {
  const restore = await getRestore(deps, restoreId);
  requireReady(restore);
  const concerned = concerns(deps, restore);
  const held = (await deps.ledger.scanKeys()).filter(concerned);
  const keys: RestoredKey[] = [];
  const failed: FailedKey[] = [];
  await eachKey(held, onProgress, async ({ tenant, purpose }) => {
    try {
      keys.push(await endOne(deps, restore, { tenant, purpose }, requestedBy));
    } catch (error) {
      // One that fails keeps no other from its sweep. A process that was killed says nothing of a key.
      if (!(error instanceof KeyturnError)) throw error;
      failed.push({ tenant, purpose, code: error.code });
    }
  });
  if (failed.length > 0) return { restore, keys, failed };
  const endedAt = timestamp(deps.clock.now());
  const ended = await changeRestore(deps, restoreId, (current) =>
    current.status === 'READY' ? { ...current, status: 'ENDED', endedAt } : current,
  );
  return { restore: ended, keys, failed };
}

function concerns(deps: Deps, restore: Restore): (key: TenantKey) => boolean {
  const serves = servesStore(deps, restore.store);
  return (key) =>
    isHeld(key, restore) || (restore.status === 'READY' && serves(key) && versionsToHold(key).length > 0);
}

function isHeld({ holds }: TenantKey, { restoreId }: Restore): boolean {
  return holds.some(({ holdId }) => holdId === restoreId);
}

/** Of one that is READY, a hold that a sweep has freed is put back: only a sweep that begins from here on frees it. */
function endHold(key: TenantKey, restore: Restore): TenantKey {
  const versions = versionsToHold(key);
  const freed = restore.status === 'READY' && !isHeld(key, restore) && versions.length > 0;
  if (!freed) return endRestoreHold(key, restore.restoreId);
  const held = holdForRestore(key, holdOf(restore, versions));
  // One write, one revision.
  return endRestoreHold({ ...held, revision: key.revision }, restore.restoreId);
}

async function endOne(
  deps: Deps,
  restore: Restore,
  { tenant, purpose }: Pick<TenantKey, 'tenant' | 'purpose'>,
  requestedBy: string,
): Promise<RestoredKey> {
  // Before the sweep is asked for: what began earlier may not have seen the rows, and frees nothing.
  const key = await changeKey(deps, tenant, purpose, (current) => endHold(current, restore));
  const count = await countStore(deps, key, restore.store);
  const named = Object.keys(count.versions);
  const { answer, job } = await requestResweep(deps, {
    tenant,
    purpose,
    requestedBy,
    reason: `restore ${restore.restoreId}`,
  });
  return {
    ...{ tenant, purpose, count },
    unknown: named.filter((version) => key.versions[version] === undefined).map(Number),
    destroyed: named.filter((version) => key.versions[version]?.state === 'DESTROYED').map(Number),
    ...{ sweep: answer, jobId: job.jobId },
  };
}

/** The tenant's rows in that store, from the envelopes themselves. */
async function countStore(deps: Deps, key: TenantKey, store: string): Promise<CensusCount> {
  const scope = { tenant: key.tenant, keyId: key.keyId };
  let count = NO_COUNT;
  for (const name of deps.recordSets.ofKey(key.tenant, key.purpose)) {
    if (deps.recordSets.config(name).store !== store) continue;
    const records = deps.recordSets.store(name);
    for (const segment of await records.segments(scope, 1)) {
      count = addCounts(count, await records.census(scope, segment, 'tenant'));
    }
  }
  return count;
}

/**
 * Asks for the sweep that frees the versions of a restore that has ended, where none runs: the one that was asked for at
 * its end may have found a rotation under way. Returns whether it asked.
 */
export async function resweepRestored(
  deps: Deps,
  { tenant, purpose }: Pick<TenantKey, 'tenant' | 'purpose'>,
  requestedBy: string,
): Promise<boolean> {
  // Lists lag behind.
  const key = await getKey(deps, tenant, purpose);
  const waiting = waitingHold(key);
  if (waiting === undefined || key.rotationId !== null) return false;
  // What a person called off, only a person asks for again; until then the versions stay held.
  const { job } = await nextResweep(deps, key);
  if (job?.status === 'CANCELLED') return false;
  const reason = `restore ${waiting.holdId}`;
  const asked = { tenant, purpose, requestedBy, reason, mayTakeUp: unlessCancelled };
  const { answer } = await requestResweep(deps, asked);
  return answer === 'started' || answer === 'resumed';
}

/** A restore has ended, and no sweep has freed its versions yet. */
export function isRestored(key: TenantKey): boolean {
  return waitingHold(key) !== undefined;
}

function waitingHold({ holds }: TenantKey): Hold | undefined {
  return holds.find(({ reason, endedEpoch }) => reason === 'RESTORE' && endedEpoch !== null);
}

function requireReady({ restoreId, status }: Restore): void {
  if (status === 'READY' || status === 'ENDED') return;
  const remedy =
    status === 'BEGUN'
      ? 'Not all keys are held: repeat `keyturn restore begin`, or call it off with `keyturn restore abort`.'
      : 'Register the restore with `keyturn restore begin`.';
  throw new RotationError('RESTORE_REFUSED', `Restore ${restoreId} is ${status}, not READY`, { remedy });
}
