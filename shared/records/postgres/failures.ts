import pg from 'pg';
import { RecordStoreError, type RecordStoreErrorCode } from '../../errors/errors.ts';
import { REFUSED } from './sql/fence.ts';

/** Where an error happened, for its message. Never values, never the URL. */
export interface Place {
  readonly recordSet: string;
  readonly table: string;
  /** The password comes from a secret, and changes while this runs. */
  readonly passwordRotates?: boolean;
  /** A whole store was searched: `recordSet` is its name. */
  readonly searched?: boolean;
}

interface Meaning {
  readonly code: RecordStoreErrorCode;
  readonly what: string;
  readonly retryable?: true;
  readonly remedy?: string;
}

const UNAVAILABLE: Meaning = {
  code: 'STORE_UNAVAILABLE',
  what: 'the database cannot be reached or is restarting',
  retryable: true,
};
const BUSY: Meaning = {
  code: 'STORE_BUSY',
  what: 'the database gave up on a lock, a conflicting transaction or a time limit',
  retryable: true,
};
const ROLE_REFUSED: Meaning = {
  code: 'STORE_DENIED',
  what: 'the database refuses this role or its password',
};
/** Neither was run. The statements of a chunk are prepared once a connection, and the session's settings count, too. */
const NOT_ONE_CONNECTION: Meaning = {
  code: 'STORE_FAILED',
  what: 'a pooler gives one connection several sessions of the database',
  remedy:
    "Point the store at the database itself, or at the pooler's session mode: censuses rely on settings of the session.",
};
const COLUMN_TYPE: Meaning = { code: 'COLUMN_TYPE', what: 'a column has another type than expected' };

/** By SQLSTATE, the whole code before its two-letter class (PostgreSQL documentation, appendix A). */
const MEANINGS: Readonly<Record<string, Meaning>> = {
  '08': UNAVAILABLE,
  '28': ROLE_REFUSED,
  '57P': UNAVAILABLE,
  '53200': { ...UNAVAILABLE, what: 'the database is out of memory' },
  '53300': { ...UNAVAILABLE, what: 'the database has no connection to spare' },
  '53100': {
    code: 'STORE_FULL',
    what: "the database's disk is full",
    remedy: 'Free or add disk space on the database server, then run it again: it resumes.',
  },
  '42501': {
    code: 'STORE_DENIED',
    what: 'the role lacks a right on the table or one of its columns, or row-level security hides rows from it',
    remedy: 'Grant SELECT and UPDATE on the table to the role, and BYPASSRLS where row-level security is on.',
  },
  '25006': {
    code: 'STORE_READ_ONLY',
    what: 'the database is read-only',
    remedy: 'Point the store at the primary server.',
  },
  '2BP01': {
    code: 'STORE_FAILED',
    what: 'another object of the database, such as a view or a foreign key, depends on a column that was to be dropped',
    remedy: 'Change or drop that object first. Nothing was dropped.',
  },
  '26000': NOT_ONE_CONNECTION,
  '42P05': NOT_ONE_CONNECTION,
  '3D000': { code: 'STORE_FAILED', what: "the URL's database does not exist" },
  '3F000': { code: 'TABLE_NOT_FOUND', what: "the table's schema does not exist" },
  '42P01': { code: 'TABLE_NOT_FOUND', what: 'the table does not exist' },
  '42703': { code: 'COLUMN_NOT_FOUND', what: 'a declared column does not exist' },
  '42804': COLUMN_TYPE,
  '42883': COLUMN_TYPE,
  '42846': COLUMN_TYPE,
  '22001': { ...COLUMN_TYPE, what: 'a text column is too short for an envelope' },
  '23': {
    code: 'COLUMN_TYPE',
    what: 'a constraint of the table does not allow what was to be written',
    remedy:
      'Change the constraint so that it allows envelopes and tombstones; docs/envelope.md has their lengths.',
  },
  [REFUSED]: {
    code: 'STORE_FENCED',
    what: "the writers' fence refused an envelope of a version below its key's minimum",
    retryable: true,
    remedy: 'Its writer held a version that was retired since: read the active version anew, and seal again.',
  },
  '40001': BUSY,
  '40P01': BUSY,
  '55P03': BUSY,
  '57014': BUSY,
};

/** Codes of Node's sockets and resolver. */
const SOCKET = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'ECONNABORTED', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH'],
  ...['EHOSTDOWN', 'ENOTFOUND', 'EAI_AGAIN', 'ENOENT', 'EADDRNOTAVAIL'],
]);
const TLS =
  /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|CRL_|UNABLE_TO_|SELF_SIGNED_|DEPTH_ZERO_|INVALID_CA|INVALID_PURPOSE|HOSTNAME_MISMATCH|EPROTO)/;
/** What `pg` itself raises has neither class nor code: its text is all there is to tell it by. */
const DRIVER_LOST =
  /^(Connection terminated|timeout expired|timeout exceeded|Query read timeout|Client has encountered a connection error|Client was closed)/;
const DRIVER_NO_TLS = /^The server does not support SSL connections/;

export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined;
}

const WRONG_PASSWORD = '28P01';
/** The secret is read again within a minute. */
const PASSWORD_ROTATED: Meaning = {
  code: 'STORE_UNAVAILABLE',
  what: 'the database refuses the password of the secret, which may have been rotated a moment ago',
  retryable: true,
  remedy: "If it goes on, the store's secret and the database disagree: rotate the secret anew.",
};

/** Any error of the driver or database as one of ours; ours, and errors of callers' callbacks, pass as they are. */
export function translate(error: unknown, place: Place): unknown {
  const rotated = place.passwordRotates === true && sqlState(error) === WRONG_PASSWORD;
  const meaning = rotated ? PASSWORD_ROTATED : meaningOf(error);
  if (meaning === undefined) return error;
  const { code, what, retryable, remedy } = meaning;
  const state = sqlState(error);
  return new RecordStoreError(
    code,
    `${place.searched === true ? 'Store' : 'Record set'} "${place.recordSet}", table "${place.table}": ${what}${state ? ` (SQLSTATE ${state})` : ''}.`,
    {
      cause: withoutValues(error),
      ...(retryable === undefined ? {} : { retryable }),
      ...(remedy === undefined ? {} : { remedy }),
    },
  );
}

function meaningOf(error: unknown): Meaning | undefined {
  const state = sqlState(error);
  if (state !== undefined) {
    return (
      MEANINGS[state] ??
      MEANINGS[state.slice(0, 3)] ??
      MEANINGS[state.slice(0, 2)] ?? { code: 'STORE_FAILED', what: 'the database failed' }
    );
  }
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (TLS.test(code) || DRIVER_NO_TLS.test(error.message)) {
    return {
      code: 'STORE_TLS',
      what: `the server could not be authenticated over TLS (${code || 'it does not offer TLS'})`,
      remedy:
        'Give the store\'s tls setting the authority\'s certificate: { "ca": "path.pem" }. "off" is for a server on this machine only.',
    };
  }
  if (SOCKET.has(code)) return { ...UNAVAILABLE, what: `the database cannot be reached (${code})` };
  return DRIVER_LOST.test(error.message) ? UNAVAILABLE : undefined;
}

/** The details of a PostgreSQL error quote rows; so do messages about data (22), constraints (23) and triggers (P0). */
function withoutValues(error: unknown): unknown {
  const state = sqlState(error);
  if (state === undefined || !(error instanceof Error)) return error;
  return new Error(/^(22|23|P0)/.test(state) ? `SQLSTATE ${state}` : `SQLSTATE ${state}: ${error.message}`);
}
