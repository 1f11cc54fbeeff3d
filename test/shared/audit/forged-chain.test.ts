import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteItemCommand, PutItemCommand, QueryCommand, ScanCommand } from '@aws-sdk/client-dynamodb';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { anchorPrefix } from '../../../shared/audit/archive-names.ts';
import { hashOf, linkEntry } from '../../../shared/audit/chain.ts';
import { auditEntrySchema } from '../../../shared/audit/entry-schema.ts';
import { exportChains } from '../../../shared/audit/export-chains.ts';
import type { FindingCode } from '../../../shared/audit/findings.ts';
import { openAudit } from '../../../shared/audit/open-audit.ts';
import { verifyChains } from '../../../shared/audit/verify-all.ts';
import { type Item, marshalItem, unmarshalItem } from '../../../shared/ledger/attribute-values.ts';
import {
  auditPartition,
  EVENT_PREFIX,
  itemKeys,
  LIST_KEY,
  LIST_ORDER,
} from '../../../shared/ledger/attributes.ts';
import { createDynamoDbLedger } from '../../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../../shared/ledger/table.ts';
import { silentLog } from '../../../shared/log/log.ts';
import { createLocalSigner } from '../../../shared/signing/local-signer.ts';
import type { Signer } from '../../../shared/signing/signer.ts';
import { createMemoryArchive } from '../../../simulation/models/archive.ts';
import { testState } from '../../../simulation/models/state-key.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';
import { startTestDynamoDb, type TestDynamoDb } from '../../support/dynamodb.ts';
import { newerItems } from '../../support/newer-item.ts';

/** Somebody writes the table and the archive, and has neither the state key nor the signing key. */

const clock = {
  now: () => Date.parse('2026-01-01T00:00:00.000Z'),
  monotonic: () => 0,
  sleep: async () => {},
};
const ACME = 'acme';
const OTHER = 'other';

let dynamodb: TestDynamoDb;
let dir: string;
let signer: Signer;
beforeAll(async () => {
  dynamodb = await startTestDynamoDb();
  dir = await mkdtemp(join(tmpdir(), 'keyturn-forged-'));
  signer = createLocalSigner({ keyFile: join(dir, 'key'), random: (bytes) => bytes.fill(7) });
});
afterAll(async () => {
  await dynamodb.stop();
  await rm(dir, { recursive: true, force: true });
});

async function makeService() {
  const { client } = dynamodb;
  const TableName = dynamodb.newTableName();
  await createLedgerTable(client, TableName);
  const alarms: string[] = [];
  const onForged = (what: string) => alarms.push(what);
  const open = () =>
    openAudit(
      createDynamoDbLedger({ client, tableName: TableName, authenticator: testState, onForged }),
      clock,
      'person:ada',
    );
  const archive = createMemoryArchive();
  const measured = new Map<string, number>();
  const metrics = { add: (name: string, value: number) => measured.set(name, value) };
  const { ledger, audit } = open();
  const deps = { archive, audit, ledger, clock, signer, log: silentLog, metrics, config: null as never };
  let made = 0;
  return {
    ...{ archive, alarms, measured, open, newer: newerItems(client, TableName) },
    /** A key of each tenant, changed that many times, and a job of the first. */
    async work(changes: number) {
      for (const [i, tenant] of [ACME, OTHER].entries()) {
        const key = await ledger.getKey(tenant, 'default');
        if (key === null) {
          await ledger.createKey(testKey({ tenant, keyId: `01900000-0000-7000-8000-00000000000${i}` }));
        }
        for (let change = 0; change < changes; change++) {
          const before = await ledger.getKey(tenant, 'default');
          if (before === null) throw new Error('no key');
          made += 1;
          await ledger.replaceKey({ ...before, restoreEpoch: made, revision: before.revision + 1 });
        }
      }
      if ((await ledger.getJob('job-1')) === null) await ledger.createJob(testJob());
    },
    export: () => exportChains(deps),
    async *reports() {
      yield* verifyChains(deps, null, [await signer.publicKey()]);
    },
    async verify() {
      const found: FindingCode[] = [];
      const tenants: string[] = [];
      for await (const report of this.reports()) {
        tenants.push(report.tenant);
        found.push(...report.findings.map(({ code }) => code));
      }
      return { tenants, codes: [...new Set(found)].sort() };
    },
    async items(pk: string): Promise<readonly Item[]> {
      const { Items = [] } = await client.send(
        new QueryCommand({
          TableName,
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': { S: pk } },
          ConsistentRead: true,
        }),
      );
      return Items;
    },
    scan: async () => (await client.send(new ScanCommand({ TableName, ConsistentRead: true }))).Items ?? [],
    put: (item: Item) => client.send(new PutItemCommand({ TableName, Item: item })),
    remove: ({ pk, sk }: Item) =>
      client.send(new DeleteItemCommand({ TableName, Key: { pk: pk as never, sk: sk as never } })),
  };
}

let service: Awaited<ReturnType<typeof makeService>>;
beforeEach(async () => {
  service = await makeService();
  await service.work(4);
});

/** Without what it is stored with. */
function entryIn(item: Item) {
  return auditEntrySchema.strip().parse(unmarshalItem(item));
}

/** From that entry on, with hashes as they must be. */
async function rewriteChain(from: number): Promise<void> {
  let previous: string | null = null;
  for (const item of await service.items(auditPartition(ACME))) {
    const entry = entryIn(item);
    const forged = { ...entry, actor: entry.sequence < from ? entry.actor : 'person:nobody', previous };
    const hash = hashOf(forged);
    const changed = marshalItem({ actor: forged.actor, previous, hash });
    if (entry.sequence >= from) await service.put({ ...item, ...changed });
    previous = hash;
  }
}

async function inventEntry(): Promise<void> {
  const items = await service.items(auditPartition(ACME));
  const { sequence, hash } = entryIn(items.at(-1) ?? {});
  const event = {
    eventId: 'approval/x/grace',
    at: '2026-01-01T00:00:00.000Z',
    actor: 'person:grace',
    type: 'approval.given',
    detail: {},
  };
  const entry = linkEntry(ACME, event, { last: sequence, hash });
  await service.put(marshalItem({ ...entry, ...itemKeys.auditEntry(ACME, entry.sequence) }));
}

describe('a chain that was written without the state key', () => {
  it('is found out although its hashes are right, and nothing of it is exported; others are', async () => {
    await rewriteChain(2);
    expect(await service.verify()).toMatchObject({ codes: ['FORGED'] });
    expect(service.alarms).toContain('Entry 2 of an audit chain');
    expect(await service.export()).toMatchObject({ failed: 1, broken: 1, tenants: 1 });
    expect(service.measured.get('AuditChainsBroken')).toBe(1);
    expect((await service.archive.list('')).map((name) => name.split('/').at(-2))).toEqual([OTHER, OTHER]);
  });

  it('is found out where its last entry is an invented one, and taken up again once that is gone', async () => {
    await inventEntry();
    expect(await service.verify()).toMatchObject({ codes: ['FORGED'] });
    expect(await service.export()).toMatchObject({ failed: 1, broken: 1 });
    expect(await service.archive.list(anchorPrefix(ACME))).toEqual([]);
    const last = (await service.items(auditPartition(ACME))).at(-1);
    await service.remove(last ?? {});
    expect(await service.export()).toMatchObject({ failed: 0, broken: 0 });
    expect(await service.verify()).toMatchObject({ codes: [] });
  });

  it('is not gone on with: a change of its tenant fails, and tells of it', async () => {
    await inventEntry();
    // A process that knows nothing of the chain yet.
    const { ledger } = service.open();
    const key = await ledger.getKey(ACME, 'default');
    if (key === null) throw new Error('no key');
    await expect(
      ledger.replaceKey({ ...key, restoreEpoch: 99, revision: key.revision + 1 }),
    ).rejects.toMatchObject({
      code: 'AUDIT_BROKEN',
      message: expect.stringContaining('was not written by Keyturn'),
    });
  });

  it('is found out where a genuine entry was put in the place of another', async () => {
    const [first, second] = await service.items(auditPartition(ACME));
    if (first === undefined || second === undefined) throw new Error('no entries');
    await service.put({ ...first, sk: second['sk'] ?? { S: '' } });
    const { codes } = await service.verify();
    expect(codes).toEqual(expect.arrayContaining(['FORGED', 'REORDERED']));
    expect(await service.export()).toMatchObject({ broken: 1 });
  });
});

describe('a chain in which a newer release says more', () => {
  const LAST = itemKeys.auditEntry(ACME, 6);
  const unreadable = {
    code: 'LEDGER_ITEM_INVALID',
    message: 'An item of the ledger (audit entry) has what this release does not know: later',
    remedy: expect.stringContaining('newer release'),
  };

  it('is not called forged: it is not verified, and not exported with less; others are exported', async () => {
    await service.newer.grow(LAST);
    await expect(service.verify()).rejects.toMatchObject(unreadable);
    expect(await service.export()).toMatchObject({ failed: 1, broken: 0, tenants: 1 });
    expect(service.alarms).toEqual([]);
    expect((await service.archive.list('')).map((name) => name.split('/').at(-2))).toEqual([OTHER, OTHER]);
  });

  it('is not gone on with, before anything is changed', async () => {
    await service.newer.grow(LAST);
    const { ledger } = service.open();
    const key = await ledger.getKey(ACME, 'default');
    if (key === null) throw new Error('no key');
    const changed = { ...key, restoreEpoch: 99, revision: key.revision + 1 };
    await expect(ledger.replaceKey(changed)).rejects.toMatchObject(unreadable);
    expect(await ledger.getKey(ACME, 'default')).toEqual(key);
  });

  it('nor is an item that a newer release wrote a finding', async () => {
    await service.newer.grow(itemKeys.job('job-1'));
    await expect(service.verify()).rejects.toMatchObject({ code: 'LEDGER_ITEM_INVALID' });
  });
});

describe('an item that was damaged', () => {
  async function damage(pk: string): Promise<void> {
    for (const item of await service.items(pk)) await service.put({ ...item, more: { S: 'x' } });
  }

  it('as the mark of an export is a finding, and stops the export of that chain alone', async () => {
    await service.export();
    await damage(itemKeys.exportMark(ACME).pk);
    await service.work(1);
    expect(await service.verify()).toEqual({ tenants: [ACME, OTHER], codes: ['FORGED'] });
    expect(await service.export()).toMatchObject({ failed: 1, tenants: 1 });
  });

  it('as a key is told of once every chain was verified', async () => {
    await damage(itemKeys.key(ACME, 'default').pk);
    const tenants: string[] = [];
    const verified = async () => {
      for await (const report of service.reports()) {
        tenants.push(report.tenant);
      }
    };
    await expect(verified()).rejects.toMatchObject({ code: 'STATE_FORGED' });
    expect(tenants).toContain(OTHER);
  });
});

describe('a tenant that was taken off the lists', () => {
  async function hide(): Promise<void> {
    for (const item of await service.scan()) {
      const pk = item['pk']?.S ?? '';
      if (pk === auditPartition(ACME) || pk.startsWith(`${EVENT_PREFIX}${ACME}`)) await service.remove(item);
      else if (item['tenant']?.S === ACME) {
        const { [LIST_KEY]: _list, [LIST_ORDER]: _order, ...unlisted } = item;
        await service.put(unlisted);
      }
    }
  }

  it('is found out by its keys, with nothing archived yet', async () => {
    await hide();
    const { tenants, codes } = await service.verify();
    expect(tenants).toContain(ACME);
    expect(codes).toContain('UNRECORDED');
  });

  it('is found out by the archive, with its key gone too', async () => {
    await service.export();
    expect(await service.verify()).toEqual({ tenants: [ACME, OTHER], codes: [] });
    await hide();
    for (const item of await service.scan()) if (item['tenant']?.S === ACME) await service.remove(item);
    const { tenants, codes } = await service.verify();
    expect(tenants).toContain(ACME);
    expect(codes).toContain('TAIL_CUT');
  });
});

describe('a certificate, an approval or a census in the table', () => {
  const at = '2026-01-01T00:00:00.000Z';
  const keyId = '01900000-0000-7000-8000-000000000000';
  const of = { tenant: ACME, purpose: 'default', keyId, version: 1 };

  beforeEach(async () => {
    const { ledger } = service.open();
    const evidence = { takenAt: at };
    await ledger.createApprovalRequest({
      ...{ ...of, requestId: 'r1', action: 'purge', restoreEpoch: 0, subject: 'digest', expiresAt: at },
      ...{ requestedBy: 'test', requestedAt: at, summary: 'destroys version 1', evidence },
    });
    await ledger.createApproval({ requestId: 'r1', approver: 'ada', breakGlass: false, at, jws: 'a.b.c' });
    await ledger.createCertificate({ ...of, issuedAt: at, jws: 'a.b.c' });
    await ledger.putStoredCensus({
      ...{ ...of, censusId: 'c1', active: 2, restoreEpoch: 0, jobId: null, attempt: null, round: null },
      result: {
        ...{ takenAt: at, takenBy: 'ada', reach: 'tenant', coverage: {}, excluded: [], undeclared: null },
        ...{ onVersion: 0, stale: 0, malformed: 0, foreign: 0 },
      },
    });
  });

  const SORTS = [
    ['APPROVAL#', 'approval/r1/ada', 'APPROVER'],
    ['CERTIFICATE#', `certificate/${keyId}/1`, ''],
    ['CENSUS#', 'census/c1', ''],
  ] as const;

  /** Before the export its outbox is in the lists; after it, it is not. */
  describe.each([false, true])('that was exported: %s', (exported) => {
    it.each(SORTS)(
      'is missed when it is deleted, or edited without the state key: %s',
      async (pk, name, sk) => {
        if (exported) await service.export();
        expect(await service.verify()).toMatchObject({ codes: [] });
        const item = (await service.scan()).find(
          (each) => each['pk']?.S?.startsWith(pk) && each['sk']?.S?.startsWith(sk),
        );
        if (item === undefined) throw new Error('no item');
        await service.remove(item);
        expect(await messages()).toEqual([`GONE ${name} is not in the ledger any more`]);
        await service.put({ ...item, version: { N: '7' } });
        const [found] = await messages();
        expect(found).toMatch(`EDITED ${name} in the ledger was not written by Keyturn (STATE_FORGED)`);
        await service.put(item);
        expect(await service.verify()).toMatchObject({ codes: [] });
      },
    );
  });

  async function messages(): Promise<readonly string[]> {
    const all: string[] = [];
    for await (const { findings } of service.reports())
      all.push(...findings.map(({ code, message }) => `${code} ${message}`));
    return all;
  }

  it('is no finding where a census has lost its place in the list', async () => {
    await service.export();
    const item = (await service.scan()).find((each) => each['pk']?.S?.startsWith('CENSUS#'));
    const { [LIST_KEY]: _list, [LIST_ORDER]: _order, ...unlisted } = item ?? {};
    await service.put(unlisted);
    expect(await messages()).toEqual([]);
  });
});
