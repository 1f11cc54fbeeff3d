import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startDynamoDb } from '../../../local/dynamodb.ts';
import { createDynamoDbLedger } from '../../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../../shared/ledger/table.ts';
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
      const ledger = createDynamoDbLedger({ client, tableName: 'ledger' });
      expect(await ledger.createKey(testKey())).toEqual({ status: expected, item: testKey() });
      client.destroy();
      await server.stop();
    }
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
