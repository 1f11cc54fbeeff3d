import type { Outbox } from '../../shared/audit/outbox.ts';

/** The items of one kind in a ledger in memory. */
export interface Items<T> {
  readonly stored: ReadonlyMap<string, T>;
  /** Of those items that were written with an event. */
  readonly outboxes: Map<string, Outbox>;
  put(id: string, item: T): void;
  remove(id: string): void;
}

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
  | 'audit'
  | 'events'
  | 'marks';

/** Told of every item that was committed, as it is stored; null: it was deleted. The value is frozen. */
export type OnCommit = (item: ItemKind, id: string, value: unknown) => void;

export function createItems<T>(kind: ItemKind, onCommit: OnCommit): Items<T> {
  const stored = new Map<string, T>();
  return {
    stored,
    outboxes: new Map(),
    put(id, item) {
      const copy = frozen(item);
      stored.set(id, copy);
      onCommit(kind, id, copy);
    },
    remove(id) {
      if (stored.delete(id)) onCommit(kind, id, null);
    },
  };
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
