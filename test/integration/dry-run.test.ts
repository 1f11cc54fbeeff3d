import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import type pg from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Stack } from '../../local/stack.ts';
import { embeddedDynamoDb } from '../../local/stack-info.ts';
import { createRequestCounter, type RequestCounts, since } from '../../scripts/bench/count-requests.ts';
import { type CountedStore, dynamoDbRecords, postgresRecords } from '../../scripts/bench/request-records.ts';
import { rotateToEnd, startCountedStack } from '../../scripts/bench/requests.ts';
import { predictRequests } from '../../shared/pricing/predict-requests.ts';
import { createPostgresPool } from '../../shared/records/postgres/pool.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import type { DryRun } from '../../shared/rotation/dry-run.ts';
import { runOn } from '../scripts/capture.ts';

/** What a dry run predicts, held against what a rotation of the same records asks for, counted where it leaves the clients. */

const counter = createRequestCounter();
let stack: Stack;
let pool: pg.Pool;
let dynamodb: DynamoDBClient;
let items: CountedStore;
beforeAll(async () => {
  stack = await startCountedStack(counter);
  const url = stack.postgres?.url('bench') ?? '';
  pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, url, { store: 'bench' });
  dynamodb = new DynamoDBClient(embeddedDynamoDb(stack.info.endpoints));
  // Both stores are searched for what nobody declared: their tables must be there.
  await createKey(stack.deps, 'none', 'nosql');
  items = dynamoDbRecords(dynamodb);
  await items.fill('none', 1, await stack.deps.keyring.active('none', 'nosql'));
});
afterAll(async () => {
  dynamodb.destroy();
  await pool.end();
  await stack.stop();
});

const LEDGER = 'keyturn-ledger';
const POLLS = /^SQS ReceiveMessage$/;

const dryRunOf = async (tenant: string, purpose: string): Promise<DryRun & Record<string, unknown>> =>
  JSON.parse(
    (await runOn(stack.deps, ['rotate', '--tenant', tenant, '--purpose', purpose, '--dry-run', '--json']))
      .stdout,
  );

/** Within a quarter, or two requests where there are few. */
function expectAbout(counted: number, predicted: number, what: string): void {
  const off = Math.max(2, predicted * 0.25);
  expect(counted, what).toBeGreaterThanOrEqual(predicted - off);
  expect(counted, what).toBeLessThanOrEqual(predicted + off);
}

describe.each([
  ['PostgreSQL', 3_000],
  ['DynamoDB', 1_500],
] as const)('a dry run of %s', (name, records) => {
  it(`predicts the requests of a rotation of ${records} records, and changes nothing`, async () => {
    const store = name === 'PostgreSQL' ? postgresRecords(pool) : items;
    const tenant = `dry-${name.toLowerCase()}`;
    await createKey(stack.deps, tenant, store.purpose);
    await store.fill(tenant, records, await stack.deps.keyring.active(tenant, store.purpose));
    stack.deps.keyring.clear();

    const start = counter.counts();
    const plan = await dryRunOf(tenant, store.purpose);
    const asked = [...since(start, counter.counts()).keys()].filter((request) => !POLLS.test(request));
    expect(asked.filter((request) => /Put|Update|Send|Start|Generate|Decrypt|Delete/.test(request))).toEqual(
      [],
    );
    expect(plan).toMatchObject({ records, values: records, obstacles: [] });

    const before = counter.counts();
    const began = performance.now();
    await rotateToEnd(stack.deps, tenant, store.purpose);
    const seconds = (performance.now() - began) / 1000;
    const counts = since(before, counter.counts());
    const { requests } = plan;
    const of = (...names: readonly string[]) => sum(counts, names, 'requests');
    expectAbout(of('SQS SendMessageBatch'), requests.sqs.sendBatches, 'batches of messages');
    expect(sum(counts, ['SQS SendMessageBatch'], 'items'), 'messages').toBe(requests.sqs.messages);
    const writes = of(`DynamoDB PutItem ${LEDGER}`, `DynamoDB UpdateItem ${LEDGER}`);
    expectAbout(writes, requests.ledger.writes, 'writes to the ledger');
    // Looks at what goes on: by the time that it took, and the two a second of who waits here.
    const again = await dryRunOf(tenant, store.purpose);
    const settings = { chunkSize: 500, messagesPerCall: 10, workers: 1 };
    const sweepSeconds = again.time.rate?.seconds ?? 0;
    const known = predictRequests(plan.loads, { ...settings, sweepSeconds });
    const reads = of(`DynamoDB GetItem ${LEDGER}`, `DynamoDB Query ${LEDGER}`);
    expect(reads).toBeGreaterThanOrEqual(requests.ledger.reads * 0.75);
    expect(reads).toBeLessThanOrEqual(known.ledger.reads * 1.25 + 2 * seconds);
    expect(of('KMS GenerateDataKeyWithoutPlaintext')).toBe(requests.kms.generate);
    expect(of('KMS Decrypt')).toBeLessThanOrEqual(requests.kms.decrypt);
    expect(of('SFN StartExecution')).toBe(requests.stepFunctions.executions);
    // Its end is told right after it is written.
    const told = () => sum(since(before, counter.counts()), ['EventBridge PutEvents'], 'requests');
    await expect.poll(told, { timeout: 60_000 }).toBe(requests.events);
    if (name === 'DynamoDB') {
      expect(of('DynamoDB UpdateItem items')).toBe(requests.dynamodb.updates);
      expectAbout(of('DynamoDB BatchGetItem items'), requests.dynamodb.batchGets, 'reads of records');
      const walks = of('DynamoDB Query items', 'DynamoDB Scan items');
      expectAbout(walks, requests.dynamodb.queriesAndScans, 'listing and counting');
    } else expect(requests.postgres.rowsUpdated).toBe(records);

    expect(again.time.rate).toMatchObject({ sameKey: true, records });
    expect(again).toMatchObject({ from: 2, to: 3 });
  });
});

function sum(counts: RequestCounts, names: readonly string[], what: 'requests' | 'items'): number {
  return names.reduce((total, name) => total + (counts.get(name)?.[what] ?? 0), 0);
}
