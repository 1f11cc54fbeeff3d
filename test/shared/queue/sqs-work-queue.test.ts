import { ReceiveMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createQueues, type LocalSqs, startSqs } from '../../../local/sqs.ts';
import { readBody } from '../../../shared/queue/message-body.ts';
import { createSqsWorkQueue } from '../../../shared/queue/sqs-work-queue.ts';
import { type ChunkMessage, chunkMessageSchema } from '../../../shared/queue/work-queue.ts';
import { testState } from '../../../simulation/models/state-key.ts';

const connect = (endpoint: string) =>
  new SQSClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    useQueueUrlAsEndpoint: false,
    maxAttempts: 1,
  });

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

const message = (chunk: number, tenant = 'acme'): ChunkMessage => ({
  v: 1,
  jobId: '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11',
  tenant,
  recordSet: 'people',
  progress: { round: 1, segment: 0, page: 0, chunk, planned: 2 },
  keys: [[String(chunk)], ['ü"\\']],
});
const messages = (count: number) => Array.from({ length: count }, (_, chunk) => message(chunk));

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

describe('the work queue on SQS', () => {
  it('sends any number, ten at a time, as they are', async () => {
    const queue = createSqsWorkQueue(client, queueUrl, testState);
    await queue.send([]);
    await queue.send(messages(25));
    expect(await receiveAll()).toEqual(range(25));
    const odd = { ...message(0, 'Zürich "AG" & Söhne'), progress: null };
    await queue.send([odd]);
    expect(await receive()).toEqual([odd]);
  });

  it('groups by tenant within SQS’s alphabet and length, so that tenants share fairly', async () => {
    const { queue, requests, faulty } = refusing(() => []);
    await queue.send([message(0), message(1, 'x'.repeat(300)), message(2, 'Ü/+ =')]);
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

  it('is unavailable, retryable, when the server is down or the queue is gone', async () => {
    const other = await startSqs();
    const lonely = connect(other.endpoint);
    const { queueUrl: url } = await createQueues(lonely, 60);
    const missing = createSqsWorkQueue(lonely, `${url}-none`, testState);
    await expect(missing.send(messages(1))).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
    await other.stop();
    await expect(createSqsWorkQueue(lonely, url, testState).send(messages(1))).rejects.toMatchObject({
      name: 'RotationError',
      code: 'QUEUE_UNAVAILABLE',
      retryable: true,
    });
    lonely.destroy();
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
