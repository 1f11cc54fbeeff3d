import type { Clock } from '../clock/clock.ts';
import { type Chain, createChain } from './chain.ts';
import { type AuditEvent, type AuditStore, isPending, type LedgerStore, type OpenOutbox } from './outbox.ts';

/** The port to the audit for what is no change of an item: events, exports, verification. */
export interface Audit extends AuditStore, Pick<LedgerStore, 'readKey' | 'readJob' | 'readRestore'> {
  /** Puts an event of the tenant into its chain, once however often it is recorded. */
  record(tenant: string, event: RecordedEvent): Promise<void>;
  /** Appends the outbox's event, if it is not in the chain yet, and closes the outbox. */
  settle(outbox: OpenOutbox): Promise<void>;
}

export type RecordedEvent = Pick<AuditEvent, 'eventId' | 'type' | 'detail'>;

export interface AuditParts {
  readonly clock: Pick<Clock, 'now'>;
  /** Who writes: `person:<name>`, `function:<name>`. Asked at each write. */
  readonly actor: () => string;
  /** Shared by all that write through one process. */
  readonly chain?: Chain;
}

export function createAudit(store: LedgerStore, parts: AuditParts): Audit {
  const { clock, actor, chain = createChain(store) } = parts;
  return {
    ...store,
    async record(tenant, event) {
      const afterSequence = await chain.reach(tenant);
      const at = new Date(clock.now()).toISOString();
      // An item of its own, as there is none that the event changes: recorded again, the first one stands.
      const { item } = await store.createAuditEvent({ ...event, tenant, at, actor: actor(), afterSequence });
      if (isPending(item)) await chain.append(tenant, item, item.afterSequence);
    },
    async settle(outbox) {
      const { event } = outbox;
      await store.closeOutbox(outbox, await chain.append(event.tenant, event, event.afterSequence));
    },
  };
}
