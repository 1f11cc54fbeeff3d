import type { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { z } from 'zod';
import type { Instrument } from '../../shared/deps/compose.ts';

/** Counts what leaves SDK clients: what AWS would bill. */

export interface RequestCount {
  /** HTTP requests, each retry too. */
  readonly requests: number;
  /** What the requests carried: messages of a batch, items of a batch; the requests themselves where they carry one. */
  readonly items: number;
}

/** By service, operation and, of DynamoDB, table: `DynamoDB UpdateItem keyturn-ledger`. */
export type RequestCounts = ReadonlyMap<string, RequestCount>;

export interface RequestCounter {
  /** For the composition root: counts this client's requests from now on. */
  readonly instrument: Instrument;
  /** Counts what is no SDK request, but stands for one. */
  add(name: string): void;
  /** A copy. */
  counts(): RequestCounts;
}

export function createRequestCounter(): RequestCounter {
  const counts = new Map<string, RequestCount>();
  const count = (name: string, items: number) => {
    const known = counts.get(name) ?? { requests: 0, items: 0 };
    counts.set(name, { requests: known.requests + 1, items: known.items + items });
  };
  return {
    instrument(client) {
      if (!isSdkClient(client)) throw new TypeError('This is no client of the AWS SDK');
      client.middlewareStack.add(
        (next, { clientName = '', commandName = '' }) =>
          (args) => {
            const operation = `${clientName.replace('Client', '')} ${commandName.replace('Command', '')}`;
            const { table, items } = contents(args.input);
            count(table === null ? operation : `${operation} ${table}`, items);
            return next(args);
          },
        // Below the retries.
        { step: 'finalizeRequest', priority: 'low', name: 'countRequests', override: true },
      );
      return client;
    },
    add: (name) => count(name, 1),
    counts: () => new Map(counts),
  };
}

function isSdkClient(client: unknown): client is Pick<DynamoDBClient, 'middlewareStack'> {
  return typeof client === 'object' && client !== null && 'middlewareStack' in client;
}

const inputSchema = z.object({
  TableName: z.string().optional(),
  /** SQS batches. */
  Entries: z.array(z.unknown()).optional(),
  /** BatchGetItem has keys by table, BatchWriteItem a list. */
  RequestItems: z
    .record(z.string(), z.union([z.array(z.unknown()), z.object({ Keys: z.array(z.unknown()) })]))
    .optional(),
});

function contents(input: unknown): { readonly table: string | null; readonly items: number } {
  const { TableName = null, Entries, RequestItems } = inputSchema.parse(input);
  if (RequestItems === undefined) return { table: TableName, items: Entries?.length ?? 1 };
  const items = Object.values(RequestItems).reduce(
    (sum, part) => sum + (Array.isArray(part) ? part : part.Keys).length,
    0,
  );
  return { table: Object.keys(RequestItems).join(), items };
}

/** What came between two looks. */
export function since(before: RequestCounts, after: RequestCounts): RequestCounts {
  const counts = [...after].map(([name, { requests, items }]): [string, RequestCount] => {
    const known = before.get(name) ?? { requests: 0, items: 0 };
    return [name, { requests: requests - known.requests, items: items - known.items }];
  });
  return new Map(counts.filter(([, { requests }]) => requests > 0));
}
