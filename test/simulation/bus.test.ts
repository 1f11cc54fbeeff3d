import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { RULES } from '../../local/event-parts.ts';
import { rotationRequestEventSchema } from '../../shared/bus/rotation-request.ts';
import { BusError, LedgerError } from '../../shared/errors/errors.ts';
import type { FaultKind, Faults } from '../../simulation/faults.ts';
import { createBusModel, type EmittedEvent, LATEST_EVENT_MS } from '../../simulation/models/bus.ts';
import {
  API_CALLS,
  kmsApiCall,
  kmsNativeEvent,
  kmsServiceEvent,
  NATIVE_EVENTS,
  rotationRequest,
  SERVICE_EVENTS,
} from '../../simulation/models/incoming-events.ts';
import { createProcess } from '../../simulation/process.ts';
import { createTrouble } from '../../simulation/trouble.ts';
import { describeEventBus, type ReceivedEvent } from '../contracts/event-bus.ts';
import { rotationCompleted } from '../support/bus-events.ts';
import { createTestHistory, makeParts, runAll, START, surely } from './support/parts.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const ROOT_KEY = 'arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab';
const KNOWN = { tenants: ['acme', 'other'], rootKeys: () => [ROOT_KEY] };
const REQUEST = rotationRequest({ tenant: 'acme', requestId: 'r-1', requestedBy: 'billing' });
const DISABLED = kmsApiCall('DisableKey', ROOT_KEY);

describeEventBus('the model', async () => {
  const { scheduler, dice, faults } = makeParts(1);
  const history = createTestHistory(scheduler);
  const { port } = createBusModel({
    ...{ scheduler, dice, faults, history, known: KNOWN },
    invoke: () => Promise.reject(new Error('nobody is called')),
  });
  let taken = 0;
  /** As a process that meets this trouble reaches it. */
  const reached = (troubles: Faults): typeof port => {
    const clock = { now: scheduler.now, elapsed: scheduler.now, sleep: () => Promise.resolve() };
    const trouble = createTrouble({ faults: troubles, dice, now: () => 0 });
    const world = {
      scheduler,
      dice,
      faults: troubles,
      trouble,
      trace: () => {},
      acting: { by: '' },
      members: new Map(),
    };
    const bus = createProcess(world, 'test', 'service', clock).port('bus', port);
    return {
      publish: async (events) => {
        const [answer] = await Promise.allSettled([bus.publish(events), runAll(scheduler)]);
        if (answer.status === 'rejected') throw answer.reason;
      },
    };
  };
  return {
    bus: reached(faults),
    unreachable: reached(surely(['event-lost'])),
    take: async () => {
      const all = history.entries.flatMap((entry) => (entry.kind === 'published' ? [entry.event] : []));
      const events = all.slice(taken) as { detailType: string; detail: unknown }[];
      taken = all.length;
      return events.map(
        ({ detailType, detail }): ReceivedEvent => ({ source: 'keyturn', 'detail-type': detailType, detail }),
      );
    },
    stop: async () => {},
  };
});

interface Call {
  /** Milliseconds since the start. */
  readonly at: number;
  readonly name: string;
  readonly event: EmittedEvent & { readonly id: string; readonly time: string };
}

interface Setup {
  readonly seed?: number;
  readonly kinds?: readonly FaultKind[];
  readonly faults?: Faults;
  readonly fails?: (call: number) => boolean;
}

function makeBus({ seed = 1, kinds, fails = () => false, ...given }: Setup = {}) {
  const { scheduler, dice, ...made } = makeParts(seed, kinds);
  const faults = given.faults ?? made.faults;
  const history = createTestHistory(scheduler);
  const calls: Call[] = [];
  const bus = createBusModel({
    ...{ scheduler, dice, faults, history, known: KNOWN },
    invoke: async (name, event) => {
      calls.push({ at: scheduler.now() - START, name, event: event as Call['event'] });
      if (fails(calls.length)) throw new LedgerError('LEDGER_UNAVAILABLE', 'out of reach');
    },
  });
  return { bus, scheduler, faults, calls, history };
}

describe('what comes in', () => {
  it.each([
    ...NATIVE_EVENTS.map((name) => [name, 'kms-event', kmsNativeEvent(name, ROOT_KEY)] as const),
    ...API_CALLS.map((name) => [name, 'kms-event', kmsApiCall(name, ROOT_KEY)] as const),
    ...SERVICE_EVENTS.map((name) => [name, 'kms-event', kmsServiceEvent(name, ROOT_KEY)] as const),
    ['a request', 'rotation-request', REQUEST] as const,
  ])('%s calls %s once, soon', async (_, name, event) => {
    const { bus, scheduler, calls } = makeBus();
    scheduler.after(HOUR, () => bus.emit(event));
    await runAll(scheduler);
    expect(calls).toEqual([
      {
        name,
        at: expect.any(Number),
        event: expect.objectContaining({ ...event, time: '2026-01-01T01:00:00Z' }),
      },
    ]);
    expect(calls[0]?.at).toBeGreaterThan(HOUR);
    expect(calls[0]?.at).toBeLessThanOrEqual(HOUR + 2 * SECOND);
  });

  it('knows every event that a rule takes', () => {
    const named = Object.values(RULES).flatMap(({ pattern }) => {
      const { 'detail-type': types = [], detail } = pattern;
      return detail === undefined
        ? types
        : Object.entries(detail).find(([name]) => name === 'eventName')?.[1];
    });
    const known = [...NATIVE_EVENTS, ...API_CALLS, ...SERVICE_EVENTS, REQUEST['detail-type']];
    // CreateKey names a new key: no root key in use.
    expect([...known, 'CreateKey'].sort()).toEqual([...named].sort());
  });

  it.each([
    ['another service', { ...DISABLED, source: 'aws.s3' }],
    ['a call that no rule names', { ...DISABLED, detail: { ...DISABLED.detail, eventName: 'Decrypt' } }],
    ['a KMS event on the other bus', { ...DISABLED, source: 'shop.billing' }],
    ['a request on the bus of AWS', { ...REQUEST, source: 'aws.kms' }],
    ['another request', { ...REQUEST, 'detail-type': 'TenantDeleted' }],
  ])('%s calls nobody', async (_, event) => {
    const { bus, scheduler, calls } = makeBus();
    bus.emit(event);
    await runAll(scheduler);
    expect(calls).toEqual([]);
  });

  it('is in no order', async () => {
    const { bus, scheduler, calls } = makeBus();
    for (let i = 0; i < 10; i++) bus.emit({ ...DISABLED, id: `own-${i}` });
    await runAll(scheduler);
    const order = calls.map(({ event }) => event.id);
    expect(order).not.toEqual([...order].sort());
    expect(new Set(order).size).toBe(10);
  });

  it('is tried three times, and then lost', async () => {
    const { bus, scheduler, calls } = makeBus({ fails: () => true });
    bus.emit(DISABLED);
    await runAll(scheduler);
    const [first = 0, ...others] = calls.map(({ at }) => at);
    expect(others.map((at) => at - first)).toEqual([60 * SECOND, 180 * SECOND]);
    expect(new Set(calls.map(({ event }) => event.id)).size).toBe(1);
  });

  it('is not tried again when it was done', async () => {
    const { bus, scheduler, calls } = makeBus({ fails: (call) => call === 1 });
    bus.emit(DISABLED);
    await runAll(scheduler);
    expect(calls).toHaveLength(2);
  });
});

describe('what goes out', () => {
  it('is in the history, and calls nobody', async () => {
    const { bus, scheduler, calls, history } = makeBus();
    await bus.port.publish([rotationCompleted(1), rotationCompleted(2)]);
    await runAll(scheduler);
    expect(history.entries).toEqual(
      [1, 2].map((from, seq) => ({ seq, at: START, kind: 'published', event: rotationCompleted(from) })),
    );
    expect(calls).toEqual([]);
  });

  it('is all refused when one of it is too large', async () => {
    const { bus, history } = makeBus();
    const large = rotationCompleted(2, 'x'.repeat(1_000_000));
    await expect(bus.port.publish([rotationCompleted(1), large])).rejects.toThrow(BusError);
    expect(history.entries).toEqual([]);
  });
});

describe('faults of the bus', () => {
  const emitMany = async (setup: Setup, count = 40) => {
    const made = makeBus(setup);
    for (let i = 0; i < count; i++) made.bus.emit(DISABLED);
    await runAll(made.scheduler);
    return made;
  };

  it('event-lost: nobody is called', async () => {
    const { calls } = await emitMany({ faults: surely(['event-lost'], 30) });
    expect(calls).toHaveLength(10);
  });

  it('event-late: up to hours', async () => {
    const { calls } = await emitMany({ faults: surely(['event-late']) });
    const times = calls.map(({ at }) => at);
    expect(times).toHaveLength(40);
    expect(Math.max(...times)).toBeGreaterThan(3 * HOUR);
    expect(Math.max(...times)).toBeLessThanOrEqual(LATEST_EVENT_MS);
  });

  it('event-doubled: the same event, again', async () => {
    const { calls } = await emitMany({ faults: surely(['event-doubled'], 20) });
    const times = new Map<string, number>();
    for (const { event } of calls) times.set(event.id, (times.get(event.id) ?? 0) + 1);
    expect([...times.values()].sort()).toEqual([...Array(20).fill(1), ...Array(20).fill(2)]);
    expect(calls.some(({ at }) => at > HOUR)).toBe(true);
  });

  it('event-forged: KMS events and requests about anything, good ones and bad ones', async () => {
    const { calls } = await emitMany({ faults: surely(['event-lost', 'event-forged']) }, 300);
    expect(calls).toHaveLength(300);
    const ofKms = calls.filter(({ name }) => name === 'kms-event');
    const requests = calls.filter(({ name }) => name === 'rotation-request');
    expect(ofKms.length + requests.length).toBe(300);
    const kms = ofKms.map(({ event }) => JSON.stringify(event));
    expect(kms.some((text) => text.includes(ROOT_KEY))).toBe(true);
    expect(kms.some((text) => text.includes('alias/'))).toBe(true);
    expect(kms.some((text) => text.includes('999999999999'))).toBe(true);
    const parsed = requests.map(({ event }) => rotationRequestEventSchema.safeParse(event));
    const tenants = parsed.flatMap(({ data }) => data?.detail.tenant ?? []);
    expect(new Set(tenants)).toEqual(new Set(['acme', 'other', 'nobody']));
    expect(parsed.some(({ success }) => !success)).toBe(true);
    const aheads = requests.map(({ event, at }) => Date.parse(event.time) - START - at);
    expect(Math.max(...aheads)).toBeGreaterThan(HOUR);
    expect(Math.min(...aheads)).toBeLessThan(-HOUR);
  });

  it('event-forged: when something is published, too', async () => {
    const { bus, scheduler, calls } = makeBus({ faults: surely(['event-forged'], 20) });
    await bus.port.publish(Array.from({ length: 30 }, (_, from) => rotationCompleted(from + 1)));
    await runAll(scheduler);
    expect(calls).toHaveLength(20);
  });
});

const ALL = ['event-lost', 'event-late', 'event-doubled', 'event-forged'] as const;

describe('every bus', () => {
  it('loses nothing without a fault', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(),
        fc.array(fc.constantFrom(DISABLED, REQUEST, kmsServiceEvent('RotateKey', ROOT_KEY))),
        async (seed, events) => {
          const { bus, scheduler, calls } = makeBus({ seed });
          for (const [i, event] of events.entries()) bus.emit({ ...event, id: `own-${i}` });
          await runAll(scheduler);
          const ids = calls.map(({ event }) => event.id).sort();
          expect(ids).toEqual(events.map((_, i) => `own-${i}`).sort());
        },
      ),
      { numRuns: 50 },
    );
  });

  it('does the same again with the same seed, and something else with another', async () => {
    const run = async (seed: number) => {
      const { bus, scheduler, calls, faults } = makeBus({
        seed,
        kinds: ALL,
        fails: (call) => call % 3 === 0,
      });
      for (let i = 0; i < 30; i++) bus.emit(i % 2 === 0 ? DISABLED : REQUEST);
      await runAll(scheduler);
      return JSON.stringify([calls, [...faults.fired], scheduler.steps]);
    };
    expect(await run(7)).toBe(await run(7));
    expect(await run(7)).not.toBe(await run(8));
  });
});
