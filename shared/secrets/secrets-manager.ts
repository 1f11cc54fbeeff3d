import { SecretsProvider } from '@aws-lambda-powertools/parameters/secrets';
import type { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SecretError } from '../errors/errors.ts';
import type { Secrets } from './secrets.ts';

/** AWS Secrets Manager, cached in the process by Powertools. D/secretsmanager/latest/apireference/API_GetSecretValue.html */
export function createSecretsManager(client: SecretsManagerClient): Secrets {
  const provider = new SecretsProvider({ awsSdkV3Client: client });
  return {
    async read(secretId, maxAgeSeconds) {
      let value: string | Uint8Array | undefined;
      try {
        value = await provider.get(secretId, { maxAge: maxAgeSeconds });
      } catch (error) {
        throw translate(secretId, error);
      }
      if (typeof value === 'string' && value !== '') return value;
      throw new SecretError('SECRET_NOT_FOUND', `The secret ${secretId} holds no text`, {
        remedy: 'Keyturn reads SecretString, as RDS writes it: {"username": …, "password": …}.',
      });
    },
  };
}

function translate(secretId: string, error: unknown): SecretError {
  // Powertools wraps what the SDK threw.
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const name = cause instanceof Error ? cause.name : 'unknown error';
  switch (name) {
    case 'ResourceNotFoundException':
      return new SecretError('SECRET_NOT_FOUND', `There is no secret ${secretId}`, {
        remedy: "Correct the store's `secret`: the ARN or the name of a secret in this account and region.",
      });
    case 'AccessDeniedException':
    case 'DecryptionFailure':
      return new SecretError('SECRET_DENIED', `Reading the secret ${secretId} was denied: ${name}`, {
        remedy:
          "The function's role needs secretsmanager:GetSecretValue on it, and kms:Decrypt on a key of its own.",
      });
    default:
      return new SecretError('SECRET_UNAVAILABLE', `The secret ${secretId} cannot be read: ${name}`, {
        retryable: true,
      });
  }
}
