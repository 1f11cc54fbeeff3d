import type { AuditEntry } from '../../shared/audit/entry.ts';
import type { ExportMark } from '../../shared/audit/outbox.ts';
import {
  type Audited,
  isPending,
  type LedgerStore,
  type Outbox,
  type PendingEvent,
} from '../../shared/audit/outbox.ts';
import type { Ledger } from '../../shared/ledger/ledger.ts';

/** The outboxes and chains of a ledger in memory. */

type Items = ReadonlyMap<string, unknown>;

/** What the write that is being made leaves; a write of the memory ledger ends before anything else begins. */
let leaving: PendingEvent | null = null;
const outboxes = new WeakMap<Items, Map<string, Outbox>>();

function outboxesOf(items: Items): Map<string, Outbox> {
  const known = outboxes.get(items) ?? new Map<string, Outbox>();
  outboxes.set(items, known);
  return known;
}

/** Part of every create and replace. */
export function leaveInOutbox(items: Items, name: string): void {
  if (leaving === null) outboxesOf(items).delete(name);
  else outboxesOf(items).set(name, structuredClone(leaving));
}

/** `nameOf` gives the name under which an item stands in its map. */
export function withMemoryAudit(
  ledger: Ledger,
  kinds: Readonly<Record<string, Items>> & {
    readonly keys: Items;
    readonly jobs: Items;
    readonly restores: Items;
  },
  nameOf: (...parts: readonly unknown[]) => string,
): LedgerStore {
  const chains = new Map<string, AuditEntry[]>();
  const events = new Map<string, PendingEvent>();
  const marks = new Map<string, ExportMark>();
  const all: Readonly<Record<string, Items>> = { ...kinds, events };
  const chainOf = (tenant: string): AuditEntry[] => {
    const known = chains.get(tenant) ?? [];
    chains.set(tenant, known);
    return known;
  };
  const audited = <T>(item: T | null, items: Items, name: string): Audited<T> | null =>
    item === null ? null : { item, outbox: structuredClone(outboxesOf(items).get(name) ?? null) };
  return {
    ...ledger,
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
    readKey: async (tenant, purpose) => {
      // Read in one go with its outbox.
      const outbox = audited({}, kinds.keys, nameOf(tenant, purpose))?.outbox ?? null;
      const item = await ledger.getKey(tenant, purpose);
      return item === null ? null : { item, outbox };
    },
    readJob: async (jobId) => {
      const outbox = audited({}, kinds.jobs, jobId)?.outbox ?? null;
      const item = await ledger.getJob(jobId);
      return item === null ? null : { item, outbox };
    },
    readRestore: async (restoreId) => {
      const outbox = audited({}, kinds.restores, nameOf(restoreId))?.outbox ?? null;
      const item = await ledger.getRestore(restoreId);
      return item === null ? null : { item, outbox };
    },
    async createAuditEntry(entry) {
      const chain = chainOf(entry.tenant);
      if (chain.length >= entry.sequence) return false;
      chain[entry.sequence - 1] = structuredClone(entry);
      return true;
    },
    listAuditEntries: async (tenant, from, limit) =>
      structuredClone(
        chainOf(tenant)
          .map((entry, i) => ({ sequence: i + 1, entry, genuine: true }))
          .slice(from - 1, from - 1 + limit),
      ),
    async lastAuditEntry(tenant) {
      const entry = chainOf(tenant).at(-1);
      return entry === undefined ? null : structuredClone({ sequence: entry.sequence, entry, genuine: true });
    },
    async createAuditEvent(event) {
      const name = nameOf(event.tenant, event.eventId);
      const outbox = outboxesOf(events).get(name);
      if (outbox !== undefined) return { status: 'exists', item: structuredClone(outbox) };
      events.set(name, structuredClone(event));
      outboxesOf(events).set(name, structuredClone(event));
      return { status: 'created', item: event };
    },
    listOpenOutboxes: async () =>
      Object.entries(all).flatMap(([kind, items]) =>
        [...outboxesOf(items)].flatMap(([name, outbox]) =>
          isPending(outbox) ? [{ place: JSON.stringify([kind, name]), event: structuredClone(outbox) }] : [],
        ),
      ),
    async closeOutbox({ place, event: { eventId } }, sequence) {
      const [kind = '', name = ''] = JSON.parse(place);
      const stored = outboxesOf(all[kind] ?? new Map()).get(name);
      if (stored?.eventId === eventId) outboxesOf(all[kind] ?? new Map()).set(name, { eventId, sequence });
    },
    getExportMark: async (tenant) => structuredClone(marks.get(tenant) ?? null),
    listExportMarks: async () => structuredClone([...marks.values()]),
    async putExportMark(mark) {
      if ((marks.get(mark.tenant)?.revision ?? 0) !== mark.revision - 1) return false;
      marks.set(mark.tenant, structuredClone(mark));
      return true;
    },
  };
}
