import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Level } from 'level';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { startDynamoDb } from '../../local/dynamodb.ts';
import { repairIndexes } from '../../local/dynamodb-indexes.ts';
import { createDynamoDbLedger } from '../../shared/ledger/dynamodb-ledger.ts';
import type { Ledger } from '../../shared/ledger/ledger.ts';
import { createLedgerTable } from '../../shared/ledger/table.ts';
import { testState } from '../../simulation/models/state-key.ts';
import { testJob } from '../contracts/ledger.ts';
import { connect } from '../support/dynamodb.ts';

/** A kill between two writes of dynalite's, made by hand in its folder. */

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keyturn-dynamodb-'));
});
afterEach(() => rm(dir, { recursive: true, force: true }));

async function inLedger<T>(work: (ledger: Ledger) => Promise<T>): Promise<T> {
  const server = await startDynamoDb({ dir });
  const client = connect(server.endpoint);
  try {
    await createLedgerTable(client, 'ledger');
    return await work(createDynamoDbLedger({ client, tableName: 'ledger', authenticator: testState }));
  } finally {
    client.destroy();
    await server.stop();
  }
}

async function inFolder(work: (level: Level<string, object>) => Promise<void>): Promise<void> {
  const level = new Level<string, object>(join(dir, 'tables'), { valueEncoding: 'json' });
  await work(level).finally(() => level.close());
}

async function keysOf(level: Level<string, object>, prefix: string): Promise<string[]> {
  return (await level.keys().all()).filter((key) => key.startsWith(prefix));
}

const listed = () => inLedger(async (ledger) => (await ledger.listJobs()).map(({ jobId }) => jobId));
const job = testJob();

describe('indexes after a kill', () => {
  beforeEach(() => inLedger((ledger) => ledger.createJob(job)));

  it('name no item that was never written', async () => {
    await inFolder(async (level) => {
      for (const key of await keysOf(level, 'item-ledger~')) {
        const item = await level.get(key);
        if (item !== undefined && 'jobId' in item) await level.del(key);
      }
      expect(await keysOf(level, 'index-global~ledger~')).not.toEqual([]);
    });
    expect(await listed()).toEqual([]);
  });

  it('name every item, once, and as it is', async () => {
    await inLedger((ledger) => ledger.replaceJob({ ...job, status: 'PREPARING', revision: 2 }));
    const before = new Map<string, object>();
    await inFolder(async (level) => {
      for (const key of await keysOf(level, 'index-global~ledger~')) {
        const entry = await level.get(key);
        if (entry !== undefined) before.set(key, entry);
        await level.del(key);
      }
      const [[key, entry] = ['', {}]] = before;
      await level.put(`${key}~of another time`, entry);
    });
    expect(await listed()).toEqual([job.jobId]);
    await inFolder(async (level) => {
      const after = await Promise.all([...before.keys()].map((key) => level.get(key)));
      expect(after).toEqual([...before.values()]);
      expect(await keysOf(level, 'index-global~ledger~')).toEqual([...before.keys()]);
    });
  });

  it('that are right are left alone', async () => {
    expect(await repairIndexes(join(dir, 'tables'))).toBe(0);
  });
});
