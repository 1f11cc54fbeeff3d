import { AsyncLocalStorage } from 'node:async_hooks';

/** Who acts, for the audit: a process has its actor, and a function that runs inside another process has its own. */

const current = new AsyncLocalStorage<string>();

/** Everything that `work` does, it does as this actor. */
export function actingAs<T>(actor: string, work: () => T): T {
  return current.run(actor, work);
}

export function currentActor(otherwise: string): string {
  return current.getStore() ?? otherwise;
}
