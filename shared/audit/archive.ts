/**
 * The port to where the audit chain is exported, outside the ledger: what was put there stays as it is (a folder on one
 * machine; S3 with Object Lock in AWS). Every failure is an AuditError.
 */
export interface AuditArchive {
  /** For messages: the folder, or the bucket. */
  readonly place: string;
  /** Create-only: false when something stands there already, which is left as it is. */
  put(name: string, bytes: Uint8Array): Promise<boolean>;
  get(name: string): Promise<Uint8Array | null>;
  /** Names that begin with the prefix, in order of their UTF-8 bytes. */
  list(prefix: string): Promise<readonly string[]>;
}
