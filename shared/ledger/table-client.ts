import {
  type AttributeValue,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  QueryCommand,
  type QueryCommandInput,
  ScanCommand,
  type ScanCommandInput,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import type { NewId } from '../clock/clock.ts';
import { newUuidV7 } from '../clock/system.ts';
import { type Item, marshalItem } from './attribute-values.ts';
import { type ItemKey, namesIn } from './attributes.ts';
import { ITEM_LIMIT, itemSize } from './item-size.ts';
import { tooLarge } from './too-large.ts';
import { isConditionFailure, translateError } from './translate-error.ts';

/** The few requests that the ledger makes of its table; every error leaves as a LedgerError. */

export interface Condition {
  readonly expression: string;
  readonly values?: Readonly<Record<string, AttributeValue>>;
}

/** `refused`: the condition did not hold; nothing was written. */
export type WriteResult = 'written' | 'refused';

export interface TableClient {
  /** Another one at each call. */
  readonly newId: NewId;
  /** Strongly consistent. */
  get(key: ItemKey): Promise<Item | null>;
  put(key: ItemKey, fields: object, condition?: Condition): Promise<WriteResult>;
  update(key: ItemKey, expression: string, condition: Condition): Promise<WriteResult>;
  delete(key: ItemKey): Promise<void>;
  /** Every page of the answer, at most `limit` items. Strongly consistent, except on an index. */
  query(query: Query): Promise<readonly Item[]>;
  /** Every item of the table that meets the condition. Strongly consistent. */
  scan(scan: Pick<Query, 'condition' | 'names' | 'values'>): Promise<readonly Item[]>;
}

export interface Query {
  readonly index?: string;
  readonly condition: string;
  readonly names: Readonly<Record<string, string>>;
  readonly values: Readonly<Record<string, string>>;
  readonly newestFirst?: boolean;
  readonly limit?: number;
}

export function createTableClient(
  client: DynamoDBClient,
  tableName: string,
  newId: NewId = newUuidV7,
): TableClient {
  const get = async (key: ItemKey): Promise<Item | null> => {
    try {
      const { Item } = await client.send(
        new GetItemCommand({ TableName: tableName, Key: marshalItem(key), ConsistentRead: true }),
      );
      return Item ?? null;
    } catch (error) {
      throw translateError(error, tableName);
    }
  };

  const write = async (send: () => Promise<unknown>): Promise<WriteResult> => {
    try {
      await send();
      return 'written';
    } catch (error) {
      if (isConditionFailure(error)) return 'refused';
      throw translateError(error, tableName);
    }
  };

  return {
    newId,
    get,
    put: async (key, fields, condition) => {
      const item = marshalItem({ ...fields, ...key });
      checkSize(item, key);
      const clause =
        condition === undefined
          ? {}
          : { ConditionExpression: condition.expression, ...expressionParts(condition) };
      return write(() => client.send(new PutItemCommand({ TableName: tableName, Item: item, ...clause })));
    },
    update: (key, expression, condition) =>
      write(() =>
        client.send(
          new UpdateItemCommand({
            TableName: tableName,
            Key: marshalItem(key),
            UpdateExpression: expression,
            ConditionExpression: condition.expression,
            ...expressionParts(condition, expression),
          }),
        ),
      ),
    delete: async (key) => {
      await write(() => client.send(new DeleteItemCommand({ TableName: tableName, Key: marshalItem(key) })));
    },
    query: (query) => queryAll(client, tableName, query),
    scan: (scan) => scanAll(client, tableName, scan),
  };
}

function expressionParts(condition: Condition, update = '') {
  return {
    ExpressionAttributeNames: namesIn(condition.expression, update),
    ...(condition.values === undefined ? {} : { ExpressionAttributeValues: { ...condition.values } }),
  };
}

async function queryAll(client: DynamoDBClient, tableName: string, query: Query): Promise<readonly Item[]> {
  const limit = query.limit ?? Number.POSITIVE_INFINITY;
  const items: Item[] = [];
  let after: Item | undefined;
  do {
    const input: QueryCommandInput = {
      TableName: tableName,
      KeyConditionExpression: query.condition,
      ExpressionAttributeNames: { ...query.names },
      ExpressionAttributeValues: marshalItem(query.values),
      ScanIndexForward: query.newestFirst !== true,
      ...(query.index === undefined ? { ConsistentRead: true } : { IndexName: query.index }),
      ...(query.limit === undefined ? {} : { Limit: limit - items.length }),
      ...(after === undefined ? {} : { ExclusiveStartKey: after }),
    };
    try {
      const answer = await client.send(new QueryCommand(input));
      items.push(...(answer.Items ?? []));
      after = answer.LastEvaluatedKey;
    } catch (error) {
      throw translateError(error, tableName);
    }
  } while (after !== undefined && items.length < limit);
  return items;
}

async function scanAll(
  client: DynamoDBClient,
  tableName: string,
  { condition, names, values }: Pick<Query, 'condition' | 'names' | 'values'>,
): Promise<readonly Item[]> {
  const items: Item[] = [];
  let after: Item | undefined;
  do {
    const input: ScanCommandInput = {
      TableName: tableName,
      ConsistentRead: true,
      FilterExpression: condition,
      ExpressionAttributeNames: { ...names },
      ExpressionAttributeValues: marshalItem(values),
      ...(after === undefined ? {} : { ExclusiveStartKey: after }),
    };
    try {
      const answer = await client.send(new ScanCommand(input));
      items.push(...(answer.Items ?? []));
      after = answer.LastEvaluatedKey;
    } catch (error) {
      throw translateError(error, tableName);
    }
  } while (after !== undefined);
  return items;
}

function checkSize(item: Item, key: ItemKey): void {
  const size = itemSize(item);
  if (size > ITEM_LIMIT) throw tooLarge(key, size);
}
