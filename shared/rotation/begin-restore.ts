import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import { RecordStoreError, type RecordStoreErrorCode, RotationError } from '../errors/errors.ts';
import { holdForRestore } from '../keyring/holds.ts';
import type { TenantKey, Timestamp } from '../keyring/key.ts';
import { changeKey, timestamp } from './change.ts';
import { lowerFences } from './fences.ts';
import { restoreId } from './job-id.ts';
import type { Restore } from './restore.ts';
import { releaseHolds } from './restore-abort.ts';
import { changeRestore } from './restore-change.ts';
import { eachKey, LANES, type OnProgress } from './restore-lanes.ts';
import {
  type Backup,
  backupOf,
  findLostVersions,
  holdOf,
  type LostVersion,
  servesStore,
  versionsToHold,
} from './restore-versions.ts';

/**
 * A restore is registered before a row of the backup becomes visible (protocol.md, invariant 9): every version that is
 * not destroyed is held, and every purge that began before is void. Where one is gone that the backup may contain the
 * restore is refused, before anything is changed.
 */

export interface RestoreRequest {
  readonly store: string;
  /** When the backup began, or the point in time that is restored to. */
  readonly backupTime: Timestamp;
  /** When it ended, of a physical backup: it has rows that were written while it was taken. Left out: it is as of its begin. */
  readonly backupEnd?: Timestamp;
  readonly requestedBy: string;
}

export interface BegunRestore {
  readonly restore: Restore;
  /**
   * Why the fence of a database could not be lowered: it is out of reach, as it may be in a disaster. Rows that are brought
   * in through it would be refused, so this is to be repeated once it is there. null: all are lowered.
   */
  readonly fenceLeft: RecordStoreErrorCode | null;
}

/** Each open restore has a hold in the item of every key, and there is room in it for so many. */
export const OPEN_LIMIT = 20;

/**
 * Only a restore that is READY may be carried out. Asked for again, it goes on where it stopped. Throws RESTORE_REFUSED,
 * naming each version that the backup may need and that is gone.
 */
export async function beginRestore(
  deps: Deps,
  request: RestoreRequest,
  onProgress: OnProgress = () => {},
): Promise<BegunRestore> {
  const backup = backupIn(deps, request);
  const restores = await deps.ledger.listRestores();
  const open = findOpen(restores, backup);
  const keys = (await deps.ledger.scanKeys()).filter(servesStore(deps, backup.store));
  const lost = await inLanes(keys, LANES, (key) => findLostVersions(deps, key, backup, restores));
  if (lost.flat().length > 0 && open === undefined) throw refused(backup, lost.flat());
  // One that is READY comes here, too: for keys that an end which failed half-way gave up, and for the fences of a
  // database that was out of reach.
  const restore = open ?? (await register(deps, backup, request.requestedBy, restores));
  // From here on another process may be at it as well: what it decides counts for this one.
  const held = await holdAll(deps, keys, restore, restores, onProgress);
  const at = timestamp(deps.clock.now());
  const next = await changeRestore(deps, restore.restoreId, (current) => {
    if (current.status !== 'BEGUN') return current;
    return held.lost.length > 0
      ? { ...current, status: 'ABORTING', endedAt: at, refusal: describeLost(held.lost) }
      : { ...current, status: 'READY', readyAt: at, keys: held.keys };
  });
  if (next.status === 'ABORTING' || next.status === 'ABORTED') await releaseHolds(deps, next);
  if (held.lost.length > 0) throw refused(backup, held.lost);
  if (next.status === 'READY') return { restore: next, fenceLeft: held.fenceLeft };
  throw calledOff(next);
}

async function register(
  deps: Deps,
  { store, backupTime, backupEnd }: Backup,
  requestedBy: string,
  restores: readonly Restore[],
): Promise<Restore> {
  const open = restores.filter(isOpen).length;
  if (open >= OPEN_LIMIT) {
    throw new RotationError('RESTORE_REFUSED', `${open} restores are open, the most there can be`, {
      remedy: '`keyturn restore list` shows them; end those that are over.',
    });
  }
  const earlier = restores.filter((other) => other.store === store && other.backupTime === backupTime).length;
  const { item } = await deps.ledger.createRestore({
    restoreId: restoreId(store, backupTime, earlier),
    store,
    backupTime,
    backupEnd,
    status: 'BEGUN',
    keys: null,
    requestedBy,
    begunAt: timestamp(deps.clock.now()),
    readyAt: null,
    endedAt: null,
    refusal: null,
    revision: 1,
  });
  return item;
}

interface Held {
  /** Keys that have versions to hold. */
  readonly keys: number;
  readonly lost: readonly LostVersion[];
  readonly fenceLeft: RecordStoreErrorCode | null;
}

/** In one write a key: its versions are held, and its epoch is another. */
async function holdAll(
  deps: Deps,
  keys: readonly TenantKey[],
  restore: Restore,
  restores: readonly Restore[],
  onProgress: OnProgress,
): Promise<Held> {
  const lost: LostVersion[] = [];
  let held = 0;
  let fenceLeft: RecordStoreErrorCode | null = null;
  await eachKey(keys, onProgress, async ({ tenant, purpose }) => {
    if (lost.length > 0) return;
    let gone: LostVersion[] = [];
    let versions: number[] = [];
    const key = await changeKey(deps, tenant, purpose, async (current) => {
      gone = await findLostVersions(deps, current, backupOf(restore), restores);
      versions = versionsToHold(current);
      return gone.length > 0 || versions.length === 0
        ? current
        : holdForRestore(current, holdOf(restore, versions));
    });
    lost.push(...gone);
    const [lowest] = versions;
    if (gone.length > 0 || lowest === undefined) return;
    held += 1;
    // A server that is down is not asked ten thousand times.
    fenceLeft ??= await lower(deps, key, lowest);
  });
  return { keys: held, lost, fenceLeft };
}

async function lower(deps: Deps, key: TenantKey, lowest: number): Promise<RecordStoreErrorCode | null> {
  try {
    await lowerFences(deps, key, lowest);
    return null;
  } catch (error) {
    if (error instanceof RecordStoreError) return error.code;
    throw error;
  }
}

function isOpen({ status }: Restore): boolean {
  return status === 'BEGUN' || status === 'READY' || status === 'ABORTING';
}

function findOpen(
  restores: readonly Restore[],
  { store, backupTime, backupEnd }: Backup,
): Restore | undefined {
  const open = restores.find(
    (restore) =>
      isOpen(restore) &&
      restore.store === store &&
      restore.backupTime === backupTime &&
      (restore.backupEnd === null || restore.backupEnd === backupEnd),
  );
  if (open?.status === 'ABORTING') throw calledOff(open);
  return open;
}

function requireStore({ config }: Deps, store: string): void {
  if (Object.hasOwn(config.stores, store)) return;
  if (store === 'ledger') {
    throw new RotationError(
      'RESTORE_REFUSED',
      'The ledger is no store of records: its restore is not registered',
      {
        remedy:
          'An older ledger lacks the versions that were made since, and what they encrypted does not open without them. docs/retirement.md says how it is restored.',
      },
    );
  }
  throw new RecordStoreError('RECORD_SET_NOT_FOUND', `There is no store "${store}"`, {
    remedy: `The configuration names: ${Object.keys(config.stores).join(', ') || 'none'}.`,
  });
}

/** Throws RESTORE_REFUSED where the times cannot be those of a backup. */
function backupIn(deps: Deps, { store, backupTime, backupEnd = backupTime }: RestoreRequest): Backup {
  requireStore(deps, store);
  const latest = deps.clock.now() + deps.config.rotation.clockSkewSeconds * 1000;
  if (Date.parse(backupTime) > latest) throw wrongTime(`The backup's time, ${backupTime}, is in the future`);
  if (Date.parse(backupEnd) > latest) throw wrongTime(`The backup's end, ${backupEnd}, is in the future`);
  if (Date.parse(backupEnd) < Date.parse(backupTime))
    throw wrongTime(`The backup's end, ${backupEnd}, is before its begin, ${backupTime}`);
  return { store, backupTime, backupEnd };
}

function wrongTime(message: string): RotationError {
  return new RotationError('RESTORE_REFUSED', message, {
    remedy: 'Give the times at which the backup began and ended, in UTC, such as 2026-03-01T04:00:00Z.',
  });
}

function refused({ store, backupTime }: Backup, lost: readonly LostVersion[]): RotationError {
  const message = `The backup of store "${store}" from ${backupTime} may need versions that are destroyed: ${describeLost(lost)}`;
  return new RotationError('RESTORE_REFUSED', message, {
    remedy:
      'What names them could never be read again. Restore a backup that was taken after their last records were rewrapped; or restore into a separate database, without the rows of these tenants, and take over what is needed.',
  });
}

function calledOff({ restoreId: id, refusal }: Restore): RotationError {
  const message = `Restore ${id} was called off${refusal === null ? '' : `: ${refusal}`}`;
  return new RotationError('RESTORE_REFUSED', message, {
    remedy: `\`keyturn restore abort ${id}\` releases what is left of its holds; then begin again.`,
  });
}

/** Enough of them to see which tenants are concerned. */
const NAMED = 20;

function describeLost(lost: readonly LostVersion[]): string {
  const named = lost.slice(0, NAMED).map(({ tenant, purpose, version, destroyedAt }) => {
    const key = purpose === 'default' ? tenant : `${tenant}/${purpose}`;
    return `version ${version} of ${key} (${destroyedAt})`;
  });
  const more = lost.length - named.length;
  return `${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`;
}
