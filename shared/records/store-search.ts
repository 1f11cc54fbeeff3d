/**
 * The port to what a store holds besides the declared record sets: columns with envelopes that nobody declared. A census
 * counts what the configuration names; this looks whether it names everything. One search serves one store.
 */

/** What is looked for: envelopes of any key, those of this key, and those on this version of it. */
export interface SearchScope {
  readonly keyId: string;
  readonly version: number;
}

/** A column (PostgreSQL) or attribute (DynamoDB) that no record set declares and that holds envelopes. */
export interface FoundColumn {
  readonly table: string;
  readonly column: string;
  /** It can be refreshed, never written: what it holds is a copy. */
  readonly materialized: boolean;
  /** Values that begin as an envelope does. */
  readonly envelopes: number;
  /** Of them, those that name the key. */
  readonly ofKey: number;
  /** Of them, those on the version. */
  readonly onVersion: number;
  /** It stands for so many more columns, whose names are left out: there are too many of them. */
  readonly more?: number;
}

export const UNSEARCHED_REASONS = [
  /** The role may not read it. */
  'RIGHTS',
  /** Row-level security hides rows from the role. */
  'ROW_SECURITY',
  /** Of a type that may hold an envelope somewhere inside: JSON, an array, XML. */
  'TYPE',
  /** A foreign table: its rows are another server's. */
  'FOREIGN',
  /** The time of the search was over before. */
  'TIME',
] as const;
export type UnsearchedReason = (typeof UNSEARCHED_REASONS)[number];

export interface Unsearched {
  readonly table: string;
  /** Empty: all of them. */
  readonly columns: readonly string[];
  readonly reason: UnsearchedReason;
  /** It stands for so many more tables, whose names are left out: there are too many of them. */
  readonly more?: number;
}

/** A column that a record set declares: the census counts it, by ranges of keys. */
export interface DeclaredColumn {
  /** As the configuration names it. */
  readonly table: string;
  readonly column: string;
  /** Values on the version; null: it was not read in the time of the search. */
  readonly onVersion: number | null;
}

export interface SearchResult {
  readonly found: readonly FoundColumn[];
  /**
   * What was taken as declared, and is therefore not among `found`. It is read as well, by the same statement over the
   * whole table: a row whose key changes while a census reads range after range may be in none of them. One that is not
   * here was not read so.
   */
  readonly declared: readonly DeclaredColumn[];
  /** Never left out silently. */
  readonly unsearched: readonly Unsearched[];
}

/** Every failure is a RecordStoreError; retryable ones may be tried again. */
export interface StoreSearch {
  readonly store: string;
  /** At most `count` parts, opaque text, that together cover every table, also one that is made later. */
  parts(count: number): Promise<readonly string[]>;
  /**
   * Reads every row of every table of a part, by the envelopes' own bytes and as strongly consistent as a census. What
   * is not read before `deadline` (the clock's milliseconds) comes back as unsearched for its time. For version 0, no
   * version in particular, declared columns are not read.
   */
  search(part: string, scope: SearchScope, deadline: number): Promise<SearchResult>;
}
