/**
 * Every error that Keyturn raises on purpose. `code` is stable and safe to match on; the message names the
 * field and the value's shape, never a secret; `remedy` says what to do next.
 */

/** @see docs/errors.md for what each code means and how the command line exits on it. */
export abstract class KeyturnError extends Error {
  abstract readonly code: string;
  /** What the reader can do about it, as one sentence. */
  readonly remedy: string | undefined;
  /** True when the same call may succeed later without any change: an outage, a throttle, a lost connection. */
  readonly retryable: boolean;

  constructor(message: string, options: ErrorDetail = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = new.target.name;
    this.remedy = options.remedy;
    this.retryable = options.retryable ?? false;
  }
}

export interface ErrorDetail {
  readonly remedy?: string;
  readonly retryable?: boolean;
  readonly cause?: unknown;
}

export type EnvelopeErrorCode =
  /** The bytes are not exactly one envelope of this format version. */
  | 'ENVELOPE_MALFORMED'
  /** The value was given up, and a tombstone stands in the envelope's place. */
  | 'RECORD_TOMBSTONED'
  /** It is an envelope, but it names another key than the one that was given. */
  | 'KEY_MISMATCH'
  /** It names a version of the key that was not given. */
  | 'VERSION_UNKNOWN'
  /** It names a later version than the target, and that one's KEK was not given. */
  | 'VERSION_NEWER'
  /** The wrapped DEK, the ciphertext or the context is not what was sealed. One opaque code for all of them. */
  | 'DECRYPTION_FAILED'
  /** A new wrapping did not unwrap to the same DEK, and was not handed out. */
  | 'REWRAP_UNVERIFIED'
  /** An argument has the wrong type, length or range. */
  | 'ENVELOPE_ARGUMENT';

export class EnvelopeError extends KeyturnError {
  readonly code: EnvelopeErrorCode;
  constructor(code: EnvelopeErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type ConfigErrorCode =
  | 'CONFIG_NOT_FOUND'
  | 'CONFIG_INVALID'
  | 'ENVIRONMENT_INVALID'
  /** A function uses what its needs do not name. */
  | 'NEED_NOT_DECLARED';

export class ConfigError extends KeyturnError {
  readonly code: ConfigErrorCode;
  constructor(code: ConfigErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type ProviderErrorCode =
  | 'PROVIDER_UNAVAILABLE'
  | 'PROVIDER_THROTTLED'
  | 'PROVIDER_DENIED'
  /** A limit of the provider that waiting does not lift. */
  | 'PROVIDER_LIMIT'
  | 'ROOT_KEY_NOT_FOUND'
  | 'ROOT_KEY_DISABLED'
  | 'ROOT_KEY_PENDING_DELETION'
  /** Its imported material is gone. */
  | 'ROOT_KEY_PENDING_IMPORT'
  /** It is not of the kind that can do this. */
  | 'ROOT_KEY_UNSUITABLE'
  /** The wrapped KEK, its root key or its encryption context is not what was wrapped. */
  | 'UNWRAP_FAILED'
  | 'KEYSTORE_NOT_FOUND'
  | 'KEYSTORE_EXISTS'
  /** The keystore or key file can be read by others than its owner. */
  | 'KEYSTORE_PERMISSIONS'
  | 'KEYSTORE_MALFORMED'
  /** The passphrase or key file does not open this keystore. */
  | 'KEYSTORE_LOCKED';

export class ProviderError extends KeyturnError {
  readonly code: ProviderErrorCode;
  constructor(code: ProviderErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type LedgerErrorCode =
  | 'LEDGER_UNAVAILABLE'
  | 'LEDGER_DENIED'
  | 'LEDGER_NOT_FOUND'
  /** An item in the table is not of the shape that this release reads, or would be none that it may write. */
  | 'LEDGER_ITEM_INVALID'
  /** An item in the table was not written by the pipeline, or not like this: its MAC is missing or wrong. */
  | 'STATE_FORGED'
  /** Somebody else changed the item in between: read it again. */
  | 'REVISION_CONFLICT';

export class LedgerError extends KeyturnError {
  readonly code: LedgerErrorCode;
  constructor(code: LedgerErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

/**
 * An item of the ledger that was found as it should not be for this release: a newer one wrote it, or somebody by hand. This
 * code never reads it; the code that a deployment puts in its place may (functions/lambda.ts).
 */
export class UnreadableItemError extends LedgerError {
  constructor(message: string, detail?: ErrorDetail) {
    super('LEDGER_ITEM_INVALID', message, detail);
  }
}

export type KeyErrorCode =
  | 'KEY_NOT_FOUND'
  | 'KEY_EXISTS'
  | 'VERSION_NOT_FOUND'
  /** The version's state does not allow this use or this transition. */
  | 'VERSION_STATE'
  /** The version was destroyed: what it encrypted is gone. */
  | 'VERSION_DESTROYED'
  | 'HOLD_NOT_FOUND'
  /** The hold cannot be placed or released like that. */
  | 'HOLD_REFUSED'
  /** The provider returned other bytes than the ones that were proved. */
  | 'KEY_CHECK_FAILED'
  /** The keyring cannot reach the ledger or provider, and its cached key is too old to use. */
  | 'KEY_UNAVAILABLE';

export class KeyError extends KeyturnError {
  readonly code: KeyErrorCode;
  constructor(code: KeyErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type RecordStoreErrorCode =
  | 'STORE_UNAVAILABLE'
  | 'STORE_DENIED'
  | 'STORE_READ_ONLY'
  | 'STORE_FULL'
  | 'STORE_TLS'
  /** Transactions that began before the barrier are still open, so a census would not see what they write. */
  | 'STORE_OPEN_TRANSACTIONS'
  | 'STORE_BUSY'
  /** The writers' fence refused an envelope: its version is below its key's minimum. */
  | 'STORE_FENCED'
  /** The store asks to slow down, and went on asking for as long as was waited. */
  | 'STORE_THROTTLED'
  | 'TABLE_NOT_FOUND'
  | 'COLUMN_NOT_FOUND'
  | 'COLUMN_TYPE'
  /** The key columns do not identify one row. */
  | 'KEY_COLUMNS_NOT_UNIQUE'
  /** The table or its index is not of the form that the adapter needs. */
  | 'TABLE_UNSUITABLE'
  | 'RECORD_KEY_INVALID'
  | 'TENANT_INVALID'
  | 'RECORD_SET_NOT_FOUND'
  /** The store cannot take over plaintext in place. */
  | 'ADOPTION_NOT_OFFERED'
  /** Plaintext and envelope of a record differ, so the plaintext is not dropped. */
  | 'PLAINTEXT_DIFFERS'
  | 'STORE_FAILED';

export class RecordStoreError extends KeyturnError {
  readonly code: RecordStoreErrorCode;
  constructor(code: RecordStoreErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type RotationErrorCode =
  | 'ROTATION_NOT_FOUND'
  /** The rotation's status does not allow this step. */
  | 'ROTATION_STATE'
  /** The key's item has no room for one more version and for all that must stay possible. */
  | 'KEY_FULL'
  | 'CENSUS_INCONSISTENT'
  | 'CENSUS_NOT_FOUND'
  /** The job is at rest: whoever works on it ends quietly. */
  | 'JOB_PAUSED'
  /** A person called the job off: whoever works on it ends quietly. */
  | 'JOB_CANCELLED'
  /** The version cannot be activated again. */
  | 'ROLLBACK_REFUSED'
  /** The purge is not due, or something still needs the version. */
  | 'PURGE_REFUSED'
  /** The value is not in quarantine, or it opens. */
  | 'GIVE_UP_REFUSED'
  | 'RESTORE_NOT_FOUND'
  /** The backup may need a version that is gone, or the restore is not where this step may follow. */
  | 'RESTORE_REFUSED'
  | 'MESSAGE_INVALID'
  | 'QUEUE_UNAVAILABLE'
  | 'EXECUTIONS_UNAVAILABLE';

export class RotationError extends KeyturnError {
  readonly code: RotationErrorCode;
  constructor(code: RotationErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type SecretErrorCode =
  | 'SECRET_NOT_FOUND'
  | 'SECRET_DENIED'
  | 'SECRET_UNAVAILABLE'
  /** It is not what RDS writes: JSON with a user and a password. */
  | 'SECRET_INVALID';

export class SecretError extends KeyturnError {
  readonly code: SecretErrorCode;
  constructor(code: SecretErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type BusErrorCode =
  | 'BUS_UNAVAILABLE'
  /** Another try would not change it: no right, no such bus, an event that is too large. */
  | 'BUS_REFUSED';

export class BusError extends KeyturnError {
  readonly code: BusErrorCode;
  constructor(code: BusErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type SigningErrorCode =
  /** The statement, its type, its key or its signature is not what was signed. */
  | 'SIGNATURE_INVALID'
  /** There is no such key, or none of the given ones signed it. */
  | 'SIGNING_KEY_NOT_FOUND'
  | 'SIGNING_KEY_EXISTS'
  /** It is not of the kind or in the state that can do this. */
  | 'SIGNING_KEY_UNSUITABLE'
  | 'SIGNING_UNAVAILABLE'
  | 'SIGNING_DENIED';

export class SigningError extends KeyturnError {
  readonly code: SigningErrorCode;
  constructor(code: SigningErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type ApprovalErrorCode =
  | 'APPROVAL_NOT_FOUND'
  /** This approval does not count: not an approver, the requester, another key, too late, void. */
  | 'APPROVAL_REFUSED'
  /** A request in the ledger is not what its id says. */
  | 'APPROVAL_INVALID';

export class ApprovalError extends KeyturnError {
  readonly code: ApprovalErrorCode;
  constructor(code: ApprovalErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type AuditErrorCode =
  /** The chain or its archive is out of reach or busy. */
  | 'AUDIT_UNAVAILABLE'
  | 'AUDIT_DENIED'
  /** A chain has not what it had, or what is in the archive is not what was put there. */
  | 'AUDIT_BROKEN'
  /** The archive does not exist, or is not of the kind that it must be. */
  | 'AUDIT_ARCHIVE_UNSUITABLE';

export class AuditError extends KeyturnError {
  readonly code: AuditErrorCode;
  constructor(code: AuditErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

export type CertificateErrorCode =
  | 'CERTIFICATE_NOT_FOUND'
  /** What the ledger knows of the version contradicts itself, so nothing is certified. */
  | 'CERTIFICATE_INCONSISTENT'
  /** It is signed, but not of the form of a certificate. */
  | 'CERTIFICATE_INVALID';

export class CertificateError extends KeyturnError {
  readonly code: CertificateErrorCode;
  constructor(code: CertificateErrorCode, message: string, detail?: ErrorDetail) {
    super(message, detail);
    this.code = code;
  }
}

/** Every class, so that a switch over an error is exhaustive. */
export type AnyKeyturnError =
  | EnvelopeError
  | ConfigError
  | ProviderError
  | LedgerError
  | KeyError
  | RecordStoreError
  | RotationError
  | BusError
  | SecretError
  | AuditError
  | SigningError
  | CertificateError
  | ApprovalError;

export type ErrorCode = AnyKeyturnError['code'];
