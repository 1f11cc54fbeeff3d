import { GetQueueAttributesCommand, ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createQueues, type LocalSqs, MAX_RECEIVES, startPoller, startSqs } from '../../../local/sqs.ts';
import { readBody } from '../../../shared/queue/message-body.ts';
import { createSqsWorkQueue } from '../../../shared/queue/sqs-work-queue.ts';
import { type ChunkMessage, chunkMessageSchema } from '../../../shared/queue/work-queue.ts';
import { testState } from '../../../simulation/models/state-key.ts';
import {
  describeWorkQueue,
  chunkMessage as message,
  chunkMessages as messages,
  RECEIVES,
} from '../../contracts/work-queue.ts';

const connect = (endpoint: string) =>
  new SQSClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    useQueueUrlAsEndpoint: false,
    maxAttempts: 1,
  });

const failuresSchema = z.object({ batchItemFailures: z.array(z.object({ itemIdentifier: z.string() })) });

describeWorkQueue('the embedded SQS', async () => {
  const sqs = await startSqs();
  const to = connect(sqs.endpoint);
  const nowhere = connect('http://127.0.0.1:9');
  // What is handed back is visible again at once.
  const queues = await createQueues(to, 0);
  let poller: ReturnType<typeof startPoller> | undefined;
  const depth = async (url: string) => {
    const { Attributes } = await to.send(
      new GetQueueAttributesCommand({ QueueUrl: url, AttributeNames: ['All'] }),
    );
    const numbers = ['ApproximateNumberOfMessages', 'ApproximateNumberOfMessagesNotVisible'] as const;
    return numbers.reduce((sum, name) => sum + Number(Attributes?.[name] ?? 0), 0);
  };
  return {
    sender: (state) => createSqsWorkQueue(to, queues.queueUrl, state),
    unreachable: createSqsWorkQueue(nowhere, queues.queueUrl, testState),
    work: (handler) => {
      poller = startPoller({
        client: to,
        queueUrl: queues.queueUrl,
        handler: async (event) => failuresSchema.parse(await handler(event)),
        timeoutMs: 5000,
        now: () => 0,
        onError: () => undefined,
      });
    },
    until: (isSo) => expect.poll(isSo, { timeout: 60_000 }).toBe(true),
    waiting: () => depth(queues.queueUrl),
    dead: () => depth(queues.deadLetterQueueUrl),
    stop: async () => {
      await poller?.stop();
      to.destroy();
      nowhere.destroy();
      await sqs.stop();
    },
  };
});

it('the suite expects as many receives as the embedded queue has', () => expect(RECEIVES).toBe(MAX_RECEIVES));

let server: LocalSqs;
let client: SQSClient;
let queueUrl: string;
beforeAll(async () => {
  server = await startSqs();
  client = connect(server.endpoint);
  ({ queueUrl } = await createQueues(client, 60));
});
afterAll(async () => {
  client.destroy();
  await server.stop();
});
beforeEach(async () => {
  while ((await receive()).length > 0);
});

async function receive(): Promise<ChunkMessage[]> {
  const { Messages } = await client.send(
    new ReceiveMessageCommand({ QueueUrl: queueUrl, MaxNumberOfMessages: 10, WaitTimeSeconds: 0 }),
  );
  return Promise.all((Messages ?? []).map(({ Body }) => readBody(testState, Body ?? '', () => {})));
}

async function receiveAll(): Promise<number[]> {
  const chunks: number[] = [];
  for (;;) {
    const batch = await receive();
    if (batch.length === 0) return chunks.sort((a, b) => a - b);
    chunks.push(...batch.map(({ progress }) => progress?.chunk ?? -1));
  }
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const entriesSchema = z.object({
  Entries: z.array(z.object({ Id: z.string(), MessageBody: z.string(), MessageGroupId: z.string() })),
});

type Failure = { readonly Id: string; readonly SenderFault: boolean; readonly Code: string };

/** A client whose server refuses the entries that `refuse` names; the others get through to the real one. */
function refusing(refuse: (ids: readonly string[], request: number) => readonly Failure[]) {
  const faulty = connect(server.endpoint);
  const requests: z.infer<typeof entriesSchema>['Entries'][] = [];
  faulty.middlewareStack.add(
    (next) => async (args) => {
      const { Entries } = entriesSchema.parse(args.input);
      requests.push(Entries);
      const failed = refuse(
        Entries.map(({ Id }) => Id),
        requests.length,
      );
      const ids = new Set(failed.map(({ Id }) => Id));
      const rest = Entries.filter(({ Id }) => !ids.has(Id));
      if (rest.length === 0) return { output: { $metadata: {}, Failed: [...failed] }, response: {} };
      const reply = await next({ ...args, input: { ...args.input, Entries: rest } });
      return { ...reply, output: { ...reply.output, Failed: [...failed] } };
    },
    { step: 'initialize' },
  );
  return { queue: createSqsWorkQueue(faulty, queueUrl, testState), requests, faulty };
}

const passing = (Id: string): Failure => ({ Id, SenderFault: false, Code: 'InternalError' });

describe('requests to SQS', () => {
  it('sends ten at a time', async () => {
    const { queue, requests, faulty } = refusing(() => []);
    await queue.send(messages(25));
    expect(requests.map((entries) => entries.length)).toEqual([10, 10, 5]);
    expect(await receiveAll()).toEqual(range(25));
    faulty.destroy();
  });

  it('groups by tenant within SQS’s alphabet and length, so that tenants share fairly', async () => {
    const { queue, requests, faulty } = refusing(() => []);
    await queue.send([message(0), message(1, { tenant: 'x'.repeat(300) }), message(2, { tenant: 'Ü/+ =' })]);
    const groups = requests.flat().map(({ MessageGroupId }) => MessageGroupId);
    expect(groups[0]).toBe('YWNtZQ');
    for (const group of groups) expect(group).toMatch(/^[\w-]{1,128}$/);
    expect(new Set(groups).size).toBe(3);
    faulty.destroy();
  });

  it('sends again what SQS did not take, and nothing else', async () => {
    const { queue, requests, faulty } = refusing((ids, request) =>
      request < 4 ? ids.filter((id) => Number(id) % 2 === 1).map(passing) : [],
    );
    await queue.send(messages(8));
    expect(requests.map((entries) => entries.length)).toEqual([8, 4, 4, 4]);
    expect(await receiveAll()).toEqual(range(8));
    faulty.destroy();
  });

  it('gives up after four tries, retryable, and says how many are left', async () => {
    const { queue, requests, faulty } = refusing(() => [passing('1'), passing('2')]);
    await expect(queue.send(messages(4))).rejects.toMatchObject({
      code: 'QUEUE_UNAVAILABLE',
      retryable: true,
      message: 'SQS did not take 2 chunks: InternalError',
    });
    expect(requests).toHaveLength(4);
    expect(await receiveAll()).toEqual([0, 3]);
    faulty.destroy();
  });

  it('does not send again what is refused for good', async () => {
    const fault = { Id: '0', SenderFault: true, Code: 'InvalidMessageContents' };
    const { queue, requests, faulty } = refusing(() => [passing('1'), fault]);
    await expect(queue.send(messages(12))).rejects.toMatchObject({
      code: 'QUEUE_UNAVAILABLE',
      retryable: false,
      message: 'SQS refused a chunk: InvalidMessageContents',
    });
    expect(requests).toHaveLength(1);
    faulty.destroy();
  });

  it('is unavailable when the queue is gone', async () => {
    const missing = createSqsWorkQueue(client, `${queueUrl}-none`, testState);
    await expect(missing.send(messages(1))).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
  });
});

describe('a chunk message', () => {
  const good = message(0);
  it.each([
    ['another version', { ...good, v: 2 }],
    ['more than it may hold', { ...good, plaintext: 'x' }],
    ['a job that is no id', { ...good, jobId: 'job-1' }],
    ['no tenant', { ...good, tenant: '' }],
    ['a key without parts', { ...good, keys: [[]] }],
    ['a key that is not text', { ...good, keys: [[1]] }],
    ['more than a thousand keys', { ...good, keys: Array.from({ length: 1001 }, () => ['1']) }],
    ['a round before the first', { ...good, progress: { ...good.progress, round: 0 } }],
    ['a negative plan', { ...good, progress: { ...good.progress, planned: -1 } }],
    ['no progress at all', { ...good, progress: undefined }],
  ])('with %s is refused', (_, bad) => {
    expect(chunkMessageSchema.safeParse(bad).success).toBe(false);
    expect(chunkMessageSchema.safeParse(good).success).toBe(true);
  });
});
