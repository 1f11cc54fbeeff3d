import {
  type AttributeValue,
  GetItemCommand,
  PutItemCommand,
  UpdateItemCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { usedVersions } from '../../../../shared/keyring/canary.ts';
import { type Item, marshalItem } from '../../../../shared/ledger/attribute-values.ts';
import { type ItemKey, itemKeys } from '../../../../shared/ledger/attributes.ts';
import { createDynamoDbLedger } from '../../../../shared/ledger/dynamodb-ledger.ts';
import type { Ledger } from '../../../../shared/ledger/ledger.ts';
import { createLedgerTable } from '../../../../shared/ledger/table.ts';
import { beginPurge } from '../../../../shared/rotation/begin-purge.ts';
import { getKey } from '../../../../shared/rotation/change.ts';
import { monitor } from '../../../../shared/rotation/monitor.ts';
import { requestPurge, requestRotation } from '../../../../shared/rotation/request-job.ts';
import { testState } from '../../../../simulation/models/state-key.ts';
import { testKey } from '../../../contracts/ledger.ts';
import { startTestDynamoDb } from '../../../support/dynamodb.ts';
import { runRotation } from '../../../support/memory-machine.ts';
import {
  fill,
  KEY,
  prepareWorlds,
  stateOf,
  type World,
  type WorldMaker,
} from '../../../support/memory-world.ts';

/** What an application's role lets it do: UpdateItem on a key's item, naming nothing but `canary`. On a real DynamoDB. */

const dynamodb = await startTestDynamoDb();
const { client } = dynamodb;
let worlds: WorldMaker;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(async () => {
  await worlds.remove();
  await dynamodb.stop();
});

let tableName: string;
let ledger: Ledger;
let application: Ledger;
let forged: string[];
beforeEach(async () => {
  tableName = dynamodb.newTableName();
  await createLedgerTable(client, tableName);
  forged = [];
  const onForged = (what: string) => forged.push(what);
  ledger = createDynamoDbLedger({ client, tableName, authenticator: testState, onForged });
  application = createDynamoDbLedger({ client, tableName });
});

async function mark(key: ItemKey, canary: AttributeValue): Promise<void> {
  await client.send(
    new UpdateItemCommand({
      TableName: tableName,
      Key: marshalItem(key),
      UpdateExpression: 'SET canary = :canary',
      ExpressionAttributeValues: { ':canary': canary },
    }),
  );
}

async function unmark(key: ItemKey): Promise<void> {
  const Key = marshalItem(key);
  await client.send(new UpdateItemCommand({ TableName: tableName, Key, UpdateExpression: 'REMOVE canary' }));
}

async function read(key: ItemKey): Promise<Item> {
  const { Item } = await client.send(new GetItemCommand({ TableName: tableName, Key: marshalItem(key) }));
  if (Item === undefined) throw new Error('no item');
  return Item;
}

const ACME = itemKeys.key('acme', 'default');
const use = { version: 1, at: '2026-01-01T00:00:00.000Z', recordSet: null, recordId: null, field: null };
const UNREADABLE = { ...use, version: 0, at: '1970-01-01T00:00:00.000Z' };
const bytes = Uint8Array.of(1);

const CANARIES: readonly (readonly [string, AttributeValue])[] = [
  ['a text', { S: 'junk' }],
  ['an empty text', { S: '' }],
  ['JSON of something else', { S: '{"version":1}' }],
  ['half a surrogate pair', { S: JSON.stringify({ ...use, recordSet: 's', recordId: ['\ud800'] }) }],
  ['a mark of 100 kB', { S: JSON.stringify({ ...use, recordSet: 's', recordId: ['x'.repeat(100_000)] }) }],
  ['brackets', { S: '['.repeat(100_000) }],
  ['a number', { N: '1' }],
  ['a fraction', { N: '1.5' }],
  ['a large number', { N: '9e125' }],
  ['bytes', { B: bytes }],
  ['true', { BOOL: true }],
  ['false', { BOOL: false }],
  ['a set of texts', { SS: ['b', 'a'] }],
  ['a set of numbers', { NS: ['1.5', '2'] }],
  ['a set of bytes', { BS: [bytes, Uint8Array.of(2)] }],
  ['a list', { L: [{ N: '1.5' }, { BS: [bytes] }] }],
  ['a map', { M: { deep: { BS: [bytes] }, more: { N: '1.5' } } }],
];

describe.each(CANARIES)('a canary that is %s', (_, canary) => {
  it('is a use of which nothing is known, and the key is read and written as ever', async () => {
    await ledger.createKey(testKey());
    await ledger.createKey(testKey({ tenant: 'other', keyId: '01900000-0000-7000-8000-00000000000f' }));
    await mark(ACME, canary);
    const marked = testKey({ canary: UNREADABLE });
    for (const on of [ledger, application]) {
      expect(await on.getKey('acme', 'default')).toEqual(marked);
      expect((await on.listKeys()).map(({ tenant }) => tenant)).toEqual(['acme', 'other']);
      expect(await on.scanKeys()).toHaveLength(2);
    }
    const conflict = { code: 'REVISION_CONFLICT' };
    await expect(ledger.replaceKey(testKey({ revision: 2 }))).rejects.toMatchObject(conflict);
    const next = testKey({ revision: 2, canary: UNREADABLE });
    await ledger.replaceKey(next);
    await ledger.replaceKey(next);
    expect(await ledger.getKey('acme', 'default')).toEqual(next);
    await mark(ACME, canary);
    expect(await ledger.clearUsed('acme', 'default', use)).toBe(false);
    expect(await ledger.clearUsed('acme', 'default', UNREADABLE)).toBe(true);
    expect(await ledger.getKey('acme', 'default')).toEqual(testKey({ revision: 2 }));
    expect(await application.markUsed('acme', 'default', use)).toBe(true);
    expect(forged).toEqual([]);
  });
});

const WITH_PURGE = new Set(['half a surrogate pair', 'a fraction', 'a set of bytes', 'a map']);

it.each(CANARIES.filter(([name]) => WITH_PURGE.has(name)))(
  'a canary that is %s calls a purge off, and stops neither the next one nor an application',
  async (_, canary) => {
    const world = await worlds.makeWorld(
      createDynamoDbLedger({ client, tableName, authenticator: testState }),
    );
    await fill(world, 2);
    const { job } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    world.passGrace();
    await mark(ACME, canary);
    await fence(world);
    await mark(ACME, canary);
    expect(usedVersions(await getKey(world.deps, 'acme', 'default'))).toEqual([1]);
    const keyring = world.makeKeyring();
    expect(await keyring.version('acme', 'default', 1)).not.toBeNull();
    expect(await monitor(world.deps)).toMatchObject({ PendingVersionsUsed: 1, unverified: 0 });
    expect(await stateOf(world, 1)).toBe('RETIRING');
    await fence(world);
  },
);

async function fence(world: World): Promise<void> {
  const { job } = await requestPurge(world.deps, { ...KEY, version: 1 });
  await beginPurge(world.deps, job.jobId);
  expect(await stateOf(world, 1)).toBe('DESTROY_PENDING');
}

describe('a mark where there is no key', () => {
  const nowhere = itemKeys.key('zz', 'default');

  it.each<readonly [string, () => Promise<void>]>([
    ['a canary', () => mark(nowhere, { S: 'x' })],
    ['one of another type', () => mark(nowhere, { N: '1.5' })],
    ['nothing', () => unmark(nowhere)],
  ])('with %s is no key, for nobody', async (_, make) => {
    await ledger.createKey(testKey());
    await make();
    await mark({ pk: 'KEY#a key that nobody can have', sk: 'KEY' }, { S: 'x' });
    for (const on of [ledger, application]) {
      expect(await on.getKey('zz', 'default')).toBeNull();
      expect(await on.listKeys()).toEqual([testKey()]);
      expect(await on.scanKeys()).toEqual([testKey()]);
    }
    expect(forged).toEqual([]);
    const made = testKey({ tenant: 'zz', keyId: '01900000-0000-7000-8000-00000000000f' });
    expect(await ledger.createKey(made)).toEqual({ status: 'created', item: made });
    expect(await ledger.getKey('zz', 'default')).toEqual(made);
    const other = testKey({ tenant: 'zz', keyId: '01900000-0000-7000-8000-00000000000e' });
    expect(await ledger.createKey(other)).toEqual({ status: 'exists', item: made });
  });

  it('does not make a damaged key one that may be made anew', async () => {
    await ledger.createKey(testKey());
    const item = await read(ACME);
    for (const gone of ['mac', 'revision']) {
      const { [gone]: _, ...rest } = item;
      await client.send(new PutItemCommand({ TableName: tableName, Item: rest }));
      await expect(ledger.createKey(testKey())).rejects.toMatchObject({ code: 'STATE_FORGED' });
      expect(await read(ACME)).toEqual(rest);
    }
  });
});
