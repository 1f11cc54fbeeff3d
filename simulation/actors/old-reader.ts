import { KeyturnError } from '../../shared/errors/errors.ts';
import type { Action } from '../plan.ts';
import type { World } from '../world.ts';
import { numberIn, textIn } from './commands.ts';
import { nth } from './person.ts';

/**
 * Somebody has a copy of an old value beside the stores, such as an export, and opens it: asks for its version. A version
 * that waits for its destruction is served, and its purge called off.
 */
export function readOld(world: World, { number, choice }: Action): void {
  const tenant = textIn(choice, 'tenant');
  const purpose = textIn(choice, 'purpose');
  world.start('application', `read-old ${number}`, async (process, { ledger }) => {
    try {
      const key = await ledger.getKey(tenant, purpose);
      const old = Object.values(key?.versions ?? {}).filter(({ state }) =>
        ['RETIRING', 'DESTROY_PENDING'].includes(state),
      );
      const found = nth(old, numberIn(choice, 'pick'));
      if (key === null || found === undefined) return;
      const { version, destroyPendingAt: fencedAt } = found;
      await world.keyringOf(process).version(tenant, purpose, version);
      if (fencedAt !== null)
        world.history.add({ kind: 'given', keyId: key.keyId, version, fencedAt, by: process.name });
    } catch (error) {
      if (!(error instanceof KeyturnError)) throw error;
    }
  });
}
