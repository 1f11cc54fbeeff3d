import type { BusEvent } from '../../local/event-bus.ts';
import { RULES } from '../../local/event-parts.ts';
import { matches } from '../../local/event-pattern.ts';
import type { EventBus } from '../../shared/bus/event-bus.ts';
import { BusError } from '../../shared/errors/errors.ts';
import type { Dice } from '../dice.ts';
import type { Faults } from '../faults.ts';
import type { History } from '../history.ts';
import { anyTime } from './any-time.ts';
import { type Caller, callAsynchronously } from './asynchronous.ts';
import { forgedEvent, type Known, timeOf } from './forged-event.ts';

/**
 * EventBridge: what Keyturn publishes becomes part of the history, and what comes in calls the functions that
 * events/rules.json names. Events have no order.
 */

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const USUAL_MS = 2 * SECOND;
/** A late event, and the second one of a doubled event, come no later than this. */
export const LATEST_EVENT_MS = 6 * HOUR;
/** D/eventbridge/latest/APIReference/API_PutEvents.html */
const BYTES_A_CALL = 1_000_000;

/** The bus adds what is missing. */
export type EmittedEvent = Pick<BusEvent, 'source' | 'detail-type' | 'detail'> & Partial<BusEvent>;

export interface BusParts extends Caller {
  readonly faults: Faults;
  readonly dice: Dice;
  readonly history: History;
  /** What forged events are about. */
  readonly known: Known;
}

export interface BusModel {
  readonly port: EventBus;
  /** Puts an event on the bus that its source is for. What no rule takes is gone. */
  emit(event: EmittedEvent): void;
}

export function createBusModel({ scheduler, faults, dice, history, invoke, known }: BusParts): BusModel {
  let ids = 0;

  function deliver(event: BusEvent, delay: number): void {
    for (const rule of Object.values(RULES)) {
      if (rule.bus !== busOf(event) || !matches(rule.pattern, event)) continue;
      scheduler.after(delay, () => callAsynchronously({ scheduler, invoke }, rule.function, event));
    }
  }

  function complete(event: EmittedEvent): BusEvent {
    return {
      version: '0',
      id: `event-${++ids}`,
      account: '111122223333',
      time: timeOf(scheduler.now()),
      region: 'eu-central-1',
      resources: [],
      ...event,
    };
  }

  function emit(emitted: EmittedEvent): void {
    const event = complete(emitted);
    const name = event['detail-type'];
    const usual = dice.between(1, USUAL_MS);
    if (!faults.fires('event-lost', name)) {
      const isLate = faults.fires('event-late', name);
      deliver(event, isLate ? anyTime(faults.dice, LATEST_EVENT_MS) : usual);
      if (faults.fires('event-doubled', name)) deliver(event, anyTime(faults.dice, LATEST_EVENT_MS));
    }
    maybeForge(name);
  }

  /** Somebody who sees that something happened. */
  function maybeForge(where: string): void {
    if (!faults.fires('event-forged', where)) return;
    const forged = complete(forgedEvent(faults.dice, known, scheduler.now()));
    deliver(forged, anyTime(faults.dice, HOUR));
  }

  return {
    emit,
    port: {
      /** What else may fail here is trouble of the call. */
      async publish(events) {
        for (const event of events) {
          if (Buffer.byteLength(JSON.stringify(event.detail)) > BYTES_A_CALL)
            throw new BusError('BUS_REFUSED', 'An event is larger than a call may be', {
              remedy: 'Check what it holds: Keyturn publishes ids, versions and times.',
            });
        }
        for (const event of events) {
          history.add({ kind: 'published', event });
          maybeForge(event.detailType);
        }
      },
    },
  };
}

/** Only AWS's own services put events on the default bus, and they cannot put any on another. */
function busOf({ source }: BusEvent): 'default' | 'keyturn' {
  return source.startsWith('aws.') ? 'default' : 'keyturn';
}
