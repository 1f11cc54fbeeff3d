import { type AttributeValue, GetItemCommand, PutItemCommand, QueryCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_FUNCTIONS, STATE_FUNCTIONS } from '../../../../functions/index.ts';
import { type Item, marshalItem } from '../../../../shared/ledger/attribute-values.ts';
import { type ItemKey, itemKeys } from '../../../../shared/ledger/attributes.ts';
import { createDynamoDbLedger } from '../../../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../../../shared/ledger/table.ts';
import { writeBody } from '../../../../shared/queue/message-body.ts';
import { activateVersion } from '../../../../shared/rotation/activate-version.ts';
import { createVersion } from '../../../../shared/rotation/create-version.ts';
import { planSweep } from '../../../../shared/rotation/plan-sweep.ts';
import { proveVersion } from '../../../../shared/rotation/prove-version.ts';
import { requestPurge, requestRotation } from '../../../../shared/rotation/request-job.ts';
import { takeCensus } from '../../../../shared/rotation/take-census.ts';
import { testState } from '../../../../simulation/models/state-key.ts';
import { startTestDynamoDb } from '../../../support/dynamodb.ts';
import { list, runRotation, workOn } from '../../../support/memory-machine.ts';
import {
  fill,
  KEY,
  PURPOSE,
  prepareWorlds,
  stateOf,
  TENANT,
  type World,
} from '../../../support/memory-world.ts';

/** Somebody who can write the ledger's table or the queue, and a rotation or a purge that runs: nothing of it goes elsewhere. */

const dynamodb = await startTestDynamoDb();
const worlds = await prepareWorlds();
afterAll(async () => {
  await worlds.remove();
  await dynamodb.stop();
});
const context = { getRemainingTimeInMillis: () => 60_000 };

let world: World;
let tableName: string;
beforeEach(async () => {
  tableName = dynamodb.newTableName();
  await createLedgerTable(dynamodb.client, tableName);
  const { client } = dynamodb;
  world = await worlds.makeWorld(createDynamoDbLedger({ client, tableName, authenticator: testState }));
  await fill(world, 4);
});

async function change(key: ItemKey, attributes: Record<string, AttributeValue>): Promise<void> {
  const { Item = {} } = await dynamodb.client.send(
    new GetItemCommand({ TableName: tableName, Key: marshalItem(key) }),
  );
  await write({ ...Item, ...attributes });
}

const write = (item: Item) => dynamodb.client.send(new PutItemCommand({ TableName: tableName, Item: item }));

/** A rotation whose chunks are all queued and none worked on. */
async function sweeping(): Promise<string> {
  const { jobId } = (await requestRotation(world.deps, KEY)).job;
  await createVersion(world.deps, jobId);
  await proveVersion(world.deps, jobId);
  await activateVersion(world.deps, jobId);
  for (const task of (await planSweep(world.deps, jobId)).segments) await list(world, task, async () => {});
  expect(world.queue.length).toBeGreaterThan(1);
  return jobId;
}

const bytes = () =>
  [world.people, world.notes].map(({ rows }) => [...rows].map(([id, { values }]) => [id, ...values]));

describe('a rotation whose job is changed while its chunks are queued', () => {
  it.each<readonly [string, Record<string, AttributeValue>]>([
    ['tenant', { tenant: { S: 'victim' } }],
    ['key', { keyId: { S: '01900000-0000-7000-8000-00000000000f' } }],
    ['target', { to: { N: '1' } }],
    ['record sets', { recordSets: { L: [{ S: 'notes' }] } }],
    ['mode', { mode: { S: 're-encrypt' } }],
  ])('by its %s: no worker writes, no step goes on', async (_, attributes) => {
    const jobId = await sweeping();
    const before = bytes();
    await change(itemKeys.job(jobId), attributes);
    // A worker that has the job in its memory already works by the genuine one.
    world.restart();
    const waiting = [...world.queue];
    expect(await workOn(world, waiting)).toEqual(waiting);
    expect(bytes()).toEqual(before);
    for (const state of ['CheckSweep', 'ConcludeRound', 'RetireVersion'] as const)
      await expect(STATE_FUNCTIONS[state](world.deps)({ jobId, round: 1 }, context)).rejects.toMatchObject({
        name: 'PermanentError',
        message: expect.stringMatching(/^STATE_FORGED/),
      });
  });
});

describe('a rotation whose key is changed while its chunks are queued', () => {
  it('stops with that as its blocker, and goes on when the item was put back', async () => {
    const jobId = await sweeping();
    const key = itemKeys.key(TENANT, PURPOSE);
    const { Item = {} } = await dynamodb.client.send(
      new GetItemCommand({ TableName: tableName, Key: marshalItem(key) }),
    );
    await change(key, { active: { N: '1' } });
    world.restart();
    const waiting = [...world.queue];
    expect(await workOn(world, waiting)).toEqual(waiting);
    const failure: unknown = await STATE_FUNCTIONS.ActivateVersion(world.deps)({ jobId }, context).catch(
      (error: unknown) => error,
    );
    const Cause = failure instanceof Error ? failure.message : '';
    expect(Cause).toMatch(/^STATE_FORGED/);
    const error = { Error: 'PermanentError', Cause };
    await STATE_FUNCTIONS.StopJob(world.deps)({ jobId, error }, context);
    expect(await world.job(jobId)).toMatchObject({ status: 'BLOCKED', blocker: { code: 'STEP_FAILED' } });
    await write(Item);
    world.queue.length = 0;
    expect((await requestRotation(world.deps, KEY)).answer).toBe('resumed');
    expect(await runRotation(world, jobId)).toBe('CLEAN');
    expect(world.versions(world.people)).toEqual([2]);
  });
});

describe('who writes the queue', () => {
  it.each([
    ['other records of the job', { keys: [['4']] }],
    ['a record set that the job is not about', { recordSet: 'secrets' }],
    ['another job', { jobId: '00000000-0000-4000-8000-000000000000' }],
    ['another place in the plan', { progress: null }],
  ])('has nothing done to %s', async (_, redirected) => {
    await sweeping();
    const before = bytes();
    const [message] = world.queue;
    const { mac } = JSON.parse(await bodyOf(message)) as { mac: string };
    for (const body of [
      { ...message, ...redirected },
      { ...message, ...redirected, mac },
    ]) {
      const event = { Records: [{ messageId: 'm', body: JSON.stringify(body) }] };
      const answer = await EVENT_FUNCTIONS['process-chunk'](world.deps)(event, context);
      expect(answer).toEqual({ batchItemFailures: [{ itemIdentifier: 'm' }] });
    }
    expect(bytes()).toEqual(before);
  });
});

describe('a purge whose census is changed to find nothing', () => {
  it('destroys nothing, and stops with that as its blocker', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId);
    world.passGrace();
    // A value that came back, as from a restored backup.
    await world.write(world.people, 1, 'late', 1);
    const { jobId } = (await requestPurge(world.deps, { ...KEY, version: 1 })).job;
    const begun = await STATE_FUNCTIONS.BeginPurge(world.deps)({ jobId }, context);
    if (begun === null) throw new Error('not begun');
    world.pass(86_400);
    for (const task of begun.segments) await takeCensus(world.deps, task);
    for (const item of await censusItems(jobId)) {
      const count = item['count']?.M;
      if (count?.['versions']?.M?.['1'] === undefined) continue;
      await write({ ...item, count: { M: { ...count, versions: { M: {} } } } });
    }
    const destroyed = STATE_FUNCTIONS.DestroyVersion(world.deps)({ jobId, round: begun.round }, context);
    const failure: unknown = await destroyed.catch((error: unknown) => error);
    expect(failure).toMatchObject({
      name: 'PermanentError',
      message: expect.stringMatching(/^STATE_FORGED/),
    });
    const Cause = failure instanceof Error ? failure.message : '';
    await STATE_FUNCTIONS.StopJob(world.deps)({ jobId, error: { Error: 'PermanentError', Cause } }, context);
    expect(await stateOf(world, 1)).toBe('RETIRING');
    expect(await world.job(jobId)).toMatchObject({
      status: 'BLOCKED',
      blocker: { code: 'STEP_FAILED', message: expect.stringContaining('STATE_FORGED') },
    });
  });
});

async function censusItems(jobId: string): Promise<readonly Item[]> {
  const { Items = [] } = await dynamodb.client.send(
    new QueryCommand({
      TableName: tableName,
      KeyConditionExpression: 'pk = :pk AND begins_with(sk, :sk)',
      ExpressionAttributeValues: marshalItem({ ':pk': `JOB#${jobId}`, ':sk': 'CENSUS#' }),
    }),
  );
  return Items;
}

async function bodyOf(message: World['queue'][number] | undefined): Promise<string> {
  if (message === undefined) throw new Error('nothing is queued');
  return writeBody(testState, message);
}
