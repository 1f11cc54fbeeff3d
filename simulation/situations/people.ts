import type { ApprovalVoid } from '../../shared/approvals/approval.ts';
import type { QuarantinedRecord } from '../../shared/ledger/ledger.ts';
import type { HistoryEntry } from '../history.ts';
import type { Known } from './known.ts';
import type { Situation } from './situation.ts';
import { OFTEN, RARE, SELDOM } from './within.ts';

/** What people decide, and what comes between their decision and its use. */
export const PEOPLE: readonly Situation[] = [
  {
    name: 'approval-expired',
    means: 'an approval expires while the purge waits for more of them, or to be taken up',
    within: OFTEN,
    seen: { entry: (entry, known) => expired(entry, known).some((id) => known.approvalsOf(id) > 0) },
  },
  {
    name: 'request-expired',
    means: 'nobody approves, and the request of a purge that waits expires',
    within: OFTEN,
    seen: { entry: (entry, known) => expired(entry, known).some((id) => known.approvalsOf(id) === 0) },
  },
  {
    name: 'void-by-census',
    means: 'approvals are void: another census found something else',
    within: RARE,
    seen: { entry: (entry) => voidsFor(entry, 'another census') },
  },
  {
    name: 'void-by-restore',
    means: 'approvals are void: a store was restored since',
    within: SELDOM,
    seen: { entry: (entry) => voidsFor(entry, 'a store was restored') },
  },
  {
    name: 'void-by-fence',
    means: 'approvals are void: the version was fenced anew since',
    within: SELDOM,
    seen: { entry: (entry) => voidsFor(entry, 'the version was fenced anew') },
  },
  {
    name: 'void-unused',
    means: 'approvals that decided a destruction are void: it was taken back',
    within: SELDOM,
    seen: { entry: (entry) => voidsFor(entry, 'it was not carried out') },
  },
  {
    name: 'release-approved',
    means: 'a hold of a person is released with approvals',
    within: OFTEN,
    seen: {
      key: ({ before, after }, known) =>
        known.approvalsRequired > 0 &&
        before?.holds.some(
          ({ holdId, reason, until }) =>
            reason === 'PERSON' && until === null && !after.holds.some((hold) => hold.holdId === holdId),
        ) === true,
    },
  },
  {
    name: 'give-up-approved',
    means: 'a quarantined value is given up with approvals: a tombstone takes its place',
    within: SELDOM,
    seen: {
      entry: (entry, known) =>
        entry.kind === 'record' && entry.cause === 'give-up' && known.approvalsRequired > 0,
    },
  },
  {
    name: 'quarantine-retried',
    means: 'the record of a quarantined value is rewrapped after all',
    within: OFTEN,
    seen: {
      entry: (entry, known) =>
        entry.kind === 'record' &&
        entry.cause === 'pipeline' &&
        [...known.quarantined.values()].some((one) => isOf(one, entry)),
    },
  },
  {
    name: 'quarantine-settled',
    means: 'a quarantined value was written again, and is quarantined no more',
    within: OFTEN,
    seen: {
      entry: (entry) => entry.kind === 'item' && entry.item === 'quarantined' && entry.value === null,
    },
  },
];

/** Requests that a purge waits for, and whose time has come by this entry. */
function expired({ at }: HistoryEntry, known: Known): readonly string[] {
  const awaited = known.awaited();
  if (awaited.length === 0) return [];
  return awaited.filter(({ expiresAt }) => Date.parse(expiresAt) <= at).map(({ requestId }) => requestId);
}

function voidsFor(entry: HistoryEntry, why: string): boolean {
  return (
    entry.kind === 'item' &&
    entry.item === 'approvalVoids' &&
    (entry.value as ApprovalVoid).why.startsWith(why)
  );
}

function isOf(
  { recordSet, recordId }: QuarantinedRecord,
  record: { readonly recordSet: string; readonly id: readonly string[] },
): boolean {
  return recordSet === record.recordSet && recordId.join('/') === record.id.join('/');
}
