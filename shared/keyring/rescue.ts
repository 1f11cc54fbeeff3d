import type { Clock } from '../clock/clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import type { RecordRef } from './keyring.ts';

/**
 * Marks in the ledger that a version that waits for its destruction was asked for, and for which record. False when the
 * ledger cannot be written: the caller is served all the same, and the log has it. Never throws.
 */
export async function markUse(
  ledger: Pick<Ledger, 'markUsed'>,
  clock: Pick<Clock, 'now'>,
  name: { readonly tenant: string; readonly purpose: string },
  version: number,
  where: RecordRef | undefined,
): Promise<boolean> {
  const { recordSet = null, recordId = null, field = null } = where ?? {};
  const at = new Date(clock.now()).toISOString();
  try {
    return await ledger.markUsed(name.tenant, name.purpose, { version, at, recordSet, recordId, field });
  } catch {
    return false;
  }
}
