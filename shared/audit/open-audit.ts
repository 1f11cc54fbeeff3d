import type { Clock } from '../clock/clock.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { currentActor } from './actor.ts';
import { type Audit, createAudit } from './audit.ts';
import { createAuditedLedger } from './audited-ledger.ts';
import { createChain } from './chain.ts';
import type { LedgerStore } from './outbox.ts';

/** The audited ledger and the audit, on one knowledge of the chains. `actor`: of this process. */
export function openAudit(
  store: LedgerStore,
  clock: Pick<Clock, 'now'>,
  actor: string,
): { readonly ledger: Ledger; readonly audit: Audit } {
  // Both have all of its methods: they are looked up once.
  const methods = { ...store };
  const parts = { clock, actor: () => currentActor(actor), chain: createChain(methods) };
  return { ledger: createAuditedLedger(methods, parts), audit: createAudit(methods, parts) };
}
