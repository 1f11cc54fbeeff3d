import { LedgerError } from '../errors/errors.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { cancelDestroy } from './destruction.ts';

/** The canary: a version that is about to be destroyed was asked for, so something still needs it. */

const TRIES = 5;

/**
 * Calls the destruction off in the ledger. False when it is decided already, or the ledger cannot be written: the
 * caller is served all the same. Never throws.
 */
export async function callOffDestruction(
  ledger: Pick<Ledger, 'getKey' | 'replaceKey'>,
  tenant: string,
  purpose: string,
  version: number,
): Promise<boolean> {
  for (let tries = 0; tries < TRIES; tries++) {
    try {
      const key = await ledger.getKey(tenant, purpose);
      if (key === null) return false;
      const next = cancelDestroy(key, version);
      if (next !== key) await ledger.replaceKey(next);
      return true;
    } catch (error) {
      const lost = error instanceof LedgerError && error.code === 'REVISION_CONFLICT';
      if (!lost) return false;
    }
  }
  return false;
}
