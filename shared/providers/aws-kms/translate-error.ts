import { ProviderError } from '../../errors/errors.ts';
import { NETWORK_ERRORS } from '../../errors/network-errors.ts';
import type { RootKeyState } from '../root-key-provider.ts';

/**
 * Errors of KMS, the SDK and the network to ProviderErrors, by name and code. The only place that knows their names.
 * Messages name the operation and the root key: never a ciphertext, an encryption context or KMS's own text.
 */

export type KmsOperation =
  | 'GenerateDataKeyWithoutPlaintext'
  | 'Decrypt'
  | 'ReEncrypt'
  | 'DescribeKey'
  | 'GetKeyRotationStatus'
  | 'ListKeyRotations'
  | 'GetPublicKey'
  | 'Sign';

export interface KmsCall {
  readonly operation: KmsOperation;
  readonly rootKeyIds: readonly [string, ...string[]];
}

const UNWRAPS: ReadonlySet<KmsOperation> = new Set(['Decrypt', 'ReEncrypt']);

/** KMS does not tell wrong bytes from a wrong context, and neither do we. */
const NOT_WHAT_WAS_WRAPPED: ReadonlySet<string> = new Set([
  'InvalidCiphertextException',
  'IncorrectKeyException',
  // Bytes or a context that no wrapped KEK has.
  'ValidationException',
]);

const THROTTLED: ReadonlySet<string> = new Set([
  'ThrottlingException',
  'Throttling',
  'ThrottledException',
  'RequestThrottledException',
  'RequestLimitExceeded',
  'TooManyRequestsException',
]);

const DENIED: ReadonlySet<string> = new Set([
  'AccessDeniedException',
  'AccessDenied',
  'NotAuthorized',
  'UnrecognizedClientException',
  'InvalidClientTokenId',
  'InvalidSignatureException',
  'IncompleteSignature',
  'MissingAuthenticationTokenException',
  'OptInRequired',
]);

/** Not a refusal of what these credentials may do: new ones are on their way, or their source is out of reach. */
const NO_CREDENTIALS: ReadonlySet<string> = new Set([
  'ExpiredTokenException',
  'ExpiredToken',
  'RequestExpired',
  'CredentialsProviderError',
  'TokenProviderError',
]);

const UNAVAILABLE: ReadonlySet<string> = new Set([
  'KMSInternalException',
  'KeyUnavailableException',
  'DependencyTimeoutException',
  // Its state does not allow the call: the re-read says which state that is. See useRootKeys.
  'KMSInvalidStateException',
  ...NETWORK_ERRORS,
]);

/** A ProviderError passes as it is. */
export function translateError(cause: unknown, call: KmsCall): ProviderError {
  if (cause instanceof ProviderError) return cause;
  const name = nameOf(cause);
  const keys = call.rootKeyIds.join(' or ');
  const error = (code: ProviderError['code'], says: string, remedy: string, retryable = false) =>
    new ProviderError(code, says, { cause, remedy, retryable });

  if (UNWRAPS.has(call.operation) && NOT_WHAT_WAS_WRAPPED.has(name)) return unwrapFailed();
  if (name === 'DisabledException') return stateError('DISABLED', keys, cause);
  if (name === 'NotFoundException') return stateError('NOT_FOUND', keys, cause);
  if (name === 'InvalidKeyUsageException') return unsuitable(keys, cause);
  if (isThrottled(cause, name)) {
    const says = `KMS throttles ${call.operation}, also after retries`;
    const remedy = 'Try again later; if it goes on, lower provider.requestsPerSecond or raise the KMS quota';
    return error('PROVIDER_THROTTLED', says, remedy, true);
  }
  if (DENIED.has(name)) {
    const remedy = "Check the key's policy and the IAM policy of this role, and that it is the right account";
    return error('PROVIDER_DENIED', `KMS denies ${call.operation} with ${keys} (${name})`, remedy);
  }
  if (NO_CREDENTIALS.has(name)) {
    const remedy = 'Check the AWS credentials of this process and where they come from';
    return error(
      'PROVIDER_UNAVAILABLE',
      `There are no valid AWS credentials for KMS (${name})`,
      remedy,
      true,
    );
  }
  if (isUnavailable(cause, name)) {
    const says = `KMS did not answer ${call.operation} with ${keys} (${name})`;
    return error('PROVIDER_UNAVAILABLE', says, 'Check that KMS can be reached, and try again', true);
  }
  // A request that KMS does not understand, and the like: trying again gives the same.
  const says = `KMS did not take ${call.operation} with ${keys} (${name})`;
  return error('PROVIDER_UNAVAILABLE', says, 'Look the name of the error up in the AWS KMS API reference');
}

/** One message for all causes, and none attached: it must not tell an attacker which part was wrong. */
export function unwrapFailed(): ProviderError {
  return new ProviderError('UNWRAP_FAILED', 'The wrapped KEK does not unwrap in this context');
}

export function unsuitable(rootKeyId: string, cause?: unknown): ProviderError {
  return new ProviderError('ROOT_KEY_UNSUITABLE', `The root key ${rootKeyId} cannot wrap KEKs`, {
    cause,
    remedy: 'Use a KMS key with the key spec SYMMETRIC_DEFAULT and the key usage ENCRYPT_DECRYPT',
  });
}

interface StateRow {
  readonly code: ProviderError['code'];
  readonly is: string;
  readonly remedy: string;
  readonly retryable?: boolean;
}

const STATES = {
  DISABLED: { code: 'ROOT_KEY_DISABLED', is: 'is disabled', remedy: 'Enable it, or ask its owner to' },
  PENDING_DELETION: {
    code: 'ROOT_KEY_PENDING_DELETION',
    is: 'waits for its deletion',
    remedy: 'Cancel the deletion before its date: every KEK that only this key unwraps is lost with it',
  },
  PENDING_IMPORT: {
    code: 'ROOT_KEY_PENDING_IMPORT',
    is: 'has no key material',
    remedy: 'Import the same key material again, or ask its owner to',
  },
  UNAVAILABLE: {
    code: 'PROVIDER_UNAVAILABLE',
    is: 'cannot be used now',
    remedy: 'Check that its custom or external key store is connected',
    retryable: true,
  },
  NOT_FOUND: {
    code: 'ROOT_KEY_NOT_FOUND',
    is: 'does not exist',
    remedy: 'Check provider.rootKey, tenantRootKeys and formerRootKeys: account, region and id',
  },
} as const satisfies Record<Exclude<RootKeyState, 'ENABLED'>, StateRow>;

/** Why a root key in this state cannot be used. */
export function stateError(
  state: Exclude<RootKeyState, 'ENABLED'>,
  rootKeyId: string,
  cause?: unknown,
): ProviderError {
  const { code, is, remedy, ...rest } = STATES[state];
  return new ProviderError(code, `The root key ${rootKeyId} ${is}`, { cause, remedy, ...rest });
}

/** Whether the failure is about a root key's state that the name of the error leaves open. */
export function leavesStateOpen(error: ProviderError, { rootKeyIds }: KmsCall): boolean {
  const name = nameOf(error.cause);
  // Of two keys it does not say which.
  const ofEither = rootKeyIds.length > 1 && (name === 'DisabledException' || name === 'NotFoundException');
  return name === 'KMSInvalidStateException' || ofEither;
}

function isThrottled(cause: unknown, name: string): boolean {
  return THROTTLED.has(name) || statusOf(cause) === 429;
}

function isUnavailable(cause: unknown, name: string): boolean {
  const code = property(cause, 'code');
  if (UNAVAILABLE.has(name) || (typeof code === 'string' && UNAVAILABLE.has(code))) return true;
  const status = statusOf(cause);
  // 501: the other side does not know this operation, and will not on the next try.
  return typeof status === 'number' && status >= 500 && status !== 501;
}

function nameOf(cause: unknown): string {
  const name = property(cause, 'name');
  return typeof name === 'string' ? name : 'unknown error';
}

function statusOf(cause: unknown): unknown {
  return property(property(cause, '$metadata'), 'httpStatusCode');
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
