import type { History } from '../history.ts';
import type { Scheduler } from '../scheduler.ts';
import type { Backups } from '../world.ts';
import type { MemoryRecordStore, MemoryRow } from './record-store.ts';

/**
 * Backups of whole stores. When they lapse nobody need be able to restore them any more; whoever kept one still tries. Rows
 * are never changed in place, so that a copy of a map is one.
 */

export interface KeptBackup {
  readonly backupId: string;
  readonly store: string;
  /** True time, milliseconds. */
  readonly takenAt: number;
  /** By record set, and there by the JSON of their key. */
  readonly rows: ReadonlyMap<string, ReadonlyMap<string, MemoryRow>>;
}

export interface MemoryBackups extends Backups {
  /** Those that have not lapsed, the oldest first. */
  restorable(): readonly KeptBackup[];
}

export interface BackupsWorld {
  readonly scheduler: Pick<Scheduler, 'now'>;
  readonly history: Pick<History, 'add'>;
  /** The record sets of each store. */
  readonly stores: Readonly<Record<string, readonly MemoryRecordStore[]>>;
}

export function createBackups({ scheduler, history, stores }: BackupsWorld): MemoryBackups {
  const kept = new Map<string, KeptBackup>();
  const lapsed = new Map<string, KeptBackup>();
  let taken = 0;
  const find = (backupId: string): KeptBackup => {
    const backup = kept.get(backupId) ?? lapsed.get(backupId);
    if (backup === undefined) throw new Error(`There is no backup ${backupId}`);
    return backup;
  };
  const recordSetsOf = (store: string): readonly MemoryRecordStore[] => {
    const found = Object.hasOwn(stores, store) ? stores[store] : undefined;
    if (found === undefined) throw new Error(`There is no store ${store}`);
    return found;
  };
  return {
    take(store) {
      const backupId = `backup-${++taken}`;
      const rows = new Map(recordSetsOf(store).map((set) => [set.recordSet, new Map(set.rows)]));
      kept.set(backupId, { backupId, store, takenAt: scheduler.now(), rows });
      history.add({ kind: 'backup', backupId, store });
      return backupId;
    },
    lapse(backupId) {
      const backup = kept.get(backupId);
      if (backup === undefined) return;
      kept.delete(backupId);
      lapsed.set(backupId, backup);
      history.add({ kind: 'backup-lapsed', backupId });
    },
    // Of the database's own: no trigger sees these rows.
    restore(backupId, restoreId) {
      const { store, rows } = find(backupId);
      history.add({ kind: 'restored', backupId, restoreId });
      const by = `restore ${restoreId}`;
      for (const { recordSet, rows: live } of recordSetsOf(store)) {
        const then = rows.get(recordSet) ?? new Map<string, MemoryRow>();
        const record = ({ key, tenant }: MemoryRow, values: MemoryRow['values'] | null) =>
          history.add({
            ...{ kind: 'record', cause: 'restore', plaintexts: null },
            ...{ recordSet, id: key, tenant, values, by },
          });
        for (const [name, row] of live) if (!then.has(name)) record(row, null);
        live.clear();
        for (const [name, row] of then) {
          live.set(name, row);
          record(row, row.values);
        }
      }
    },
    restorable: () => [...kept.values()],
  };
}
