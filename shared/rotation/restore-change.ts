import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import { optimistic } from './change.ts';
import type { Restore } from './restore.ts';

export async function getRestore({ ledger }: Pick<Deps, 'ledger'>, restoreId: string): Promise<Restore> {
  const restore = await ledger.getRestore(restoreId);
  if (restore !== null) return restore;
  throw new RotationError('RESTORE_NOT_FOUND', `There is no restore ${restoreId}`, {
    remedy: '`keyturn restore list` shows them.',
  });
}

/** `decide` returns the same object when there is nothing to do. Throws RESTORE_NOT_FOUND. */
export async function changeRestore(
  deps: Pick<Deps, 'ledger'>,
  restoreId: string,
  decide: (restore: Restore) => Restore,
): Promise<Restore> {
  return optimistic(async () => {
    const restore = await getRestore(deps, restoreId);
    const decided = decide(restore);
    if (decided === restore) return restore;
    const next = { ...decided, revision: restore.revision + 1 };
    await deps.ledger.replaceRestore(next);
    return next;
  });
}
