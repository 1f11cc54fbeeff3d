import type { Kek } from '../envelope/types.ts';

/** What applications and workers use to get a KEK. */
export interface Keyring {
  /** The active version, to seal with. Never older than the cache's greatest age: fails closed with KEY_UNAVAILABLE. */
  active(tenant: string, purpose: string): Promise<Kek>;
  /** One version, to open with. `use` 'rewrap' is for the worker, which may also read COMPROMISED versions. */
  version(tenant: string, purpose: string, version: number, use?: 'open' | 'rewrap'): Promise<Kek>;
  /** Forgets everything that is cached, at once. */
  clear(): void;
}
