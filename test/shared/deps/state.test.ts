import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, expect, it } from 'vitest';
import { configSchema } from '../../../shared/config/schema.ts';
import { type ComposedDeps, compose } from '../../../shared/deps/compose.ts';
import { ALL_NEEDS, type Need } from '../../../shared/deps/needs.ts';
import { fillRandom } from '../../../shared/envelope/seed.ts';
import { marshalItem } from '../../../shared/ledger/attribute-values.ts';
import { itemKeys } from '../../../shared/ledger/attributes.ts';
import { createLedgerTable } from '../../../shared/ledger/table.ts';
import type { Log, LogFields } from '../../../shared/log/log.ts';
import { initKeystore } from '../../../shared/providers/local/keystore.ts';
import { initKeyFile } from '../../../shared/providers/local/secret.ts';
import { createKey } from '../../../shared/rotation/create-key.ts';
import { startTestDynamoDb } from '../../support/dynamodb.ts';

/** The state key as the composition root opens it: on a real DynamoDB, wrapped by the local provider. */

const dynamodb = await startTestDynamoDb();
const dir = await mkdtemp(join(tmpdir(), 'keyturn-state-'));
const keystore = join(dir, 'keystore.json');
const keyFile = join(dir, 'key');
await initKeyFile(keyFile, fillRandom);
await initKeystore({ keystorePath: keystore, secret: { keyFilePath: keyFile }, random: fillRandom });
const tableName = dynamodb.newTableName();
await createLedgerTable(dynamodb.client, tableName);
afterAll(async () => {
  await dynamodb.stop();
  await rm(dir, { recursive: true, force: true });
});

const config = configSchema.parse({
  provider: { type: 'local', keystore, keyFile },
  stores: {},
  recordSets: {},
});
const errors: LogFields[] = [];
const log: Log = { info() {}, warn() {}, error: (_, fields = {}) => errors.push(fields) };
const measured: [string, number][] = [];

function open(needs: readonly Need[]): Promise<ComposedDeps> {
  return compose({
    ...{ config, needs, log, environment: {}, actor: 'function:test' },
    clients: { dynamodb: dynamodb.client, sqs: null, stepFunctions: null, eventBridge: null },
    names: { ledgerTable: tableName, queueUrl: null, busName: null, stateMachineArns: null },
    metrics: { add: (name, value) => measured.push([name, value]) },
  });
}

it('is made with the first key, read by whoever declares the ledger alone, and tells of a forgery', async () => {
  const operator = await open(ALL_NEEDS);
  const made = await createKey(operator, 'acme', 'default');
  const monitor = await open(['ledger']);
  expect(await monitor.ledger.getKey('acme', 'default')).toEqual(made.key);
  expect(() => monitor.state.rewrap).toThrow(expect.objectContaining({ code: 'NEED_NOT_DECLARED' }));

  const key = itemKeys.key('acme', 'default');
  const { Item = {} } = await dynamodb.client.send(
    new GetItemCommand({ TableName: tableName, Key: marshalItem(key) }),
  );
  const changed = { ...Item, active: { N: '7' } };
  await dynamodb.client.send(new PutItemCommand({ TableName: tableName, Item: changed }));
  await expect(monitor.ledger.getKey('acme', 'default')).rejects.toMatchObject({ code: 'STATE_FORGED' });
  expect(measured).toEqual([['StateForged', 1]]);
  expect(errors).toEqual([{ code: 'STATE_FORGED' }]);
});

it('belongs to nobody who declares no ledger', async () => {
  const without = await open(['provider:unwrap']);
  expect(() => without.state.mac).toThrow(expect.objectContaining({ code: 'NEED_NOT_DECLARED' }));
});
