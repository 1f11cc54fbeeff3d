import type { Timestamp } from '../keyring/key.ts';

/** What a registered restore of a store is, and every status it can have. */

export const RESTORE_STATUSES = [
  /** Its keys are being held. Nothing of the backup may be visible yet. */
  'BEGUN',
  /** Every version is held that is not destroyed: the rows may come back. */
  'READY',
  /** All rows are back; a sweep of each key frees what it finds nothing on. */
  'ENDED',
  /** Called off before a row came back; its holds are being released. */
  'ABORTING',
  'ABORTED',
] as const;
export type RestoreStatus = (typeof RESTORE_STATUSES)[number];

/** One item of the ledger. */
export interface Restore {
  readonly restoreId: string;
  /** By its name in the configuration. */
  readonly store: string;
  /** When the backup began; of a restore to a point in time, that point. */
  readonly backupTime: Timestamp;
  /**
   * The latest moment of which it may have rows. A physical backup is consistent at its end; a logical dump, or a point in time,
   * at its begin. null: an earlier release registered it, and did not ask.
   */
  readonly backupEnd: Timestamp | null;
  readonly status: RestoreStatus;
  /** Keys of which it holds versions; null until all of them are held. */
  readonly keys: number | null;
  readonly requestedBy: string;
  readonly begunAt: Timestamp;
  readonly readyAt: Timestamp | null;
  /** Also of one that was called off. */
  readonly endedAt: Timestamp | null;
  /** Why it was called off by itself; null otherwise. For people. */
  readonly refusal: string | null;
  readonly revision: number;
}
