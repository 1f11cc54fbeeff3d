import pg from 'pg';
import {
  AuditError,
  BusError,
  type KeyturnError,
  type ProviderError,
  SigningError,
} from '../shared/errors/errors.ts';
import { translateError as translateLedgerError } from '../shared/ledger/translate-error.ts';
import { type KmsOperation, translateError } from '../shared/providers/aws-kms/translate-error.ts';
import { translate as translateDynamoDbError } from '../shared/records/dynamodb/failures.ts';
import { translate as translatePostgresError } from '../shared/records/postgres/failures.ts';

/**
 * The errors that the real adapters throw, made by the adapters' own translation where they have one that is theirs to
 * give: the domain and its callers see the same classes, codes and `retryable` as in service. All of them are made
 * anew for each call.
 */

const TABLE = 'simulated';

/** `name`: of an AWS SDK error. */
export function ledgerError(name: string): KeyturnError {
  return translateLedgerError(named(name), TABLE);
}

/** A record store on PostgreSQL. */
export function postgresError(recordSet: string, sqlState: string): KeyturnError {
  const error = Object.assign(new pg.DatabaseError('simulated', 0, 'error'), { code: sqlState });
  return asOurs(translatePostgresError(error, { recordSet, table: TABLE }));
}

/** A connection of PostgreSQL's driver that was cut off: whether the server did what it was asked for is unknown. */
export function connectionLost(recordSet: string): KeyturnError {
  const error = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' });
  return asOurs(translatePostgresError(error, { recordSet, table: TABLE }));
}

/** A record store on DynamoDB. `name`: of an AWS SDK error. */
export function dynamoDbError(recordSet: string, name: string): KeyturnError {
  return asOurs(translateDynamoDbError(named(name), 'UpdateItem', { recordSet, table: TABLE }));
}

/** `name`: of an AWS SDK error. */
export function kmsError(name: string, operation: KmsOperation, rootKeyId: string): ProviderError {
  return translateError(named(name), { operation, rootKeyIds: [rootKeyId] });
}

/** As of kms-signer.ts. */
export function signerError(name: string): KeyturnError {
  const { message, remedy = '', retryable } = kmsError(name, 'Sign', TABLE);
  return new SigningError('SIGNING_UNAVAILABLE', `Sign with the KMS key ${TABLE} failed: ${message}`, {
    remedy,
    retryable,
  });
}

/** As of eventbridge-bus.ts. */
export function busError(name: string): KeyturnError {
  return new BusError('BUS_UNAVAILABLE', `EventBridge did not take the events: ${name}`, {
    retryable: true,
    remedy: 'Nothing is lost but the news: `keyturn status` shows every job.',
  });
}

/** As of s3-archive.ts. */
export function archiveError(name: string): KeyturnError {
  return new AuditError('AUDIT_UNAVAILABLE', `The bucket ${TABLE} cannot be used (${name})`, {
    retryable: true,
  });
}

function named(name: string): Error {
  const error = new Error('simulated');
  error.name = name;
  return error;
}

function asOurs(error: unknown): KeyturnError {
  if (error instanceof Error && 'retryable' in error) return error as KeyturnError;
  throw new Error('The adapter does not know this error');
}
