import { RecordStoreError, type RecordStoreErrorCode } from '../../errors/errors.ts';

/** AWS SDK and network errors to RecordStoreErrors, by name and code. The only place that knows their names. */

/** Where an error happened, for its message. Never keys or values. */
export interface Place {
  readonly recordSet: string;
  readonly table: string;
  /** A whole store was searched: `recordSet` is its name. */
  readonly searched?: boolean;
}

/** Of the IAM actions that a record set needs. */
export type Action = 'DescribeTable' | 'Scan' | 'Query' | 'BatchGetItem' | 'UpdateItem';

interface Meaning {
  readonly code: RecordStoreErrorCode;
  readonly what: string;
  readonly retryable?: true;
  readonly remedy?: string;
}

const THROTTLED = new Set([
  'ProvisionedThroughputExceededException',
  'ThrottlingException',
  'RequestLimitExceeded',
  'TooManyRequestsException',
]);
/** Another request has the item in a transaction, or DynamoDB failed: the same request may succeed at once. */
const PASSING = new Set(['TransactionConflictException', 'TransactionInProgressException']);
const DENIED = new Set([
  'AccessDeniedException',
  'UnrecognizedClientException',
  'InvalidSignatureException',
  'MissingAuthenticationTokenException',
  'IncompleteSignatureException',
  'KMSAccessDeniedException',
]);
/** Not a refusal: new credentials are on their way, or their source is out of reach. */
const NO_CREDENTIALS = new Set(['ExpiredTokenException', 'CredentialsProviderError']);
const UNREACHABLE = new Set([
  ...['TimeoutError', 'AbortError', 'NetworkingError', 'ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND'],
  ...['EAI_AGAIN', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'],
]);

/** DynamoDB asks to try the request again later; it did not do anything. */
export function isThrottle(error: unknown): boolean {
  const name = textOf(error, 'name') ?? '';
  return THROTTLED.has(name) || PASSING.has(name);
}

export function isInvalidRequest(error: unknown): boolean {
  return textOf(error, 'name') === 'ValidationException';
}

export function throttled(place: Place): RecordStoreError {
  return storeError(place, {
    code: 'STORE_THROTTLED',
    what: 'DynamoDB goes on throttling',
    retryable: true,
    remedy: 'Raise the capacity of the table, or its maximum on demand; what is done stays done.',
  });
}

/** Ours pass as they are. */
export function translate(error: unknown, action: Action, place: Place): unknown {
  if (error instanceof RecordStoreError || !(error instanceof Error)) return error;
  if (THROTTLED.has(error.name)) return throttled(place);
  // Messages about invalid input quote it.
  const cause = isInvalidRequest(error) ? new Error(error.name) : error;
  return storeError(place, meaningOf(error, action), cause);
}

function meaningOf(error: Error, action: Action): Meaning {
  const { name } = error;
  if (name === 'ResourceNotFoundException') {
    return { code: 'TABLE_NOT_FOUND', what: 'the table or its index does not exist in this region' };
  }
  if (NO_CREDENTIALS.has(name)) {
    return { code: 'STORE_DENIED', what: `there are no valid AWS credentials (${name})`, retryable: true };
  }
  if (DENIED.has(name)) {
    return {
      code: 'STORE_DENIED',
      what: `the role may not call dynamodb:${action} (${name})`,
      remedy: `Allow dynamodb:${action} on the table${action === 'Query' ? ' and its index' : ''} in the role's policy.`,
    };
  }
  if (PASSING.has(name)) {
    return { code: 'STORE_BUSY', what: `a transaction holds an item (${name})`, retryable: true };
  }
  if (isOutOfReach(error)) {
    return { code: 'STORE_UNAVAILABLE', what: `DynamoDB cannot be reached (${name})`, retryable: true };
  }
  return { code: 'STORE_FAILED', what: `dynamodb:${action} failed (${name})` };
}

function storeError(
  { recordSet, table, searched }: Place,
  meaning: Meaning,
  cause?: unknown,
): RecordStoreError {
  const { code, what, retryable, remedy } = meaning;
  return new RecordStoreError(
    code,
    `${searched === true ? 'Store' : 'Record set'} "${recordSet}", table "${table}": ${what}.`,
    {
      ...(cause === undefined ? {} : { cause }),
      ...(retryable === undefined ? {} : { retryable }),
      ...(remedy === undefined ? {} : { remedy }),
    },
  );
}

function isOutOfReach(error: Error): boolean {
  if (UNREACHABLE.has(error.name) || UNREACHABLE.has(textOf(error, 'code') ?? '')) return true;
  const status = property(property(error, '$metadata'), 'httpStatusCode');
  return typeof status === 'number' && status >= 500;
}

function textOf(value: unknown, name: string): string | undefined {
  const found = property(value, name);
  return typeof found === 'string' ? found : undefined;
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
