import type { LedgerStore } from '../../shared/audit/outbox.ts';
import type { AdoptableStore } from '../../shared/records/record-store.ts';
import type { Faults } from '../faults.ts';
import { PAST } from './items.ts';
import type { MemoryLedger } from './ledger.ts';
import { createMemoryRecordStore, type MemoryRecordStore, type MemoryRow } from './record-store.ts';

/** What may lag does: lists that come from an index, and listings from an index that stands still. */

/**
 * The lists that DynamoDB gives from an index, which the ports call eventually consistent, answer as of a moment so many
 * changes ago whenever `ledger-stale-list` fires. Every other read is strongly consistent.
 */
export function lagging(ledger: MemoryLedger, faults: Faults): LedgerStore {
  const asSeen = (list: string): LedgerStore =>
    faults.fires('ledger-stale-list', list) ? ledger.asOf(faults.dice.between(1, PAST)) : ledger;
  return {
    ...ledger,
    listKeys: (...args) => asSeen('listKeys').listKeys(...args),
    listJobs: (...args) => asSeen('listJobs').listJobs(...args),
    listApprovalRequests: (...args) => asSeen('listApprovalRequests').listApprovalRequests(...args),
    findStoredCensus: (...args) => asSeen('findStoredCensus').findStoredCensus(...args),
    listOpenOutboxes: (...args) => asSeen('listOpenOutboxes').listOpenOutboxes(...args),
    listExportMarks: (...args) => asSeen('listExportMarks').listExportMarks(...args),
  };
}

/** Moments of a record set that are kept for an index that is to stand still. */
const MOMENTS = 8;
/** Listings that an index that stands still answers. */
const LONGEST_FROZEN = 20;

/**
 * `listStale` from a frozen index or a replica that lags: as the rows were at an earlier listing, for as many listings as
 * chance says. Reads, writes and the census are the store's own.
 */
export function withFrozenIndex(store: MemoryRecordStore, faults: Faults): AdoptableStore {
  const moments: ReadonlyMap<string, MemoryRow>[] = [];
  const index = createMemoryRecordStore(store.recordSet, store.fields);
  let frozenFor = 0;

  /** The index stops at a moment that it knew. */
  const freeze = (): void => {
    index.rows.clear();
    for (const [name, row] of faults.dice.pick(moments)) index.rows.set(name, row);
    frozenFor = faults.dice.between(1, LONGEST_FROZEN);
  };
  return {
    ...store,
    listStale: (...args) => {
      if (faults.stopped) return store.listStale(...args);
      moments.push(new Map(store.rows));
      if (moments.length > MOMENTS) moments.shift();
      if (frozenFor === 0 && faults.fires('index-frozen', store.recordSet)) freeze();
      if (frozenFor === 0) return store.listStale(...args);
      frozenFor -= 1;
      return index.listStale(...args);
    },
  };
}
