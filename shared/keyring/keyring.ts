import type { Kek } from '../envelope/types.ts';

/** The value that is to be opened. */
export interface RecordRef {
  readonly recordSet: string;
  readonly recordId: readonly string[];
  readonly field: string;
}

/** What applications and workers use to get a KEK. */
export interface Keyring {
  /** The active version, to seal with. Never older than the cache's greatest age: fails closed with KEY_UNAVAILABLE. */
  active(tenant: string, purpose: string): Promise<Kek>;
  /**
   * One version, to open with. `use` 'rewrap' is for the worker, which may also read COMPROMISED versions. `where` is named
   * to people when the version waits for its destruction.
   */
  version(
    tenant: string,
    purpose: string,
    version: number,
    use?: 'open' | 'rewrap',
    where?: RecordRef,
  ): Promise<Kek>;
  /** Forgets everything that is cached, at once. */
  clear(): void;
}
