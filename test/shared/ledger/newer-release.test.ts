import { ScanCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { linkEntry } from '../../../shared/audit/chain.ts';
import type { PendingEvent } from '../../../shared/audit/outbox.ts';
import { type Item, marshalItem } from '../../../shared/ledger/attribute-values.ts';
import { type ItemKey, itemKeys, OUTBOX } from '../../../shared/ledger/attributes.ts';
import { createDynamoDbLedger } from '../../../shared/ledger/dynamodb-ledger.ts';
import type { Ledger } from '../../../shared/ledger/ledger.ts';
import { createLedgerTable } from '../../../shared/ledger/table.ts';
import { testState } from '../../../simulation/models/state-key.ts';
import { testJob, testKey, testPage } from '../../contracts/ledger.ts';
import { startTestDynamoDb } from '../../support/dynamodb.ts';
import { LATER, type NewerItems, newerItems, withLater } from '../../support/newer-item.ts';

/** Items as a newer release writes them, on a real DynamoDB: authenticated, and with one attribute more than this one knows. */

const dynamodb = await startTestDynamoDb();
afterAll(() => dynamodb.stop());

const AT = '2026-01-01T00:00:00.000Z';
const INVALID = { code: 'LEDGER_ITEM_INVALID', message: expect.stringContaining('later') };
const { keyId } = testKey();

let ledger: ReturnType<typeof createDynamoDbLedger>;
let tableName: string;
let items: NewerItems;
let told: { forged: string[]; unreadable: string[] };
beforeEach(async () => {
  tableName = dynamodb.newTableName();
  await createLedgerTable(dynamodb.client, tableName);
  items = newerItems(dynamodb.client, tableName);
  told = { forged: [], unreadable: [] };
  ledger = createDynamoDbLedger({
    ...{ client: dynamodb.client, tableName, authenticator: testState },
    onForged: (what) => told.forged.push(what),
    onUnreadable: (what) => told.unreadable.push(what),
  });
});

async function onlyKey(): Promise<ItemKey> {
  const { Items } = await dynamodb.client.send(new ScanCommand({ TableName: tableName }));
  const [item] = Items ?? [];
  return { pk: item?.['pk']?.S ?? '', sk: item?.['sk']?.S ?? '' };
}

const restore = {
  ...{ restoreId: 'r', store: 'main', backupTime: AT, backupEnd: AT, status: 'BEGUN' as const, keys: null },
  ...{ requestedBy: 'olaf', begunAt: AT, readyAt: null, endedAt: null, refusal: null, revision: 1 },
};
const request = {
  ...{ requestId: 'q', action: 'purge' as const, tenant: 'acme', purpose: 'default', keyId, version: 1 },
  ...{ restoreEpoch: 0, subject: 's', expiresAt: AT, requestedBy: 'olaf', requestedAt: AT },
  ...{ summary: 's', evidence: {} },
};
const approval = { requestId: 'q', approver: 'ada', breakGlass: false, at: AT, jws: 'j' };
const quarantined = {
  ...{ keyId, tenant: 'acme', purpose: 'default', recordSet: 's', recordId: ['1'], field: 'f' },
  ...{ code: 'X', version: 1, jobId: 'j', at: AT },
};
const count = { rows: 0, values: 0, versions: {}, foreign: 0, malformed: 0, tombstones: 0 };
const segmentCensus = { jobId: 'j', census: 'c', segment: 0, recordSet: 's', count, takenAt: AT };
const segment = {
  ...{ jobId: 'j', round: 1, segment: 0, lowWater: 1, planned: 1, finished: false },
  ...{ rewrapped: 1, skipped: 0, quarantined: 0, updatedAt: AT },
};
const certificate = { tenant: 'acme', purpose: 'default', keyId, version: 1, issuedAt: AT, jws: 'j' };
const round = { jobId: 'j', round: 1, segments: [], createdAt: AT };
const mark = { tenant: 'acme', sequence: 1, planned: null, revision: 1 };
const event: PendingEvent = {
  ...{ tenant: 'acme', eventId: 'e', at: AT, actor: 'a', type: 't', detail: {}, afterSequence: 0 },
};
const entry = linkEntry('acme', event, { last: 0, hash: null });
const report = { chunk: 0, counts: { rewrapped: 5, skipped: 0, quarantined: 0 } };

/** Every read that something is decided by. */
const READS: readonly [string, () => Promise<unknown>, (() => Promise<unknown>)[]][] = [
  [
    'key',
    () => ledger.createKey(testKey()),
    [
      () => ledger.getKey('acme', 'default'),
      () => ledger.scanKeys(),
      () => ledger.readKey('acme', 'default'),
    ],
  ],
  ['job', () => ledger.createJob(testJob()), [() => ledger.getJob('job-1'), () => ledger.readJob('job-1')]],
  [
    'round',
    () => ledger.createRound(round),
    [() => ledger.getRound('j', 1), () => ledger.createRound(round)],
  ],
  [
    'page',
    () => ledger.createPage(testPage(), AT),
    [() => ledger.listPages('job-1', 1, 0, 0, 1), () => ledger.createPage(testPage(), AT)],
  ],
  [
    'segment',
    () => ledger.advanceSegment(segment, 0),
    [() => ledger.getSegment('j', 1, 0), () => ledger.listSegments('j', 1)],
  ],
  ['census', () => ledger.putSegmentCensus(segmentCensus), [() => ledger.listSegmentCensus('j', 'c')]],
  ['quarantined record', () => ledger.putQuarantined(quarantined), [() => ledger.listQuarantined(keyId)]],
  [
    'restore',
    () => ledger.createRestore(restore),
    [() => ledger.getRestore('r'), () => ledger.listRestores()],
  ],
  [
    'approval request',
    () => ledger.createApprovalRequest(request),
    [() => ledger.getApprovalRequest('q'), () => ledger.createApprovalRequest(request)],
  ],
  [
    'void of a request',
    () => ledger.voidApprovalRequest({ requestId: 'q', at: AT, why: 'w' }),
    [() => ledger.getApprovalVoid('q')],
  ],
  ['approval', () => ledger.createApproval(approval), [() => ledger.listApprovals('q')]],
  ['certificate', () => ledger.createCertificate(certificate), [() => ledger.getCertificate(keyId, 1)]],
  ['export mark', () => ledger.putExportMark(mark), [() => ledger.getExportMark('acme')]],
  [
    'audit entry',
    () => ledger.createAuditEntry(entry),
    [() => ledger.lastAuditEntry('acme'), () => ledger.listAuditEntries('acme', 1, 9)],
  ],
];

describe('an item of a newer release', () => {
  it.each(READS)(
    'is refused wherever it is read, by the name of the attribute: %s',
    async (_, write, reads) => {
      await write();
      await items.grow(await onlyKey());
      for (const read of reads) {
        const error: unknown = await read().catch((e: unknown) => e);
        expect(error).toMatchObject(INVALID);
        expect(String(error)).not.toContain('SECRET');
      }
      expect(told.forged).toEqual([]);
    },
  );

  it.each<[string, (ledger: Ledger) => Promise<unknown>]>([
    ['key', (on) => on.replaceKey(testKey({ revision: 2 }))],
    ['job', (on) => on.replaceJob(testJob({ revision: 2 }))],
    ['restore', (on) => on.replaceRestore({ ...restore, revision: 2 })],
  ])('is not replaced by who read it before: %s', async (name, replace) => {
    const [, create] = READS.find(([each]) => each === name) ?? [];
    await create?.();
    const key = await onlyKey();
    const grown = await items.grow(key, (item) => ({ ...withLater(item), revision: { N: '2' } }));
    await expect(replace(ledger)).rejects.toMatchObject(INVALID);
    expect(await items.stored(key)).toEqual(grown);
  });

  it('is left out of the lists that nothing is decided by, which say so: it is not forged', async () => {
    await ledger.createKey(testKey());
    await ledger.createKey(testKey({ tenant: 'other', keyId: keyId.replace(/1$/, '2') }));
    await ledger.createJob(testJob());
    await ledger.createApprovalRequest(request);
    await items.grow(itemKeys.key('acme', 'default'));
    await items.grow(itemKeys.job('job-1'));
    await items.grow(itemKeys.approvalRequest('q'));
    const skipped: string[] = [];
    const onSkipped = (what: string) => skipped.push(what);
    expect((await ledger.listKeys(onSkipped)).map(({ tenant }) => tenant)).toEqual(['other']);
    expect(await ledger.listJobs({}, onSkipped)).toEqual([]);
    expect(await ledger.listApprovalRequests({}, onSkipped)).toEqual([]);
    expect(skipped).toEqual([
      'The item KEY#acme#default / KEY of the ledger',
      'The item JOB#job-1 / JOB of the ledger',
      'The item APPROVAL#q / REQUEST of the ledger',
    ]);
    expect(told).toEqual({ forged: [], unreadable: skipped });
  });

  it('stays as it is where this one only marks, reports or takes away: what is beside is not written', async () => {
    await ledger.createKey(testKey());
    await items.grow(itemKeys.key('acme', 'default'));
    const use = { version: 1, at: AT, recordSet: null, recordId: null, field: null };
    expect(await ledger.markUsed('acme', 'default', use)).toBe(true);
    expect(await items.stored(itemKeys.key('acme', 'default'))).toMatchObject(marshalItem(LATER));
    await ledger.createPage(testPage(), AT);
    await items.grow(itemKeys.page('job-1', 1, 0, 0));
    expect(await ledger.reportChunks(testPage(), [report], AT)).toEqual([0]);
    expect(await items.stored(itemKeys.page('job-1', 1, 0, 0))).toMatchObject(marshalItem(LATER));
  });

  it('may say more to the audit than this one knows: then nobody appends less of it', async () => {
    await ledger.leaving(event).createKey(testKey());
    const withMore = (item: Item): Item => ({
      ...item,
      [OUTBOX]: { M: { ...item[OUTBOX]?.M, ...marshalItem(LATER) } },
    });
    await items.grow(itemKeys.key('acme', 'default'), withMore);
    await expect(ledger.readKey('acme', 'default')).rejects.toMatchObject({
      code: 'LEDGER_ITEM_INVALID',
      message: expect.stringContaining('pendingAudit.later'),
    });
    expect(await ledger.listOpenOutboxes()).toEqual([]);
    expect(told).toEqual({ forged: [], unreadable: ['The item KEY#acme#default / KEY of the ledger'] });
  });
});
