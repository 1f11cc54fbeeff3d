import type { Timestamp } from '../keyring/key.ts';

/**
 * One link of a tenant's hash chain. `hash` is the SHA-256, base64url, of the canonical JSON (RFC 8785) of the entry
 * without it; `previous` is the hash of the entry before, so that nothing can be changed, dropped or moved in the middle.
 */
export interface AuditEntry {
  readonly tenant: string;
  /** From 1, without a gap. */
  readonly sequence: number;
  /** The same event is in the chain once: `key/<keyId>/<revision>`, `job/<jobId>/<revision>`, or `<kind>/<id>`. */
  readonly eventId: string;
  readonly at: Timestamp;
  /** Who did it: `person:<name>`, `function:<name>`, `application`. */
  readonly actor: string;
  /** What happened: `key.version.activated`, `job.completed`, `approval.given`, … */
  readonly type: string;
  /** Ids, numbers, states and times; never a plaintext, a key byte or a record's content. */
  readonly detail: Readonly<Record<string, AuditValue>>;
  /** null: the first. */
  readonly previous: string | null;
  readonly hash: string;
}

export type AuditValue = string | number | boolean | null | readonly string[] | readonly number[];
