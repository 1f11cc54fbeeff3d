import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EVENT_SOURCE, type EventBus } from '../../shared/bus/event-bus.ts';
import type { KeyturnEvent } from '../../shared/bus/events.ts';
import { rotationCompleted } from '../support/bus-events.ts';

/** What every bus must do, run on each. */

export interface ReceivedEvent {
  readonly source: string;
  readonly 'detail-type': string;
  readonly detail: unknown;
}

export interface BusUnderTest {
  readonly bus: EventBus;
  /** Where nothing answers. */
  readonly unreachable: EventBus;
  /** What a rule on the bus got so far and was not taken yet; waits until it is `count` events or none comes any more. */
  take(count: number): Promise<readonly ReceivedEvent[]>;
  stop(): Promise<void>;
}

export function describeEventBus(name: string, start: () => Promise<BusUnderTest>): void {
  describe(`the event bus on ${name}`, () => {
    let subject: BusUnderTest;
    beforeAll(async () => {
      subject = await start();
    });
    afterAll(() => subject?.stop());

    const asReceived = ({ detailType, detail }: KeyturnEvent): ReceivedEvent => ({
      source: EVENT_SOURCE,
      'detail-type': detailType,
      detail,
    });
    const byFrom = (events: readonly ReceivedEvent[]) =>
      [...events].sort((a, b) => JSON.stringify(a.detail).localeCompare(JSON.stringify(b.detail)));

    it('takes none', async () => {
      await subject.bus.publish([]);
      expect(await subject.take(0)).toEqual([]);
    });

    it('takes more than a call can, each as it is', async () => {
      const events = Array.from({ length: 23 }, (_, i) => rotationCompleted(100 + i));
      await subject.bus.publish(events);
      expect(byFrom(await subject.take(23))).toEqual(events.map(asReceived));
    });

    it('keeps every text', async () => {
      const event = rotationCompleted(1, 'Zürich "AG" & Söhne \\ 🔑');
      await subject.bus.publish([event]);
      expect(await subject.take(1)).toEqual([asReceived(event)]);
    });

    it('refuses an event that is larger than a call may be', async () => {
      const large = rotationCompleted(1, 'x'.repeat(1_048_576));
      await expect(subject.bus.publish([large])).rejects.toMatchObject({
        name: 'BusError',
        code: 'BUS_REFUSED',
        retryable: false,
        remedy: expect.any(String),
      });
      expect(await subject.take(0)).toEqual([]);
    });

    it('is unavailable, retryable, where nothing answers', async () => {
      await expect(subject.unreachable.publish([rotationCompleted(1)])).rejects.toMatchObject({
        name: 'BusError',
        code: 'BUS_UNAVAILABLE',
        retryable: true,
        remedy: expect.any(String),
      });
    });
  });
}
