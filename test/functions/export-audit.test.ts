import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { create as createExport } from '../../functions/export-audit/index.ts';
import { create as createKmsEvent } from '../../functions/kms-event/index.ts';
import { create as createRequest } from '../../functions/rotation-request/index.ts';
import { anchorName, segmentName } from '../../shared/audit/archive-names.ts';
import type { AuditEntry } from '../../shared/audit/entry.ts';
import type { Finding } from '../../shared/audit/findings.ts';
import { entryAt, SERVICE } from '../../shared/audit/outbox.ts';
import { readSegment } from '../../shared/audit/segment.ts';
import { verifyChains } from '../../shared/audit/verify-all.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createTestRootKeys } from '../../simulation/models/root-keys.ts';
import { runRotation } from '../support/memory-machine.ts';
import { Crash, fill, KEY, prepareWorlds, TENANT, type World } from '../support/memory-world.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

let world: World;
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 4);
});

const plenty = { getRemainingTimeInMillis: () => 900_000 };
const runExport = (context = plenty) => createExport(world.deps)({}, context);

async function entriesOf(tenant: string): Promise<readonly AuditEntry[]> {
  const items = await world.ledger.listAuditEntries(tenant, 1, 100_000);
  return items.flatMap((item) => entryAt(tenant, item) ?? []);
}

async function findings(): Promise<readonly Finding[]> {
  const found: Finding[] = [];
  for await (const report of verifyChains(world.deps, null, [await world.deps.signer.publicKey()])) {
    found.push(...report.findings);
  }
  return found;
}

/** Of a tenant, as the archive has it. */
async function archived(tenant: string): Promise<readonly (AuditEntry | null)[]> {
  const { archive } = world.deps;
  const names = (await archive.list('')).filter((name) => name.startsWith(`${tenant}/`));
  const segments = await Promise.all(names.map((name) => archive.get(name)));
  return segments.flatMap((bytes) => readSegment(bytes ?? new Uint8Array()));
}

describe('an export', () => {
  it('copies what is new, once, with an anchor after it', async () => {
    const { archive } = world.deps;
    expect(await runExport()).toMatchObject({ tenants: 1, failed: 0, pending: 0 });
    const first = await entriesOf(TENANT);
    expect(await archive.list('')).toEqual(
      [segmentName(TENANT, 1, first.length), anchorName(TENANT, first.length)].sort(),
    );
    expect(await runExport()).toMatchObject({ tenants: 0, entries: 0, settled: 0 });
    const { job } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, job.jobId)).toBe('CLEAN');
    expect(await runExport()).toMatchObject({ tenants: 1, failed: 0 });
    const all = await entriesOf(TENANT);
    expect(await archived(TENANT)).toEqual(all);
    expect(await archive.list('')).toHaveLength(4);
    expect(await findings()).toEqual([]);
  });

  it('of a long chain is in segments of a thousand', async () => {
    let key = await world.key();
    for (let i = 0; i < 2400; i++) {
      key = { ...key, restoreEpoch: i, revision: key.revision + 1 };
      await world.deps.ledger.replaceKey(key);
    }
    await runExport();
    const length = (await entriesOf(TENANT)).length;
    expect((await world.deps.archive.list(`${TENANT}/`)).map((name) => name.split('/')[1])).toEqual([
      '0000000001-0000001000.jsonl',
      '0000001001-0000002000.jsonl',
      `0000002001-000000${length}.jsonl`,
    ]);
    expect((await archived(TENANT)).length).toBe(length);
    expect(await findings()).toEqual([]);
  });

  it('of many tenants keeps them apart', async () => {
    const names = Array.from({ length: 20 }, (_, i) => `tenant ${i}/..`);
    for (const name of names) await createKey(world.deps, name, 'default');
    expect(await runExport()).toMatchObject({ tenants: 21, failed: 0, left: 0 });
    expect(await findings()).toEqual([]);
  });

  it.each(['before', 'after'] as const)(
    'that dies %s any of its calls is taken up by the next',
    async (when) => {
      for (let at = 1; ; at++) {
        world = await worlds.makeWorld(createMemoryLedger());
        await requestRotation(world.deps, KEY);
        let calls = 0;
        world.faults[when] = () => {
          calls += 1;
          if (calls === at) throw new Crash('');
        };
        await runExport().catch(() => undefined);
        world.faults[when] = () => {};
        const { crashed } = world;
        if (crashed) world.restart();
        // What came since must not change the bounds of what was begun.
        await world.deps.ledger.replaceKey({
          ...(await world.key()),
          revision: (await world.key()).revision + 1,
        });
        expect(await runExport()).toMatchObject({ failed: 0, pending: 0 });
        expect(await archived(TENANT)).toEqual(await entriesOf(TENANT));
        expect(await world.ledger.listOpenOutboxes()).toEqual([]);
        expect(await findings()).toEqual([]);
        if (!crashed) {
          expect(at).toBeGreaterThan(8);
          return;
        }
      }
    },
  );

  it('by two at the same time is one', async () => {
    for (let i = 0; i < 3; i++) {
      await world.deps.ledger.replaceKey({
        ...(await world.key()),
        revision: (await world.key()).revision + 1,
      });
      const reports = await Promise.all([runExport(), runExport(), runExport()]);
      for (const report of reports) expect(report).toMatchObject({ failed: 0 });
      expect(await archived(TENANT)).toEqual(await entriesOf(TENANT));
    }
    expect(await findings()).toEqual([]);
  });

  it('stops in time, and says what is left', async () => {
    expect(await runExport({ getRemainingTimeInMillis: () => 10_000 })).toMatchObject({
      tenants: 0,
      left: 2,
    });
    expect(await runExport()).toMatchObject({ tenants: 1, left: 0 });
  });

  it('measures what could not be exported, and exports no chain that is not what it was', async () => {
    const measured = new Map<string, number>();
    world.meter.metrics = { add: (name, value) => measured.set(name, value) };
    await runExport();
    expect(Object.fromEntries(measured)).toMatchObject({
      AuditEntriesPending: 0,
      AuditExportFailures: 0,
      AuditChainsBroken: 0,
      AuditExportCompleted: 1,
    });
    const exported = (await world.deps.archive.list('')).length;
    // An entry that was exported is not what it was; and then the chain is cut.
    await requestRotation(world.deps, KEY);
    const { audit } = world.deps;
    const rewritten: typeof audit.listAuditEntries = async (...args) =>
      (await audit.listAuditEntries(...args)).map((item) =>
        item.entry === null ? item : { ...item, entry: { ...item.entry, hash: 'x', previous: 'x' } },
      );
    const tampered = [
      { ...audit, listAuditEntries: rewritten },
      { ...audit, lastAuditEntry: async () => null },
      {
        ...audit,
        listAuditEntries: async (tenant: string, from: number, limit: number) =>
          (await audit.listAuditEntries(tenant, from, limit)).slice(0, -1),
      },
    ];
    for (const other of tampered) {
      const report = await createExport({ ...world.deps, audit: other })({}, plenty);
      expect(report).toMatchObject({ failed: 1, broken: 1, entries: 0 });
      expect(measured.get('AuditChainsBroken')).toBe(1);
      expect(await world.deps.archive.list('')).toHaveLength(exported);
    }
    expect(await runExport()).toMatchObject({ failed: 0, tenants: 1 });
    expect(await findings()).toEqual([]);
  });

  it('appends what a crash left behind, also of a job that is over', async () => {
    const { job } = await requestRotation(world.deps, KEY);
    world.faults.before = (call) => {
      if (call === 'ledger.createAuditEntry' && ended) throw new Crash('');
    };
    let ended = false;
    world.faults.after = (call) => {
      if (call !== 'ledger.replaceJob') return;
      ended = true;
    };
    await runRotation(world, job.jobId).catch(() => undefined);
    expect(world.crashed).toBe(true);
    world.faults.before = () => {};
    world.faults.after = () => {};
    world.restart();
    expect(await runExport()).toMatchObject({ pending: 0, failed: 0 });
    expect(await world.ledger.listOpenOutboxes()).toEqual([]);
    expect(await findings()).toEqual([]);
  });
});

describe('in the chain is', () => {
  it('a request from the bus, once', async () => {
    const event = {
      'detail-type': 'TenantKeyRotationRequested',
      source: 'billing',
      time: new Date(world.clock.now()).toISOString(),
      detail: { schemaVersion: 1, tenant: TENANT, requestId: 'r-1', requestedBy: 'u-9' },
    };
    for (let i = 0; i < 3; i++) await createRequest(world.deps)(event, plenty);
    const entries = (await entriesOf(TENANT)).filter(({ type }) => type === 'rotation.requested');
    expect(entries).toMatchObject([
      {
        eventId: 'request/billing/r-1',
        detail: { requestId: 'r-1', requestedBy: 'u-9', answer: 'started', purpose: 'default' },
      },
    ]);
  });

  it('a KMS event of a root key in use, once, and no other', async () => {
    const roots = createTestRootKeys();
    world = await worlds.makeWorld(createMemoryLedger(), {}, { provider: roots.provider });
    const rootKeyId = roots.provider.rootKeyFor(TENANT);
    roots.set(rootKeyId, 'DISABLED');
    const event = (key: string, id: string) => ({
      ...{ id, source: 'aws.kms', 'detail-type': 'AWS API Call via CloudTrail' },
      detail: { eventName: 'DisableKey', 'key-id': key },
    });
    for (let i = 0; i < 2; i++) await createKmsEvent(world.deps)(event(rootKeyId, 'e-1'), plenty);
    await createKmsEvent(world.deps)(event('arn:aws:kms:eu-west-1:1:key/other', 'e-2'), plenty);
    await createKmsEvent(world.deps)({ ...event(rootKeyId, 'e-3'), id: undefined }, plenty);
    expect(await entriesOf(SERVICE)).toMatchObject([
      { eventId: 'kms/e-1', type: 'kms.event', detail: { name: 'DisableKey', rootKeys: 1, changedKeys: 1 } },
    ]);
    await runExport();
    expect(await world.deps.archive.list('%service/')).toHaveLength(1);
    expect(await findings()).toEqual([]);
  });
});
