import type { HistoryEntry, RecordEntry } from './entries.ts';
import type { Place } from './envelope.ts';
import { sameBytes } from './parts.ts';

/** The records of all stores and their backups, and what each of their values has to open to. */

export interface Row {
  readonly recordSet: string;
  readonly id: readonly string[];
  readonly tenant: string;
  readonly values: readonly Value[];
}

export interface Value {
  readonly place: Place;
  readonly bytes: Uint8Array | null;
  readonly expected: Expected;
  /** Of the entry that wrote these bytes. */
  readonly seq: number;
  readonly at: number;
}

/**
 * `excused`: it was damaged or given up, and nobody needs to be able to read it. `any`: a pipeline sealed what the checker
 * does not know. `unexplained`: an entry that should have said what it is did not.
 */
export type Expected = Uint8Array | null | 'excused' | 'any' | 'unexplained';

export interface RowChange {
  readonly before: Row | null;
  /** null: it was deleted. */
  readonly after: Row | null;
  readonly cause: RecordEntry['cause'];
  readonly by: string;
}

export interface Backup {
  readonly store: string;
  readonly rows: ReadonlyMap<string, Row>;
}

export interface Records {
  readonly live: ReadonlyMap<string, Row>;
  /** Those that have not lapsed. */
  readonly backups: ReadonlyMap<string, Backup>;
  /** Also those that have. */
  readonly taken: ReadonlyMap<string, Backup>;
  /** What the entry changes; nothing is changed by asking. */
  changeOf(entry: HistoryEntry & RecordEntry): RowChange;
  keep(entry: HistoryEntry & RecordEntry, change: RowChange): void;
  backUp(backupId: string, store: string): void;
  lapse(backupId: string): void;
  restore(backupId: string): void;
}

type RecordSets = Readonly<Record<string, { readonly store: string; readonly fields: readonly string[] }>>;

export function createRecords(recordSets: () => RecordSets): Records {
  const live = new Map<string, Row>();
  const backups = new Map<string, Backup>();
  const taken = new Map<string, Backup>();
  /** By store: what comes back. */
  const restoring = new Map<string, Backup>();
  return {
    live,
    backups,
    taken,
    changeOf(entry) {
      const { recordSet, id, tenant, cause, by } = entry;
      const name = rowName(recordSet, id);
      const before = live.get(name) ?? null;
      if (entry.values === null) return { before, after: null, cause, by };
      const set = recordSets()[recordSet];
      const source = restoring.get(set?.store ?? '')?.rows.get(name);
      const values = entry.values.map((bytes, i): Value => {
        const was = before?.values[i];
        const same = was !== undefined && sameBytes(was.bytes, bytes);
        if (same && cause !== 'application' && cause !== 'restore') return was;
        const place = { tenant, recordSet, id, field: set?.fields[i] ?? '' };
        const expected = expectedOf(entry, i, bytes, was, source);
        return same && was.expected === expected
          ? was
          : { place, bytes, expected, seq: entry.seq, at: entry.at };
      });
      return { before, after: { recordSet, id, tenant, values }, cause, by };
    },
    keep({ recordSet, id }, { after }) {
      const name = rowName(recordSet, id);
      if (after === null) live.delete(name);
      else live.set(name, after);
    },
    backUp(backupId, store) {
      const sets = recordSets();
      const rows = new Map([...live].filter(([, { recordSet }]) => sets[recordSet]?.store === store));
      const backup = { store, rows };
      backups.set(backupId, backup);
      taken.set(backupId, backup);
    },
    lapse: (backupId) => {
      backups.delete(backupId);
    },
    restore(backupId) {
      const backup = taken.get(backupId);
      if (backup !== undefined) restoring.set(backup.store, backup);
    },
  };
}

export function rowName(recordSet: string, id: readonly string[]): string {
  return JSON.stringify([recordSet, id]);
}

function expectedOf(
  { cause, plaintexts }: RecordEntry,
  field: number,
  bytes: Uint8Array | null,
  was: Value | undefined,
  source: Row | undefined,
): Expected {
  if (bytes === null) return null;
  switch (cause) {
    case 'application': {
      const written = plaintexts?.[field] ?? null;
      if (written !== null) return written;
      return was !== undefined && sameBytes(was.bytes, bytes) ? was.expected : 'unexplained';
    }
    case 'pipeline':
      return was === undefined || was.bytes === null ? 'any' : was.expected;
    case 'restore': {
      const found = source?.values[field];
      return found !== undefined && sameBytes(found.bytes, bytes) ? found.expected : 'unexplained';
    }
    case 'damage':
    case 'give-up':
      return 'excused';
  }
}
