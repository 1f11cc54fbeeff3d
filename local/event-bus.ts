import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import type { EventFunctionName } from '../functions/index.ts';
import type { NewId } from '../shared/clock/clock.ts';
import { AwsError, startJsonServer } from './aws-json.ts';
import type { EventRules } from './event-parts.ts';
import { matches } from './event-pattern.ts';

/**
 * EventBridge's wire protocol (JSON 1.1) with the rules of events/rules.json behind it. Events live in memory: what is
 * under way when the stack stops is lost, and the daily sweep finds what it would have said.
 */

/** D/eventbridge/latest/ref/overiew-event-structure.html */
export interface BusEvent {
  readonly version: '0';
  readonly id: string;
  readonly 'detail-type': string;
  readonly source: string;
  readonly account: string;
  readonly time: string;
  readonly region: string;
  readonly resources: readonly string[];
  readonly detail: Readonly<Record<string, unknown>>;
}

/** An event that a function could not handle, with the last error. */
export interface DeadLetter {
  /** The rule or schedule that it came by. */
  readonly origin: string;
  readonly function: EventFunctionName;
  readonly event: object;
  readonly error: unknown;
}

export interface LocalEventBus {
  readonly endpoint: string;
  readonly busName: string;
  /** Puts an event on the default bus as AWS's own services do. Not reached over the wire. */
  deliver(event: object): void;
  /** Resolves when every event was handled or is a dead letter. */
  idle(): Promise<void>;
  /** Waits for the calls that run; further tries are dropped. */
  stop(): Promise<void>;
}

export interface EventBusOptions {
  readonly rules: EventRules;
  /** Calls a function; throws what it throws. */
  readonly invoke: (functionName: EventFunctionName, event: object) => Promise<unknown>;
  readonly onDeadLetter: (letter: DeadLetter) => Promise<void>;
  readonly now: () => number;
  readonly newId: NewId;
  /** Waits before each further try. Lambda tries an asynchronous call again after one minute and after two. */
  readonly pausesMs?: readonly number[];
}

export const BUS_NAME = 'keyturn';
const ACCOUNT = '000000000000';
const REGION = 'us-east-1';
const PAUSES_MS: readonly number[] = [1_000, 2_000];

/** D/eventbridge/latest/APIReference/API_PutEvents.html */
const putInput = z.object({
  Entries: z
    .array(
      z.object({
        EventBusName: z.string().default('default'),
        Source: z.string().optional(),
        DetailType: z.string().max(128).optional(),
        Detail: z.string().optional(),
        Resources: z.array(z.string()).default([]),
        /** Seconds since 1970, as the JSON protocol writes times. */
        Time: z.number().optional(),
      }),
    )
    .min(1)
    .max(10),
});
type PutEntry = z.infer<typeof putInput>['Entries'][number];
const BYTES_A_CALL = 1_048_576;

export async function startEventBus(options: EventBusOptions): Promise<LocalEventBus> {
  const rules = Object.entries(options.rules);
  const running = new Set<Promise<void>>();
  const abort = new AbortController();

  function route(bus: 'default' | 'keyturn', event: object): void {
    for (const [name, rule] of rules) {
      if (rule.bus !== bus || !matches(rule.pattern, event)) continue;
      const call = invokeWithRetries(name, rule.function, event).finally(() => running.delete(call));
      running.add(call);
    }
  }

  async function invokeWithRetries(
    origin: string,
    functionName: EventFunctionName,
    event: object,
  ): Promise<void> {
    const pauses = options.pausesMs ?? PAUSES_MS;
    let error: unknown;
    for (let attempt = 0; attempt <= pauses.length; attempt++) {
      try {
        if (attempt > 0) await sleep(pauses[attempt - 1], undefined, { signal: abort.signal });
      } catch {
        return;
      }
      try {
        await options.invoke(functionName, event);
        return;
      } catch (thrown) {
        error = thrown;
      }
    }
    // Nobody is there to hear it when this fails, too; it logs.
    await options.onDeadLetter({ origin, function: functionName, event, error }).catch(() => undefined);
  }

  function put(body: unknown): object {
    const { Entries } = putInput.parse(body);
    const bytes = Entries.reduce((sum, entry) => sum + sizeOf(entry), 0);
    if (bytes >= BYTES_A_CALL)
      throw new AwsError('ValidationException', 'Total size of the entries is over 1 MB');
    const results = Entries.map((entry) => {
      const refusal = findRefusal(entry);
      if (refusal !== null) return { ErrorCode: refusal, ErrorMessage: 'The entry was not taken' };
      const event = makeEvent(entry, options);
      route(busOf(entry.EventBusName) ?? 'default', event);
      return { EventId: event.id };
    });
    return { FailedEntryCount: results.filter((result) => 'ErrorCode' in result).length, Entries: results };
  }

  const server = await startJsonServer('1.1', { 'AWSEvents.PutEvents': put });
  const idle = async () => {
    while (running.size > 0) await Promise.all(running);
  };
  return {
    endpoint: server.endpoint,
    busName: BUS_NAME,
    deliver: (event) => route('default', event),
    idle,
    async stop() {
      await server.stop();
      abort.abort();
      await idle();
    },
  };
}

/** The code that EventBridge answers for this entry; null: it takes it. */
function findRefusal({ EventBusName, Source = '', DetailType = '', Detail = '' }: PutEntry): string | null {
  if (Source === '' || DetailType === '' || Detail === '') return 'InvalidArgument';
  if (busOf(EventBusName) === null) return 'InvalidArgument';
  // The sources of AWS's own services are nobody else's.
  if (Source.startsWith('aws.')) return 'NotAuthorizedForSourceException';
  return parseDetail(Detail) === null ? 'MalformedDetail' : null;
}

/** By its name or ARN. */
function busOf(nameOrArn: string): 'default' | 'keyturn' | null {
  const name = nameOrArn.split(':event-bus/').at(-1);
  return name === 'default' || name === BUS_NAME ? name : null;
}

function makeEvent(entry: PutEntry, { now, newId }: Pick<EventBusOptions, 'now' | 'newId'>): BusEvent {
  const at = entry.Time === undefined ? now() : entry.Time * 1000;
  return {
    version: '0',
    id: newId(),
    'detail-type': entry.DetailType ?? '',
    source: entry.Source ?? '',
    account: ACCOUNT,
    // To the second, as EventBridge gives it.
    time: new Date(at).toISOString().replace(/\.\d+Z$/, 'Z'),
    region: REGION,
    resources: entry.Resources,
    detail: parseDetail(entry.Detail ?? '') ?? {},
  };
}

function parseDetail(text: string): Readonly<Record<string, unknown>> | null {
  try {
    return z.record(z.string(), z.unknown()).parse(JSON.parse(text));
  } catch {
    return null;
  }
}

/** D/eventbridge/latest/userguide/eb-putevents.html, "Calculating event entry size" */
function sizeOf({ Source = '', DetailType = '', Detail = '', Resources, Time }: PutEntry): number {
  const texts = [Source, DetailType, Detail, ...Resources];
  return texts.reduce((sum, text) => sum + Buffer.byteLength(text), Time === undefined ? 0 : 14);
}
