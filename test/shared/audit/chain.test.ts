import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createChain, hashOf } from '../../../shared/audit/chain.ts';
import type { AuditStore } from '../../../shared/audit/outbox.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { eventNamed, readChain, requireLinked } from './harness.ts';

const TENANT = 'acme';
const NO_FAULTS = { next: () => ({ done: false as const, value: 9 }) };

describe('append', () => {
  it('links each entry to the one before, from 1', async () => {
    const store = createMemoryLedger();
    const chain = createChain(store);
    for (const name of ['a', 'b', 'c']) await chain.append(TENANT, eventNamed(name), 0);
    const entries = await readChain(store, TENANT);
    expect(entries.map(({ sequence, eventId }) => [sequence, eventId])).toEqual([
      [1, 'a'],
      [2, 'b'],
      [3, 'c'],
    ]);
    expect(entries[0]?.previous).toBeNull();
    for (const [i, entry] of entries.entries()) {
      const { hash, ...rest } = entry;
      expect(hash).toBe(hashOf(rest));
      if (i > 0) expect(entry.previous).toBe(entries[i - 1]?.hash);
    }
  });

  it('gives the place of an event that is there, and adds nothing', async () => {
    const store = createMemoryLedger();
    for (const name of ['a', 'b']) await createChain(store).append(TENANT, eventNamed(name), 0);
    for (const chain of [createChain(store), createChain(store)]) {
      expect(await chain.append(TENANT, eventNamed('a'), 0)).toBe(1);
      expect(await chain.append(TENANT, eventNamed('b'), 1)).toBe(2);
    }
    expect(await readChain(store, TENANT)).toHaveLength(2);
  });

  it('keeps the chains of tenants apart', async () => {
    const store = createMemoryLedger();
    const chain = createChain(store);
    await chain.append('a', eventNamed('x'), 0);
    await chain.append('b', eventNamed('x'), 0);
    expect(await readChain(store, 'a')).toHaveLength(1);
    expect(await readChain(store, 'b')).toHaveLength(1);
  });

  it('refuses to go on from a place that is not there any more', async () => {
    const store = createMemoryLedger();
    await createChain(store).append(TENANT, eventNamed('a'), 0);
    await expect(createChain(store).append(TENANT, eventNamed('b'), 2)).rejects.toMatchObject({
      code: 'AUDIT_BROKEN',
    });
  });

  it('finds an event that it forgot', async () => {
    const store = createMemoryLedger();
    const chain = createChain(store);
    for (let i = 1; i <= 700; i++) await chain.append(TENANT, eventNamed(`e${i}`), 0);
    expect(await chain.append(TENANT, eventNamed('e3'), 2)).toBe(3);
    expect(await chain.append(TENANT, eventNamed('e699'), 650)).toBe(699);
    expect((await readChain(store, TENANT)).length).toBe(700);
  });

  it('costs one write when nobody else appends', async () => {
    const calls: string[] = [];
    const store = counted(createMemoryLedger(), calls);
    const chain = createChain(store);
    await chain.append(TENANT, eventNamed('a'), await chain.reach(TENANT));
    calls.length = 0;
    await chain.append(TENANT, eventNamed('b'), 1);
    expect(calls).toEqual(['createAuditEntry']);
  });

  it.each([
    ['in one process', 1, 32],
    ['in four processes', 4, 8],
    ['each in a process of its own', 32, 1],
  ])('takes 32 events at once, %s, whatever the order', async (_, processes, events) => {
    await fc.assert(
      fc.asyncProperty(fc.scheduler(), async (scheduler) => {
        const ledger = createMemoryLedger();
        const runs = Array.from({ length: processes }, (_process, process) => {
          const chain = createChain(unreliable(ledger, scheduler, NO_FAULTS));
          return Array.from({ length: events }, (_event, event) =>
            chain.append(TENANT, eventNamed(`event ${process}.${event}`), 0),
          );
        });
        const places = await scheduler.waitFor(Promise.all(runs.flat()));
        expect(places.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 32 }, (_place, i) => i + 1));
        requireLinked(await readChain(ledger, TENANT));
      }),
      { numRuns: 10 },
    );
  });

  it('is refused for good only where the end takes no entry and shows none', async () => {
    const ledger = createMemoryLedger();
    const chain = createChain({ ...ledger, createAuditEntry: async () => false });
    const runs = ['a', 'b'].map((name) => chain.append(TENANT, eventNamed(name), 0));
    for (const run of await Promise.allSettled(runs)) {
      expect(run).toMatchObject({ status: 'rejected', reason: { code: 'AUDIT_UNAVAILABLE' } });
    }
  });

  it('has every event once and no gap, whoever races and whatever is lost', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.array(fc.nat(7), { minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 5 }),
        fc.infiniteStream(fc.nat(9)),
        async (scheduler, processes, faults) => {
          const ledger = createMemoryLedger();
          const appended = new Set<string>();
          const runs = processes.flatMap((events) => {
            const start = () => createChain(unreliable(ledger, scheduler, faults));
            const memory = { chain: start() };
            // A process does several things at once, on what it knows of the chain.
            return events.map(async (number) => {
              const event = eventNamed(`event ${number}`);
              while (!appended.has(event.eventId)) {
                try {
                  await memory.chain.append(TENANT, event, 0);
                  appended.add(event.eventId);
                } catch {
                  // A new process: everything that it knew is forgotten.
                  memory.chain = start();
                }
              }
            });
          });
          await scheduler.waitFor(Promise.all(runs));
          const entries = await readChain(ledger, TENANT);
          requireLinked(entries);
          expect(entries.map(({ eventId }) => eventId).sort()).toEqual([...appended].sort());
        },
      ),
      { numRuns: 200 },
    );
  });
});

function counted(store: AuditStore, calls: string[]): AuditStore {
  return new Proxy(store, {
    get(target, name: keyof AuditStore) {
      calls.push(name);
      return target[name];
    },
  });
}

/** Every call waits its turn; some crash before they are made, some after. */
function unreliable(
  store: AuditStore,
  scheduler: fc.Scheduler,
  faults: Pick<fc.Stream<number>, 'next'>,
): AuditStore {
  const slow =
    <Args extends unknown[], T>(call: (...args: Args) => Promise<T>) =>
    async (...args: Args): Promise<T> => {
      const { value: fault } = faults.next();
      await scheduler.schedule(Promise.resolve());
      if (fault === 0) throw new Error('crashed before');
      const answer = await call(...args);
      await scheduler.schedule(Promise.resolve());
      if (fault === 1) throw new Error('crashed after');
      return answer;
    };
  return {
    ...store,
    createAuditEntry: slow(store.createAuditEntry),
    listAuditEntries: slow(store.listAuditEntries),
    lastAuditEntry: slow(store.lastAuditEntry),
  };
}
