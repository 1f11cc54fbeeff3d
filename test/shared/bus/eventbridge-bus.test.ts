import { EventBridgeClient, type PutEventsCommandInput } from '@aws-sdk/client-eventbridge';
import { afterEach, describe, expect, it } from 'vitest';
import { startEventBus } from '../../../local/event-bus.ts';
import { parseRules } from '../../../local/event-parts.ts';
import { createEventBridgeBus } from '../../../shared/bus/eventbridge-bus.ts';
import { newUuidV7 } from '../../../shared/clock/system.ts';
import { describeEventBus, type ReceivedEvent } from '../../contracts/event-bus.ts';
import { rotationCompleted } from '../../support/bus-events.ts';

const connect = (endpoint: string) =>
  new EventBridgeClient({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  });

describeEventBus('the embedded bus', async () => {
  const got: ReceivedEvent[] = [];
  const server = await startEventBus({
    rules: parseRules({ all: { bus: 'keyturn', function: 'monitor', pattern: { source: ['keyturn'] } } }),
    invoke: async (_, event) => void got.push(event as ReceivedEvent),
    onDeadLetter: async () => undefined,
    now: Date.now,
    newId: newUuidV7,
  });
  const client = connect(server.endpoint);
  const nowhere = connect('http://127.0.0.1:9');
  return {
    bus: createEventBridgeBus(client, server.busName),
    unreachable: createEventBridgeBus(nowhere, server.busName),
    take: async () => {
      await server.idle();
      return got
        .splice(0)
        .map(({ source, detail, 'detail-type': type }) => ({ source, 'detail-type': type, detail }));
    },
    stop: async () => {
      client.destroy();
      nowhere.destroy();
      await server.stop();
    },
  };
});

type Entry = NonNullable<PutEventsCommandInput['Entries']>[number];

describe('what EventBridge answers, entry by entry', () => {
  const clients: EventBridgeClient[] = [];
  afterEach(() => {
    for (const client of clients.splice(0)) client.destroy();
  });

  /** A client whose server answers each entry by `codeOf`: null takes it. */
  function answering(codeOf: (entry: Entry, call: number) => string | null) {
    const client = connect('http://127.0.0.1:9');
    clients.push(client);
    const calls: Entry[][] = [];
    client.middlewareStack.add(
      () => async (args) => {
        const { Entries = [] } = args.input as PutEventsCommandInput;
        calls.push(Entries);
        const codes = Entries.map((entry) => codeOf(entry, calls.length));
        const output = {
          $metadata: {},
          FailedEntryCount: codes.filter((code) => code !== null).length,
          Entries: codes.map((code) => (code === null ? { EventId: 'id' } : { ErrorCode: code })),
        };
        return { output, response: {} };
      },
      { step: 'initialize' },
    );
    return { bus: createEventBridgeBus(client, 'bus'), calls };
  }
  const from = ({ Detail }: Entry): number => JSON.parse(Detail ?? '').from;
  const events = (count: number) => Array.from({ length: count }, (_, i) => rotationCompleted(i + 1));

  it('names bus and source in each, ten a call', async () => {
    const { bus, calls } = answering(() => null);
    await bus.publish(events(21));
    expect(calls.map((entries) => entries.length)).toEqual([10, 10, 1]);
    expect(calls.flat().map(from)).toEqual(Array.from({ length: 21 }, (_, i) => i + 1));
    for (const entry of calls.flat()) expect(entry).toMatchObject({ EventBusName: 'bus', Source: 'keyturn' });
  });

  it('splits by size, too', async () => {
    const { bus, calls } = answering(() => null);
    await bus.publish(Array.from({ length: 5 }, (_, i) => rotationCompleted(i + 1, 'é'.repeat(200_000))));
    expect(calls.map((entries) => entries.length)).toEqual([2, 2, 1]);
  });

  it.each(['InternalFailure', 'ThrottlingException'])(
    'sends again, and nothing else, what fails by %s',
    async (code) => {
      const { bus, calls } = answering((entry, call) => (from(entry) % 2 === 0 && call < 4 ? code : null));
      await bus.publish(events(6));
      expect(calls.map((entries) => entries.map(from))).toEqual([
        [1, 2, 3, 4, 5, 6],
        [2, 4, 6],
        [2, 4, 6],
        [2, 4, 6],
      ]);
    },
  );

  it('gives up after four tries, retryable, and says how many are left', async () => {
    const { bus, calls } = answering((entry) => (from(entry) < 3 ? 'ThrottlingException' : null));
    await expect(bus.publish(events(5))).rejects.toMatchObject({
      code: 'BUS_UNAVAILABLE',
      retryable: true,
      message: 'EventBridge did not take 2 events',
    });
    expect(calls).toHaveLength(4);
  });

  it.each(['AccessDeniedException', 'MalformedDetail', 'NotAuthorizedForSourceException', 'SomethingNew'])(
    'does not send again what is refused by %s, but the others',
    async (code) => {
      const { bus, calls } = answering((entry, call) =>
        from(entry) === 1 ? code : call === 1 && from(entry) === 2 ? 'InternalFailure' : null,
      );
      await expect(bus.publish(events(3))).rejects.toMatchObject({
        code: 'BUS_REFUSED',
        retryable: false,
        message: `EventBridge refused 1 events: ${code}`,
      });
      expect(calls.map((entries) => entries.map(from))).toEqual([[1, 2, 3], [2]]);
    },
  );

  it('takes an answer without an entry for a failure that passes', async () => {
    const client = connect('http://127.0.0.1:9');
    clients.push(client);
    let calls = 0;
    client.middlewareStack.add(
      () => async () => {
        calls += 1;
        return { output: { $metadata: {}, FailedEntryCount: 1, Entries: [] }, response: {} };
      },
      { step: 'initialize' },
    );
    await expect(createEventBridgeBus(client, 'bus').publish(events(1))).rejects.toMatchObject({
      code: 'BUS_UNAVAILABLE',
    });
    expect(calls).toBe(4);
  });

  it.each([
    ['AccessDeniedException', 'BUS_REFUSED', false],
    ['ResourceNotFoundException', 'BUS_REFUSED', false],
    ['InternalException', 'BUS_UNAVAILABLE', true],
    ['TimeoutError', 'BUS_UNAVAILABLE', true],
  ])('translates %s of a whole call by its name', async (name, code, retryable) => {
    const client = connect('http://127.0.0.1:9');
    clients.push(client);
    client.middlewareStack.add(
      () => async () => {
        throw Object.assign(new Error('arn:aws:events:secret'), { name });
      },
      { step: 'initialize' },
    );
    const error: unknown = await createEventBridgeBus(client, 'bus')
      .publish(events(1))
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ name: 'BusError', code, retryable });
    expect(String(error)).not.toContain('secret');
  });
});
