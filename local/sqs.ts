import type { AddressInfo } from 'node:net';
import {
  CreateQueueCommand,
  GetQueueAttributesCommand,
  type Message,
  SendMessageCommand,
  type SQSClient,
} from '@aws-sdk/client-sqs';
import { buildApp } from 'fauxqs';
import { Consumer } from 'sqs-consumer';
import { z } from 'zod';
import type { Handler } from '../functions/lambda.ts';
import type { BatchResponse } from '../functions/process-chunk/index.ts';
import type { DeadLetter } from './event-bus.ts';
import { isForeign } from './loopback-guard.ts';

/** The embedded stack's SQS, and the poller that stands in for Lambda's event source mapping. */

export interface LocalSqs {
  readonly endpoint: string;
  stop(): Promise<void>;
}

/**
 * npm `fauxqs`, on the loopback address. Its messages live in memory: a restart loses them, as SQS may lose a
 * message to its retention, and the resumed listers queue what was not reported again.
 */
export async function startSqs(): Promise<LocalSqs> {
  const app = buildApp({ logger: false });
  app.addHook('onRequest', (request, reply, done) => {
    if (isForeign(request)) void reply.code(403).send('Only programs on this machine, by 127.0.0.1.');
    else done();
  });
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address() as AddressInfo;
  return { endpoint: `http://127.0.0.1:${port}`, stop: () => app.close() };
}

export interface QueueUrls {
  readonly queueUrl: string;
  readonly deadLetterQueueUrl: string;
  /** Of what events and schedules start. */
  readonly eventDeadLetterQueueUrl: string;
}

/** As in AWS, where the service's name with its stage stands for `keyturn`. */
export const QUEUES = {
  work: 'keyturn-work',
  workDeadLetters: 'keyturn-work-dead-letters',
  eventDeadLetters: 'keyturn-event-dead-letters',
} as const;

/** Times a chunk is tried before it goes to the dead-letter queue. */
export const MAX_RECEIVES = 5;

export async function createQueues(client: SQSClient, visibilitySeconds: number): Promise<QueueUrls> {
  const deadLetterQueueUrl = await createQueue(client, QUEUES.workDeadLetters, {});
  const attributes = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: deadLetterQueueUrl, AttributeNames: ['QueueArn'] }),
  );
  const deadLetterTargetArn = attributes.Attributes?.['QueueArn'];
  const queueUrl = await createQueue(client, QUEUES.work, {
    VisibilityTimeout: String(visibilitySeconds),
    RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: MAX_RECEIVES }),
  });
  const eventDeadLetterQueueUrl = await createQueue(client, QUEUES.eventDeadLetters, {});
  return { queueUrl, deadLetterQueueUrl, eventDeadLetterQueueUrl };
}

async function createQueue(
  client: SQSClient,
  name: string,
  attributes: Record<string, string>,
): Promise<string> {
  const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: name, Attributes: attributes }));
  return z.string().parse(QueueUrl);
}

/** As the dead-letter queue of an asynchronous call gets it: the event itself, and why in the attributes. */
export async function putDeadLetter(
  client: SQSClient,
  queueUrl: string,
  { origin, event, error }: Pick<DeadLetter, 'origin' | 'event' | 'error'>,
): Promise<void> {
  const text = error instanceof Error ? error.message : typeof error;
  const attribute = (value: string) => ({ DataType: 'String', StringValue: value });
  await client.send(
    new SendMessageCommand({
      QueueUrl: queueUrl,
      MessageBody: JSON.stringify(event),
      MessageAttributes: {
        ErrorMessage: attribute(text.slice(0, 1000) || 'none'),
        Origin: attribute(origin),
      },
    }),
  );
}

/** Hands the queue's messages to the function as Lambda does, and deletes those that it did not report as failed. */
export function startPoller(options: {
  readonly client: SQSClient;
  readonly queueUrl: string;
  readonly handler: Handler<BatchResponse>;
  readonly timeoutMs: number;
  readonly now: () => number;
  readonly onError: (error: Error) => void;
}): { stop(): Promise<void> } {
  const consumer = Consumer.create({
    sqs: options.client,
    queueUrl: options.queueUrl,
    batchSize: 10,
    waitTimeSeconds: 1,
    messageSystemAttributeNames: ['All'],
    handleMessageBatch: async (messages) => {
      const deadline = options.now() + options.timeoutMs;
      const context = { getRemainingTimeInMillis: () => Math.max(0, deadline - options.now()) };
      const { batchItemFailures } = await options.handler(sqsEvent(messages), context);
      const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
      return messages.filter(({ MessageId }) => !failed.has(MessageId ?? ''));
    },
  });
  let stopping = false;
  const report = (error: Error) => {
    // Stopping aborts the long poll that is under way.
    if (!stopping) options.onError(error);
  };
  consumer.on('error', report);
  consumer.on('processing_error', report);
  consumer.start();
  return {
    stop: () =>
      new Promise((resolve) => {
        stopping = true;
        consumer.once('stopped', () => resolve());
        consumer.stop({ abort: true });
      }),
  };
}

/** D/lambda/latest/dg/with-sqs.html */
function sqsEvent(messages: readonly Message[]): object {
  return {
    Records: messages.map((message) => ({
      messageId: message.MessageId,
      receiptHandle: message.ReceiptHandle,
      body: message.Body,
      attributes: message.Attributes ?? {},
      messageAttributes: {},
      md5OfBody: message.MD5OfBody,
      eventSource: 'aws:sqs',
      eventSourceARN: 'arn:aws:sqs:us-east-1:000000000000:keyturn-work',
      awsRegion: 'us-east-1',
    })),
  };
}
