import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import type { ConnectionOptions } from 'node:tls';
import pg from 'pg';
import type { PostgresStoreConfig } from '../../config/schema.ts';
import { ConfigError, RecordStoreError } from '../../errors/errors.ts';
import type { Login } from './credentials.ts';

export interface PostgresPoolOptions {
  /** Name of the store, for messages. */
  readonly store: string;
  /** Asked for each new connection; left out: what the URL says. */
  readonly login?: () => Promise<Login>;
  /** Connections that idle in the pool and break are replaced; this hears of it. */
  readonly onConnectionLost?: (error: Error) => void;
  /** Longest time of one statement, except of a census and of dropping plaintext. Default 60 s. */
  readonly statementTimeoutMs?: number;
  readonly connectTimeoutMs?: number;
}

/** What a URL may say besides host, port, user, password and database. */
const URL_PARAMETERS = new Set(['host', 'sslmode', 'application_name', 'connect_timeout']);

/**
 * Session settings that results depend on: the text form of dates and intervals, which adoption seals, must not
 * change with the server's or role's defaults; and a filtered view of the table must fail instead of looking complete.
 */
const SESSION = [
  ...['TimeZone=UTC', 'DateStyle=ISO,YMD', 'IntervalStyle=postgres', 'extra_float_digits=1'],
  ...['bytea_output=hex', 'row_security=off', 'standard_conforming_strings=on'],
]
  .map((setting) => `-c ${setting}`)
  .join(' ');

/** Connections to the database of one store, for all its record sets. Nothing connects before the first query. */
export function createPostgresPool(
  config: Pick<PostgresStoreConfig, 'tls' | 'maxConnections' | 'urlFrom'>,
  url: string,
  options: PostgresPoolOptions,
): pg.Pool {
  const target = parseUrl(url, config.urlFrom, options.store);
  const statementTimeout = options.statementTimeoutMs ?? 60_000;
  const { login } = options;
  const password = async (): Promise<string> => {
    const current = await login?.();
    if (current === undefined || current.user === pool.options.user)
      return current?.password ?? target.password;
    // A rotation between two users: this connection has named the former one already, the next names the new.
    pool.options.user = current.user;
    throw new RecordStoreError(
      'STORE_UNAVAILABLE',
      `Store "${options.store}": its secret has another user now`,
      {
        retryable: true,
      },
    );
  };
  const pool = new pg.Pool({
    host: target.host,
    port: target.port,
    user: target.user,
    password: login === undefined ? target.password : password,
    database: target.database,
    ssl: tlsOptions(config.tls, target, options.store),
    max: config.maxConnections,
    application_name: target.applicationName,
    options: SESSION,
    keepAlive: true,
    connectionTimeoutMillis: options.connectTimeoutMs ?? 10_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: statementTimeout,
    // For a server that no longer answers at all.
    query_timeout: statementTimeout + 5_000,
    allowExitOnIdle: true,
  });
  const lost = options.onConnectionLost ?? (() => {});
  // Without these a connection that breaks while idle, or between two statements, would end the process.
  pool.on('error', lost);
  pool.on('connect', (client) => client.on('error', () => {}));
  return pool;
}

interface Target {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly password: string;
  readonly database: string;
  readonly applicationName: string;
  readonly sslmode: string | undefined;
}

function parseUrl(text: string, variable: string | undefined, store: string): Target {
  const source = variable === undefined ? `The URL of store "${store}"` : `${variable} (store "${store}")`;
  const invalid = (what: string) => new ConfigError('ENVIRONMENT_INVALID', `${source} ${what}.`);
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !['postgres:', 'postgresql:'].includes(url.protocol)) {
    throw invalid('is not a postgres:// URL');
  }
  for (const name of url.searchParams.keys()) {
    if (!URL_PARAMETERS.has(name)) {
      throw invalid(`has the parameter "${name}"; only ${[...URL_PARAMETERS].join(', ')} are known`);
    }
  }
  const host = url.searchParams.get('host') ?? decode(url.hostname.replace(/^\[|\]$/g, ''), invalid);
  const database = decode(url.pathname.slice(1), invalid);
  const user = decode(url.username, invalid);
  if (host === '') throw invalid('names no host');
  if (user === '') throw invalid('names no user');
  if (database === '') throw invalid('names no database');
  return {
    host,
    port: url.port === '' ? 5432 : Number(url.port),
    user,
    password: decode(url.password, invalid),
    database,
    applicationName: url.searchParams.get('application_name') ?? 'keyturn',
    sslmode: url.searchParams.get('sslmode') ?? undefined,
  };
}

function decode(text: string, invalid: (what: string) => Error): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('holds a % that does not begin a percent-encoded character');
  }
}

const LOOPBACK = /^(localhost|::1|127(\.\d{1,3}){3}|\/.*)$/;

/** What the configuration says holds. The URL's sslmode may ask for less than that nowhere, and for more neither. */
function tlsOptions(
  tls: PostgresStoreConfig['tls'],
  target: Target,
  store: string,
): ConnectionOptions | false {
  const refuse = (what: string, remedy: string) =>
    new RecordStoreError('STORE_TLS', `Store "${store}": ${what}.`, { remedy });
  const { host, sslmode } = target;
  if (tls === 'off') {
    if (!LOOPBACK.test(host)) {
      throw refuse(
        `tls is "off", but "${host}" is not this machine`,
        'Set the store\'s tls to "verify-full", or to { "ca": "path.pem" } for an authority of your own.',
      );
    }
    if (sslmode !== undefined && !['disable', 'allow', 'prefer'].includes(sslmode)) {
      throw refuse(
        `the URL says sslmode=${sslmode}, but tls is "off"`,
        'Let the store\'s tls be "verify-full".',
      );
    }
    return false;
  }
  if (sslmode === 'disable' || sslmode === 'allow' || sslmode === 'no-verify') {
    throw refuse(
      `the URL says sslmode=${sslmode}, but tls is not "off"`,
      "Take sslmode out of the URL; the store's tls setting decides.",
    );
  }
  if (host.startsWith('/')) {
    throw refuse(
      'PostgreSQL has no TLS on a unix socket',
      'Set the store\'s tls to "off": the socket is on this machine.',
    );
  }
  return {
    rejectUnauthorized: true,
    minVersion: 'TLSv1.2',
    // `pg` sets the name for host names only. For an address, Node would otherwise check "localhost".
    ...(isIP(host) === 0 ? { servername: host } : { host }),
    ...(tls === 'verify-full' ? {} : { ca: readAuthority(tls.ca, refuse) }),
  };
}

function readAuthority(file: string, refuse: (what: string, remedy: string) => Error): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    throw refuse(
      `tls.ca "${file}" cannot be read`,
      'Give the path of a PEM file with the certificate authorities.',
    );
  }
}
