import type { Outbox } from '../../shared/audit/outbox.ts';

/** The items of one kind in a ledger in memory. */
export interface Items<T> {
  readonly stored: ReadonlyMap<string, T>;
  /** Of those items that were written with an event. */
  readonly outboxes: ReadonlyMap<string, Outbox>;
  put(id: string, item: T): void;
  remove(id: string): void;
  /** null: its last write left none. */
  leave(id: string, outbox: Outbox | null): void;
}

/** Of items that are replaced, created or deleted. */
export type ItemKind =
  | 'keys'
  | 'jobs'
  | 'rounds'
  | 'pages'
  | 'segments'
  | 'censuses'
  | 'kept'
  | 'quarantined'
  | 'restores'
  | 'certificates'
  | 'approvalRequests'
  | 'approvalVoids'
  | 'approvals'
  | 'events'
  | 'marks';

/**
 * Told of every item that was committed, as it is stored; null: it was deleted. The value is frozen. `audit`: an entry of
 * a chain.
 */
export type OnCommit = (item: ItemKind | 'audit', id: string, value: unknown) => void;

/** What was there before each of the latest changes, the latest last: an earlier moment can be had back. */
export type Past = Change[];

interface Change {
  readonly kind: ItemKind;
  readonly part: 'stored' | 'outboxes';
  readonly id: string;
  readonly before: unknown;
}

/** Changes that are remembered, at least. */
export const PAST = 64;

export function createItems<T>(kind: ItemKind, onCommit: OnCommit, past: Past): Items<T> {
  const stored = new Map<string, T>();
  const outboxes = new Map<string, Outbox>();
  const remember = (part: Change['part'], id: string, before: unknown) => {
    past.push({ kind, part, id, before });
    if (past.length >= 2 * PAST) past.splice(0, PAST);
  };
  return {
    stored,
    outboxes,
    put(id, item) {
      const copy = frozen(item);
      remember('stored', id, stored.get(id));
      stored.set(id, copy);
      onCommit(kind, id, copy);
    },
    remove(id) {
      const before = stored.get(id);
      if (!stored.delete(id)) return;
      remember('stored', id, before);
      onCommit(kind, id, null);
    },
    leave(id, outbox) {
      const before = outboxes.get(id);
      if (outbox === null && before === undefined) return;
      remember('outboxes', id, before);
      if (outbox === null) outboxes.delete(id);
      else outboxes.set(id, frozen(outbox));
    },
  };
}

/** The same as they were so many changes of the ledger ago, or as far back as is remembered. To be read only. */
export function asTheyWere<T>(items: Items<T>, kind: ItemKind, past: Past, changes: number): Items<T> {
  const parts: Readonly<Record<Change['part'], Map<string, unknown>>> = {
    stored: new Map(items.stored),
    outboxes: new Map(items.outboxes),
  };
  for (const change of past.slice(-changes).toReversed()) {
    if (change.kind !== kind) continue;
    if (change.before === undefined) parts[change.part].delete(change.id);
    else parts[change.part].set(change.id, change.before);
  }
  return { ...items, ...parts } as Items<T>;
}

/**
 * A copy that nobody can change, or the value itself where it is one already: what is read may be handed out as it is
 * stored, and of a changed item only what is new is copied. Nobody else freezes objects that go into a ledger, so what is
 * frozen is taken to be so through and through: to remember the copies would cost four times as much. Bytes cannot be
 * frozen; they are copied when they come in, and nobody writes into what a ledger gave.
 */
export function frozen<T>(value: T): T {
  return freeze(value) as T;
}

function freeze(value: unknown): unknown {
  if (Object.isFrozen(value)) return value;
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return Object.freeze(value.map(freeze));
  const copy: Record<string, unknown> = { ...(value as object) };
  for (const name in copy) {
    const part = copy[name];
    if (typeof part === 'object' && part !== null) copy[name] = freeze(part);
  }
  return Object.freeze(copy);
}
