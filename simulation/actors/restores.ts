import type { Deps } from '../../shared/deps/deps.ts';
import { RotationError } from '../../shared/errors/errors.ts';
import { beginRestore } from '../../shared/rotation/begin-restore.ts';
import { timestamp } from '../../shared/rotation/change.ts';
import { endRestore } from '../../shared/rotation/end-restore.ts';
import type { Restore } from '../../shared/rotation/restore.ts';
import { abortRestore } from '../../shared/rotation/restore-abort.ts';
import { createDice } from '../dice.ts';
import type { Action } from '../plan.ts';
import type { Process } from '../process.ts';
import type { World } from '../world.ts';
import { numberIn, textIn } from './commands.ts';
import { AGAIN, command, nth } from './person.ts';

/** Whoever runs the databases: backs them up, lets backups lapse, and restores them by the book. */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const LONGEST_BACKUP = 60 * MINUTE;

interface Backup {
  readonly backupId: string;
  readonly store: string;
  /** True time. Its rows are those of its end, as of a physical backup; a dump ends when it begins. */
  readonly beganAt: number;
  readonly takenAt: number;
  /** Somebody restores it. Nobody else begins with it until that is over. */
  restoring: boolean;
}

/** Newest first. Also those that should be gone, and were forgotten: what they name may have been destroyed by now. */
const kept = new WeakMap<World, Backup[]>();

/** Each store once or more within a retention. */
export function startBackups(world: World): void {
  const backups: Backup[] = [];
  kept.set(world, backups);
  const dice = createDice(world.plan.seed, 'backups');
  const { scheduler, config } = world;
  const retention = config.rotation.backupRetentionSeconds * SECOND;
  for (const store of Object.keys(config.stores)) {
    const take = () => {
      const backup = {
        backupId: world.backups.take(store),
        store,
        beganAt: scheduler.now() - (dice.chance(0.5) ? 0 : dice.between(SECOND, LONGEST_BACKUP)),
        takenAt: scheduler.now(),
        restoring: false,
      };
      backups.unshift(backup);
      scheduler.after(retention, () => world.backups.lapse(backup.backupId));
      scheduler.after(dice.between(Math.round(retention / 3), retention), take);
    };
    scheduler.after(dice.between(MINUTE, Math.round(retention / 3)), take);
  }
}

/** What the operator remembers, whichever of their commands was cut off. */
interface Notes {
  restoreId: string | null;
  rowsBack: boolean;
  /** So many minutes the operator is away before the rows come back; once. */
  away: number;
  readonly end: string;
}

export function restore(world: World, { number, choice }: Action): void {
  const store = textIn(choice, 'store');
  const free = (kept.get(world) ?? []).filter((each) => each.store === store && !each.restoring);
  const backup = choice['backup'] === 'oldest' ? free.at(-1) : nth(free, numberIn(choice, 'backup'));
  if (backup === undefined || !world.faults.fires('restore', `${store} ${backup.backupId}`)) return;
  backup.restoring = true;
  const notes: Notes = {
    restoreId: null,
    rowsBack: false,
    away: numberIn(choice, 'minutes'),
    end: textIn(choice, 'end'),
  };
  const run = (deps: Deps, process: Process) => goOn(world, backup, notes, deps, process);
  command(world, `restore ${number}`, run, { tries: 8 });
  if (notes.end === 'abort') command(world, `abort ${number}`, (deps) => abortWhileItBegins(backup, deps));
}

/** Somebody else thinks better of it, while versions are still being held. */
async function abortWhileItBegins(backup: Backup, deps: Deps): Promise<void> {
  for (let looks = 0; looks < 10; looks++) {
    for (const { restoreId, status } of await listOf(backup, deps))
      if (status === 'BEGUN') await abortRestore(deps, restoreId);
    await deps.clock.sleep(20);
  }
}

async function listOf(backup: Backup, { ledger }: Deps): Promise<readonly Restore[]> {
  const { store, backupTime, backupEnd } = namesOf(backup);
  return (await ledger.listRestores()).filter(
    (each) => each.store === store && each.backupTime === backupTime && each.backupEnd === backupEnd,
  );
}

/** As the operator gives it. */
function namesOf({ store, beganAt, takenAt }: Backup) {
  return { store, backupTime: timestamp(beganAt), backupEnd: timestamp(takenAt) };
}

/** From wherever it stopped. */
async function goOn(
  world: World,
  backup: Backup,
  notes: Notes,
  deps: Deps,
  process: Process,
): Promise<unknown> {
  if (!notes.rowsBack) {
    const begun = await beginOrLeave(backup, notes, deps);
    if (begun === 'refused') {
      const where = `${backup.store} ${backup.backupId}`;
      world.history.add({
        ...{ kind: 'refused', what: 'restore', where },
        ...{ code: 'RESTORE_REFUSED', by: process.name },
      });
      return;
    }
    if (begun === 'again') return AGAIN;
    if (notes.away > 0) {
      const minutes = notes.away;
      notes.away = 0;
      await deps.clock.sleep(minutes * MINUTE);
    }
    await process.call('backups.restore', () => {
      if (notes.restoreId !== null) world.backups.restore(backup.backupId, notes.restoreId);
    });
    notes.rowsBack = true;
  }
  if (notes.restoreId === null) return;
  for (let times = notes.end === 'twice' ? 2 : 1; times > 0; times--) {
    const { failed } = await endRestore(deps, notes.restoreId, OPERATOR);
    if (failed.length > 0) return AGAIN;
  }
  backup.restoring = false;
  return;
}

const OPERATOR = 'person:olaf';

/** Refused: nothing comes back, and what it has begun is called off. */
async function beginOrLeave(
  backup: Backup,
  notes: Notes,
  deps: Deps,
): Promise<'ready' | 'refused' | 'again'> {
  try {
    const request = { ...namesOf(backup), requestedBy: OPERATOR };
    const { restore: begun, fenceLeft } = await beginRestore(deps, request);
    notes.restoreId = begun.restoreId;
    // Rows that are written through that database's fence would be refused.
    return fenceLeft === null ? 'ready' : 'again';
  } catch (error) {
    if (!(error instanceof RotationError) || error.code !== 'RESTORE_REFUSED') throw error;
  }
  // It was READY before, and the clock of this machine is wrong now.
  if (notes.restoreId !== null) return 'again';
  for (const { restoreId, status } of await listOf(backup, deps))
    if (status === 'BEGUN' || status === 'ABORTING') await abortRestore(deps, restoreId);
  backup.restoring = false;
  return 'refused';
}
