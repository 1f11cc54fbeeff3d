import { hashOf } from './chain.ts';
import type { AuditEntry } from './entry.ts';
import type { Finding, FindingCode } from './findings.ts';
import type { ChainItem } from './outbox.ts';

/** Reads a chain from its beginning, an entry at a time, and names what is wrong in it. No I/O. */
export interface Walk {
  /** The entry, if it is genuine, stands where it should and is what was hashed. */
  next(item: ChainItem): AuditEntry | null;
  /** Whether an entry tells of the event. */
  tells(eventId: string): boolean;
  /** The last number that was seen; 0: none. */
  readonly last: number;
  /** Hashes as the entries have them, by number. */
  readonly hashes: ReadonlyMap<number, string>;
  /** By item (`key/<id>`, `job/<id>`, `restore/<id>`): what its last entry tells. */
  readonly items: ReadonlyMap<string, RecordedItem>;
  readonly findings: readonly Finding[];
}

export interface RecordedItem {
  readonly revision: number;
  /** Of a key. */
  readonly purpose: string;
  /** null: the entry is not genuine, or not what was hashed. */
  readonly detail: AuditEntry['detail'] | null;
}

export function startWalk(tenant: string, where: Finding['where']): Walk {
  const hashes = new Map<number, string>();
  const items = new Map<string, RecordedItem>();
  const events = new Set<string>();
  const findings: Finding[] = [];
  let last = 0;
  const find = (code: FindingCode, sequence: number, message: string) =>
    findings.push({ code, tenant, where, sequence, message });

  const follows = ({ sequence, previous }: AuditEntry) => {
    if (sequence === 1) {
      if (previous !== null) find('GAP', 1, 'entry 1 says that there was one before it');
      return;
    }
    const before = hashes.get(sequence - 1);
    // Not known: what is wrong with the one before was said.
    if (before !== undefined && before !== previous) {
      find('EDITED', sequence - 1, `entry ${sequence - 1} is not the one that entry ${sequence} follows on`);
    }
  };

  const record = ({ sequence, eventId, detail }: AuditEntry, intact: boolean) => {
    if (events.has(eventId)) find('REPEATED', sequence, `entry ${sequence} says ${eventId} once more`);
    events.add(eventId);
    const change = readChange(eventId);
    if (change === null) return;
    const before = items.get(change.item)?.revision ?? 0;
    if (change.revision > before + 1) {
      const missing = rangeText(before + 1, change.revision - 1);
      find(
        'UNRECORDED',
        sequence,
        `${change.item} has no entry of revision ${missing} before entry ${sequence}`,
      );
    }
    const { purpose } = detail;
    if (change.revision < before) return;
    items.set(change.item, {
      revision: change.revision,
      purpose: typeof purpose === 'string' ? purpose : '',
      detail: intact ? detail : null,
    });
  };

  return {
    next({ sequence, entry, genuine }) {
      if (sequence > last + 1) find('GAP', last + 1, `entry ${rangeText(last + 1, sequence - 1)} is missing`);
      last = Math.max(last, sequence);
      // What it says is read on, so that the findings tell what it was to hide.
      if (!genuine)
        find('FORGED', sequence, `what stands at ${sequence} was not written by Keyturn, or not there`);
      if (entry === null) {
        find('EDITED', sequence, `what stands at ${sequence} is no entry that this release knows`);
        return null;
      }
      if (entry.sequence !== sequence || entry.tenant !== tenant) {
        const says = entry.tenant === tenant ? `entry ${entry.sequence}` : 'an entry of another tenant';
        find('REORDERED', sequence, `${says} stands in the place of entry ${sequence}`);
        return null;
      }
      const hashed = hashOf(entry) === entry.hash;
      const intact = hashed && genuine;
      if (!hashed) find('EDITED', sequence, `entry ${sequence} is not what was hashed`);
      follows(entry);
      hashes.set(sequence, entry.hash);
      record(entry, intact);
      return intact ? entry : null;
    },
    tells: (eventId) => events.has(eventId),
    get last() {
      return last;
    },
    hashes,
    items,
    findings,
  };
}

/** The item and its revision, of an event that is a change of a key, job or restore. */
export function readChange(eventId: string): { readonly item: string; readonly revision: number } | null {
  const found = /^((?:key|job|restore)\/.+)\/([1-9][0-9]*)$/.exec(eventId);
  const [, item, revision] = found ?? [];
  return item === undefined ? null : { item, revision: Number(revision) };
}

function rangeText(from: number, to: number): string {
  return from === to ? `${from}` : `${from} to ${to}`;
}
