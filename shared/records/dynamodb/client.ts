import { DynamoDBClient, type DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import type { DynamoDbStoreConfig } from '../../config/schema.ts';

/** Tries of the SDK, before the adapter waits by itself. */
const TRIES = 4;
const CONNECT_MS = 3_000;
const REQUEST_MS = 15_000;

/**
 * The client of a store's tables. It slows down by itself when DynamoDB throttles (adaptive retries), and has no more
 * sockets than requests in flight.
 *
 * @param place endpoint and credentials where they are not the environment's, as in the embedded stack.
 */
export function createStoreClient(
  { region, requestsInFlight }: DynamoDbStoreConfig,
  place: DynamoDBClientConfig = {},
): DynamoDBClient {
  return new DynamoDBClient({
    ...(region === undefined ? {} : { region }),
    ...place,
    retryMode: 'adaptive',
    maxAttempts: TRIES,
    requestHandler: {
      connectionTimeout: CONNECT_MS,
      requestTimeout: REQUEST_MS,
      throwOnRequestTimeout: true,
      httpAgent: { keepAlive: true, maxSockets: requestsInFlight },
      httpsAgent: { keepAlive: true, maxSockets: requestsInFlight },
    },
  });
}
