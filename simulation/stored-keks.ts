import type { TenantKey } from '../shared/keyring/key.ts';
import type { KekContext, WrappedKek } from '../shared/providers/root-key-provider.ts';
import type { History } from './history.ts';

/**
 * Of two steps that make a version at the same time, each has a KEK made, and one of them is stored: that one is the
 * version's. So the history has a KEK right before the item that its wrapping is first stored in.
 */
export function createStoredKeks(history: Pick<History, 'add'>) {
  /** By the wrapping's bytes. */
  const made = new Map<string, { readonly context: KekContext; readonly kek: Uint8Array }>();
  return {
    made(context: KekContext, kek: Uint8Array, { wrapped }: WrappedKek): void {
      made.set(nameOf(wrapped), { context, kek: Uint8Array.from(kek) });
    },
    /** A key item is being committed. */
    stored({ versions }: TenantKey): void {
      for (const { wrapped } of Object.values(versions)) {
        const name = wrapped === null ? '' : nameOf(wrapped.wrapped);
        const found = made.get(name);
        if (found === undefined) continue;
        made.delete(name);
        history.add({ kind: 'kek', ...found.context, kek: found.kek });
      }
    },
  };
}

function nameOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
