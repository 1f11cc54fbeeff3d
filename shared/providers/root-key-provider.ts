import type { KeyObject } from 'node:crypto';

/**
 * The port to whatever holds the root key that wraps KEKs. The suite in test/contracts/root-key-provider.ts
 * says what must hold. Every failure is a ProviderError.
 */

/** Bound to the wrapped KEK as authenticated data (AWS KMS: encryption context). No personal data in it. */
export interface KekContext {
  readonly tenant: string;
  readonly purpose: string;
  readonly keyId: string;
  readonly version: number;
}

export interface WrappedKek {
  /** The provider's full name of the root key that wrapped it (AWS: the key's ARN, never an alias). */
  readonly rootKeyId: string;
  /** Which material of that root key wrapped it (AWS: KeyMaterialId); null where a root key has only one, or it is not told. */
  readonly materialId: string | null;
  readonly wrapped: Uint8Array;
}

export const ROOT_KEY_STATES = [
  'ENABLED',
  'DISABLED',
  'PENDING_DELETION',
  /** Its imported material was deleted or has expired. */
  'PENDING_IMPORT',
  /** The store behind it does not answer (custom or external key store). */
  'UNAVAILABLE',
  'NOT_FOUND',
] as const;
export type RootKeyState = (typeof ROOT_KEY_STATES)[number];

/** What the provider says of a root key, read from the source of truth and never from an event. */
export interface RootKeyStatus {
  readonly rootKeyId: string;
  readonly state: RootKeyState;
  /** The material that wraps now; null where there is only one, or it is not told. */
  readonly materialId: string | null;
  /** ISO 8601 UTC. When imported material that is still needed expires, the earliest; null: never. */
  readonly materialExpiresAt: string | null;
  /** ISO 8601 UTC. When the provider deletes it; null: not planned. */
  readonly deletionAt: string | null;
  /** Whether the provider gives it new material by itself, from time to time; null: it cannot, or does not tell. */
  readonly automaticRotation: boolean | null;
}

export interface RootKeyProvider {
  /** `local`, `aws-kms`, … as stored with each version. */
  readonly name: string;
  /** Makes a fresh 256-bit KEK and returns it wrapped only: its plaintext does not leave the provider's code. */
  generateKek(context: KekContext): Promise<WrappedKek>;
  /** Throws UNWRAP_FAILED when blob, root key or context is not the one of generateKek. */
  unwrapKek(wrapped: WrappedKek, context: KekContext): Promise<KeyObject>;
  /** The root key that wraps new KEKs of this tenant. */
  rootKeyFor(tenant: string): string;
  /**
   * Wraps the KEK anew under the tenant's current root key and its current material, inside the provider: the
   * plaintext does not leave it. Throws UNWRAP_FAILED as unwrapKek does.
   */
  rewrapKek(wrapped: WrappedKek, context: KekContext): Promise<WrappedKek>;
  /** The truth about a root key, also one that is gone or disabled. Throws only when the provider cannot be asked. */
  inspectRootKey(rootKeyId: string): Promise<RootKeyStatus>;
  /**
   * Destroys what only the provider holds of this version. A KEK that is wrapped by a shared root key has nothing
   * there: its blob is erased by the ledger. Repeating it changes nothing.
   */
  destroyKek(wrapped: WrappedKek, context: KekContext): Promise<void>;
  /** Throws when a root key that wraps new KEKs cannot be used now. */
  check(): Promise<void>;
}
