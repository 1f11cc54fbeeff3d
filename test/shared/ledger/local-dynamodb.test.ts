import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  CreateTableCommand,
  DeleteItemCommand,
  DeleteTableCommand,
  PutItemCommand,
  TagResourceCommand,
  UpdateItemCommand,
  waitUntilTableExists,
  waitUntilTableNotExists,
} from '@aws-sdk/client-dynamodb';
import { Level } from 'level';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startDynamoDb } from '../../../local/dynamodb.ts';
import { createDynamoDbLedger } from '../../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../../shared/ledger/table.ts';
import { testState } from '../../../simulation/models/state-key.ts';
import { testKey } from '../../contracts/ledger.ts';
import { connect } from '../../support/dynamodb.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keyturn-dynamodb-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

describe('startDynamoDb', () => {
  it('keeps its data between runs', async () => {
    for (const expected of ['created', 'exists']) {
      const server = await startDynamoDb({ dir });
      const client = connect(server.endpoint);
      await createLedgerTable(client, 'ledger');
      const ledger = createDynamoDbLedger({ client, tableName: 'ledger', authenticator: testState });
      expect(await ledger.createKey(testKey())).toEqual({ status: expected, item: testKey() });
      client.destroy();
      await server.stop();
    }
  });

  it('makes its folder and those above', async () => {
    const deep = join(dir, 'not', 'there', 'yet');
    const server = await startDynamoDb({ dir: deep });
    await createLedgerTable(connect(server.endpoint), 'ledger');
    await server.stop();
    await (await startDynamoDb({ dir: deep })).stop();
  });

  it('says when another has its folder, which goes on', async () => {
    const first = await startDynamoDb({ dir });
    await expect(startDynamoDb({ dir })).rejects.toMatchObject({
      code: 'LEDGER_UNAVAILABLE',
      message: expect.stringContaining(dir),
      remedy: expect.stringContaining('Another process'),
    });
    await createLedgerTable(connect(first.endpoint), 'ledger');
    await first.stop();
  });

  it('starts again after its process was killed, with everything that was answered', async () => {
    const program = `
      import { startDynamoDb } from '${new URL('../../../local/dynamodb.ts', import.meta.url)}';
      console.log((await startDynamoDb({ dir: ${JSON.stringify(dir)} })).endpoint);`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const [output] = await once(child.stdout, 'data');
    const client = connect(String(output).trim());
    await createLedgerTable(client, 'ledger');
    await createDynamoDbLedger({ client, tableName: 'ledger', authenticator: testState }).createKey(
      testKey(),
    );
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
    const server = await startDynamoDb({ dir });
    const ledger = createDynamoDbLedger({
      client: connect(server.endpoint),
      tableName: 'ledger',
      authenticator: testState,
    });
    expect(await ledger.getKey('acme', 'default')).toEqual(testKey());
    await server.stop();
  });

  it('syncs every write to its folder before it answers, and those of nobody else', async () => {
    const written: string[] = [];
    const spies = ['_put', '_del', '_batch'].map((name) => {
      const write: unknown = Reflect.get(Level.prototype, name);
      if (typeof write !== 'function') throw new TypeError(`classic-level has no ${name}`);
      const observed = function (this: Level, ...args: unknown[]) {
        const options: unknown = args.at(-1);
        const sync = options instanceof Object && 'sync' in options && options.sync === true;
        written.push(`${name}${sync ? ' synced' : ''}`);
        return Reflect.apply(write, this, args);
      };
      Object.defineProperty(Level.prototype, name, { value: observed, writable: true, configurable: true });
      return () => Object.defineProperty(Level.prototype, name, { value: write });
    });
    const server = await startDynamoDb({ dir });
    const client = connect(server.endpoint);
    const did = () => written.splice(0);
    try {
      const TableName = 'ledger';
      const Key = { id: { S: '1' } };
      const { TableDescription: table } = await client.send(
        new CreateTableCommand({
          TableName,
          KeySchema: [{ AttributeName: 'id', KeyType: 'HASH' }],
          AttributeDefinitions: [{ AttributeName: 'id', AttributeType: 'S' }],
          BillingMode: 'PAY_PER_REQUEST',
        }),
      );
      expect(did()).toContain('_put synced');
      await waitUntilTableExists({ client, maxWaitTime: 10, minDelay: 0.05, maxDelay: 0.1 }, { TableName });
      await client.send(new PutItemCommand({ TableName, Item: Key }));
      await client.send(
        new UpdateItemCommand({
          TableName,
          Key,
          UpdateExpression: 'SET v = :v',
          ExpressionAttributeValues: { ':v': { N: '1' } },
        }),
      );
      await client.send(new DeleteItemCommand({ TableName, Key }));
      const tags = [{ Key: 'a', Value: 'b' }];
      await client.send(new TagResourceCommand({ ResourceArn: table?.TableArn, Tags: tags }));
      await client.send(new DeleteTableCommand({ TableName }));
      await waitUntilTableNotExists(
        { client, maxWaitTime: 10, minDelay: 0.05, maxDelay: 0.1 },
        { TableName },
      );
      const all = did();
      expect(new Set(all)).toEqual(new Set(['_put synced', '_del synced', '_batch synced']));

      const other = new Level(join(dir, 'other'));
      await other.put('a', 'b');
      await other.batch([{ type: 'del', key: 'a' }]);
      await other.close();
      expect(did()).toEqual(['_put', '_batch']);
    } finally {
      for (const restore of spies) restore();
      client.destroy();
      await server.stop();
    }
  });

  it('says when its port is taken or its folder is none, and leaves no lock behind', async () => {
    const first = await startDynamoDb();
    await expect(startDynamoDb({ dir, port: first.port })).rejects.toMatchObject({
      message: expect.stringContaining(String(first.port)),
    });
    await first.stop();
    await writeFile(join(dir, 'file'), '');
    await expect(startDynamoDb({ dir: join(dir, 'file') })).rejects.toMatchObject({
      code: 'LEDGER_UNAVAILABLE',
    });
    const again = await startDynamoDb({ dir });
    expect(again.endpoint).toBe(`http://127.0.0.1:${again.port}`);
    await again.stop();
  });
});
