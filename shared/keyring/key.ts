import type { WrappedKek } from '../providers/root-key-provider.ts';
import type { VersionState } from './states.ts';

/** Times are ISO 8601 in UTC with milliseconds, as `Date.toISOString` gives them. */
export type Timestamp = string;

export const SUSPENSION_REASONS = [
  /** Its root key cannot be used. The version is resumed when it can be. */
  'ROOT_KEY',
  /** A person said so, and only a person resumes it. */
  'PERSON',
] as const;
export type SuspensionReason = (typeof SUSPENSION_REASONS)[number];

export interface Suspension {
  readonly reason: SuspensionReason;
  /** The root key that could not be used; null for another reason. */
  readonly rootKeyId: string | null;
  readonly at: Timestamp;
}

/** Where a version was asked for while it waited for its destruction. Null parts: the caller did not say. */
export interface CanaryUse {
  readonly version: number;
  readonly at: Timestamp;
  readonly recordSet: string | null;
  readonly recordId: readonly string[] | null;
  readonly field: string | null;
}

export const HOLD_REASONS = [
  /** A backup of a store may contain the versions until then. */
  'BACKUP',
  /** A store is being restored, or was and its records are not swept yet. */
  'RESTORE',
  /** A person said so. */
  'PERSON',
] as const;
export type HoldReason = (typeof HOLD_REASONS)[number];

/** Versions that may not be destroyed. */
export interface Hold {
  readonly holdId: string;
  readonly versions: readonly number[];
  readonly reason: HoldReason;
  /** The store, by its name in the configuration; null for another reason. */
  readonly store: string | null;
  /** For people: why. */
  readonly note: string | null;
  readonly by: string;
  readonly at: Timestamp;
  /** null: until it is released. */
  readonly until: Timestamp | null;
  /** RESTORE: the key's restore epoch since the restore ended. A sweep that began in it, or later, frees the versions. */
  readonly endedEpoch: number | null;
}

/** What wrapped a KEK, without the wrapped bytes. */
export interface ErasedWrapping {
  readonly rootKeyId: string;
  readonly materialId: string | null;
}

/** How many had to agree to the destruction of a version, and who did, when it was authorized. */
export interface Agreement {
  readonly required: number;
  readonly approvers: readonly string[];
}

/** When something was found on a version, or asked for it, after its retirement. */
export interface Sighting {
  readonly at: Timestamp;
  /** When the count of a purge found nothing on it any more, and its grace began anew; null: none did yet. */
  readonly cleanAt: Timestamp | null;
  /** What that count read and the census that retired it had not: tables that were declared since. Left out: none. */
  readonly besides?: readonly ServedTable[];
}

export interface KeyVersion {
  readonly version: number;
  readonly state: VersionState;
  /** The KEK under its root key; gone once the version is destroyed. */
  readonly wrapped: WrappedKek | null;
  /**
   * The last wrapping that was proved, kept while the one in `wrapped` is not: the KEK was wrapped anew since. Null
   * otherwise. See rewrapping.ts.
   */
  readonly formerWrapped: WrappedKek | null;
  /** Why it is SUSPENDED; null unless it is. */
  readonly suspended: Suspension | null;
  readonly provider: string;
  /** What the proved KEK gave in the key check, base64url; null until it was proved. See key-check.ts. */
  readonly check: string | null;
  readonly createdAt: Timestamp;
  readonly provedAt: Timestamp | null;
  readonly activatedAt: Timestamp | null;
  readonly retiringAt: Timestamp | null;
  /** Set when a rotation has completed away from it: no purge before this time. */
  readonly purgeNotBefore: Timestamp | null;
  readonly destroyPendingAt: Timestamp | null;
  /** Set by the write that decides; from then on only its own purge goes back, and only if something needs the version. */
  readonly destroyAuthorizedAt: Timestamp | null;
  readonly destroyedAt: Timestamp | null;
  /** The job that completed the rotation away from it; null until one did. */
  readonly retiredBy: string | null;
  /** The latest; null: none. See sightings.ts. */
  readonly seen: Sighting | null;
  /** What wrapped it when it was destroyed, for its certificate; null until then. */
  readonly erased: readonly ErasedWrapping[] | null;
  /** The approval request that its destruction used up, also one that was not carried out; null: none. */
  readonly approvedBy: string | null;
  /** Null unless its destruction is authorized, or done. */
  readonly agreement: Agreement | null;
}

/** A table that holds, or held, envelopes of a key: its store and its envelope columns, as the configuration names them. */
export interface ServedTable {
  readonly store: string;
  readonly table: string;
  readonly columns: readonly string[];
}

/** One tenant's key for one purpose, with all its versions. One item of the ledger. */
export interface TenantKey {
  /** UUIDv7; the first 16 bytes of the kid in every envelope. */
  readonly keyId: string;
  readonly tenant: string;
  readonly purpose: string;
  /** The one version that encrypts. 0 only until the key's first version is activated. */
  readonly active: number;
  /** Counts the changes of this item: each write is conditional on it. */
  readonly revision: number;
  /** The rotation that holds the key's lock, or null. */
  readonly rotationId: string | null;
  /** Bumped by every restore of a store; a purge that began in an earlier epoch is void. */
  readonly restoreEpoch: number;
  /** How often a version was activated: it tells one rotation away from a version from the next, after a rollback. */
  readonly activations: number;
  /** What asked for a version that waits for its destruction; null: nothing did since the fence. */
  readonly canary: CanaryUse | null;
  readonly holds: readonly Hold[];
  readonly createdAt: Timestamp;
  /** Every table that the key ever served. Grows only; a purge reads all of them. */
  readonly serves: readonly ServedTable[];
  readonly versions: Readonly<Record<string, KeyVersion>>;
}
