import { type ErrorCode, KeyturnError } from '../../shared/errors/errors.ts';
import type { CliErrorCode } from './cli-error.ts';

/** Every exit code, and for every error the one that the command line ends with. docs/errors.md is made from this. */

export const EXIT_CODES = {
  done: { code: 0, meaning: 'Done. Also when there was nothing to do.' },
  unexpected: { code: 1, meaning: 'An error that nobody foresaw; please report it.' },
  input: { code: 2, meaning: 'Wrong usage, configuration or input. Correct it, then try again.' },
  notFound: { code: 3, meaning: 'What was named does not exist: a tenant, key, version, record set, table.' },
  refused: {
    code: 4,
    meaning:
      'Refused, blocked or not as it must be: a BLOCKED job, a refused purge, a census that is not clean, a failed check.',
  },
  unavailable: { code: 5, meaning: 'Something is out of reach or busy. The same command may work later.' },
  interrupted: { code: 130, meaning: 'Ctrl-C. What had begun goes on in the stack.' },
} as const satisfies Record<string, { readonly code: number; readonly meaning: string }>;

export type Exit = keyof typeof EXIT_CODES;

interface ErrorEntry {
  readonly exit: Exit;
  readonly meaning: string;
}

export const ERRORS = {
  ENVELOPE_MALFORMED: {
    exit: 'input',
    meaning: 'The bytes are not exactly one envelope of this format version.',
  },
  RECORD_TOMBSTONED: {
    exit: 'refused',
    meaning:
      "The value was given up, with people's approval: a tombstone stands in the place of its envelope.",
  },
  ENVELOPE_ARGUMENT: { exit: 'input', meaning: 'An argument has the wrong type, length or range.' },
  KEY_MISMATCH: { exit: 'refused', meaning: 'The envelope names another key than the one that was given.' },
  VERSION_UNKNOWN: {
    exit: 'refused',
    meaning: 'The envelope names a version of the key that was not given.',
  },
  VERSION_NEWER: {
    exit: 'refused',
    meaning: 'The envelope names a later version than the target, and its KEK was not given.',
  },
  DECRYPTION_FAILED: {
    exit: 'refused',
    meaning:
      'The wrapped DEK, the ciphertext or the context is not what was sealed; deliberately no more is said.',
  },
  REWRAP_UNVERIFIED: {
    exit: 'refused',
    meaning: 'A new wrapping did not unwrap to the same DEK, and was not stored.',
  },

  CONFIG_NOT_FOUND: { exit: 'input', meaning: 'The configuration file cannot be read.' },
  CONFIG_INVALID: {
    exit: 'input',
    meaning: 'A setting is missing, misspelt or has a wrong value; it is named.',
  },
  SECRET_NOT_FOUND: {
    exit: 'notFound',
    meaning: 'There is no such secret in Secrets Manager, or it holds no text.',
  },
  SECRET_DENIED: { exit: 'refused', meaning: 'Reading the secret of a store was denied.' },
  SECRET_UNAVAILABLE: { exit: 'unavailable', meaning: 'Secrets Manager cannot be reached or is busy.' },
  SECRET_INVALID: {
    exit: 'input',
    meaning: 'The secret of a store is not the JSON with user and password that RDS writes.',
  },
  ENVIRONMENT_INVALID: {
    exit: 'input',
    meaning: 'An environment variable is missing or invalid; it is named.',
  },
  NEED_NOT_DECLARED: {
    exit: 'refused',
    meaning:
      "A function uses what its declared needs, and so its role, do not name: a bug, or somebody's change.",
  },

  PROVIDER_UNAVAILABLE: { exit: 'unavailable', meaning: 'The provider of the root key cannot be reached.' },
  PROVIDER_THROTTLED: { exit: 'unavailable', meaning: 'The provider of the root key asks to slow down.' },
  PROVIDER_DENIED: {
    exit: 'refused',
    meaning: 'The provider refuses this identity the use of the root key.',
  },
  PROVIDER_LIMIT: {
    exit: 'refused',
    meaning: 'A limit of the provider of the root key is reached, and waiting does not lift it.',
  },
  ROOT_KEY_NOT_FOUND: { exit: 'notFound', meaning: 'The root key does not exist.' },
  ROOT_KEY_DISABLED: { exit: 'refused', meaning: 'The root key is disabled.' },
  ROOT_KEY_PENDING_DELETION: { exit: 'refused', meaning: 'The root key waits for its deletion.' },
  ROOT_KEY_PENDING_IMPORT: {
    exit: 'refused',
    meaning: 'The imported material of the root key was deleted or has expired.',
  },
  ROOT_KEY_UNSUITABLE: {
    exit: 'input',
    meaning:
      'The root key is not of the kind that can do this: it must encrypt symmetrically, and a KEK is wrapped anew within one region only.',
  },
  UNWRAP_FAILED: {
    exit: 'refused',
    meaning: 'The wrapped KEK, its root key or its context is not what was wrapped.',
  },
  KEYSTORE_NOT_FOUND: { exit: 'notFound', meaning: 'There is no keystore or key file at this path.' },
  KEYSTORE_EXISTS: {
    exit: 'refused',
    meaning: 'There is a keystore or key file already; it is never overwritten.',
  },
  KEYSTORE_PERMISSIONS: {
    exit: 'refused',
    meaning: 'The keystore or key file can be reached by others than its owner.',
  },
  KEYSTORE_MALFORMED: { exit: 'input', meaning: 'The file is not a keystore of this version.' },
  KEYSTORE_LOCKED: { exit: 'input', meaning: 'The passphrase or key file does not open this keystore.' },

  LEDGER_UNAVAILABLE: { exit: 'unavailable', meaning: 'The ledger (DynamoDB) cannot be reached.' },
  LEDGER_DENIED: { exit: 'refused', meaning: 'The ledger refuses this identity.' },
  LEDGER_NOT_FOUND: {
    exit: 'notFound',
    meaning: 'The table of the ledger, or an item in it, does not exist.',
  },
  LEDGER_ITEM_INVALID: {
    exit: 'unexpected',
    meaning:
      'An item of the ledger has what this release does not know, or lacks what it must have: a newer release wrote it, or somebody by hand. Or one that was to be written is larger than DynamoDB takes.',
  },
  STATE_FORGED: {
    exit: 'refused',
    meaning:
      'An item of the ledger was not written by Keyturn, or was changed since: somebody else can write there.',
  },
  REVISION_CONFLICT: {
    exit: 'unavailable',
    meaning: 'Somebody else changed the item in between, again and again.',
  },

  KEY_NOT_FOUND: { exit: 'notFound', meaning: 'The tenant has no key for this purpose.' },
  KEY_EXISTS: { exit: 'refused', meaning: 'The key exists already.' },
  VERSION_NOT_FOUND: { exit: 'notFound', meaning: 'The key has no such version.' },
  VERSION_STATE: { exit: 'refused', meaning: "The version's state does not allow this use or this change." },
  VERSION_DESTROYED: { exit: 'refused', meaning: 'The version was destroyed: what it encrypted is gone.' },
  HOLD_NOT_FOUND: { exit: 'notFound', meaning: 'The key has no such hold.' },
  HOLD_REFUSED: { exit: 'refused', meaning: 'The hold cannot be placed or released like that.' },
  KEY_CHECK_FAILED: {
    exit: 'refused',
    meaning: 'The provider returned other key bytes than the ones that were proved.',
  },
  KEY_UNAVAILABLE: {
    exit: 'unavailable',
    meaning: 'Ledger or provider is out of reach, and the cached key is too old.',
  },

  STORE_UNAVAILABLE: { exit: 'unavailable', meaning: 'The database cannot be reached or is restarting.' },
  STORE_DENIED: { exit: 'refused', meaning: 'The database refuses the role, or the role lacks a right.' },
  STORE_READ_ONLY: { exit: 'refused', meaning: 'The database is read-only.' },
  STORE_FULL: { exit: 'unavailable', meaning: "The database's disk is full." },
  STORE_TLS: { exit: 'input', meaning: 'The database server could not be authenticated over TLS.' },
  STORE_OPEN_TRANSACTIONS: {
    exit: 'unavailable',
    meaning:
      'Transactions that began before the census are still open, and it would not see what they write.',
  },
  STORE_BUSY: { exit: 'unavailable', meaning: 'The database gave up on a lock, a conflict or a time limit.' },
  STORE_FENCED: {
    exit: 'unavailable',
    meaning: "The writers' fence of the database refused a version below its key's minimum.",
  },
  STORE_THROTTLED: {
    exit: 'unavailable',
    meaning: 'The store (DynamoDB) asks to slow down, and went on asking for as long as was waited.',
  },
  STORE_FAILED: {
    exit: 'unexpected',
    meaning: 'The database failed in another way; its SQLSTATE or error name is given.',
  },
  TABLE_NOT_FOUND: { exit: 'notFound', meaning: 'The table of a record set does not exist.' },
  COLUMN_NOT_FOUND: { exit: 'notFound', meaning: 'A column of a record set does not exist.' },
  COLUMN_TYPE: {
    exit: 'input',
    meaning: 'A column of a record set has a type that cannot hold what it must.',
  },
  KEY_COLUMNS_NOT_UNIQUE: {
    exit: 'input',
    meaning: 'The key columns of a record set do not identify one row.',
  },
  TABLE_UNSUITABLE: {
    exit: 'input',
    meaning: 'A table of DynamoDB, or its index, is not of the form that its record set needs.',
  },
  RECORD_KEY_INVALID: { exit: 'input', meaning: "A record's key is not of the form of the key columns." },
  RECORD_SET_NOT_FOUND: {
    exit: 'notFound',
    meaning: 'The configuration declares no such record set, or store.',
  },
  TENANT_INVALID: { exit: 'input', meaning: 'A row has no tenant, or one that cannot be used.' },
  ADOPTION_NOT_OFFERED: {
    exit: 'refused',
    meaning: 'The kind of store cannot take over plaintext in place; the application writes the envelopes.',
  },
  PLAINTEXT_DIFFERS: {
    exit: 'refused',
    meaning: 'Plaintext and envelope of a record differ, so no plaintext was dropped. The record is named.',
  },

  ROTATION_NOT_FOUND: { exit: 'notFound', meaning: 'There is no such job.' },
  ROTATION_STATE: { exit: 'refused', meaning: "The job's status does not allow this step." },
  KEY_FULL: {
    exit: 'refused',
    meaning:
      'The key has so many versions that its item in the ledger has no room for another and for all that must stay possible.',
  },
  CENSUS_INCONSISTENT: {
    exit: 'unexpected',
    meaning: 'The numbers of a census do not add up, so nothing is decided by it.',
  },
  CENSUS_NOT_FOUND: { exit: 'notFound', meaning: 'There is no kept census with this id.' },
  JOB_PAUSED: {
    exit: 'refused',
    meaning: 'The job is paused, and nothing works on it until it is taken up.',
  },
  JOB_CANCELLED: {
    exit: 'refused',
    meaning: 'The job was called off, and nothing works on it until it is asked for once more.',
  },
  ROLLBACK_REFUSED: {
    exit: 'refused',
    meaning: 'The version cannot be activated again: its state says why.',
  },
  GIVE_UP_REFUSED: {
    exit: 'refused',
    meaning: 'The value is not in quarantine, or it opens: it is not given up.',
  },
  PURGE_REFUSED: { exit: 'refused', meaning: 'The purge is not due, or something still needs the version.' },
  RESTORE_NOT_FOUND: { exit: 'notFound', meaning: 'There is no such restore.' },
  RESTORE_REFUSED: {
    exit: 'refused',
    meaning:
      'The backup may need a version that is destroyed, or the restore is not where this step may follow.',
  },
  MESSAGE_INVALID: {
    exit: 'unexpected',
    meaning: 'A message of the queue is not of the shape that this version writes.',
  },
  QUEUE_UNAVAILABLE: { exit: 'unavailable', meaning: 'The queue (SQS) cannot be reached.' },
  BUS_UNAVAILABLE: { exit: 'unavailable', meaning: 'The event bus (EventBridge) cannot be reached.' },
  BUS_REFUSED: { exit: 'refused', meaning: 'The event bus refuses this identity or an event.' },
  EXECUTIONS_UNAVAILABLE: { exit: 'unavailable', meaning: 'Step Functions cannot be reached.' },

  CERTIFICATE_NOT_FOUND: {
    exit: 'notFound',
    meaning: 'The version has no retirement certificate: it was not destroyed by a purge.',
  },
  CERTIFICATE_INCONSISTENT: {
    exit: 'refused',
    meaning: 'What the ledger knows of a destroyed version contradicts itself, so no certificate was signed.',
  },
  CERTIFICATE_INVALID: { exit: 'refused', meaning: 'It is signed, but is no retirement certificate.' },
  SIGNATURE_INVALID: {
    exit: 'refused',
    meaning: 'A signed statement, its type, its key or its signature is not what was signed.',
  },
  SIGNING_KEY_NOT_FOUND: {
    exit: 'notFound',
    meaning: 'There is no such signing key, or none of the given public keys signed the statement.',
  },
  SIGNING_KEY_EXISTS: {
    exit: 'refused',
    meaning: 'There is a signing key at this path already; it is never overwritten.',
  },
  SIGNING_KEY_UNSUITABLE: {
    exit: 'input',
    meaning: 'The signing key is not of the kind, or not in the state, that can do this.',
  },
  SIGNING_UNAVAILABLE: { exit: 'unavailable', meaning: 'The signing key is out of reach or busy.' },
  SIGNING_DENIED: {
    exit: 'refused',
    meaning: 'This identity may not use the signing key, or others can read its file.',
  },

  APPROVAL_NOT_FOUND: { exit: 'notFound', meaning: 'There is no such request for approval.' },
  APPROVAL_REFUSED: {
    exit: 'refused',
    meaning:
      'The approval does not count, or nobody could give it: not an approver, the requester, another key, too late, void.',
  },
  APPROVAL_INVALID: {
    exit: 'refused',
    meaning: 'A request for approval in the ledger is not what its id says: somebody changed it.',
  },

  AUDIT_UNAVAILABLE: {
    exit: 'unavailable',
    meaning: 'The audit chain or its archive is out of reach or busy.',
  },
  AUDIT_DENIED: { exit: 'refused', meaning: 'The archive of the audit refuses this identity.' },
  AUDIT_BROKEN: {
    exit: 'refused',
    meaning: 'An audit chain, or its archive, has not what it had: `keyturn audit verify` names it.',
  },
  AUDIT_ARCHIVE_UNSUITABLE: {
    exit: 'refused',
    meaning: 'The archive of the audit does not exist, or others than its owner can write it.',
  },

  USAGE: { exit: 'input', meaning: 'The command line has an unknown command, option or value.' },
  INPUT_INVALID: { exit: 'input', meaning: 'An input of a command is not of the form it needs.' },
  INPUT_NOT_FOUND: { exit: 'notFound', meaning: 'A file that was named cannot be read.' },
  AUDIT_NOT_FOUND: {
    exit: 'notFound',
    meaning:
      'There was no audit chain to verify. That proves nothing: a wrong name or place looks like this.',
  },
  TENANT_NOT_FOUND: { exit: 'notFound', meaning: 'No row and no key belongs to this tenant.' },
  NOT_CONFIRMED: {
    exit: 'refused',
    meaning: 'A change that cannot be undone was declined, or there was no terminal to ask on and no --yes.',
  },
  FENCE_NOT_OFFERED: {
    exit: 'refused',
    meaning: 'The kind of store has nothing that could refuse a write; the propagation barrier alone holds.',
  },
  FILE_EXISTS: { exit: 'refused', meaning: 'A file that was to be made exists; it is never overwritten.' },
  FILE_FAILED: { exit: 'refused', meaning: 'A file could not be written.' },
  STACK_NOT_RUNNING: { exit: 'unavailable', meaning: 'No embedded stack runs in this folder.' },
  STACK_START_FAILED: {
    exit: 'unavailable',
    meaning: 'The embedded stack did not start; its reason is named.',
  },
  STACK_STOP_FAILED: { exit: 'unavailable', meaning: 'The embedded stack did not end.' },
  INTERRUPTED: {
    exit: 'interrupted',
    meaning: 'Ctrl-C while waiting. The job goes on; `keyturn status` shows it.',
  },
  APPROVAL_STANDS: {
    exit: 'unavailable',
    meaning:
      'The approval was given and stands; what was to follow it failed, and is named. The daily sweep takes an approved purge up.',
  },
  PACKAGE_REFUSED: {
    exit: 'refused',
    meaning:
      '`npm run package`: a function cannot be bundled, its bundle is over its budget, or the template over a limit.',
  },
  DEPLOY_FAILED: { exit: 'refused', meaning: 'osls could not package, deploy or remove; it says why.' },
  NOT_DEPLOYED: { exit: 'notFound', meaning: 'There is no stack of this stage in its region.' },
  KEYS_NOT_DESTROYED: {
    exit: 'refused',
    meaning: '`npm run remove`: the ledger has keys that still open values.',
  },
  UNEXPECTED: { exit: 'unexpected', meaning: 'An error that nobody foresaw.' },
} as const satisfies Record<ErrorCode | CliErrorCode, ErrorEntry>;

export function exitCodeOf(error: unknown): number {
  const entries: Readonly<Record<string, ErrorEntry>> = ERRORS;
  const entry = error instanceof KeyturnError ? entries[error.code] : undefined;
  return EXIT_CODES[entry?.exit ?? 'unexpected'].code;
}
