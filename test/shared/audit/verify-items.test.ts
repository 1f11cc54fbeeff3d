import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Audit } from '../../../shared/audit/audit.ts';
import type { Finding } from '../../../shared/audit/findings.ts';
import { openAudit } from '../../../shared/audit/open-audit.ts';
import { type LedgerStore, SERVICE } from '../../../shared/audit/outbox.ts';
import { verifyChains } from '../../../shared/audit/verify-all.ts';
import type { VerifyReport } from '../../../shared/audit/verify-chain.ts';
import { LedgerError } from '../../../shared/errors/errors.ts';
import { changeVersion } from '../../../shared/keyring/change-version.ts';
import type { Hold, TenantKey } from '../../../shared/keyring/key.ts';
import { createDynamoDbLedger } from '../../../shared/ledger/dynamodb-ledger.ts';
import type { Ledger } from '../../../shared/ledger/ledger.ts';
import { createLedgerTable } from '../../../shared/ledger/table.ts';
import type { Restore } from '../../../shared/rotation/restore.ts';
import { createMemoryArchive } from '../../../simulation/models/archive.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { testState } from '../../../simulation/models/state-key.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';
import { startTestDynamoDb, type TestDynamoDb } from '../../support/dynamodb.ts';

/**
 * Items of the ledger beside what the chain tells of them. Whoever changes one here has the state key: its MAC is genuine,
 * and the chain alone can say that it is not what it was.
 */

const TENANT = 'acme';
const AT = '2026-01-01T00:00:00.000Z';
const LATER = '2026-01-08T00:00:00.000Z';
const { keyId: KEY_ID } = testKey();
let slept = 0;
const clock = {
  now: () => Date.parse(AT),
  monotonic: () => 0,
  sleep: async () => {
    slept += 1;
  },
};

const hold: Hold = {
  ...{ holdId: 'person/1', versions: [1], reason: 'PERSON', store: null, note: 'case 4711' },
  ...{ by: 'ada', at: AT, until: null, endedEpoch: null },
};
const key = testKey({ revision: 2, holds: [hold] });
const request = {
  ...{ requestId: 'r1', action: 'purge' as const, tenant: TENANT, purpose: 'default', keyId: KEY_ID },
  ...{ version: 1, restoreEpoch: 0, subject: 'digest', expiresAt: LATER, requestedBy: 'daily sweep' },
  ...{ requestedAt: AT, summary: 'destroys version 1', evidence: { takenAt: AT } },
};
const approval = { requestId: 'r1', approver: 'ann/lee', breakGlass: false, at: AT, jws: 'a.b.c' };
const over = { requestId: 'r1', at: AT, why: 'it expired' };
const certificate = {
  ...{ tenant: TENANT, purpose: 'default', keyId: KEY_ID, version: 1, issuedAt: AT, jws: 'a.b.c' },
};
const census = {
  ...{ censusId: 'c1', keyId: KEY_ID, tenant: TENANT, purpose: 'default', active: 1, version: 1 },
  ...{ restoreEpoch: 0, jobId: null, attempt: null, round: null },
  result: {
    ...{
      takenAt: AT,
      takenBy: 'ada',
      reach: 'tenant' as const,
      coverage: {},
      excluded: [],
      undeclared: null,
    },
    ...{ onVersion: 0, stale: 3, malformed: 0, foreign: 0 },
  },
};
const restore: Restore = {
  ...{ restoreId: 'restore-1', store: 'main', backupTime: AT, backupEnd: AT, status: 'READY', keys: 1 },
  ...{ requestedBy: 'ada', begunAt: AT, readyAt: AT, endedAt: null, refusal: null, revision: 1 },
};

/** One of each, as the pipeline writes them. */
async function fill(store: LedgerStore): Promise<void> {
  const { ledger } = openAudit(store, clock, 'person:ada');
  await ledger.createKey(testKey());
  await ledger.replaceKey(key);
  await ledger.createJob(testJob());
  await ledger.createApprovalRequest(request);
  await ledger.createApproval(approval);
  await ledger.voidApprovalRequest(over);
  await ledger.createCertificate(certificate);
  await ledger.putStoredCensus(census);
  await ledger.createRestore(restore);
}

interface Seen {
  readonly ledger?: Partial<Ledger>;
  readonly audit?: Partial<Audit>;
}

/** What a verification finds on a ledger whose reads answer otherwise. */
async function verify(store: LedgerStore, seen: Seen = {}): Promise<readonly Finding[]> {
  return (await reportsOf(store, seen)).flatMap(({ findings }) => findings);
}

async function reportsOf(store: LedgerStore, seen: Seen = {}): Promise<readonly VerifyReport[]> {
  const { ledger, audit } = openAudit(store, clock, 'person:auditor');
  const deps = {
    ...{ archive: createMemoryArchive(), clock },
    ...{ ledger: { ...ledger, ...seen.ledger }, audit: { ...audit, ...seen.audit } },
  };
  return Array.fromAsync(verifyChains(deps, null, []));
}

const brief = (findings: readonly Finding[]) => findings.map(({ code, message }) => `${code} ${message}`);

describe.each(['in memory', 'on DynamoDB'] as const)('an untouched ledger %s', (where) => {
  let dynamodb: TestDynamoDb | null = null;
  beforeAll(async () => {
    if (where === 'on DynamoDB') dynamodb = await startTestDynamoDb();
  });
  afterAll(() => dynamodb?.stop());

  it('is what its chains tell', async () => {
    let store: LedgerStore = createMemoryLedger();
    if (dynamodb !== null) {
      const tableName = dynamodb.newTableName();
      await createLedgerTable(dynamodb.client, tableName);
      store = createDynamoDbLedger({ client: dynamodb.client, tableName, authenticator: testState });
    }
    await fill(store);
    expect(await verify(store)).toEqual([]);
  });
});

describe('an item', () => {
  let store: LedgerStore;
  beforeEach(async () => {
    slept = 0;
    store = createMemoryLedger();
    await fill(store);
  });

  const readKey = (changed: TenantKey): Seen => ({
    ledger: { scanKeys: async () => [changed] },
    audit: { readKey: async () => ({ item: changed, outbox: null }) },
  });

  const GONE: Readonly<Record<string, Seen>> = {
    'approval-request/r1': {
      ledger: { getApprovalRequest: async () => null, listApprovalRequests: async () => [] },
    },
    'approval/r1/ann/lee': { ledger: { listApprovals: async () => [] } },
    'approval-void/r1': { ledger: { getApprovalVoid: async () => null } },
    [`certificate/${KEY_ID}/1`]: { ledger: { getCertificate: async () => null } },
    'census/c1': { ledger: { findStoredCensus: async () => null, listStoredCensuses: async () => [] } },
  };
  it.each(Object.entries(GONE))('is missed when %s is gone', async (eventId, seen) => {
    const findings = await verify(store, seen);
    const named = findings.find(({ message }) => message.startsWith(`${eventId} `));
    expect(named).toMatchObject({ code: 'GONE', tenant: TENANT, where: 'ledger' });
    expect(named?.message).toBe(`${eventId} is not in the ledger any more`);
    // With its request, an approval and a void have lost what they are of.
    expect(new Set(findings.map(({ code }) => code))).toEqual(new Set(['GONE']));
    expect(findings).toHaveLength(eventId.startsWith('approval-request') ? 3 : 1);
  });

  const changedCensus = { ...census, result: { ...census.result, stale: 0 } };
  const coverage = { ...census, result: { ...census.result, excluded: ['people'] as never } };
  const CHANGED: Readonly<Record<string, readonly [Seen, string]>> = {
    'a request for something else': [
      { ledger: { getApprovalRequest: async () => ({ ...request, subject: 'other' }) } },
      'approval-request/r1 is not what entry 4 tells of it (subject)',
    ],
    'a request with a later end': [
      { ledger: { getApprovalRequest: async () => ({ ...request, expiresAt: '2027-01-01T00:00:00.000Z' }) } },
      'approval-request/r1 is not what entry 4 tells of it (expiresAt)',
    ],
    'an approval with another signature': [
      { ledger: { listApprovals: async () => [{ ...approval, jws: 'd.e.f' }] } },
      'approval/r1/ann/lee is not what entry 5 tells of it (signed)',
    ],
    'a void of another time': [
      { ledger: { getApprovalVoid: async () => ({ ...over, at: LATER }) } },
      'approval-void/r1 is not what entry 6 tells of it (voidedAt)',
    ],
    'a certificate with another signature': [
      { ledger: { getCertificate: async () => ({ ...certificate, jws: 'd.e.f' }) } },
      `certificate/${KEY_ID}/1 is not what entry 7 tells of it (signed)`,
    ],
    'a census with other counts': [
      {
        ledger: {
          findStoredCensus: async () => changedCensus,
          listStoredCensuses: async () => [changedCensus],
        },
      },
      'census/c1 is not what entry 8 tells of it (stale, result)',
    ],
    'a census of which something was left out': [
      { ledger: { findStoredCensus: async () => coverage, listStoredCensuses: async () => [coverage] } },
      'census/c1 is not what entry 8 tells of it (result)',
    ],
    'a key without its hold': [
      readKey({ ...key, holds: [] }),
      `key/${KEY_ID} is not what the chain tells of its revision 2 (state)`,
    ],
    'a key whose hold ends sooner': [
      readKey({ ...key, holds: [{ ...hold, until: LATER }] }),
      `key/${KEY_ID} is not what the chain tells of its revision 2 (state)`,
    ],
    'a key whose version may be purged sooner': [
      readKey({ ...changeVersion(key, 1, { purgeNotBefore: AT }), revision: 2 }),
      `key/${KEY_ID} is not what the chain tells of its revision 2 (state)`,
    ],
    'a key of an earlier epoch': [
      readKey({ ...key, restoreEpoch: 7 }),
      `key/${KEY_ID} is not what the chain tells of its revision 2 (restoreEpoch)`,
    ],
    'a job of another status': [
      { ledger: { listJobs: async () => [testJob({ status: 'COMPLETED' })] } },
      'job/job-1 is not what the chain tells of its revision 1 (status)',
    ],
    'a restore that is over': [
      { ledger: { listRestores: async () => [{ ...restore, status: 'ENDED' }] } },
      'restore/restore-1 is not what the chain tells of its revision 1 (status)',
    ],
  };
  it.each(Object.entries(CHANGED))('is found out where it is %s', async (_, [seen, message]) => {
    expect(brief(await verify(store, seen))).toEqual([`CHANGED ${message}`]);
  });

  const AROUND: Readonly<Record<string, readonly [(around: LedgerStore) => Promise<unknown>, string]>> = {
    'a request': [(s) => s.createApprovalRequest({ ...request, requestId: 'r2' }), 'approval-request/r2'],
    'an approval': [(s) => s.createApproval({ ...approval, approver: 'bob' }), 'approval/r1/bob'],
    'a certificate': [
      (s) => s.createCertificate({ ...certificate, keyId: 'other', tenant: 'other' }),
      'certificate/other/1',
    ],
    'a census': [(s) => s.putStoredCensus({ ...census, censusId: 'c2' }), 'census/c2'],
  };
  it.each(Object.entries(AROUND))(
    'is found out where %s was written around the audit',
    async (_, [write, eventId]) => {
      await write(store);
      // A certificate is looked for by the versions of the keys.
      const { ledger } = openAudit(store, clock, 'person:ada');
      if (eventId.startsWith('certificate/'))
        await ledger.createKey(testKey({ keyId: 'other', tenant: 'other' }));
      expect(brief(await verify(store))).toEqual([
        `UNRECORDED ${eventId} is in the ledger, and no entry tells of it`,
      ]);
      // Not at the first look: a list may show an outbox late.
      expect(slept).toBeGreaterThan(0);
    },
  );

  it('is found out where a void was written around the audit, also of a request that no list shows', async () => {
    const { ledger } = openAudit(store, clock, 'person:ada');
    await ledger.createApprovalRequest({ ...request, requestId: 'r2' });
    await store.voidApprovalRequest({ ...over, requestId: 'r2' });
    const seen = { ledger: { listApprovalRequests: async () => [] } };
    expect(brief(await verify(store, seen))).toEqual([
      'UNRECORDED approval-void/r2 is in the ledger, and no entry tells of it',
    ]);
  });

  it('that was written around the audit a thousand times is named some times, with how many', async () => {
    for (let i = 0; i < 50; i++) await store.createApproval({ ...approval, approver: `p${i}` });
    const findings = await verify(store);
    expect(findings).toHaveLength(20);
    expect(findings[0]?.message).toContain('(the first of 50)');
  });

  it('whose event waits in its outbox, or is appended meanwhile, is as it must be', async () => {
    const crash = { ...store, createAuditEntry: async () => Promise.reject(new Error('crash')) };
    const dying = openAudit(crash, clock, 'person:ada').ledger;
    await expect(dying.createApproval({ ...approval, approver: 'bob' })).rejects.toThrow('crash');
    await expect(dying.createApprovalRequest({ ...request, requestId: 'r2' })).rejects.toThrow('crash');
    await expect(dying.putStoredCensus({ ...census, censusId: 'c2' })).rejects.toThrow('crash');
    expect(await verify(store)).toEqual([]);
    // The export comes in between, so that an outbox is closed when it is looked for.
    const { audit } = openAudit(store, clock, 'function:export-audit');
    const listOpenOutboxes = async () => {
      for (const outbox of await audit.listOpenOutboxes()) await audit.settle(outbox);
      return [];
    };
    expect(await verify(store, { audit: { listOpenOutboxes } })).toEqual([]);
    expect(slept).toBe(0);
  });

  it('that is a census is looked for in the list of its key, which is read once for all of them', async () => {
    const { ledger } = openAudit(store, clock, 'person:ada');
    for (let n = 2; n <= 5; n++) await ledger.putStoredCensus({ ...census, censusId: `c${n}` });
    let lists = 0;
    const listStoredCensuses: Ledger['listStoredCensuses'] = (...asked) => {
      lists += 1;
      return store.listStoredCensuses(...asked);
    };
    const findStoredCensus = () => Promise.reject(new Error('reads all since the last export'));
    expect(await verify(store, { ledger: { listStoredCensuses, findStoredCensus } })).toEqual([]);
    // Of what the chain tells, and of what it does not tell.
    expect(lists).toBe(2);
  });

  it('that are more censuses of a key than it reads are said not to have been looked at', async () => {
    const { ledger } = openAudit(store, clock, 'person:ada');
    const at = (n: number) => new Date(Date.parse(AT) + n).toISOString();
    const put = (n: number) =>
      ledger.putStoredCensus({ ...census, censusId: `c${n}`, result: { ...census.result, takenAt: at(n) } });
    for (let n = 2; n <= 1000; n++) await put(n);
    const said = async () => (await reportsOf(store)).map(({ findings, unread }) => ({ findings, unread }));
    const nothing = { findings: [], unread: [] };
    expect(await said()).toEqual([nothing, nothing]);
    await put(1001);
    const left = `whether the censuses of key/${KEY_ID} (default) that are older than its newest 1000, before ${at(2)}, have entries`;
    expect(await said()).toEqual([nothing, { findings: [], unread: [left] }]);
  });

  it('that is a census beside a forged one is looked for by its id', async () => {
    const forged = new LedgerError('STATE_FORGED', 'a stored census');
    const seen = { ledger: { listStoredCensuses: () => Promise.reject(forged) } };
    expect(brief(await verify(store, seen))).toEqual([
      `EDITED what belongs to key/${KEY_ID} in the ledger was not written by Keyturn (STATE_FORGED)`,
    ]);
  });

  it('of another tenant is no excuse by the name of its event', async () => {
    await store.createApproval({ ...approval, approver: 'bob' });
    await store.createAuditEvent({
      ...{ tenant: SERVICE, eventId: 'approval/r1/bob', at: AT, actor: 'x', type: 'x', detail: {} },
      afterSequence: 0,
    });
    expect(brief(await verify(store))).toContain(
      'UNRECORDED approval/r1/bob is in the ledger, and no entry tells of it',
    );
  });

  it('of which an entry of an earlier release tells less is compared by what it tells', async () => {
    const { listAuditEntries } = store;
    const { hashOf } = await import('../../../shared/audit/chain.ts');
    const older: Audit['listAuditEntries'] = async (...asked) => {
      const items = await listAuditEntries(...asked);
      return items.map((item) => {
        if (item.entry?.eventId !== `key/${KEY_ID}/2`) return item;
        const { state: _, ...detail } = item.entry.detail;
        const entry = { ...item.entry, detail };
        return { ...item, entry: { ...entry, hash: hashOf(entry) } };
      });
    };
    const seen = { ...readKey({ ...key, holds: [] }) };
    const findings = await verify(store, { ...seen, audit: { ...seen.audit, listAuditEntries: older } });
    expect(findings.filter(({ code }) => code === 'CHANGED')).toEqual([]);
  });
});
