import { KeyturnError, UnreadableItemError } from '../errors/errors.ts';

/** What a verification finds wrong, each at its place. */

export const FINDING_CODES = [
  /** An entry in the ledger, or the mark of its export, was not written by Keyturn, or not like this: its MAC is not genuine. */
  'FORGED',
  /** An entry is not what was hashed, or not what the next one was chained to. */
  'EDITED',
  /** Entries are missing. */
  'GAP',
  /** An entry stands in another one's place. */
  'REORDERED',
  /** The same change has two entries. */
  'REPEATED',
  /** A change of a key, job or restore, or something else that is in the ledger, has no entry. */
  'UNRECORDED',
  /** The chain ends before what was exported or anchored. */
  'TAIL_CUT',
  /** The archive has another entry of the same number. */
  'REWRITTEN',
  /** An anchor was not signed by the given key, or is of another chain. */
  'ANCHOR_INVALID',
  /** A segment was archived, and no anchor says so. */
  'ANCHOR_MISSING',
  /** A key or job is older than its chain: an older item was put back. */
  'ROLLED_BACK',
  /** An item of the ledger is not what its entry tells of it. */
  'CHANGED',
  /** An approval, a request for one, its void, a certificate or a census has an entry, and is not in the ledger any more. */
  'GONE',
] as const;
export type FindingCode = (typeof FINDING_CODES)[number];

/** Whether it says that what was read is wrong. An outage does not, and nor does what a newer release wrote. */
export function isFinding(error: unknown): error is KeyturnError {
  return error instanceof KeyturnError && !error.retryable && !(error instanceof UnreadableItemError);
}

export interface Finding {
  readonly code: FindingCode;
  readonly tenant: string;
  readonly where: 'ledger' | 'archive';
  /** Of the entry; null: it is about an item, or an object of the archive. */
  readonly sequence: number | null;
  /** For people: ids, numbers and places. */
  readonly message: string;
}
