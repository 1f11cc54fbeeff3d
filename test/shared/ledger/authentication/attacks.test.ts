import {
  type AttributeValue,
  DeleteItemCommand,
  type DynamoDBClient,
  GetItemCommand,
  PutItemCommand,
  ScanCommand,
} from '@aws-sdk/client-dynamodb';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import type { ApprovalRequest } from '../../../../shared/approvals/approval.ts';
import { type Item, marshalItem } from '../../../../shared/ledger/attribute-values.ts';
import { type ItemKey, itemKeys, WRITTEN_APART } from '../../../../shared/ledger/attributes.ts';
import { itemBytes } from '../../../../shared/ledger/authentication/item-bytes.ts';
import { createDynamoDbLedger } from '../../../../shared/ledger/dynamodb-ledger.ts';
import type { Ledger } from '../../../../shared/ledger/ledger.ts';
import { createLedgerTable } from '../../../../shared/ledger/table.ts';
import { createTestState, testState } from '../../../../simulation/models/state-key.ts';
import { testJob, testKey, testPage } from '../../../contracts/ledger.ts';
import { startTestDynamoDb } from '../../../support/dynamodb.ts';

/** What somebody can do who can write the table and has not the state key: on a real DynamoDB, item by item. */

const AT = '2026-01-01T00:00:00.000Z';
const FORGED = { name: 'LedgerError', code: 'STATE_FORGED', retryable: false };
const NONE = { rewrapped: 0, skipped: 0, quarantined: 0 };

const dynamodb = await startTestDynamoDb();
afterAll(() => dynamodb.stop());
const client: DynamoDBClient = dynamodb.client;
const attacker = createTestState('attacker');

let tableName: string;
let ledger: Ledger;
let forged: string[];
beforeEach(async () => {
  tableName = dynamodb.newTableName();
  await createLedgerTable(client, tableName);
  forged = [];
  const onForged = (what: string) => forged.push(what);
  ledger = createDynamoDbLedger({ client, tableName, authenticator: testState, onForged });
});

async function read(key: ItemKey): Promise<Item> {
  const { Item } = await client.send(new GetItemCommand({ TableName: tableName, Key: marshalItem(key) }));
  if (Item === undefined) throw new Error('no item');
  return Item;
}

async function write(item: Item): Promise<void> {
  await client.send(new PutItemCommand({ TableName: tableName, Item: item }));
}

async function change(key: ItemKey, attributes: Item): Promise<void> {
  await write({ ...(await read(key)), ...attributes });
}

const KEY = itemKeys.key('acme', 'default');
const JOB = itemKeys.job('job-1');
const PAGE = itemKeys.page('job-1', 1, 0, 0);

const quarantined = {
  ...{ keyId: testKey().keyId, tenant: 'acme', purpose: 'default', recordSet: 'customers', recordId: ['1'] },
  ...{ field: 'phone', code: 'DECRYPTION_FAILED', version: 1, jobId: 'job-1', at: AT },
};
const census = {
  ...{ jobId: 'job-1', census: 'attempt-1-round-1', segment: 0, recordSet: 'customers', takenAt: AT },
  count: { rows: 10, values: 9, versions: { '1': 4 }, foreign: 0, malformed: 0, tombstones: 0 },
};
const request: ApprovalRequest = {
  ...{
    requestId: 'request',
    action: 'purge' as const,
    tenant: 'acme',
    purpose: 'default',
    keyId: testKey().keyId,
  },
  ...{ version: 1, restoreEpoch: 0, subject: 'digest', expiresAt: AT, requestedBy: 'a', requestedAt: AT },
  ...{ summary: 'destroys version 1', evidence: {} },
};

/** One of each kind that a decision hangs on, and every way to read it. */
async function fill(): Promise<void> {
  await ledger.createKey(testKey());
  await ledger.createJob(testJob());
  await ledger.createRound({
    jobId: 'job-1',
    round: 1,
    segments: [{ index: 0, recordSet: 'customers', segment: '' }],
    createdAt: AT,
  });
  await ledger.createPage(testPage(), AT);
  const counts = { ...NONE, rewrapped: 5 };
  await ledger.reportChunks(testPage(), [{ chunk: 0, counts }], AT);
  const progress = { jobId: 'job-1', round: 1, segment: 0, lowWater: 1, planned: 8, finished: false };
  await ledger.advanceSegment({ ...progress, ...NONE, rewrapped: 8, updatedAt: AT }, 0);
  await ledger.putSegmentCensus(census);
  await ledger.putQuarantined(quarantined);
  await ledger.createApprovalRequest(request);
}

/** Every way to read it, and the lists for people, which leave it out and say so. */
type Readers = readonly (() => Promise<unknown>)[];
let skipped = 0;
const KINDS: readonly (readonly [string, ItemKey, Readers, Readers?])[] = [
  [
    'key',
    KEY,
    [() => ledger.getKey('acme', 'default'), () => ledger.scanKeys()],
    [() => ledger.listKeys(() => (skipped += 1))],
  ],
  ['job', JOB, [() => ledger.getJob('job-1')], [() => ledger.listJobs({}, () => (skipped += 1))]],
  ['round plan', itemKeys.round('job-1', 1), [() => ledger.getRound('job-1', 1)]],
  ['page plan', PAGE, [() => ledger.listPages('job-1', 1, 0, 0, 10)]],
  [
    'roll-up',
    itemKeys.segment('job-1', 1, 0),
    [() => ledger.getSegment('job-1', 1, 0), () => ledger.listSegments('job-1', 1)],
  ],
  [
    'census',
    itemKeys.census('job-1', 'attempt-1-round-1', 0),
    [() => ledger.listSegmentCensus('job-1', 'attempt-1-round-1')],
  ],
  [
    'quarantined record',
    itemKeys.quarantine(testKey().keyId, 'customers', ['1'], 'phone'),
    [() => ledger.listQuarantined(testKey().keyId)],
  ],
  [
    'approval request',
    itemKeys.approvalRequest('request'),
    [() => ledger.getApprovalRequest('request')],
    [() => ledger.listApprovalRequests({}, () => (skipped += 1))],
  ],
];

/** Another value of the same type, where there is one. */
function otherThan(value: AttributeValue): AttributeValue {
  if (value.S !== undefined) return { S: `${value.S}x` };
  if (value.N !== undefined) return { N: String(Number(value.N) + 1) };
  if (value.BOOL !== undefined) return { BOOL: !value.BOOL };
  if (value.NULL !== undefined) return { S: '2026-01-01T00:00:00.000Z' };
  if (value.L !== undefined) return { L: [...value.L, ...value.L, { S: 'x' }] };
  return { M: { ...value.M, more: { S: 'x' } } };
}

const ALL_KINDS = KINDS.map(([name, key, readers, lists = []]) => [name, key, readers, lists] as const);
describe.each(ALL_KINDS)('a %s', (_, key, readers, lists) => {
  const expectForged = async () => {
    for (const readIt of readers) await expect(readIt()).rejects.toMatchObject(FORGED);
    skipped = 0;
    for (const list of lists) expect(await list()).toEqual([]);
    expect(skipped).toBe(lists.length);
  };

  it('is read as it was written', async () => {
    await fill();
    for (const readIt of readers) expect(await readIt()).not.toBeNull();
    for (const list of lists) expect(await list()).toHaveLength(1);
    expect(forged).toEqual([]);
  });

  it('is refused when any attribute was changed, taken away or added', async () => {
    await fill();
    const item = await read(key);
    const covered = Object.keys(item).filter(
      (name) => !WRITTEN_APART.has(name) && name !== 'pk' && name !== 'sk',
    );
    expect(covered.length).toBeGreaterThan(3);
    for (const name of covered) {
      const value = item[name];
      if (value === undefined) continue;
      await write({ ...item, [name]: otherThan(value) });
      await expectForged();
      const { [name]: __, ...less } = item;
      await write(less);
      await expectForged();
    }
    await write({ ...item, more: { S: 'x' } });
    await expectForged();
    await write(item);
    for (const readIt of readers) await expect(readIt()).resolves.toBeDefined();
  });

  it('is refused without a MAC, with one under another key, and with one of another item', async () => {
    await fill();
    const item = await read(key);
    const { mac: __, ...bare } = item;
    await write(bare);
    await expectForged();
    await write({ ...bare, mac: { S: await attacker.mac(itemBytes(item)) } });
    await expectForged();
    await write({ ...bare, mac: { S: '' } });
    await expectForged();
    const another = key === JOB ? KEY : JOB;
    await write({ ...bare, mac: (await read(another))['mac'] ?? { S: '' } });
    await expectForged();
    expect(forged.length).toBe(4 * (readers.length + lists.length));
  });
});

describe('who wants a rotation to go elsewhere', () => {
  it.each<readonly [string, Item]>([
    ['tenant', { tenant: { S: 'victim' } }],
    ['key', { keyId: { S: '01900000-0000-7000-8000-00000000000f' } }],
    ['target version', { to: { N: '7' } }],
    ['record sets', { recordSets: { L: [{ S: 'secrets' }] } }],
    ['mode', { mode: { S: 're-encrypt' } }],
    ['number of rounds', { maxRounds: { N: '1' } }],
    ['status', { status: { S: 'COMPLETED' } }],
    ['grace', { purgeNotBefore: { S: AT } }],
  ])("cannot change a job's %s, nor write over the change", async (_, attributes) => {
    await fill();
    await change(JOB, attributes);
    await expect(ledger.getJob('job-1')).rejects.toMatchObject(FORGED);
    await expect(ledger.createJob(testJob())).rejects.toMatchObject(FORGED);
    expect(forged[0]).toBe('The item JOB#job-1 / JOB of the ledger');
  });

  it.each<readonly [string, Item]>([
    ['active version', { active: { N: '2' } }],
    ['lock', { rotationId: { S: 'mine' } }],
    ['restore epoch', { restoreEpoch: { N: '0' }, revision: { N: '9' } }],
    ['holds', { holds: { L: [{ M: {} }] } }],
  ])("cannot change a key's %s", async (_, attributes) => {
    await fill();
    await change(KEY, attributes);
    await expect(ledger.getKey('acme', 'default')).rejects.toMatchObject(FORGED);
  });

  it.each<readonly [string, Item]>([
    ['state', { state: { S: 'DESTROY_PENDING' } }],
    [
      'wrapping',
      { wrapped: { M: marshalItem({ rootKeyId: 'x', materialId: null, wrapped: Uint8Array.of(9) }) } },
    ],
    ['end of grace', { purgeNotBefore: { S: AT } }],
    ['key check', { check: { S: 'AAAA' } }],
  ])("cannot change a version's %s", async (_, attributes) => {
    await fill();
    const item = await read(KEY);
    const version = item['versions']?.M?.['1']?.M;
    await write({ ...item, versions: { M: { '1': { M: { ...version, ...attributes } } } } });
    await expect(ledger.getKey('acme', 'default')).rejects.toMatchObject(FORGED);
  });

  it('cannot put one key in the place of another, nor one job', async () => {
    await fill();
    await ledger.createKey(testKey({ tenant: 'other' }));
    await ledger.createJob(testJob({ jobId: 'job-2' }));
    const swap = async (a: ItemKey, b: ItemKey) => {
      const [first, second] = [await read(a), await read(b)];
      await write({ ...second, ...marshalItem(a) });
      await write({ ...first, ...marshalItem(b) });
    };
    await swap(KEY, itemKeys.key('other', 'default'));
    await swap(JOB, itemKeys.job('job-2'));
    for (const reading of [
      () => ledger.getKey('acme', 'default'),
      () => ledger.getKey('other', 'default'),
      () => ledger.getJob('job-1'),
      () => ledger.getJob('job-2'),
    ])
      await expect(reading()).rejects.toMatchObject(FORGED);
  });

  it('can put an older state of an item back, which only the audit chain can tell', async () => {
    await fill();
    const before = await read(KEY);
    await ledger.replaceKey(testKey({ revision: 2, rotationId: 'r' }));
    await write(before);
    expect(await ledger.getKey('acme', 'default')).toEqual(testKey());
  });

  it('is undone by a write of whoever read the item before', async () => {
    await fill();
    await change(KEY, { active: { N: '2' } });
    await ledger.replaceKey(testKey({ revision: 2 }));
    expect(await ledger.getKey('acme', 'default')).toEqual(testKey({ revision: 2 }));
  });
});

describe('who wants a chunk to be taken for done', () => {
  const pages = () => ledger.listPages('job-1', 1, 0, 0, 10);
  const genuine = async () => (await read(PAGE))['reports']?.SS ?? [];
  const forge = async (done: readonly number[], reports: readonly string[]) =>
    change(PAGE, { done: { NS: done.map(String) }, reports: { SS: [...reports] } });

  it('cannot mark it, report it without a key, or change what was reported', async () => {
    await fill();
    const [report = ''] = await genuine();
    const [chunk, rewrapped, skipped, quarantinedCount, at, mac] = report.split('.');
    for (const [done, reports] of [
      [[0, 1], [report]],
      [[], [report]],
      [[0], [`${chunk}.4.1.${quarantinedCount}.${at}.${mac}`]],
      [[0], [`${chunk}.${rewrapped}.${skipped}.${quarantinedCount}.${Number(at) + 1}.${mac}`]],
      [
        [0, 1],
        [report, `1.3.0.0.${at}.${mac}`],
      ],
      [
        [0, 1],
        [report, `1.3.0.0.${at}.`],
      ],
      [
        [0, 1],
        [report, '1'],
      ],
      [
        [0, 1],
        [report, `${report} `],
      ],
    ] as const) {
      const item = await read(PAGE);
      await forge(done.length === 0 ? [7] : done, reports);
      await expect(pages()).rejects.toMatchObject(FORGED);
      await write(item);
    }
    expect(await pages()).toMatchObject([{ done: [0], rewrapped: 5 }]);
  });

  it('cannot move a report to another page, round or job', async () => {
    await fill();
    const reports = await genuine();
    for (const [page, list] of [
      [testPage({ page: 1 }), () => ledger.listPages('job-1', 1, 0, 1, 10)],
      [testPage({ round: 2 }), () => ledger.listPages('job-1', 2, 0, 0, 10)],
      [testPage({ segment: 1 }), () => ledger.listPages('job-1', 1, 1, 0, 10)],
      [testPage({ jobId: 'job-2' }), () => ledger.listPages('job-2', 1, 0, 0, 10)],
    ] as const) {
      await ledger.createPage(page, AT);
      await change(itemKeys.page(page.jobId, page.round, page.segment, page.page), {
        done: { NS: ['0'] },
        reports: { SS: reports },
      });
      await expect(list()).rejects.toMatchObject(FORGED);
    }
  });

  it('can take a report away, and then the chunk is worked on and counted again', async () => {
    await fill();
    const { reports: _, done: __, ...rest } = await read(PAGE);
    await write(rest);
    expect(await pages()).toMatchObject([{ done: [], rewrapped: 0 }]);
  });
});

describe('an application', () => {
  const use = { version: 1, at: AT, recordSet: 'customers', recordId: ['1'], field: 'phone' };
  const application = () => createDynamoDbLedger({ client, tableName });

  it('reads keys, marks what it used, and writes nothing else', async () => {
    await fill();
    const own = application();
    expect(await own.getKey('acme', 'default')).toEqual(testKey());
    expect(await own.markUsed('acme', 'default', use)).toBe(true);
    expect(await own.markUsed('nobody', 'default', use)).toBe(false);
    expect(await ledger.getKey('acme', 'default')).toEqual(testKey({ canary: use }));
    const before = await client.send(new ScanCommand({ TableName: tableName }));
    for (const attempt of [
      () => own.createKey(testKey({ tenant: 'other' })),
      () => own.replaceKey(testKey({ revision: 2, canary: use })),
      () => own.createJob(testJob({ jobId: 'job-2' })),
      () => own.replaceJob(testJob({ revision: 2 })),
      () => own.createPage(testPage({ page: 1 }), AT),
      () => own.reportChunks(testPage(), [{ chunk: 1, counts: NONE }], AT),
      () => own.putSegmentCensus(census),
      () => own.putQuarantined(quarantined),
      () => own.deleteQuarantined(quarantined),
      () => own.createApprovalRequest({ ...request, requestId: 'other' }),
    ])
      await expect(attempt()).rejects.toMatchObject({ code: 'LEDGER_DENIED', retryable: false });
    const after = await client.send(new ScanCommand({ TableName: tableName }));
    expect(after.Items).toEqual(before.Items);
  });

  it.each([
    ['no JSON', { S: 'x' }],
    ['another type', { N: '1' }],
    ['too little', { S: '{}' }],
    ['more than there is room for', { S: JSON.stringify({ ...use, recordId: ['x'.repeat(8192)] }) }],
    ['a version that is none', { S: JSON.stringify({ ...use, version: -1 }) }],
  ])('that marks %s makes the key unreadable for nobody: it counts as a use', async (_, canary) => {
    await fill();
    await change(KEY, { canary });
    const key = await ledger.getKey('acme', 'default');
    expect(key?.canary).toMatchObject({ version: 0, recordSet: null });
    if (key === null) throw new Error('no key');
    await ledger.replaceKey({ ...key, revision: 2, rotationId: 'r' });
    expect(await ledger.getKey('acme', 'default')).toEqual({ ...key, revision: 2, rotationId: 'r' });
  });

  it('may say the same in other words, or unsay it: changes of the key go on', async () => {
    await fill();
    await change(KEY, { canary: { S: JSON.stringify({ more: 1, ...use }) } });
    await ledger.replaceKey(testKey({ revision: 2, canary: use }));
    const { canary: _, ...without } = await read(KEY);
    await write(without);
    await ledger.replaceKey(testKey({ revision: 3 }));
    expect(await ledger.getKey('acme', 'default')).toEqual(testKey({ revision: 3 }));
  });

  it('that would make a key by an update makes one that nobody takes for a key', async () => {
    await write({ ...marshalItem(itemKeys.key('ghost', 'default')), canary: { S: 'x' } });
    expect(await ledger.getKey('ghost', 'default')).toBeNull();
    await client.send(
      new DeleteItemCommand({ TableName: tableName, Key: marshalItem(itemKeys.key('ghost', 'default')) }),
    );
    expect(await ledger.getKey('ghost', 'default')).toBeNull();
  });
});
