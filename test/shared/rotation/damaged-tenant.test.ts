import { GetItemCommand, PutItemCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { STATE_FUNCTIONS } from '../../../functions/index.ts';
import { marshalItem } from '../../../shared/ledger/attribute-values.ts';
import { type ItemKey, itemKeys } from '../../../shared/ledger/attributes.ts';
import { createDynamoDbLedger } from '../../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../../shared/ledger/table.ts';
import { beginRestore } from '../../../shared/rotation/begin-restore.ts';
import { createKey } from '../../../shared/rotation/create-key.ts';
import { endRestore } from '../../../shared/rotation/end-restore.ts';
import { monitor } from '../../../shared/rotation/monitor.ts';
import { requestRotation } from '../../../shared/rotation/request-job.ts';
import { sweepDaily } from '../../../shared/rotation/sweep-daily.ts';
import { testState } from '../../../simulation/models/state-key.ts';
import { runOn } from '../../scripts/capture.ts';
import { startTestDynamoDb } from '../../support/dynamodb.ts';
import { fill, KEY, prepareWorlds, TENANT, type World, type WorldMaker } from '../../support/memory-world.ts';
import { newerItems } from '../../support/newer-item.ts';

/** One tenant's items are forged, or a newer release's: every other tenant is served as ever, and somebody is told. On a real DynamoDB. */

const dynamodb = await startTestDynamoDb();
let worlds: WorldMaker;
beforeAll(async () => {
  worlds = await prepareWorlds();
});
afterAll(async () => {
  await worlds.remove();
  await dynamodb.stop();
});

const DAY = 86_400;
let world: World;
let tableName: string;
let forged: string[];
let metrics: Map<string, number>;
beforeEach(async () => {
  tableName = dynamodb.newTableName();
  await createLedgerTable(dynamodb.client, tableName);
  forged = [];
  const onForged = (what: string) => forged.push(what);
  world = await worlds.makeWorld(
    createDynamoDbLedger({ client: dynamodb.client, tableName, authenticator: testState, onForged }),
    { everyDays: 90, spreadDays: 0 },
  );
  await fill(world, 2);
  await createKey(world.deps, 'other', KEY.purpose);
  metrics = new Map();
  world.meter.metrics = { add: (name, value) => void metrics.set(name, (metrics.get(name) ?? 0) + value) };
});

/** As somebody does who can write the table, and has not the state key. */
async function damage(key: ItemKey, attributes: object): Promise<void> {
  const get = new GetItemCommand({ TableName: tableName, Key: marshalItem(key) });
  const { Item } = await dynamodb.client.send(get);
  const put = { TableName: tableName, Item: { ...Item, ...marshalItem({ ...key, ...attributes }) } };
  await dynamodb.client.send(new PutItemCommand(put));
}

const ACME = itemKeys.key(TENANT, KEY.purpose);
const AT = '2020-01-01T00:00:00.000Z';
const NAME = `The item ${ACME.pk} / KEY of the ledger`;

describe('where one key is forged', () => {
  it('the sweep rotates the others, and counts it as failed', async () => {
    world.pass(100 * DAY);
    await damage(ACME, { active: 7 });
    expect(await sweepDaily(world.deps)).toMatchObject({ rotations: 1, failed: 1 });
    expect((await world.ledger.listJobs()).map(({ tenant }) => tenant)).toEqual(['other']);
    expect(metrics.get('SweepFailures')).toBe(1);
    expect(new Set(forged)).toEqual(new Set([NAME]));
  });

  it('the monitor looks at the others', async () => {
    world.pass(100 * DAY);
    await damage(ACME, { active: 7 });
    expect(await monitor(world.deps)).toMatchObject({ KeysOverdue: 1, unverified: 1 });
  });

  it('status and the list of keys show the others, and say so', async () => {
    await damage(ACME, { active: 7 });
    for (const argv of [['status'], ['keys', 'list']]) {
      const { stderr } = await runOn(world.deps, argv);
      expect(stderr).toBe(
        `warning: 1 item could not be verified or read, and is left out: ${NAME} (docs/runbook.md)\n`,
      );
    }
    const { stdout } = await runOn(world.deps, ['keys', 'list']);
    expect(stdout).toContain('other');
    expect(stdout).not.toContain(TENANT);
  });

  it('also one that stands where no key can, whatever it holds', async () => {
    const junk = { pk: 'KEY#junk', sk: 'KEY' };
    await damage(junk, { list: 'key', order: '0', versions: 'x', mac: 'x' });
    expect((await world.ledger.listKeys()).map(({ tenant }) => tenant)).toEqual([TENANT, 'other']);
    // What must not miss one goes no further.
    await expect(world.ledger.scanKeys()).rejects.toMatchObject({ code: 'STATE_FORGED' });
  });
});

describe('where one tenant has a forged', () => {
  it('job, the others are swept and looked at', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    world.pass(100 * DAY);
    await damage(itemKeys.job(job.jobId), { round: 9 });
    expect(await sweepDaily(world.deps)).toMatchObject({ rotations: 1, failed: 2 });
    expect(await monitor(world.deps)).toMatchObject({ JobsRunning: 1, unverified: 1 });
    const { stderr, stdout } = await runOn(world.deps, ['status']);
    expect(stderr).toContain('1 item could not be verified');
    expect(stdout).toContain('other');
  });

  it('record in quarantine, the monitor counts those of the others', async () => {
    const { keyId } = await world.key();
    const other = (await world.ledger.getKey('other', KEY.purpose))?.keyId ?? '';
    const at = new Date(world.clock.now()).toISOString();
    const record = {
      purpose: KEY.purpose,
      recordSet: 'people',
      field: 'email',
      code: 'X',
      version: 1,
      jobId: 'j',
      at,
    };
    await world.ledger.putQuarantined({ ...record, keyId, tenant: TENANT, recordId: ['1'] });
    await world.ledger.putQuarantined({ ...record, keyId: other, tenant: 'other', recordId: ['2'] });
    await damage(itemKeys.quarantine(keyId, 'people', ['1'], 'email'), { code: 'Y' });
    expect(await monitor(world.deps)).toMatchObject({ QuarantinedRecords: 1, unverified: 1 });
  });
});

describe('where a newer release wrote one key, and its', () => {
  const grow = (key: ItemKey) => newerItems(dynamodb.client, tableName).grow(key);

  it('job, the sweep counts both as failed and takes care of the others; nothing is forged', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    world.pass(100 * DAY);
    const key = await grow(ACME);
    const grown = await grow(itemKeys.job(job.jobId));
    expect(await sweepDaily(world.deps)).toMatchObject({ rotations: 1, failed: 2 });
    expect((await world.ledger.listJobs()).map(({ tenant }) => tenant)).toEqual(['other']);
    expect(await monitor(world.deps)).toMatchObject({ JobsRunning: 1, unverified: 2 });
    expect(forged).toEqual([]);
    const { stored } = newerItems(dynamodb.client, tableName);
    expect([await stored(ACME), await stored(itemKeys.job(job.jobId))]).toEqual([key, grown]);
  });

  it('job, its steps are to be tried again, StopJob too, and nothing is changed', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    const event = { jobId: job.jobId, round: 1, segment: 0, error: { Error: 'X', Cause: 'y' } };
    const context = { getRemainingTimeInMillis: () => 60_000 };
    const calls = async () => {
      for (const [name, create] of Object.entries(STATE_FUNCTIONS)) {
        const error: unknown = await create(world.deps)(event, context).catch((thrown: unknown) => thrown);
        expect([name, error]).toEqual([name, expect.objectContaining({ name: 'UnreadableItem' })]);
      }
    };
    const { stored } = newerItems(dynamodb.client, tableName);
    const before = await stored(ACME);
    const grown = await grow(itemKeys.job(job.jobId));
    await calls();
    expect([await stored(itemKeys.job(job.jobId)), await stored(ACME)]).toEqual([grown, before]);
  });

  it('key, a purge that reads its job goes no further, and no blocker is written', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    await grow(ACME);
    const event = { jobId: job.jobId, error: { Error: 'X', Cause: 'y' } };
    const stop = STATE_FUNCTIONS.StopJob(world.deps)(event, { getRemainingTimeInMillis: () => 60_000 });
    await expect(stop).rejects.toMatchObject({ name: 'UnreadableItem' });
    expect(await world.ledger.getJob(job.jobId)).toMatchObject({ status: 'REQUESTED', blocker: null });
  });

  it('restore, no purge and no restore goes on as if there were none', async () => {
    const { restore } = await beginRestore(world.deps, {
      store: 'main',
      backupTime: AT,
      requestedBy: 'person:olaf',
    });
    await grow(itemKeys.restore(restore.restoreId));
    const unreadable = { code: 'LEDGER_ITEM_INVALID' };
    await expect(endRestore(world.deps, restore.restoreId, 'person:olaf')).rejects.toMatchObject(unreadable);
    const again = { store: 'main', backupTime: AT, requestedBy: 'person:olaf' };
    await expect(beginRestore(world.deps, again)).rejects.toMatchObject(unreadable);
  });
});
