import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAudit } from '../../../shared/audit/audit.ts';
import { createAuditedLedger } from '../../../shared/audit/audited-ledger.ts';
import { createChain } from '../../../shared/audit/chain.ts';
import type { LedgerStore } from '../../../shared/audit/outbox.ts';
import type { Ledger } from '../../../shared/ledger/ledger.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { testJob, testKey } from '../../contracts/ledger.ts';
import { readChain, requireLinked } from './harness.ts';

const TENANT = 'acme';
const NOW = Date.parse('2026-01-01T00:00:00.000Z');

function audited(store: LedgerStore, actor = 'function:test'): Ledger {
  return createAuditedLedger(store, { clock: { now: () => NOW }, actor: () => actor });
}

async function events(store: LedgerStore): Promise<readonly string[]> {
  return (await readChain(store, TENANT)).map(({ eventId }) => eventId);
}

async function settleAll(store: LedgerStore): Promise<void> {
  const audit = createAudit(store, { clock: { now: () => NOW }, actor: () => 'function:export-audit' });
  for (const outbox of await audit.listOpenOutboxes()) await audit.settle(outbox);
}

describe('a change', () => {
  it('is in the chain when its write returns, with who made it and what it was', async () => {
    const store = createMemoryLedger();
    const ledger = audited(store, 'person:eve');
    await ledger.createKey(testKey());
    await ledger.createJob(testJob());
    await ledger.replaceKey(testKey({ revision: 2, rotationId: 'job-1' }));
    await ledger.replaceJob(testJob({ revision: 2, status: 'PREPARING' }));
    const chain = await readChain(store, TENANT);
    const { keyId } = testKey();
    expect(chain.map(({ eventId, type, actor, at }) => [eventId, type, actor, at])).toEqual(
      [
        [`key/${keyId}/1`, 'key.created'],
        ['job/job-1/1', 'job.requested'],
        [`key/${keyId}/2`, 'key.locked'],
        ['job/job-1/2', 'job.preparing'],
      ].map((row) => [...row, 'person:eve', new Date(NOW).toISOString()]),
    );
  });

  it('that was refused is not', async () => {
    const store = createMemoryLedger();
    const ledger = audited(store);
    await ledger.createKey(testKey());
    expect((await ledger.createKey(testKey())).status).toBe('exists');
    await expect(ledger.replaceKey(testKey({ revision: 3, restoreEpoch: 3 }))).rejects.toMatchObject({
      code: 'REVISION_CONFLICT',
    });
    await expect(ledger.replaceJob(testJob({ revision: 2 }))).rejects.toMatchObject({
      code: 'REVISION_CONFLICT',
    });
    expect(await events(store)).toHaveLength(1);
  });

  it('that is made twice is there once', async () => {
    const store = createMemoryLedger();
    await audited(store).createKey(testKey());
    for (const ledger of [audited(store), audited(store)]) {
      await ledger.replaceKey(testKey({ revision: 2, restoreEpoch: 1 }));
    }
    expect(await events(store)).toHaveLength(2);
  });

  it.each(['before', 'after'] as const)(
    'whose process died %s any of its calls is there in the end',
    async (when) => {
      for (let at = 1; ; at++) {
        const store = createMemoryLedger();
        await audited(store).createKey(testKey());
        const calls = { left: at };
        const dying = audited(crashing(store, calls, when));
        const next = testKey({ revision: 2, restoreEpoch: 1 });
        const crashed = await dying
          .replaceKey(next)
          .then(() => false)
          .catch(() => true);
        const written = (await store.getKey(TENANT, 'default'))?.revision === 2;
        // By whoever writes the item next.
        const last = testKey({ revision: written ? 3 : 2, restoreEpoch: 2 });
        await audited(store).replaceKey(last);
        expect(await events(store)).toEqual(
          Array.from({ length: last.revision }, (_, i) => `key/${last.keyId}/${i + 1}`),
        );
        if (!crashed) {
          expect(at).toBeGreaterThan(2);
          return;
        }
      }
    },
  );

  it('costs one request more than before', async () => {
    const store = createMemoryLedger();
    const names: string[] = [];
    const ledger = audited(
      watched(store, (name) => {
        names.push(name);
      }),
    );
    await ledger.createKey(testKey());
    for (let revision = 2; revision < 5; revision++) {
      names.length = 0;
      const key = await ledger.getKey(TENANT, 'default');
      await ledger.replaceKey({ ...(key ?? testKey()), revision });
      expect(names).toEqual(['readKey', 'replaceKey', 'createAuditEntry']);
    }
  });

  it('of an item that another process wrote before costs one read of the chain besides', async () => {
    const store = createMemoryLedger();
    await audited(store).createKey(testKey());
    const names: string[] = [];
    const ledger = audited(
      watched(store, (name) => {
        names.push(name);
      }),
    );
    const key = await ledger.getKey(TENANT, 'default');
    await ledger.replaceKey({ ...(key ?? testKey()), revision: 2 });
    expect(names).toEqual(['readKey', 'listAuditEntries', 'replaceKey', 'createAuditEntry']);
  });

  it('is there exactly once, in order, whoever races and whatever crashes', async () => {
    const step = fc.record({ item: fc.nat(3), fault: fc.nat(30) });
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.array(step, { maxLength: 8 }), { minLength: 1, maxLength: 4 }),
        async (scheduler, processes) => {
          const store = createMemoryLedger();
          const runs = processes.map(async (steps) => {
            const memory = { ledger: audited(store) };
            for (const { item, fault } of steps) {
              const calls = { left: fault };
              const wait = () => scheduler.schedule(Promise.resolve());
              // One with few calls left dies in the middle, and forgets what it knew.
              if (fault < 12) memory.ledger = audited(crashing(slow(store, wait), calls, 'after'));
              else if (fault < 20) memory.ledger = audited(slow(store, wait));
              await change(memory.ledger, item).catch((error: unknown) => {
                if (error instanceof Error && error.message === 'crashed')
                  memory.ledger = audited(slow(store, wait));
              });
            }
          });
          await scheduler.waitFor(Promise.all(runs));
          await settleAll(store);
          const entries = await readChain(store, TENANT);
          requireLinked(entries);
          const keys = (await store.listKeys()).map(
            ({ keyId, revision }) => [`key/${keyId}`, revision] as const,
          );
          const jobs = (await store.listJobs()).map(
            ({ jobId, revision }) => [`job/${jobId}`, revision] as const,
          );
          for (const [item, revision] of [...keys, ...jobs]) {
            const own = entries.map(({ eventId }) => eventId).filter((id) => id.startsWith(`${item}/`));
            expect(own).toEqual(Array.from({ length: revision }, (_, i) => `${item}/${i + 1}`));
          }
          expect(await store.listOpenOutboxes()).toEqual([]);
        },
      ),
      { numRuns: 300 },
    );
  });
});

/** Makes the item, or changes it. */
async function change(ledger: Ledger, item: number): Promise<void> {
  if (item < 2) {
    const purpose = `purpose-${item}`;
    const keyId = `01900000-0000-7000-8000-00000000000${item}`;
    const key = await ledger.getKey(TENANT, purpose);
    if (key === null) await ledger.createKey(testKey({ purpose, keyId }));
    else await ledger.replaceKey({ ...key, restoreEpoch: key.restoreEpoch + 1, revision: key.revision + 1 });
    return;
  }
  const jobId = `job-${item}`;
  const job = await ledger.getJob(jobId);
  if (job === null) await ledger.createJob(testJob({ jobId }));
  else await ledger.replaceJob({ ...job, round: job.round + 1, revision: job.revision + 1 });
}

type Around = (name: string, call: () => Promise<unknown>) => Promise<unknown>;

function around(store: object, pass: Around): LedgerStore {
  return new Proxy(store as LedgerStore, {
    get(target, name) {
      const method: unknown = Reflect.get(target, name);
      if (typeof method !== 'function' || typeof name === 'symbol') return method;
      if (name === 'leaving') {
        return (...args: unknown[]) => around(Reflect.apply(method, target, args) as object, pass);
      }
      return (...args: unknown[]) => pass(name, async () => Reflect.apply(method, target, args));
    },
  });
}

function watched(store: LedgerStore, watch: (name: string) => void): LedgerStore {
  return around(store, (name, call) => {
    watch(name);
    return call();
  });
}

function slow(store: LedgerStore, wait: () => Promise<unknown>): LedgerStore {
  return around(store, async (_, call) => {
    await wait();
    const answer = await call();
    await wait();
    return answer;
  });
}

/** Dies at the call that finds none left: no call of it gets through any more. */
function crashing(store: LedgerStore, calls: { left: number }, when: 'before' | 'after'): LedgerStore {
  let dead = false;
  return around(store, async (_, call) => {
    if (dead) throw new Error('crashed');
    calls.left -= 1;
    dead = calls.left === 0;
    if (dead && when === 'before') throw new Error('crashed');
    const answer = await call();
    if (dead) throw new Error('crashed');
    return answer;
  });
}

describe('an event that is no change', () => {
  it('is in the chain once, however often it is recorded', async () => {
    const store = createMemoryLedger();
    for (let i = 0; i < 3; i++) {
      const chain = createChain(store);
      const audit = createAudit(store, {
        clock: { now: () => NOW + i },
        actor: () => 'function:test',
        chain,
      });
      await audit.record(TENANT, { eventId: 'kms/1', type: 'kms.event', detail: { name: 'DisableKey' } });
      await audit.record(TENANT, { eventId: `other/${i}`, type: 'kms.event', detail: {} });
    }
    expect(await events(store)).toEqual(['kms/1', 'other/0', 'other/1', 'other/2']);
    await settleAll(store);
    expect(await store.listOpenOutboxes()).toEqual([]);
    expect(await events(store)).toHaveLength(4);
  });
});
