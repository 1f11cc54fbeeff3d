import {
  BatchGetItemCommand,
  ConditionalCheckFailedException,
  DescribeTableCommand,
  type DynamoDBClient,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
  type ScanCommandInput,
  type TableDescription,
  UpdateItemCommand,
  type UpdateItemCommandInput,
} from '@aws-sdk/client-dynamodb';
import type { Clock } from '../../clock/clock.ts';
import type { Item } from './attributes.ts';
import { type Action, isInvalidRequest, isThrottle, type Place, throttled, translate } from './failures.ts';
import type { Slots } from './slots.ts';

/**
 * The requests of one table. Each waits for a free slot of its store, and again, with jitter, where DynamoDB throttles
 * it beyond what the SDK tries by itself: throttling slows, and fails a request only after a bounded time.
 */

export interface Page {
  readonly items: readonly Item[];
  readonly last: Item | undefined;
}

export interface Requests {
  readonly place: Place;
  /** Most in flight at one time. */
  readonly lanes: number;
  describe(): Promise<TableDescription>;
  scan(input: Omit<ScanCommandInput, 'TableName'>): Promise<Page>;
  query(input: Omit<QueryCommandInput, 'TableName'>): Promise<Page>;
  /** At most 100 different keys; those that DynamoDB leaves unprocessed are asked for again. */
  batchGet(keys: readonly Item[], input: BatchGetInput): Promise<readonly Item[]>;
  /** Throws the SDK's own ValidationException: which it is depends on what was to be written. */
  update(input: Omit<UpdateItemCommandInput, 'TableName'>): Promise<'written' | Refusal>;
}

/** The condition of an update failed. */
export interface Refusal {
  /** What stands there; undefined where there is no item, or DynamoDB did not show it. */
  readonly item: Item | undefined;
  /**
   * It was sent more than once: a try whose answer was lost may have written, and then the condition failed on what
   * that wrote.
   */
  readonly repeated: boolean;
}

export interface BatchGetInput {
  readonly ProjectionExpression: string;
  readonly ExpressionAttributeNames: Record<string, string>;
  readonly ConsistentRead: boolean;
}

export interface RequestOptions {
  readonly client: DynamoDBClient;
  readonly place: Place;
  readonly slots: Slots;
  readonly clock: Clock;
  /** In [0, 1), for the jitter. */
  readonly random: () => number;
}

/** A throttled request is given up when nothing of the table succeeded for so long. */
const QUIET_MS = 10_000;
/**
 * And when it was itself throttled for so long: a worker has sealed already what it waits to write, and this stays far
 * below the default of `maxTransactionSeconds`.
 */
const LONGEST_MS = 20_000;
const FIRST_PAUSE_MS = 50;
const LONGEST_PAUSE_MS = 2_000;

export function createRequests({ client, place, slots, clock, random }: RequestOptions): Requests {
  const TableName = place.table;
  let succeeded = Number.NEGATIVE_INFINITY;

  const mayWait = (began: number) => {
    const now = clock.now();
    return now - began < LONGEST_MS && now - Math.max(began, succeeded) < QUIET_MS;
  };
  /** Full jitter. */
  const pause = (attempt: number) =>
    clock.sleep(random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt));

  const patiently = async <T>(run: (attempt: number) => Promise<T>): Promise<T> => {
    const release = await slots.take();
    const began = clock.now();
    try {
      for (let attempt = 0; ; attempt++) {
        try {
          const answer = await run(attempt);
          succeeded = clock.now();
          return answer;
        } catch (error) {
          if (!isThrottle(error) || !mayWait(began)) throw error;
        }
        await pause(attempt);
      }
    } finally {
      release();
    }
  };

  const send = async <T>(action: Action, run: () => Promise<T>): Promise<T> => {
    try {
      return await patiently(run);
    } catch (error) {
      throw translate(error, action, place);
    }
  };

  return {
    place,
    lanes: slots.count,
    async describe() {
      const { Table = {} } = await send('DescribeTable', () =>
        client.send(new DescribeTableCommand({ TableName })),
      );
      return Table;
    },
    scan: (input) =>
      send('Scan', async () => pageOf(await client.send(new ScanCommand({ TableName, ...input })))),
    query: (input) =>
      send('Query', async () => pageOf(await client.send(new QueryCommand({ TableName, ...input })))),
    async batchGet(keys, input) {
      const items: Item[] = [];
      const began = clock.now();
      let left = [...keys];
      for (let attempt = 0; ; attempt++) {
        const RequestItems = { [TableName]: { Keys: left, ...input } };
        const answer = await send('BatchGetItem', () =>
          client.send(new BatchGetItemCommand({ RequestItems })),
        );
        const found = answer.Responses?.[TableName] ?? [];
        items.push(...found);
        left = answer.UnprocessedKeys?.[TableName]?.Keys ?? [];
        if (left.length === 0) return items;
        // A part comes back for the answer's limit of 16 MB; all of them only where DynamoDB throttles.
        if (found.length > 0) attempt = 0;
        else if (!mayWait(began)) throw throttled(place);
        await pause(attempt);
      }
    },
    async update(input) {
      let repeated = false;
      try {
        await patiently((attempt) => {
          repeated = attempt > 0;
          return client.send(new UpdateItemCommand({ TableName, ...input }));
        });
        return 'written';
      } catch (error) {
        if (error instanceof ConditionalCheckFailedException) {
          return { item: error.Item, repeated: repeated || (error.$metadata.attempts ?? 1) > 1 };
        }
        throw isInvalidRequest(error) ? error : translate(error, 'UpdateItem', place);
      }
    },
  };
}

function pageOf(answer: {
  readonly Items?: Item[] | undefined;
  readonly LastEvaluatedKey?: Item | undefined;
}): Page {
  return { items: answer.Items ?? [], last: answer.LastEvaluatedKey };
}
