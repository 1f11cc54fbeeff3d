import {
  type EventBridgeClient,
  PutEventsCommand,
  type PutEventsRequestEntry,
} from '@aws-sdk/client-eventbridge';
import { BusError } from '../errors/errors.ts';
import { EVENT_SOURCE, type EventBus } from './event-bus.ts';
import type { KeyturnEvent } from './events.ts';

/** D/eventbridge/latest/APIReference/API_PutEvents.html */
const ENTRIES_A_CALL = 10;
/** "Less than 1 MB": the smaller of the two that this may mean. */
const BYTES_A_CALL = 1_000_000;
/** An entry that EventBridge did not take for a passing reason is sent again this many times. */
const TRIES = 4;
/** The retryable ones of API_PutEventsResultEntry.html. */
const PASSING: ReadonlySet<string> = new Set(['InternalFailure', 'InternalException', 'ThrottlingException']);
/** Of a whole call: what another try would not change. */
const PERMANENT: ReadonlySet<string> = new Set([
  'AccessDeniedException',
  'ResourceNotFoundException',
  'UnrecognizedClientException',
  'ValidationException',
]);

type Entry = PutEventsRequestEntry & { readonly DetailType: string; readonly Detail: string };

/** `busName`: name or ARN of the custom bus. */
export function createEventBridgeBus(client: EventBridgeClient, busName: string): EventBus {
  /** Those that have to be sent again, and the codes of those that will never be taken. */
  async function putOnce(entries: readonly Entry[]): Promise<{ again: Entry[]; refused: string[] }> {
    const { FailedEntryCount = 0, Entries = [] } = await client.send(
      new PutEventsCommand({ Entries: [...entries] }),
    );
    const again: Entry[] = [];
    const refused: string[] = [];
    if (FailedEntryCount === 0) return { again, refused };
    // The reply has one result an entry, in the same order.
    for (const [i, entry] of entries.entries()) {
      const code = Entries[i]?.ErrorCode;
      if (code === undefined && Entries[i] !== undefined) continue;
      if (code === undefined || PASSING.has(code)) again.push(entry);
      else refused.push(code);
    }
    return { again, refused };
  }

  async function putAll(entries: readonly Entry[]): Promise<void> {
    const refused: string[] = [];
    let pending = entries;
    for (let attempt = 0; attempt < TRIES && pending.length > 0; attempt++) {
      const outcome = await putOnce(pending);
      refused.push(...outcome.refused);
      pending = outcome.again;
    }
    if (refused.length > 0) throw refusal(`EventBridge refused ${refused.length} events: ${refused[0]}`);
    if (pending.length > 0) throw unavailable(`EventBridge did not take ${pending.length} events`);
  }

  return {
    async publish(events) {
      const entries = events.map((event) => entryOf(event, busName));
      for (const call of splitCalls(entries)) {
        try {
          await putAll(call);
        } catch (cause) {
          throw cause instanceof BusError ? cause : translate(cause);
        }
      }
    },
  };
}

function entryOf({ detailType, detail }: KeyturnEvent, busName: string): Entry {
  return {
    EventBusName: busName,
    Source: EVENT_SOURCE,
    DetailType: detailType,
    Detail: JSON.stringify(detail),
  };
}

/** In order, each within both limits of a call. Throws BUS_REFUSED for an event that no call can take. */
function splitCalls(entries: readonly Entry[]): Entry[][] {
  const calls: Entry[][] = [];
  let bytes = 0;
  for (const entry of entries) {
    const size = sizeOf(entry);
    if (size > BYTES_A_CALL) throw refusal(`An event of ${size} bytes is larger than a call may be`);
    const call = calls.at(-1);
    if (call !== undefined && call.length < ENTRIES_A_CALL && bytes + size <= BYTES_A_CALL) {
      call.push(entry);
      bytes += size;
    } else {
      calls.push([entry]);
      bytes = size;
    }
  }
  return calls;
}

/** As EventBridge counts. D/eventbridge/latest/userguide/eb-putevents.html */
function sizeOf({ Source = '', DetailType, Detail }: Entry): number {
  return Buffer.byteLength(Source) + Buffer.byteLength(DetailType) + Buffer.byteLength(Detail);
}

function translate(cause: unknown): BusError {
  const name = cause instanceof Error ? cause.name : 'unknown error';
  const message = `EventBridge did not take the events: ${name}`;
  return PERMANENT.has(name) ? refusal(message, cause) : unavailable(message, cause);
}

function refusal(message: string, cause?: unknown): BusError {
  return new BusError('BUS_REFUSED', message, {
    cause,
    remedy: 'Check KEYTURN_BUS_NAME and that this role has events:PutEvents on the bus.',
  });
}

function unavailable(message: string, cause?: unknown): BusError {
  return new BusError('BUS_UNAVAILABLE', message, {
    cause,
    retryable: true,
    remedy: 'Nothing is lost but the news: `keyturn status` shows every job.',
  });
}
