import type { KeyObject } from 'node:crypto';
import type { EnvelopeErrorCode } from '../errors/errors.ts';

/** A tenant's key-encryption key, of one version. `key` is a secret KeyObject of 32 bytes (AES-256). */
export interface Kek {
  /** The key's id: a UUID in its canonical lower-case text form. */
  readonly keyId: string;
  /** 1 to 2^32 - 1. */
  readonly version: number;
  /** 20 bytes: the key id's 16 bytes, then the version as a big-endian uint32. */
  readonly kid: Uint8Array;
  readonly key: KeyObject;
}

/** What an envelope is bound to: it opens only where it was sealed. */
export interface EnvelopeContext {
  readonly tenant: string;
  readonly recordSet: string;
  /** The record's key, one text a key column. */
  readonly recordId: readonly string[];
  readonly field: string;
}

/** Fills the whole buffer with random bytes. Passed in, so that tests and simulations are deterministic. */
export type RandomFill = (buffer: Uint8Array) => void;

/** What an envelope says of itself, read without any key. */
export interface EnvelopeInfo {
  readonly keyId: string;
  readonly version: number;
  readonly kid: Uint8Array;
  readonly contentAlgorithm: 'A256GCM';
  readonly keyWrapAlgorithm: 'A256KW';
  /** Bytes. */
  readonly plaintextLength: number;
  /** Bytes of the whole envelope. */
  readonly length: number;
}

/**
 * The outcome for one envelope of a batch; `failed` ones fail alone. The envelopes of one batch are views of one slab
 * of memory: copy one that must outlive the others.
 */
export type RewrapOutcome =
  | { readonly status: 'rewrapped'; readonly envelope: Uint8Array }
  /** Already on the target version. */
  | { readonly status: 'current' }
  | { readonly status: 'failed'; readonly code: EnvelopeErrorCode };
