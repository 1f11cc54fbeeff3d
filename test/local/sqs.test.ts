import { GetQueueAttributesCommand, SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createQueues, type LocalSqs, type QueueUrls, startPoller, startSqs } from '../../local/sqs.ts';

let server: LocalSqs;
let client: SQSClient;
let queues: QueueUrls;
let poller: { stop(): Promise<void> } | undefined;

beforeEach(async () => {
  server = await startSqs();
  client = new SQSClient({
    endpoint: server.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    useQueueUrlAsEndpoint: false,
  });
  // What is handed back is visible again at once.
  queues = await createQueues(client, 0);
});
afterEach(async () => {
  await poller?.stop();
  poller = undefined;
  client.destroy();
  await server.stop();
});

const send = (body: string) =>
  client.send(new SendMessageCommand({ QueueUrl: queues.queueUrl, MessageBody: body }));

async function depth(url: string): Promise<number> {
  const { Attributes } = await client.send(
    new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }),
  );
  const numbers = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const;
  return numbers.reduce((sum, name) => sum + Number(Attributes?.[name] ?? 0), 0);
}

const eventSchema = z.object({
  Records: z.array(
    z.object({
      messageId: z.string(),
      body: z.string(),
      eventSource: z.literal('aws:sqs'),
      receiptHandle: z.string(),
    }),
  ),
});

function poll(isGood: (body: string) => boolean) {
  const seen: string[] = [];
  const errors: string[] = [];
  let left = 0;
  poller = startPoller({
    client,
    queueUrl: queues.queueUrl,
    timeoutMs: 5000,
    now: () => 0,
    onError: (error) => errors.push(error.message),
    handler: async (event, context) => {
      left = context.getRemainingTimeInMillis();
      const { Records } = eventSchema.parse(event);
      seen.push(...Records.map(({ body }) => body));
      if (Records.some(({ body }) => body === 'throw')) throw new Error('the whole batch');
      const bad = Records.filter(({ body }) => !isGood(body));
      return { batchItemFailures: bad.map(({ messageId }) => ({ itemIdentifier: messageId })) };
    },
  });
  return { seen, errors, left: () => left };
}

describe('the embedded queue and its poller', () => {
  it('makes its queues once', async () => {
    expect(await createQueues(client, 0)).toEqual(queues);
    expect(queues.queueUrl).not.toBe(queues.deadLetterQueueUrl);
  });

  it('deletes what was done, and delivers what was reported as failed until the dead-letter queue takes it', async () => {
    for (const body of ['good 1', 'bad', 'good 2']) await send(body);
    const { seen, left } = poll((body) => body.startsWith('good'));
    await expect.poll(() => depth(queues.deadLetterQueueUrl), { timeout: 60_000 }).toBe(1);
    await expect.poll(() => depth(queues.queueUrl)).toBe(0);
    expect(seen.filter((body) => body === 'good 1')).toHaveLength(1);
    expect(seen.filter((body) => body === 'good 2')).toHaveLength(1);
    expect(seen.filter((body) => body === 'bad')).toHaveLength(5);
    expect(left()).toBe(5000);
  });

  it('deletes nothing of a batch whose function threw, and says so', async () => {
    await send('throw');
    const { errors, seen } = poll(() => true);
    await expect.poll(() => depth(queues.deadLetterQueueUrl), { timeout: 60_000 }).toBe(1);
    expect(seen).toHaveLength(5);
    expect(errors.length).toBeGreaterThanOrEqual(5);
  });

  it('stops in the middle of a long poll, without an error', async () => {
    const polls = { begun: 0, answered: 0 };
    client.middlewareStack.add(
      (next, { commandName }) =>
        async (args) => {
          if (commandName !== 'ReceiveMessageCommand') return next(args);
          polls.begun += 1;
          const reply = await next(args);
          polls.answered += 1;
          return reply;
        },
      { step: 'finalizeRequest' },
    );
    const { errors } = poll(() => true);
    await expect.poll(() => polls.begun, { timeout: 60_000 }).toBeGreaterThan(0);
    const { begun, answered } = { ...polls };
    await poller?.stop();
    poller = undefined;
    expect(begun).toBe(answered + 1);
    expect(polls).toEqual({ begun, answered });
    expect(errors).toEqual([]);
  });
});
