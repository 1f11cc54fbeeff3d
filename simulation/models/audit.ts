import type { AuditEntry } from '../../shared/audit/entry.ts';
import { type Audited, isPending, type LedgerStore, type PendingEvent } from '../../shared/audit/outbox.ts';
import type { Ledger } from '../../shared/ledger/ledger.ts';
import { frozen, type Items, type OnCommit } from './items.ts';
import type { AllItems } from './ledger.ts';

/** The outboxes and chains of a ledger in memory. */

/** What the write that is being made leaves; a write of the memory ledger ends before anything else begins. */
let leaving: PendingEvent | null = null;

/** Part of every create and replace. */
export function leaveInOutbox(items: Items<unknown>, name: string): void {
  items.leave(name, leaving);
}

type NameOf = (...parts: readonly unknown[]) => string;

/** What no list shows, and so nothing that lags. */
export type AuditChains = Pick<LedgerStore, 'createAuditEntry' | 'listAuditEntries' | 'lastAuditEntry'>;

export function createChains(onCommit: OnCommit, nameOf: NameOf): AuditChains {
  const chains = new Map<string, AuditEntry[]>();
  const chainOf = (tenant: string): AuditEntry[] => {
    const known = chains.get(tenant) ?? [];
    chains.set(tenant, known);
    return known;
  };
  return {
    async createAuditEntry(entry) {
      const chain = chainOf(entry.tenant);
      if (chain.length >= entry.sequence) return false;
      const stored = frozen(entry);
      chain[entry.sequence - 1] = stored;
      onCommit('audit', nameOf(entry.tenant, entry.sequence), stored);
      return true;
    },
    listAuditEntries: async (tenant, from, limit) =>
      chainOf(tenant)
        .slice(from - 1, from - 1 + limit)
        .map((entry, i) => ({ sequence: from + i, entry, genuine: true })),
    async lastAuditEntry(tenant) {
      const entry = chainOf(tenant).at(-1);
      return entry === undefined ? null : { sequence: entry.sequence, entry, genuine: true };
    },
  };
}

/** `nameOf` gives the name under which an item stands in its map. */
export function withMemoryAudit(
  ledger: Ledger,
  items: AllItems,
  chains: AuditChains,
  nameOf: NameOf,
): LedgerStore {
  const { events, marks } = items;
  const all: Readonly<Record<string, Items<unknown>>> = items;
  /** Read in one go with its outbox. */
  const read = async <T>(
    { outboxes }: Items<unknown>,
    name: string,
    get: () => Promise<T | null>,
  ): Promise<Audited<T> | null> => {
    const outbox = outboxes.get(name) ?? null;
    const item = await get();
    return item === null ? null : { item, outbox };
  };
  return {
    ...ledger,
    ...chains,
    leaving: (event) =>
      new Proxy(ledger, {
        get(target, property) {
          const method: unknown = Reflect.get(target, property);
          if (typeof method !== 'function') return method;
          return (...args: unknown[]) => {
            leaving = event;
            try {
              return Reflect.apply(method, target, args);
            } finally {
              leaving = null;
            }
          };
        },
      }),
    readKey: (tenant, purpose) =>
      read(items.keys, nameOf(tenant, purpose), () => ledger.getKey(tenant, purpose)),
    readJob: (jobId) => read(items.jobs, jobId, () => ledger.getJob(jobId)),
    readRestore: (restoreId) => read(items.restores, nameOf(restoreId), () => ledger.getRestore(restoreId)),
    async createAuditEvent(event) {
      const name = nameOf(event.tenant, event.eventId);
      const outbox = events.outboxes.get(name);
      if (outbox !== undefined) return { status: 'exists', item: outbox };
      events.put(name, event);
      events.leave(name, event);
      return { status: 'created', item: event };
    },
    listOpenOutboxes: async () =>
      Object.entries(all).flatMap(([kind, { outboxes }]) =>
        [...outboxes].flatMap(([name, outbox]) =>
          isPending(outbox) ? [{ place: JSON.stringify([kind, name]), event: outbox }] : [],
        ),
      ),
    async closeOutbox({ place, event: { eventId } }, sequence) {
      const [kind = '', name = ''] = JSON.parse(place);
      const of = all[kind];
      if (of?.outboxes.get(name)?.eventId === eventId) of.leave(name, { eventId, sequence });
    },
    getExportMark: async (tenant) => marks.stored.get(tenant) ?? null,
    listExportMarks: async () => [...marks.stored.values()],
    async putExportMark(mark) {
      if ((marks.stored.get(mark.tenant)?.revision ?? 0) !== mark.revision - 1) return false;
      marks.put(mark.tenant, mark);
      return true;
    },
  };
}
