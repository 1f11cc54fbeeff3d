import type { KeyturnEvent } from './events.ts';

/**
 * The port to the event bus. What goes out is news for others: Keyturn itself decides nothing by it, and an event may
 * be lost or come twice.
 */

/** Source of every event that Keyturn publishes. */
export const EVENT_SOURCE = 'keyturn';

export interface EventBus {
  /**
   * Publishes them all or throws: BUS_UNAVAILABLE (another try may help) or BUS_REFUSED (it would not). Some may then
   * have been published.
   */
  publish(events: readonly KeyturnEvent[]): Promise<void>;
}
