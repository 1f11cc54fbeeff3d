import { PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { marshalItem } from '../../../shared/ledger/attribute-values.ts';
import { createDynamoDbLedger } from '../../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../../shared/ledger/table.ts';
import { testState } from '../../../simulation/models/state-key.ts';
import { describeLedger, testJob, testKey, testPage, testRequest } from '../../contracts/ledger.ts';
import { connect, startTestDynamoDb, type TestDynamoDb } from '../../support/dynamodb.ts';

let dynamodb: TestDynamoDb;
beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
});
afterAll(() => dynamodb.stop());

describeLedger('DynamoDB', () => dynamodb.makeLedger());

/** A ledger whose client loses the next replies, after what they answer was committed, and sends the requests again. */
async function makeLossyLedger() {
  const tableName = dynamodb.newTableName();
  const client = connect(dynamodb.server.endpoint);
  await createLedgerTable(client, tableName);
  let losses = 0;
  client.middlewareStack.add(
    (next) => async (args) => {
      const [reply] = await Promise.allSettled([next(args)]);
      if (losses > 0) {
        losses -= 1;
        throw Object.assign(new Error('socket hang up'), { name: 'TimeoutError' });
      }
      if (reply.status === 'rejected') throw reply.reason;
      return reply.value;
    },
    { step: 'deserialize', priority: 'high' },
  );
  return {
    ledger: createDynamoDbLedger({ client, tableName, authenticator: testState }),
    /** What it reads is not verified: to look at the shapes alone. */
    reader: createDynamoDbLedger({ client, tableName }),
    loseReplies: (count: number) => {
      losses = count;
    },
    tableName,
    client,
  };
}

describe('a lost reply of a committed write', () => {
  it('is no conflict', async () => {
    const { ledger, loseReplies } = await makeLossyLedger();
    loseReplies(1);
    expect((await ledger.createKey(testKey())).status).toBe('created');
    loseReplies(1);
    await expect(ledger.replaceKey(testKey({ revision: 2, rotationId: 'mine' }))).resolves.toBeUndefined();
    loseReplies(1);
    expect((await ledger.createJob(testJob())).status).toBe('created');
    await ledger.createPage(testPage(), '2026-01-01T00:00:00.000Z');
    loseReplies(1);
    await ledger.reportChunks(
      testPage(),
      [{ chunk: 0, counts: { rewrapped: 5, skipped: 0, quarantined: 0 } }],
      '2026-01-01T00:00:00.000Z',
    );
    expect(await ledger.listPages('job-1', 1, 0, 0, 1)).toMatchObject([{ done: [0], rewrapped: 5 }]);
  });

  it('is a retryable error when every reply is lost, and the repeat is a no-op', async () => {
    const { ledger, loseReplies } = await makeLossyLedger();
    await ledger.createKey(testKey());
    const next = testKey({ revision: 2, rotationId: 'mine' });
    loseReplies(3);
    await expect(ledger.replaceKey(next)).rejects.toMatchObject({
      code: 'LEDGER_UNAVAILABLE',
      retryable: true,
    });
    await expect(ledger.replaceKey(next)).resolves.toBeUndefined();
    expect(await ledger.getKey('acme', 'default')).toEqual(next);
  });
});

describe('trouble with the table', () => {
  it('is named when it does not exist', async () => {
    const ledger = createDynamoDbLedger({
      client: dynamodb.client,
      tableName: 'no-such-table',
      authenticator: testState,
    });
    const missing = { code: 'LEDGER_NOT_FOUND', message: expect.stringContaining('no-such-table') };
    await expect(ledger.check()).rejects.toMatchObject(missing);
    await expect(ledger.getKey('a', 'b')).rejects.toMatchObject(missing);
    await expect(ledger.createKey(testKey())).rejects.toMatchObject(missing);
    await expect(ledger.listJobs()).rejects.toMatchObject(missing);
  });

  it('is retryable when the server is down', async () => {
    const other = await startTestDynamoDb();
    const ledger = await other.makeLedger();
    await other.server.stop();
    const down = { name: 'LedgerError', code: 'LEDGER_UNAVAILABLE', retryable: true };
    await expect(ledger.getKey('a', 'b')).rejects.toMatchObject(down);
    await expect(ledger.check()).rejects.toMatchObject(down);
    await expect(ledger.createJob(testJob())).rejects.toMatchObject(down);
    other.client.destroy();
  });

  it('is refused when the table is not a ledger', async () => {
    const { CreateTableCommand } = await import('@aws-sdk/client-dynamodb');
    await dynamodb.client.send(
      new CreateTableCommand({
        TableName: 'something-else',
        AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
        KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
        BillingMode: 'PAY_PER_REQUEST',
      }),
    );
    await expect(createLedgerTable(dynamodb.client, 'something-else')).rejects.toMatchObject({
      message: expect.stringContaining('not a Keyturn ledger'),
    });
  });

  it('is created once by ten at a time', async () => {
    const tableName = dynamodb.newTableName();
    await Promise.all(Array.from({ length: 10 }, () => createLedgerTable(dynamodb.client, tableName)));
    await createDynamoDbLedger({ client: dynamodb.client, tableName, authenticator: testState }).check();
  });
});

describe('an item that was changed by hand', () => {
  const damaged = [
    ['state', 'versions.1.state', { state: 'SECRET-VALUE' }],
    ['a time', 'versions.1.createdAt', { createdAt: 'SECRET-VALUE' }],
    ['a missing attribute', 'versions.1.wrapped', { wrapped: 'SECRET-VALUE' }],
  ] as const;

  it.each(damaged)('is refused by the name of the attribute: %s', async (_, path, change) => {
    const { reader: ledger, client, tableName } = await makeLossyLedger();
    const item = {
      ...testKey(),
      versions: { '1': { ...testKey().versions['1'], ...change } },
      pk: 'KEY#acme#default',
      sk: 'KEY',
    };
    await client.send(new PutItemCommand({ TableName: tableName, Item: marshalItem(item) }));
    const error: unknown = await ledger.getKey('acme', 'default').catch((e: unknown) => e);
    expect(error).toMatchObject({ code: 'LEDGER_ITEM_INVALID', message: expect.stringContaining(path) });
    expect(String(error)).not.toContain('SECRET');
  });

  it("is refused when it stands in another one's place", async () => {
    const { reader: ledger, client, tableName } = await makeLossyLedger();
    const item = {
      ...marshalItem(testKey({ tenant: 'other' })),
      pk: { S: 'KEY#acme#default' },
      sk: { S: 'KEY' },
    };
    await client.send(new PutItemCommand({ TableName: tableName, Item: item }));
    await expect(ledger.getKey('acme', 'default')).rejects.toMatchObject({
      code: 'LEDGER_ITEM_INVALID',
      message: expect.stringContaining('place'),
    });
  });

  it('is refused when a number is none, or a type is foreign', async () => {
    const { reader: ledger, client, tableName } = await makeLossyLedger();
    const base = { ...marshalItem(testKey()), pk: { S: 'KEY#acme#default' }, sk: { S: 'KEY' } };
    for (const active of [{ N: '1e30' }, { SS: ['x'] }]) {
      await client.send(new PutItemCommand({ TableName: tableName, Item: { ...base, active } }));
      await expect(ledger.getKey('acme', 'default')).rejects.toMatchObject({
        code: 'LEDGER_ITEM_INVALID',
        message: expect.stringContaining('active'),
      });
    }
  });
});

/** A ledger that says how many items its queries have read. */
async function makeCountingLedger() {
  const tableName = dynamodb.newTableName();
  const client = connect(dynamodb.server.endpoint);
  await createLedgerTable(client, tableName);
  let read = 0;
  client.middlewareStack.add(
    (next) => async (args) => {
      const reply = await next(args);
      const output: unknown = reply.output;
      if (typeof output === 'object' && output !== null && 'Items' in output && Array.isArray(output.Items))
        read += output.Items.length;
      return reply;
    },
    { step: 'initialize' },
  );
  const ledger = createDynamoDbLedger({ client, tableName, authenticator: testState });
  return {
    ledger,
    readBy: async (work: () => Promise<unknown>) => {
      const before = read;
      await work();
      return read - before;
    },
  };
}

describe('the list of jobs', () => {
  it('does not read the jobs that are over for whoever asks for the others', async () => {
    const { ledger, readBy } = await makeCountingLedger();
    for (let i = 0; i < 5; i++) await ledger.createJob(testJob({ jobId: `ended-${i}`, status: 'COMPLETED' }));
    await ledger.createJob(testJob({ jobId: 'runs' }));
    expect(await readBy(() => ledger.listJobs({ statuses: ['REQUESTED', 'BLOCKED'] }))).toBe(1);
    expect(await readBy(() => ledger.listJobs())).toBe(6);
  });
});

describe('requests for approval, which stay for ever', () => {
  it('are not read for their outboxes once these are closed, nor beyond the limit of who lists them', async () => {
    const { ledger, readBy } = await makeCountingLedger();
    const ask = (requestId: string) =>
      ledger
        .leaving({
          ...{ tenant: 'acme', eventId: requestId, at: '2026-01-01T00:00:00.000Z', actor: 'test' },
          ...{ type: 'test.event', detail: {}, afterSequence: 0 },
        })
        .createApprovalRequest(testRequest({ requestId }));
    for (let i = 0; i < 20; i++) await ask(`old-${i}`);
    for (const outbox of await ledger.listOpenOutboxes()) await ledger.closeOutbox(outbox, 1);
    expect(await readBy(() => ledger.listOpenOutboxes())).toBe(0);
    await ask('new');
    expect(await readBy(() => ledger.listOpenOutboxes())).toBe(1);
    expect(await readBy(() => ledger.listApprovalRequests({ limit: 3 }))).toBe(4);
  });
});
