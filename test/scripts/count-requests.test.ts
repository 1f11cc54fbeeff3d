import {
  BatchGetItemCommand,
  CreateTableCommand,
  DynamoDBClient,
  GetItemCommand,
} from '@aws-sdk/client-dynamodb';
import { SendMessageBatchCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type LocalDynamoDb, startDynamoDb } from '../../local/dynamodb.ts';
import { createRequestCounter, since } from '../../scripts/bench/count-requests.ts';

const PLACE = { region: 'us-east-1', credentials: { accessKeyId: 'test', secretAccessKey: 'test' } };
const KEY = { id: { S: '1' } };

let server: LocalDynamoDb;
beforeAll(async () => {
  server = await startDynamoDb();
});
afterAll(() => server.stop());

it('counts requests and what they carry, by service, operation and table', async () => {
  const counter = createRequestCounter();
  const client = counter.instrument(new DynamoDBClient({ ...PLACE, endpoint: server.endpoint }));
  await client.send(
    new CreateTableCommand({
      TableName: 'records',
      BillingMode: 'PAY_PER_REQUEST',
      AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
      KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
    }),
  );
  const before = counter.counts();
  await client.send(new GetItemCommand({ TableName: 'records', Key: KEY }));
  const Keys = [KEY, { id: { S: '2' } }];
  await client.send(new BatchGetItemCommand({ RequestItems: { records: { Keys } } }));
  counter.add('KMS Decrypt');
  expect(Object.fromEntries(since(before, counter.counts()))).toEqual({
    'DynamoDB GetItem records': { requests: 1, items: 1 },
    'DynamoDB BatchGetItem records': { requests: 1, items: 2 },
    'KMS Decrypt': { requests: 1, items: 1 },
  });
  client.destroy();
});

it('counts every try, as AWS bills it', async () => {
  const counter = createRequestCounter();
  const client = counter.instrument(
    new SQSClient({ ...PLACE, endpoint: 'http://127.0.0.1:9', maxAttempts: 3, useQueueUrlAsEndpoint: false }),
  );
  const Entries = ['a', 'b'].map((Id) => ({ Id, MessageBody: Id }));
  const sent = client.send(new SendMessageBatchCommand({ QueueUrl: 'http://127.0.0.1:9/q', Entries }));
  await expect(sent).rejects.toThrow();
  expect(counter.counts().get('SQS SendMessageBatch')).toEqual({ requests: 3, items: 6 });
  client.destroy();
});

it('refuses what has no requests to count', () => {
  expect(() => createRequestCounter().instrument({})).toThrow(TypeError);
});
