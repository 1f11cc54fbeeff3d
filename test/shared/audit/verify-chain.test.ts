import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { anchorName, segmentName } from '../../../shared/audit/archive-names.ts';
import type { Audit } from '../../../shared/audit/audit.ts';
import { linkEntry } from '../../../shared/audit/chain.ts';
import type { AuditEntry } from '../../../shared/audit/entry.ts';
import { exportChains } from '../../../shared/audit/export-chains.ts';
import type { Finding, FindingCode } from '../../../shared/audit/findings.ts';
import { openAudit } from '../../../shared/audit/open-audit.ts';
import type { LedgerStore } from '../../../shared/audit/outbox.ts';
import { writeSegment } from '../../../shared/audit/segment.ts';
import { verifyArchive, verifyChain } from '../../../shared/audit/verify-chain.ts';
import { silentLog } from '../../../shared/log/log.ts';
import { silentMetrics } from '../../../shared/metrics/metrics.ts';
import { createLocalSigner } from '../../../shared/signing/local-signer.ts';
import type { Signer } from '../../../shared/signing/signer.ts';
import { createMemoryArchive, type MemoryArchive } from '../../../simulation/models/archive.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';
import { readChain } from './harness.ts';

const TENANT = 'acme';
const clock = {
  now: () => Date.parse('2026-01-01T00:00:00.000Z'),
  monotonic: () => 0,
  sleep: async () => {},
};

let dir: string;
let signer: Signer;
let stranger: Signer;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'keyturn-audit-'));
  let calls = 0;
  const random = (bytes: Uint8Array) => {
    calls += 1;
    bytes.fill(calls);
  };
  signer = createLocalSigner({ keyFile: join(dir, 'key'), random });
  stranger = createLocalSigner({ keyFile: join(dir, 'other'), random });
  // Made one after the other, so that they differ.
  await signer.publicKey();
  await stranger.publicKey();
});
afterAll(() => rm(dir, { recursive: true, force: true }));

interface Service {
  readonly store: LedgerStore;
  readonly archive: MemoryArchive;
  readonly audit: Audit;
  /** Makes that many changes of two keys and a job. */
  work(changes: number): Promise<void>;
  export(): Promise<object>;
  verify(changed?: {
    readonly chain?: readonly AuditEntry[];
    readonly audit?: Partial<Audit>;
  }): Promise<Finding[]>;
  verifyOffline(): Promise<readonly Finding[]>;
}

function makeService(store: LedgerStore = createMemoryLedger()): Service {
  const archive = createMemoryArchive();
  const { ledger, audit } = openAudit(store, clock, 'function:test');
  const deps = {
    ...{ archive, audit, ledger, clock, signer, log: silentLog, metrics: silentMetrics },
    config: null as never,
  };
  let made = 0;
  return {
    store,
    archive,
    audit,
    async work(changes) {
      for (let i = 0; i < changes; i++) {
        made += 1;
        if (made % 3 === 0) {
          const job = await ledger.getJob('job-1');
          if (job === null) await ledger.createJob(testJob());
          else await ledger.replaceJob({ ...job, round: job.round + 1, revision: job.revision + 1 });
          continue;
        }
        const purpose = `p${made % 3}`;
        const key = await ledger.getKey(TENANT, purpose);
        if (key === null) {
          await ledger.createKey(
            testKey({ purpose, keyId: `01900000-0000-7000-8000-00000000000${made % 3}` }),
          );
        } else {
          await ledger.replaceKey({ ...key, restoreEpoch: key.restoreEpoch + 1, revision: key.revision + 1 });
        }
      }
    },
    export: () => exportChains(deps),
    async verify({ chain, audit: other } = {}) {
      const shown = chain === undefined ? {} : { listAuditEntries: listOf(chain) };
      const items = {
        keys: await ledger.listKeys(),
        jobs: await ledger.listJobs(),
        restores: [],
        requestIds: [],
      };
      const report = await verifyChain(
        { archive, audit: { ...audit, ...shown, ...other }, ledger, clock },
        TENANT,
        items,
        [await signer.publicKey()],
      );
      return [...report.findings];
    },
    verifyOffline: async () => (await verifyArchive(archive, TENANT, [await signer.publicKey()])).findings,
  };
}

/** A ledger whose places hold these entries, in this order; undefined: nothing. */
function listOf(places: readonly (AuditEntry | undefined)[], genuine = true): Audit['listAuditEntries'] {
  return async (_, from, limit) =>
    places
      .flatMap((entry, i) => (entry === undefined ? [] : [{ sequence: i + 1, entry, genuine }]))
      .filter(({ sequence }) => sequence >= from)
      .slice(0, limit);
}

function codes(findings: readonly Finding[]): FindingCode[] {
  return findings.map(({ code }) => code);
}

/** From an entry on, chained anew: what somebody does who knows how hashes are made. */
function relink(entries: readonly AuditEntry[], from: number): AuditEntry[] {
  const linked = entries.slice(0, from);
  for (const entry of entries.slice(from)) {
    const before = linked.at(-1);
    linked.push(linkEntry(TENANT, entry, { last: linked.length, hash: before?.hash ?? null }));
  }
  return linked;
}

const forged = (entry: AuditEntry): AuditEntry => ({ ...entry, actor: 'person:nobody' });

/** What is done to the chain in the ledger, and what must be found. `at` counts from 0. */
const TAMPERINGS: Readonly<
  Record<string, { change(chain: AuditEntry[], at: number): (AuditEntry | undefined)[]; found: FindingCode }>
> = {
  'an entry is edited': {
    change: (chain, at) => chain.with(at, forged(chain[at] as AuditEntry)),
    found: 'EDITED',
  },
  'an entry is edited and hashed anew': {
    change: (chain, at) => {
      const before = chain[at - 1];
      const head = { last: at, hash: before?.hash ?? null };
      return chain.with(at, linkEntry(TENANT, forged(chain[at] as AuditEntry), head));
    },
    found: 'REWRITTEN',
  },
  'an entry is edited and all that follow are chained anew': {
    change: (chain, at) => relink(chain.with(at, forged(chain[at] as AuditEntry)), at),
    found: 'REWRITTEN',
  },
  'an entry is deleted': {
    change: (chain, at) => chain.map((entry, i) => (i === at ? undefined : entry)),
    // The last one leaves no gap.
    found: 'GAP',
  },
  'an entry is deleted and the others moved up': {
    change: (chain, at) => chain.toSpliced(at, 1),
    found: 'REORDERED',
  },
  'an entry is deleted and all that follow are chained anew': {
    change: (chain, at) => relink(chain.toSpliced(at, 1), at),
    found: 'REWRITTEN',
  },
  'two entries change places': {
    change: (chain, at) => {
      const [a, b] = [chain[at] as AuditEntry, chain[at + 1] as AuditEntry];
      return chain.with(at, b).with(at + 1, a);
    },
    found: 'REORDERED',
  },
  'two entries change places and numbers': {
    change: (chain, at) => {
      const [a, b] = [chain[at] as AuditEntry, chain[at + 1] as AuditEntry];
      return chain.with(at, { ...b, sequence: a.sequence }).with(at + 1, { ...a, sequence: b.sequence });
    },
    found: 'EDITED',
  },
  'an entry is repeated': {
    change: (chain, at) => relink(chain.toSpliced(at, 0, chain[at] as AuditEntry), at),
    found: 'REPEATED',
  },
  'the end is cut off': { change: (chain, at) => chain.slice(0, at), found: 'TAIL_CUT' },
};

describe('a chain that was tampered with', () => {
  it.each(Object.entries(TAMPERINGS))('is found out when %s, wherever', async (_, { change, found }) => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 3, max: 14 }), fc.nat(), fc.nat(3), async (length, place, more) => {
        const service = makeService();
        await service.work(length);
        await service.export();
        await service.work(more);
        const chain = [...(await readChain(service.store, TENANT))];
        expect(codes(await service.verify({ chain }))).toEqual([]);
        // Among those that were exported, and not the last of them where two are needed.
        const at = place % (length - 1);
        const findings = await service.verify({ chain: change(chain, at) as AuditEntry[] });
        expect(codes(findings)).toContain(found);
        for (const finding of findings) expect(finding.message).not.toContain('nobody');
      }),
      { numRuns: 40 },
    );
  });

  it('is found out by its keys and jobs also where nothing was exported yet', async () => {
    const service = makeService();
    await service.work(9);
    for (const outbox of await service.audit.listOpenOutboxes()) await service.audit.settle(outbox);
    const chain = [...(await readChain(service.store, TENANT))];
    for (let at = 0; at < chain.length; at++) {
      expect(codes(await service.verify({ chain: chain.slice(0, at) }))).toContain('UNRECORDED');
      const without = relink(chain.toSpliced(at, 1), at);
      expect(codes(await service.verify({ chain: without }))).toContain('UNRECORDED');
    }
  });

  it('names the place', async () => {
    const service = makeService();
    await service.work(8);
    await service.export();
    const chain = [...(await readChain(service.store, TENANT))];
    expect(await service.verify({ chain: chain.with(4, forged(chain[4] as AuditEntry)) })).toEqual([
      {
        code: 'EDITED',
        tenant: TENANT,
        where: 'ledger',
        sequence: 5,
        message: 'entry 5 is not what was hashed',
      },
    ]);
    const [cut] = await service.verify({ chain: chain.slice(0, 6) });
    expect(cut).toMatchObject({
      code: 'TAIL_CUT',
      sequence: 6,
      message: 'the chain ends at 6, and an anchor says that it had come to 8',
    });
  });
});

describe('a key or job', () => {
  it('that was put back is found out', async () => {
    const service = makeService();
    await service.work(6);
    const old = await service.audit.readKey(TENANT, 'p1');
    await service.work(6);
    const readKey: Audit['readKey'] = async (tenant, purpose) =>
      purpose === 'p1' ? old : service.audit.readKey(tenant, purpose);
    // As the list shows it too.
    expect(codes(await service.verify({ audit: { readKey } }))).toEqual([]);
    const { ledger } = openAudit(service.store, clock, 'function:test');
    const keys = (await ledger.listKeys()).map((key) => (key.purpose === 'p1' ? (old?.item ?? key) : key));
    const report = await verifyChain(
      { archive: service.archive, audit: { ...service.audit, readKey }, ledger, clock },
      TENANT,
      { keys, jobs: await ledger.listJobs(), restores: [], requestIds: [] },
      [],
    );
    expect(codes(report.findings)).toEqual(['ROLLED_BACK']);
  });

  it('that is gone is found out', async () => {
    const service = makeService();
    await service.work(6);
    const { ledger } = openAudit(service.store, clock, 'function:test');
    const readJob: Audit['readJob'] = async () => null;
    const report = await verifyChain(
      { archive: service.archive, audit: { ...service.audit, readJob }, ledger, clock },
      TENANT,
      { keys: await ledger.listKeys(), jobs: [], restores: [], requestIds: [] },
      [],
    );
    expect(codes(report.findings)).toEqual(['ROLLED_BACK']);
  });

  it('that was changed around the audit is found out', async () => {
    const service = makeService();
    await service.work(6);
    const key = await service.store.getKey(TENANT, 'p1');
    if (key === null) throw new Error('no key');
    await service.store.replaceKey({ ...key, revision: key.revision + 1, restoreEpoch: 9 });
    expect(codes(await service.verify())).toEqual(['UNRECORDED']);
  });

  it('whose event still waits in its outbox is as it must be', async () => {
    const service = makeService();
    await service.work(6);
    const key = await service.store.getKey(TENANT, 'p1');
    if (key === null) throw new Error('no key');
    const next = { ...key, revision: key.revision + 1, restoreEpoch: 9 };
    const failing = { ...service.store, createAuditEntry: async () => Promise.reject(new Error('crash')) };
    await expect(openAudit(failing, clock, 'x').ledger.replaceKey(next)).rejects.toThrow('crash');
    expect(codes(await service.verify())).toEqual([]);
    expect(await service.export()).toMatchObject({ pending: 0, failed: 0 });
    expect(codes(await service.verify())).toEqual([]);
    expect((await readChain(service.store, TENANT)).at(-1)?.eventId).toBe(
      `key/${key.keyId}/${next.revision}`,
    );
  });
});

describe('an archive that was tampered with', () => {
  async function exportedTwice(): Promise<Service> {
    const service = makeService();
    await service.work(5);
    await service.export();
    await service.work(4);
    await service.export();
    return service;
  }
  const first = segmentName(TENANT, 1, 5);
  const second = segmentName(TENANT, 6, 9);

  it('is as it must be when nobody touched it', async () => {
    const service = await exportedTwice();
    expect([...service.archive.objects.keys()].sort()).toEqual(
      [first, second, anchorName(TENANT, 5), anchorName(TENANT, 9)].sort(),
    );
    expect(await service.verifyOffline()).toEqual([]);
    expect(await service.verify()).toEqual([]);
  });

  it('is found out when a segment is edited, gone or cut, with the ledger and without', async () => {
    const service = await exportedTwice();
    const chain = await readChain(service.store, TENANT);
    const changed: Record<string, [string, Uint8Array | null, FindingCode]> = {
      edited: [first, writeSegment(chain.slice(0, 5).map((e, i) => (i === 2 ? forged(e) : e))), 'EDITED'],
      'no JSON': [second, Buffer.from('nothing\n'.repeat(4)), 'EDITED'],
      'the first is gone': [first, null, 'GAP'],
      'the last is gone': [second, null, 'TAIL_CUT'],
      cut: [second, writeSegment(chain.slice(5, 8)), 'TAIL_CUT'],
      'chained anew': [
        second,
        writeSegment(
          relink(
            chain.map((e, i) => (i === 6 ? forged(e) : e)),
            6,
          ).slice(5),
        ),
        'REWRITTEN',
      ],
    };
    for (const [name, [object, bytes, code]] of Object.entries(changed)) {
      const before = service.archive.objects.get(object) ?? Buffer.alloc(0);
      if (bytes === null) service.archive.objects.delete(object);
      else service.archive.objects.set(object, bytes);
      expect(codes(await service.verifyOffline()), name).toContain(code);
      expect(codes(await service.verify()), name).toContain(code);
      service.archive.objects.set(object, before);
    }
  });

  it('is found out when its end is gone with the anchor', async () => {
    const service = await exportedTwice();
    service.archive.objects.delete(second);
    service.archive.objects.delete(anchorName(TENANT, 9));
    expect(codes(await service.verify())).toEqual(['TAIL_CUT']);
  });

  it('is found out when its anchors are gone, also with a chain that was written anew beside it', async () => {
    const service = await exportedTwice();
    const chain = await readChain(service.store, TENANT);
    const rewritten = relink(
      chain.map((e, i) => (i === 2 ? forged(e) : e)),
      2,
    );
    service.archive.objects.set(first, writeSegment(rewritten.slice(0, 5)));
    service.archive.objects.set(second, writeSegment(rewritten.slice(5)));
    for (const sequence of [5, 9]) service.archive.objects.delete(anchorName(TENANT, sequence));
    const missing: FindingCode[] = ['ANCHOR_MISSING', 'ANCHOR_MISSING'];
    expect(codes(await service.verifyOffline())).toEqual(missing);
    expect(codes(await service.verify({ chain: rewritten }))).toEqual(missing);
  });

  it.each([5, 9])('is found out when the anchor of entry %i alone is gone', async (sequence) => {
    const service = await exportedTwice();
    service.archive.objects.delete(anchorName(TENANT, sequence));
    const found = [{ code: 'ANCHOR_MISSING', where: 'archive', sequence }];
    expect(await service.verifyOffline()).toMatchObject(found);
    expect(await service.verify()).toMatchObject(found);
  });

  it('is as it must be while the anchor of its last segment is still to be written', async () => {
    const service = await exportedTwice();
    await service.work(3);
    const { put } = service.archive;
    service.archive.put = async (name, bytes) => {
      if (name === anchorName(TENANT, 12)) throw new Error('crash');
      return put(name, bytes);
    };
    expect(await service.export()).toMatchObject({ failed: 1 });
    expect(service.archive.objects.has(segmentName(TENANT, 10, 12))).toBe(true);
    expect(await service.verify()).toEqual([]);
    service.archive.put = put;
    expect(await service.export()).toMatchObject({ failed: 0 });
    expect(await service.verify()).toEqual([]);
    expect(await service.verifyOffline()).toEqual([]);
  });

  it('needs no anchor of a segment that another one holds, written after the ledger had lost its mark', async () => {
    const service = await exportedTwice();
    const chain = await readChain(service.store, TENANT);
    service.archive.objects.set(segmentName(TENANT, 6, 7), writeSegment(chain.slice(5, 7)));
    expect(await service.verify()).toEqual([]);
  });

  it('is found out when an anchor is not what was signed', async () => {
    const service = await exportedTwice();
    const name = anchorName(TENANT, 9);
    const genuine = service.archive.objects.get(name) ?? Buffer.alloc(0);
    const hash = (await readChain(service.store, TENANT))[8]?.hash ?? '';
    const at = new Date(clock.now()).toISOString();
    const anchor = { tenant: TENANT, sequence: 9, hash, at };
    const statements = [
      'nothing',
      await stranger.sign('keyturn-audit-anchor+jws', anchor),
      await signer.sign('keyturn-approval+jws', anchor),
      await signer.sign('keyturn-audit-anchor+jws', { ...anchor, tenant: 'other' }),
      await signer.sign('keyturn-audit-anchor+jws', { ...anchor, sequence: 8 }),
      await signer.sign('keyturn-audit-anchor+jws', { ...anchor, more: 1 }),
    ];
    for (const statement of statements) {
      service.archive.objects.set(name, Buffer.from(statement));
      expect(codes(await service.verifyOffline())).toEqual(['ANCHOR_INVALID']);
      expect(codes(await service.verify())).toEqual(['ANCHOR_INVALID']);
    }
    service.archive.objects.set(name, genuine);
    expect(await service.verify()).toEqual([]);
  });
});

describe('an untouched chain', () => {
  it('never alarms, also while changes are made and exported', async () => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const memory = createMemoryLedger();
        const wait = () => scheduler.schedule(Promise.resolve());
        const slow = new Proxy(memory, {
          get(target, name) {
            const method: unknown = Reflect.get(target, name);
            if (typeof method !== 'function' || name === 'leaving') return method;
            return async (...args: unknown[]) => {
              await wait();
              return Reflect.apply(method, target, args);
            };
          },
        });
        const service = makeService(slow);
        const findings: Finding[] = [];
        await scheduler.waitFor(
          Promise.all([
            service.work(12),
            service.export().then(() => service.export()),
            (async () => {
              for (let i = 0; i < 3; i++) findings.push(...(await service.verify()));
            })(),
          ]),
        );
        expect(findings).toEqual([]);
      }),
      { numRuns: 60 },
    );
  });
});
