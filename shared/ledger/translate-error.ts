import { LedgerError } from '../errors/errors.ts';
import { NETWORK_ERRORS } from '../errors/network-errors.ts';

/** AWS SDK and network errors to LedgerErrors, by name and code. The only place that knows their names. */

const DENIED: ReadonlySet<string> = new Set([
  'AccessDeniedException',
  'UnrecognizedClientException',
  'InvalidSignatureException',
  'MissingAuthenticationTokenException',
  'IncompleteSignatureException',
  'KMSAccessDeniedException',
]);

/** Not a refusal of what these credentials may do: new ones are on their way, or their source is out of reach. */
const NO_CREDENTIALS: ReadonlySet<string> = new Set(['ExpiredTokenException', 'CredentialsProviderError']);

const THROTTLED: ReadonlySet<string> = new Set([
  'ProvisionedThroughputExceededException',
  'ThrottlingException',
  'RequestLimitExceeded',
  'LimitExceededException',
  'TransactionConflictException',
]);

const UNREACHABLE: ReadonlySet<string> = new Set(NETWORK_ERRORS);

export function isConditionFailure(error: unknown): boolean {
  return textOf(error, 'name') === 'ConditionalCheckFailedException';
}

export function isTableMissing(error: unknown): boolean {
  return textOf(error, 'name') === 'ResourceNotFoundException';
}

export function isTableInUse(error: unknown): boolean {
  return textOf(error, 'name') === 'ResourceInUseException';
}

/** `tableName` is for the message. A LedgerError passes as it is. */
export function translateError(cause: unknown, tableName: string): LedgerError {
  if (cause instanceof LedgerError) return cause;
  const name = textOf(cause, 'name') ?? 'unknown error';
  if (isTableMissing(cause)) {
    return new LedgerError('LEDGER_NOT_FOUND', `The ledger's table ${tableName} does not exist`, {
      cause,
      remedy: 'Create it with `keyturn init`, or deploy the stack',
    });
  }
  if (DENIED.has(name) || NO_CREDENTIALS.has(name)) {
    return new LedgerError('LEDGER_DENIED', `The ledger's table ${tableName} refuses access (${name})`, {
      cause,
      retryable: NO_CREDENTIALS.has(name),
      remedy: 'Check the AWS credentials and the IAM policy of this role',
    });
  }
  if (THROTTLED.has(name)) {
    return new LedgerError('LEDGER_UNAVAILABLE', `The ledger's table ${tableName} throttles (${name})`, {
      cause,
      retryable: true,
      remedy: 'Try again later',
    });
  }
  if (isUnreachable(cause)) {
    return new LedgerError(
      'LEDGER_UNAVAILABLE',
      `The ledger's table ${tableName} is out of reach (${name})`,
      {
        cause,
        retryable: true,
        remedy: 'Check that DynamoDB runs and can be reached: `keyturn local status` on one machine',
      },
    );
  }
  // A validation error and the like: trying again gives the same.
  return new LedgerError('LEDGER_UNAVAILABLE', `The ledger's table ${tableName} failed (${name})`, { cause });
}

function isUnreachable(cause: unknown): boolean {
  const names = [textOf(cause, 'name'), textOf(cause, 'code')];
  if (names.some((name) => name !== undefined && UNREACHABLE.has(name))) return true;
  const metadata = property(cause, '$metadata');
  const status = property(metadata, 'httpStatusCode');
  return typeof status === 'number' && status >= 500;
}

function textOf(value: unknown, name: string): string | undefined {
  const found = property(value, name);
  return typeof found === 'string' ? found : undefined;
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
