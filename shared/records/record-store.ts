/**
 * The port to the tables that hold envelopes. One store serves one record set. Implement it to add a kind of
 * database; the suite in test/contracts/record-store.ts says what must hold.
 *
 * Cursors and segments are opaque strings without any record data but keys; they travel in state-machine
 * state and may be used by another process, much later.
 */

/** A record's key: the text form of each key column or attribute, in the declared order; binary ones as base64url. */
export type RecordKey = readonly string[];

/** Which records a rotation is about. */
export interface Scope {
  readonly tenant: string;
  /** Id of the tenant's key. */
  readonly keyId: string;
}

export interface StalePage {
  readonly keys: readonly RecordKey[];
  /** Where to go on, or null when the segment is finished. */
  readonly cursor: string | null;
}

/** The bytes of one declared field, or null where it is NULL or missing. Not necessarily an envelope: check it. */
export type FieldValue = Uint8Array | null;

export interface StoredRecord {
  readonly key: RecordKey;
  readonly tenant: string;
  /** In the order of `RecordStore.fields`. */
  readonly values: readonly FieldValue[];
}

export interface FieldChange {
  /** Index into `RecordStore.fields`. */
  readonly field: number;
  /** Exactly the bytes that were read. */
  readonly before: Uint8Array;
  readonly after: Uint8Array;
}

export interface RecordChange {
  readonly key: RecordKey;
  readonly tenant: string;
  /** Applied all together or not at all. At least one. */
  readonly changes: readonly FieldChange[];
}

/**
 * `conflict`: a field no longer holds the bytes of `before`, or the row moved to another tenant; nothing was written. A
 * record that a longer value would make larger than the store allows is one too: the others of the batch are written.
 */
export type ReplaceOutcome = 'replaced' | 'conflict' | 'missing';

/**
 * A value as far as a rewrap needs it: what stands before an envelope's ciphertext and after it. `omitted` is the
 * length of the ciphertext in bytes; 0 where nothing was left out and `bytes` is the whole value.
 */
export interface Frame {
  readonly bytes: Uint8Array;
  readonly omitted: number;
}

export interface FramedRecord {
  readonly key: RecordKey;
  readonly tenant: string;
  /** In the order of `RecordStore.fields`. */
  readonly frames: readonly (Frame | null)[];
}

export interface FrameChange {
  readonly key: RecordKey;
  readonly tenant: string;
  /** Applied all together or not at all. At least one. */
  readonly changes: readonly {
    readonly field: number;
    /** Exactly what was read. */
    readonly before: Frame;
    /** Of the same length, with another recipient: only the bytes from the kid on may differ. */
    readonly after: Frame;
  }[];
}

export interface CensusCount {
  /** Rows read. */
  readonly rows: number;
  /** Field values that are not NULL, in those rows. */
  readonly values: number;
  /** Values whose envelope names the scope's key, by version. */
  readonly versions: Readonly<Record<string, number>>;
  /** Values of the tenant's rows that are envelopes of another key. */
  readonly foreign: number;
  /** Values of the tenant's rows that are not envelopes and whose version cannot be told. */
  readonly malformed: number;
  /** Values of the tenant's rows that were given up: a tombstone stands in the envelope's place, and needs no version. */
  readonly tombstones: number;
}

/**
 * `tenant`: the tenant's rows. `everywhere`: every row of the table; `versions` then also counts envelopes of
 * the key that stand in other tenants' rows (they block a purge), `foreign` and `malformed` stay the tenant's.
 */
export type CensusReach = 'tenant' | 'everywhere';

export interface RecordStore {
  readonly recordSet: string;
  /** Field names in declared order. */
  readonly fields: readonly string[];

  /** Verifies tables, columns, types and rights. Throws a RecordStoreError that names what is wrong. */
  check(): Promise<void>;

  /**
   * At most `count` disjoint segments that together cover every row of the tenant, also rows to come. At least one.
   * The listings of all segments cover them, and so do the censuses; one segment need not be the same rows to both.
   */
  segments(scope: Scope, count: number): Promise<readonly string[]>;
  /** The same for the whole table. */
  segmentsEverywhere(count: number): Promise<readonly string[]>;

  /**
   * Keys of the tenant's records that have a field which is not NULL and not on version `active` of the key
   * (any other version, another key, or no envelope at all), after `after` (null: from the segment's start), not
   * beyond `until` where given. `until` is a cursor that an earlier call returned, or one of `cursorAfter`.
   * A page may hold fewer than `limit` keys, also none, and still have a cursor.
   *
   * The order is the store's own and stays: a key has its place in the segment whatever happens to other records. A store
   * that cannot compare two places (a hash decides) may list beyond `until` when the record that it stands after is
   * gone, after all that comes before; it must never leave out a record for it.
   */
  listStale(
    scope: Scope,
    active: number,
    segment: string,
    after: string | null,
    limit: number,
    until?: string,
  ): Promise<StalePage>;

  /** A cursor that stands right after `key`. */
  cursorAfter(key: RecordKey): string;

  /** The records, in the order of `keys`; null where the row is gone. */
  read(keys: readonly RecordKey[]): Promise<readonly (StoredRecord | null)[]>;

  /**
   * Compare-and-set on the exact old bytes and the tenant, in bulk; an outcome per record, in order. `notAfter`, in
   * milliseconds since the epoch: a write that the database begins later is a conflict, by its own clock; a store that
   * cannot tell takes no notice.
   */
  replace(changes: readonly RecordChange[], notAfter?: number): Promise<readonly ReplaceOutcome[]>;

  /**
   * The same as read and replace for a rewrap, moving as few bytes as the store can; one that cannot leave anything
   * out gives whole values. The compare-and-set covers the value's length and everything from the recipient on: the
   * wrapped DEK is random and fresh for every seal, so it stands for the exact envelope.
   */
  readFrames(keys: readonly RecordKey[]): Promise<readonly (FramedRecord | null)[]>;
  replaceFrames(changes: readonly FrameChange[], notAfter?: number): Promise<readonly ReplaceOutcome[]>;

  /**
   * Counts by reading the envelopes themselves, strongly consistent, never by an index that lags: it sees every write
   * whose transaction began before the call; without transactions that stay open, every write that was answered before.
   * Throws STORE_OPEN_TRANSACTIONS (retryable) when such a transaction stays open.
   */
  census(scope: Scope, segment: string, reach: CensusReach): Promise<CensusCount>;

  /**
   * Tells a store with a fence the lowest version of a key that writers may write from now on. What a later revision of
   * the key said stands; of the same revision, the lower one. Returns since when the minimum is the one that was said, by
   * the store's own clock: a repeat, and a later revision that says the same, change nothing and get the same. null, and
   * nothing was done: a later word stands, or no fence is there.
   */
  setMinimum(minimum: MinimumVersion): Promise<string | null>;

  /** null: the store has none to offer. */
  readonly fence: RecordFence | null;

  close(): Promise<void>;
}

/** The lowest version of a key that writers may write, as of a revision of the key. */
export interface MinimumVersion {
  readonly keyId: string;
  readonly version: number;
  readonly revision: number;
}

/**
 * A guard of the database's own: it refuses envelopes below their key's minimum version, whatever their writer has
 * cached. One record set's; it is there only where it was installed.
 */
export interface RecordFence {
  check(): Promise<FenceState>;
  /** All or nothing. False: it was there, and as it must be. */
  install(): Promise<boolean>;
  /** What `install` would run, for an owner to run. */
  statements(): Promise<readonly string[]>;
  /** Whether there is anything for `remove` to do, also where the table itself is gone. */
  isThere(): Promise<boolean>;
  /** All or nothing; with the last fence of the database also the minimums. False: there was none. */
  remove(): Promise<boolean>;
  /** By key id. A key that none was set for has none, and every version of it is taken. */
  minimums(keyIds: readonly string[]): Promise<ReadonlyMap<string, number>>;
}

export interface FenceState {
  readonly installed: boolean;
  /** Why it does not hold, though it is installed. Sentences without their full stop; none: it holds. */
  readonly problems: readonly string[];
}

/** One record whose plaintext is to become envelopes. `plaintext` and `values` are in the order of `fields`. */
export interface PlaintextRecord {
  readonly key: RecordKey;
  readonly tenant: string;
  readonly plaintext: readonly (Uint8Array | null)[];
  readonly values: readonly FieldValue[];
}

export interface PlaintextChange {
  readonly key: RecordKey;
  readonly tenant: string;
  readonly changes: readonly {
    readonly field: number;
    /** The plaintext that was sealed: the write happens only while the column still holds it and the field is NULL. */
    readonly plaintext: Uint8Array;
    readonly envelope: Uint8Array;
  }[];
}

/** What a store offers besides, when plaintext columns can be adopted in place. */
export interface AdoptableStore extends RecordStore {
  /** True when some field declares a plaintext column that still exists. */
  hasPlaintext(): Promise<boolean>;
  /** Creates envelope columns that are missing. Returns the names of those it made. Repeating it changes nothing. */
  prepareAdoption(): Promise<readonly string[]>;
  /** Tenants that occur in the table. Throws TENANT_INVALID where a row has none. */
  tenants(): Promise<readonly string[]>;
  /** Keys of the tenant's records with a field whose plaintext is set and whose envelope is NULL. Same rules as listStale. */
  listPlaintext(
    scope: { readonly tenant: string },
    segment: string,
    after: string | null,
    limit: number,
    until?: string,
  ): Promise<StalePage>;
  readPlaintext(keys: readonly RecordKey[]): Promise<readonly (PlaintextRecord | null)[]>;
  fill(changes: readonly PlaintextChange[]): Promise<readonly ReplaceOutcome[]>;
  /**
   * Drops the plaintext columns once every row of the table opens to the same value, by `verify` on each page:
   * first without a lock, then, under a lock, only the rows written since. Throws PLAINTEXT_DIFFERS, naming the
   * record, and then nothing was dropped. Returns the dropped columns; none when they were gone already.
   */
  dropPlaintext(
    verify: (records: readonly PlaintextRecord[]) => Promise<void>,
    onProgress?: (rows: number) => void,
  ): Promise<readonly string[]>;
}
