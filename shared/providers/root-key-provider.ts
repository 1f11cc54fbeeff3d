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
  readonly wrapped: Uint8Array;
}

export interface RootKeyProvider {
  /** `local`, `aws-kms`, … as stored with each version. */
  readonly name: string;
  /** Makes a fresh 256-bit KEK and returns it wrapped only: its plaintext does not leave the provider's code. */
  generateKek(context: KekContext): Promise<WrappedKek>;
  /** Throws UNWRAP_FAILED when blob, root key or context is not the one of generateKek. */
  unwrapKek(wrapped: WrappedKek, context: KekContext): Promise<KeyObject>;
  /**
   * Destroys what only the provider holds of this version. A KEK that is wrapped by a shared root key has nothing
   * there: its blob is erased by the ledger. Repeating it changes nothing.
   */
  destroyKek(wrapped: WrappedKek, context: KekContext): Promise<void>;
  /** Throws when the root key cannot be used now. */
  check(): Promise<void>;
}
