import { EventBridgeClient, PutEventsCommand, type PutEventsRequestEntry } from '@aws-sdk/client-eventbridge';
import { afterEach, describe, expect, it } from 'vitest';
import { type BusEvent, type DeadLetter, type LocalEventBus, startEventBus } from '../../local/event-bus.ts';
import { parseRules } from '../../local/event-parts.ts';
import { newUuidV7 } from '../../shared/clock/system.ts';

const NOON = Date.parse('2026-01-01T12:00:00.123Z');
const RULES = parseRules({
  asked: { bus: 'keyturn', function: 'rotation-request', pattern: { 'detail-type': ['Asked'] } },
  also: { bus: 'keyturn', function: 'monitor', pattern: { source: ['shop'], detail: { kind: ['a', 'b'] } } },
  kms: { bus: 'default', function: 'kms-event', pattern: { source: ['aws.kms'] } },
});

const ends: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

async function start(fail: (functionName: string, attempt: number) => void = () => {}) {
  const calls: { readonly name: string; readonly event: BusEvent }[] = [];
  const dead: DeadLetter[] = [];
  const bus: LocalEventBus = await startEventBus({
    rules: RULES,
    invoke: async (name, event) => {
      calls.push({ name, event: event as BusEvent });
      fail(name, calls.length);
    },
    onDeadLetter: async (letter) => void dead.push(letter),
    now: () => NOON,
    newId: newUuidV7,
    pausesMs: [1, 1],
  });
  const client = new EventBridgeClient({
    endpoint: bus.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    maxAttempts: 1,
  });
  ends.push(bus.stop, async () => client.destroy());
  const put = (...Entries: PutEventsRequestEntry[]) => client.send(new PutEventsCommand({ Entries }));
  return { bus, put, calls, dead };
}

const asked = (changes: PutEventsRequestEntry = {}): PutEventsRequestEntry => ({
  EventBusName: 'keyturn',
  Source: 'shop',
  DetailType: 'Asked',
  Detail: '{"kind":"c"}',
  ...changes,
});

describe('the embedded event bus', () => {
  it('gives an event, as EventBridge shapes it, to the function of every rule that matches', async () => {
    const { bus, put, calls } = await start();
    const reply = await put(
      asked({ Detail: '{"kind":"a"}', Resources: ['arn:x'], Time: new Date('2026-05-05T05:05:05Z') }),
    );
    await bus.idle();
    expect(reply.FailedEntryCount).toBe(0);
    const event = {
      version: '0',
      id: reply.Entries?.[0]?.EventId,
      'detail-type': 'Asked',
      source: 'shop',
      account: '000000000000',
      time: '2026-05-05T05:05:05Z',
      region: 'us-east-1',
      resources: ['arn:x'],
      detail: { kind: 'a' },
    };
    expect(calls).toEqual([
      { name: 'rotation-request', event },
      { name: 'monitor', event },
    ]);
  });

  it('takes a bus by its ARN, the time by its clock, and leaves alone what no rule of that bus matches', async () => {
    const { bus, put, calls } = await start();
    await put(asked({ EventBusName: 'arn:aws:events:us-east-1:000000000000:event-bus/keyturn' }));
    await put(asked({ EventBusName: 'default' }), asked({ DetailType: 'Other' }));
    await bus.idle();
    expect(calls.map(({ name, event }) => [name, event.time])).toEqual([
      ['rotation-request', '2026-01-01T12:00:00Z'],
    ]);
  });

  it('answers entry by entry, and takes no source of AWS’s own from the wire', async () => {
    const { bus, put, calls } = await start();
    const reply = await put(
      asked({ Source: 'aws.kms', EventBusName: 'default' }),
      asked({ Detail: 'text' }),
      asked({ Detail: '[1]' }),
      asked({ Detail: '' }),
      asked({ DetailType: '' }),
      asked({ Source: '' }),
      asked({ EventBusName: 'other' }),
      asked(),
    );
    await bus.idle();
    expect(reply.FailedEntryCount).toBe(7);
    expect(reply.Entries?.map(({ ErrorCode }) => ErrorCode)).toEqual([
      'NotAuthorizedForSourceException',
      'MalformedDetail',
      'MalformedDetail',
      'InvalidArgument',
      'InvalidArgument',
      'InvalidArgument',
      'InvalidArgument',
      undefined,
    ]);
    expect(calls).toHaveLength(1);
    bus.deliver({ source: 'aws.kms', 'detail-type': 'x', detail: {} });
    await bus.idle();
    expect(calls[1]).toMatchObject({ name: 'kms-event', event: { source: 'aws.kms' } });
  });

  it.each([
    ['no entry', []],
    ['eleven entries', Array.from({ length: 11 }, () => asked())],
    ['more than a megabyte', [asked({ Detail: JSON.stringify({ text: 'é'.repeat(524_288) }) })]],
  ])('refuses a call with %s as a whole', async (_, entries) => {
    const { bus, put, calls } = await start();
    await expect(put(...entries)).rejects.toMatchObject({ name: 'ValidationException' });
    await bus.idle();
    expect(calls).toEqual([]);
  });

  it('answers no other operation, and no page', async () => {
    const { bus } = await start();
    const call = (headers: Record<string, string>) =>
      fetch(bus.endpoint, { method: 'POST', headers, body: '{}' }).then(async (reply) => ({
        status: reply.status,
        text: await reply.text(),
      }));
    expect(await call({ 'x-amz-target': 'AWSEvents.DeleteRule' })).toMatchObject({
      status: 400,
      text: expect.stringContaining('UnknownOperationException'),
    });
    expect(await call({ 'x-amz-target': 'AWSEvents.PutEvents', origin: 'http://example.org' })).toMatchObject(
      {
        status: 403,
      },
    );
  });

  it('tries again what fails, for as long as Lambda would', async () => {
    const { bus, put, calls, dead } = await start((_, attempt) => {
      if (attempt < 3) throw new Error('not yet');
    });
    await put(asked());
    await bus.idle();
    expect(calls).toHaveLength(3);
    expect(dead).toEqual([]);
  });

  it('puts what keeps failing aside, with the event and the last error', async () => {
    const { bus, put, calls, dead } = await start((_, attempt) => {
      throw new TypeError(`try ${attempt}`);
    });
    const reply = await put(asked());
    await bus.idle();
    expect(calls).toHaveLength(3);
    expect(dead).toEqual([
      {
        origin: 'asked',
        function: 'rotation-request',
        event: expect.objectContaining({ id: reply.Entries?.[0]?.EventId }),
        error: new TypeError('try 3'),
      },
    ]);
  });

  it('ends while a function runs, after it', async () => {
    let finish = () => {};
    const { bus, put } = await start(() => {});
    const running = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const slow = await startEventBus({
      rules: RULES,
      invoke: () => running,
      onDeadLetter: async () => undefined,
      now: () => NOON,
      newId: newUuidV7,
    });
    slow.deliver({ source: 'aws.kms' });
    let stopped = false;
    const stop = slow.stop().then(() => {
      stopped = true;
    });
    await put(asked());
    await bus.idle();
    expect(stopped).toBe(false);
    finish();
    await stop;
    expect(stopped).toBe(true);
  });
});
