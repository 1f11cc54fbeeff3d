import type { Timestamp } from '../keyring/key.ts';

/** What a registered restore of a store is, and every status it can have. */

export const RESTORE_STATUSES = [
  /** Its keys are being held. Nothing of the backup may be visible yet. */
  'BEGUN',
  /** Every version that the backup may contain is held: the rows may come back. */
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
  /** When the backup was taken; of a restore to a point in time, that point. */
  readonly backupTime: Timestamp;
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
