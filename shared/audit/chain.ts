import { AuditError } from '../errors/errors.ts';
import { digestOf } from '../signing/canonical-json.ts';
import type { AuditEntry } from './entry.ts';
import { type AuditEvent, type AuditStore, type ChainItem, entryAt } from './outbox.ts';

/**
 * Appends events to the chains of the tenants, each exactly once. A chain only grows and nothing in it changes, so what
 * was read of it once stays true: that is kept here, and spares the reading in most cases.
 */

export interface Chain {
  /**
   * The sequence of the event in the tenant's chain, appended now if it is not there yet. `after`: it is nowhere up to
   * there. Throws AUDIT_BROKEN when the chain has not what it had.
   */
  append(tenant: string, event: AuditEvent, after: number): Promise<number>;
  /** A sequence that the chain reaches at least, as known here or read now. */
  reach(tenant: string): Promise<number>;
}

/** The end of a chain as far as it was read. */
interface Tail {
  /** The events of the entries from here on are in `places`. */
  from: number;
  last: number;
  hash: string | null;
  readonly places: Map<string, number>;
}

const PAGE = 200;
/** Of one chain; what came before is read again when it is asked for. */
const PLACES_KEPT = 500;
const CHAINS_KEPT = 1000;
/** Refusals in a row after which nothing is there to be read. There always is: another process's entry, or the own one. */
const IDLE_TRIES = 3;

export function createChain(store: AuditStore): Chain {
  const tails = new Map<string, Tail>();

  const keep = (tenant: string, tail: Tail): Tail => {
    // The one that was used last is the last to go.
    tails.delete(tenant);
    tails.set(tenant, tail);
    for (const oldest of tails.keys()) {
      if (tails.size <= CHAINS_KEPT) break;
      tails.delete(oldest);
    }
    return tail;
  };

  const readOn = async (tenant: string, tail: Tail): Promise<void> => {
    for (;;) {
      const items = await store.listAuditEntries(tenant, tail.last + 1, PAGE);
      for (const item of items) extend(tail, requireEntry(tenant, item));
      if (items.length < PAGE) return;
    }
  };

  /** A tail that knows every entry after `after`. */
  const tailAfter = async (tenant: string, after: number): Promise<Tail> => {
    const known = tails.get(tenant);
    if (known !== undefined && known.from <= after + 1) return keep(tenant, known);
    const tail: Tail = { from: after + 1, last: after, hash: null, places: new Map() };
    if (after > 0) {
      const [item] = await store.listAuditEntries(tenant, after, 1);
      if (item?.sequence !== after) throw broken(tenant, after, 'is not there any more');
      tail.hash = requireEntry(tenant, item).hash;
    }
    await readOn(tenant, tail);
    return keep(tenant, tail);
  };

  /** Whoever is refused reads what the other one wrote, another process or this one, and comes next. */
  const append = async (tenant: string, event: AuditEvent, after: number): Promise<number> => {
    let idle = 0;
    while (idle < IDLE_TRIES) {
      const tail = await tailAfter(tenant, after);
      const place = tail.places.get(event.eventId);
      if (place !== undefined) return forgetMost(tail, place);
      const entry = linkEntry(tenant, event, tail);
      if (await store.createAuditEntry(entry)) {
        extend(tail, entry);
        return forgetMost(tail, entry.sequence);
      }
      await readOn(tenant, tail);
      idle = tail.last < entry.sequence ? idle + 1 : 0;
    }
    throw new AuditError(
      'AUDIT_UNAVAILABLE',
      `The audit chain of tenant "${tenant}" takes no entry at its end, and shows none there`,
      { retryable: true },
    );
  };

  return {
    append,
    async reach(tenant) {
      const known = tails.get(tenant);
      if (known !== undefined) return known.last;
      const last = await store.lastAuditEntry(tenant);
      if (last === null) return 0;
      const { sequence, hash } = requireEntry(tenant, last);
      keep(tenant, { from: sequence + 1, last: sequence, hash, places: new Map() });
      return sequence;
    },
  };
}

/** The entry that comes next in a chain. */
export function linkEntry(
  tenant: string,
  { eventId, at, actor, type, detail }: AuditEvent,
  head: { readonly last: number; readonly hash: string | null },
): AuditEntry {
  const entry = {
    ...{ tenant, sequence: head.last + 1, eventId, at, actor, type, detail },
    previous: head.hash,
  };
  return { ...entry, hash: hashOf(entry) };
}

export function hashOf({ tenant, sequence, eventId, at, actor, type, detail, previous }: Unhashed): string {
  return digestOf({ tenant, sequence, eventId, at, actor, type, detail, previous });
}

type Unhashed = Omit<AuditEntry, 'hash'>;

/** Two that read on at the same time see the same entries; the second one's are known. */
function extend(tail: Tail, entry: AuditEntry): void {
  if (entry.sequence !== tail.last + 1) return;
  tail.last = entry.sequence;
  tail.hash = entry.hash;
  tail.places.set(entry.eventId, entry.sequence);
}

/** Once an event is found or appended; not before, as it may be the oldest. Returns `place`. */
function forgetMost(tail: Tail, place: number): number {
  for (const [eventId, sequence] of tail.places) {
    if (tail.places.size <= PLACES_KEPT) break;
    tail.places.delete(eventId);
    tail.from = sequence + 1;
  }
  return place;
}

function requireEntry(tenant: string, item: ChainItem): AuditEntry {
  const entry = entryAt(tenant, item);
  if (entry === null) {
    throw broken(
      tenant,
      item.sequence,
      item.genuine ? 'is not an entry of that place' : 'was not written by Keyturn',
    );
  }
  return entry;
}

function broken(tenant: string, sequence: number, what: string): AuditError {
  return new AuditError(
    'AUDIT_BROKEN',
    `Entry ${sequence} of the audit chain of tenant "${tenant}" ${what}`,
    {
      remedy: 'Somebody wrote the ledger by hand: `keyturn audit verify` says what is missing.',
    },
  );
}
