import type { Book, Change } from './book.ts';
import type { HistoryEntry } from './entries.ts';

/** What a rule is told of. `book` has what was before the entry. */
export interface Rule {
  key?(change: Extract<Change, { is: 'key' }>): void;
  job?(change: Extract<Change, { is: 'job' }>): void;
  restore?(change: Extract<Change, { is: 'restore' }>): void;
  record?(change: Extract<Change, { is: 'record' }>): void;
  /** Any other entry, and other items. */
  entry?(entry: HistoryEntry): void;
  /** Once, after the last entry. */
  end?(last: HistoryEntry): void;
}

/** `rule`: the invariant's number in docs/protocol.md. */
export type Find = (rule: string, what: string) => void;

export type MakeRule = (book: Book, find: Find) => Rule;
