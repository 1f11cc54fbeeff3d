import { KMSClient, type KMSClientConfig } from '@aws-sdk/client-kms';
import { ProviderError } from '../../errors/errors.ts';

/**
 * The one place where KMS clients are made; one a region, since a key is used in its own region only. Credentials and
 * endpoint are the SDK's own variables.
 */

export interface KmsClients {
  /** The client of a region; the same one each time. */
  of(region: string): KMSClient;
  /** Ends every connection. */
  destroy(): void;
}

/** One request and three retries: some 4 s on average when KMS throttles, with full jitter. */
const ATTEMPTS = 4;
/** Milliseconds. KMS answers within some ten; an external key store within 250 or not at all. */
const TIMEOUTS = { connectionTimeout: 2_000, requestTimeout: 5_000, throwOnRequestTimeout: true };

/**
 * `settings` take the place of the ones here: an endpoint, fewer attempts. `instrument` is put around every client:
 * tracing.
 */
export function createKmsClients(
  settings: KMSClientConfig = {},
  instrument: (client: KMSClient) => KMSClient = (client) => client,
): KmsClients {
  const clients = new Map<string, KMSClient>();
  return {
    of(region) {
      let client = clients.get(region);
      if (client === undefined) {
        client = instrument(createKmsClient({ ...settings, region }));
        clients.set(region, client);
      }
      return client;
    },
    destroy() {
      for (const client of clients.values()) client.destroy();
    },
  };
}

function createKmsClient(settings: KMSClientConfig): KMSClient {
  const client = new KMSClient({
    // Exponential backoff with jitter, and after a throttle fewer requests for a while.
    retryMode: 'adaptive',
    maxAttempts: ATTEMPTS,
    requestHandler: TIMEOUTS,
    ...settings,
  });
  // The SDK takes LimitExceededException for throttling, by its name, and would try again. KMS means by it a quota of
  // keys, grants or rotations that no waiting lifts. Nearer to the wire than the retries, it becomes an error of ours.
  client.middlewareStack.add(
    (next) => async (args) => {
      try {
        return await next(args);
      } catch (cause) {
        throw cause instanceof Error && cause.name === 'LimitExceededException' ? limitReached(cause) : cause;
      }
    },
    { name: 'limitExceededIsTerminal', step: 'finalizeRequest', priority: 'low' },
  );
  return client;
}

function limitReached(cause: Error): ProviderError {
  return new ProviderError('PROVIDER_LIMIT', 'A KMS limit of this account or key is reached', {
    cause,
    remedy: 'Look at the quotas of AWS KMS in the Service Quotas console, and have the limit raised',
  });
}
