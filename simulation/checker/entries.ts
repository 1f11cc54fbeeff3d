/**
 * What a simulation tells the checker: the entries of simulation/history.ts, spelt once more. The checker imports nothing of
 * the project, so that no mistake of it is a mistake of the checker, too.
 */
export type HistoryEntry = { readonly seq: number /** True time, milliseconds. */; readonly at: number } & (
  | ConfigEntry
  | KekEntry
  | ItemEntry
  | RecordEntry
  | ReadEntry
  | ExecutionEntry
  | GivenEntry
  | { readonly kind: 'refused' }
  | { readonly kind: 'backup'; readonly backupId: string; readonly store: string }
  | { readonly kind: 'backup-lapsed'; readonly backupId: string }
  | { readonly kind: 'restored'; readonly backupId: string; readonly restoreId: string }
  | { readonly kind: 'published'; readonly event: unknown }
  | { readonly kind: 'archived'; readonly name: string; readonly bytes: Uint8Array }
  | { readonly kind: 'root-key'; readonly rootKeyId: string; readonly state: string }
  | { readonly kind: 'deployment'; readonly phase: string }
  | { readonly kind: 'fault'; readonly fault: string; readonly where: string }
  | { readonly kind: 'quiet' }
  | { readonly kind: 'end' }
);

export interface ConfigEntry {
  readonly kind: 'config';
  readonly tenants: readonly string[];
  readonly recordSets: Readonly<
    Record<string, { readonly store: string; readonly purpose: string; readonly fields: readonly string[] }>
  >;
  readonly rotation: Readonly<Record<string, unknown>>;
  readonly approvalsRequired: number;
}

export interface KekEntry {
  readonly kind: 'kek';
  readonly tenant: string;
  readonly purpose: string;
  readonly keyId: string;
  readonly version: number;
  readonly kek: Uint8Array;
}

export interface ItemEntry {
  readonly kind: 'item';
  readonly item: string;
  readonly id: string;
  readonly value: unknown;
  readonly by: string;
}

export interface RecordEntry {
  readonly kind: 'record';
  readonly recordSet: string;
  readonly id: readonly string[];
  readonly tenant: string;
  readonly values: readonly (Uint8Array | null)[] | null;
  readonly cause: 'application' | 'pipeline' | 'restore' | 'damage' | 'give-up';
  readonly plaintexts: readonly (Uint8Array | null)[] | null;
  readonly by: string;
}

export interface ReadEntry {
  readonly kind: 'read';
  readonly recordSet: string;
  readonly id: readonly string[];
  readonly field: string;
  readonly envelope: Uint8Array;
  readonly code: string | null;
  readonly digest: string | null;
  readonly by: string;
}

export interface GivenEntry {
  readonly kind: 'given';
  readonly keyId: string;
  readonly version: number;
  readonly fencedAt: string;
  readonly by: string;
}

export interface ExecutionEntry {
  readonly kind: 'execution';
  readonly machine: string;
  readonly name: string;
  readonly state: 'STARTED' | 'SUCCEEDED' | 'FAILED' | 'ABORTED';
}

/** Something that must never happen, and did. */
export interface Finding {
  /** The invariant's number in docs/protocol.md, or `liveness`. */
  readonly rule: string;
  /** Of the entry that it was seen at. */
  readonly seq: number;
  readonly what: string;
}
