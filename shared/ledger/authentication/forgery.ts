import { LedgerError } from '../../errors/errors.ts';
import type { Authenticator } from './authenticator.ts';

/** What happens when something was not written by the pipeline: nobody goes on with it, and an alarm says so. */
export interface Guard {
  /** Throws STATE_FORGED. `what` is for people: the kind of thing and whose it is, never a record's id. */
  requireGenuine(bytes: Uint8Array, mac: string | undefined, what: string): Promise<void>;
  isGenuine(bytes: Uint8Array, mac: string | undefined): Promise<boolean>;
  /** Tells of it, and gives the error to throw. */
  forged(what: string): LedgerError;
  /** Tells of what the pipeline wrote, and this release cannot read. */
  unreadable(what: string): void;
}

/** What is told must not throw. */
export function createGuard(
  authenticator: Authenticator,
  onForged: (what: string) => void,
  onUnreadable: (what: string) => void,
): Guard {
  const forged = (what: string): LedgerError => {
    onForged(what);
    return new LedgerError('STATE_FORGED', `${what} was not written by Keyturn, or not like this`, {
      remedy:
        'Somebody else can write the ledger: stop, find out who, and restore the item from a backup (docs/runbook.md).',
    });
  };
  return {
    forged,
    unreadable: onUnreadable,
    isGenuine: (bytes, mac) => authenticator.verify(bytes, mac ?? ''),
    async requireGenuine(bytes, mac, what) {
      if (!(await authenticator.verify(bytes, mac ?? ''))) throw forged(what);
    },
  };
}
