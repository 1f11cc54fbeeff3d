/**
 * What happened in a simulation, in order: all that the checker (simulation/checker/) is given. Nothing in it is secret:
 * keys and plaintexts are made up.
 */
export type HistoryEntry = {
  readonly seq: number /** True time, milliseconds. */;
  readonly at: number;
} & HappenedEvent;

export type HappenedEvent =
  /** First, and once. */
  | {
      readonly kind: 'config';
      readonly tenants: readonly string[];
      /** Record set -> its store, purpose and fields. */
      readonly recordSets: Readonly<
        Record<
          string,
          { readonly store: string; readonly purpose: string; readonly fields: readonly string[] }
        >
      >;
      /** Of config.rotation: seconds. */
      readonly rotation: Readonly<Record<string, unknown>>;
      readonly approvalsRequired: number;
    }
  /** The KEK of a version that is about to be stored. One that was made and not stored is nobody's. */
  | {
      readonly kind: 'kek';
      readonly tenant: string;
      readonly purpose: string;
      readonly keyId: string;
      readonly version: number;
      readonly kek: Uint8Array;
    }
  /** The ledger committed an item; null: it was deleted. `item` is the name of its map in models/ledger.ts, `audit` an entry of a chain. */
  | {
      readonly kind: 'item';
      readonly item: string;
      readonly id: string;
      readonly value: unknown;
      readonly by: string;
    }
  /** A store committed a record: all its fields as they are now, or null when it was deleted. */
  | {
      readonly kind: 'record';
      readonly recordSet: string;
      readonly id: readonly string[];
      readonly tenant: string;
      readonly values: readonly (Uint8Array | null)[] | null;
      /** `damage`: a fault changed its bytes, so that nobody needs to be able to read it any more. */
      readonly cause: 'application' | 'pipeline' | 'restore' | 'damage' | 'give-up';
      /** Of an application's write: what it committed, by field. */
      readonly plaintexts: readonly (Uint8Array | null)[] | null;
      readonly by: string;
    }
  /** A backup of all record sets of a store exists: as the records were at this entry. */
  | { readonly kind: 'backup'; readonly backupId: string; readonly store: string }
  | { readonly kind: 'backup-lapsed'; readonly backupId: string }
  /** The records of a backup become visible: `record` entries with the cause `restore` follow. */
  | { readonly kind: 'restored'; readonly backupId: string; readonly restoreId: string }
  /** An application opened what it had read. `code`: null when it could; an error's code otherwise. `digest`: sha256 of the plaintext, hex. */
  | {
      readonly kind: 'read';
      readonly recordSet: string;
      readonly id: readonly string[];
      readonly field: string;
      readonly envelope: Uint8Array;
      readonly code: string | null;
      readonly digest: string | null;
      readonly by: string;
    }
  /** An application asked for a version that was fenced at `fencedAt`, and was given it. */
  | {
      readonly kind: 'given';
      readonly keyId: string;
      readonly version: number;
      readonly fencedAt: string;
      readonly by: string;
    }
  /** The answer was no: to a write that a store's fence or its compare-and-set refused, to a restore. `code`: an error's, or CONFLICT. */
  | {
      readonly kind: 'refused';
      readonly what: 'write' | 'restore';
      readonly where: string;
      readonly code: string;
      readonly by: string;
    }
  | {
      readonly kind: 'execution';
      readonly machine: string;
      readonly name: string;
      readonly state: 'STARTED' | 'SUCCEEDED' | 'FAILED' | 'ABORTED';
    }
  | { readonly kind: 'published'; readonly event: unknown }
  | { readonly kind: 'archived'; readonly name: string; readonly bytes: Uint8Array }
  /** A root key can be used or not, from now on. */
  | { readonly kind: 'root-key'; readonly rootKeyId: string; readonly state: string }
  /** Of the next release (releases/deployment.ts): it goes on, was taken back, or is over. */
  | { readonly kind: 'deployment'; readonly phase: 'rolling' | 'rolled-back' | 'done' }
  | { readonly kind: 'fault'; readonly fault: string; readonly where: string }
  /** Faults stop here. What follows must come to its end. */
  | { readonly kind: 'quiet' }
  | { readonly kind: 'end' };

export interface History {
  readonly entries: readonly HistoryEntry[];
  add(event: HappenedEvent): void;
}
