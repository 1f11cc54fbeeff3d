import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import { withoutHold } from '../keyring/holds.ts';
import { changeKey, timestamp } from './change.ts';
import type { Restore } from './restore.ts';
import { changeRestore } from './restore-change.ts';
import { eachKey, type OnProgress } from './restore-lanes.ts';

/**
 * Calls a restore off of which nothing came back. Not once it is READY: then the rows may be there, and only its end
 * finds out. Repeated: releases what is left of its holds.
 */
export async function abortRestore(
  deps: Deps,
  id: string,
  onProgress: OnProgress = () => {},
): Promise<Restore> {
  const at = timestamp(deps.clock.now());
  const restore = await changeRestore(deps, id, (current) => {
    if (current.status === 'READY' || current.status === 'ENDED') {
      throw new RotationError('RESTORE_REFUSED', `Restore ${id} is ${current.status}: its rows may be back`, {
        remedy: `\`keyturn restore end ${id}\` looks, and frees the versions that nothing is found on.`,
      });
    }
    return current.status === 'BEGUN' ? { ...current, status: 'ABORTING', endedAt: at } : current;
  });
  return releaseHolds(deps, restore, onProgress);
}

/** Of a restore that is called off; also those that a process which did not know yet has placed since. */
export async function releaseHolds(
  deps: Deps,
  { restoreId: id, store }: Restore,
  onProgress: OnProgress = () => {},
): Promise<Restore> {
  const keys = (await deps.ledger.scanKeys()).filter(({ holds }) =>
    holds.some(({ holdId }) => holdId === id),
  );
  await eachKey(keys, onProgress, async ({ tenant, purpose }) => {
    await changeKey(deps, tenant, purpose, (current) => withoutHold(current, id));
  });
  deps.log.info(`restore of store ${store} called off`, { step: 'restore' });
  return changeRestore(deps, id, (current) =>
    current.status === 'ABORTING' ? { ...current, status: 'ABORTED' } : current,
  );
}
