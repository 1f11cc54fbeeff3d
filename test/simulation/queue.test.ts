import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { FaultKind, Faults } from '../../simulation/faults.ts';
import { createQueueModel, type QueueSettings } from '../../simulation/models/queue.ts';
import { testState } from '../../simulation/models/state-key.ts';
import { chunkMessages, describeWorkQueue, RECEIVES } from '../contracts/work-queue.ts';
import { makeParts, runAll, START, surely } from './support/parts.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;
const SETTINGS: QueueSettings = {
  visibilitySeconds: 720,
  retentionSeconds: 14_400,
  maxReceives: RECEIVES,
  batchSize: 10,
  concurrency: 3,
};
const RETENTION = SETTINGS.retentionSeconds * SECOND;

describeWorkQueue('the model', async () => {
  const { scheduler, faults, dice } = makeParts(1);
  let handler: (event: unknown) => Promise<unknown> = () => Promise.reject(new Error('nobody works'));
  let state = testState;
  const model = (of: Faults) =>
    createQueueModel({
      scheduler,
      faults: of,
      dice,
      state: { mac: (bytes) => state.mac(bytes), verify: (bytes, mac) => state.verify(bytes, mac) },
      invoke: (_, event) => handler(event),
      settings: SETTINGS,
    });
  const queue = model(faults);
  return {
    sender: (of) => ({
      send: (messages) => {
        state = { ...testState, ...of };
        return queue.port.send(messages);
      },
    }),
    unreachable: model(surely(['queue-unavailable'])).port,
    work: (worker) => {
      handler = worker;
    },
    until: async (isSo) => {
      while (!(await isSo())) expect(await scheduler.step(START + RETENTION)).toBe(true);
    },
    waiting: async () => queue.visible() + queue.inFlight(),
    dead: async () => queue.dead(),
    stop: async () => {},
  };
});

interface Call {
  /** Milliseconds since the start. */
  readonly at: number;
  readonly ids: readonly string[];
  readonly timeout: number | undefined;
}

const eventSchema = z.object({ Records: z.array(z.object({ messageId: z.string(), body: z.string() })) });
const failing = (ids: readonly string[]) => ({
  batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })),
});
const DONE = failing([]);

interface Setup {
  readonly seed?: number;
  readonly faults?: Faults;
  readonly kinds?: readonly FaultKind[];
  readonly settings?: Partial<QueueSettings>;
  /** How long a call takes, milliseconds. */
  readonly takes?: number;
  /** What the function answers; throws what it throws. */
  readonly answer?: (ids: readonly string[], delivery: number) => unknown;
}

/** A queue with a worker that notes what it gets. */
function makeQueue({ seed = 1, kinds, settings, takes = 500, answer = () => DONE, ...given }: Setup = {}) {
  const { scheduler, dice, ...made } = makeParts(seed, kinds);
  const faults = given.faults ?? made.faults;
  const calls: Call[] = [];
  let running = 0;
  let most = 0;
  const queue = createQueueModel({
    scheduler,
    dice,
    faults,
    state: testState,
    settings: { ...SETTINGS, ...settings },
    invoke: (name, event, options) => {
      expect(name).toBe('process-chunk');
      const ids = eventSchema.parse(event).Records.map(({ messageId }) => messageId);
      calls.push({ at: scheduler.now() - START, ids, timeout: options?.timeout });
      most = Math.max(most, ++running);
      const delivery = calls.filter((call) => call.ids.some((id) => ids.includes(id))).length;
      return new Promise((resolve, reject) => {
        scheduler.after(takes, () => {
          running -= 1;
          try {
            resolve(answer(ids, delivery));
          } catch (error) {
            reject(error);
          }
        });
      });
    },
  });
  const times = (id: string) => calls.filter(({ ids }) => ids.includes(id)).length;
  return { queue, scheduler, faults, calls, times, most: () => most };
}

const idsOf = (count: number, from = 1) => Array.from({ length: count }, (_, i) => `message-${from + i}`);

describe('the event source mapping', () => {
  it('draws the size of a batch, and has no more calls at one time than it may', async () => {
    const { queue, scheduler, calls, most } = makeQueue({ takes: 5 * SECOND });
    await queue.port.send(chunkMessages(200));
    expect(queue.visible()).toBe(200);
    await runAll(scheduler);
    const sizes = new Set(calls.map(({ ids }) => ids.length));
    expect(Math.max(...sizes)).toBe(10);
    expect(Math.min(...sizes)).toBe(1);
    expect(most()).toBe(SETTINGS.concurrency);
    expect(calls.flatMap(({ ids }) => ids)).toEqual(idsOf(200));
    expect(new Set(calls.map(({ timeout }) => timeout))).toEqual(new Set([120]));
    // No visibility timeout is waited for when all is deleted.
    expect(scheduler.now() - START).toBeLessThan(SETTINGS.visibilitySeconds * SECOND);
  });

  it('hides what it hands over until it is deleted, or the visibility timeout is over', async () => {
    const { queue, scheduler, calls } = makeQueue({
      settings: { batchSize: 1 },
      answer: (_, delivery) => {
        if (delivery === 1) throw new Error('out of memory');
        return DONE;
      },
    });
    await queue.port.send(chunkMessages(1));
    await runAll(scheduler, START + SECOND);
    expect([queue.visible(), queue.inFlight(), queue.dead()]).toEqual([0, 1, 0]);
    await runAll(scheduler);
    expect([queue.visible(), queue.inFlight(), queue.dead()]).toEqual([0, 0, 0]);
    const [first = 0, second = 0] = calls.map(({ at }) => at);
    expect(second - first).toBeGreaterThanOrEqual(720 * SECOND);
    expect(second - first).toBeLessThan(721 * SECOND);
  });

  it.each([
    ['nothing', undefined],
    ['null', null],
    ['no list', {}],
    ['no failures', { batchItemFailures: null }],
  ])('takes %s for a success', async (_, answer) => {
    const { queue, scheduler, calls } = makeQueue({ answer: () => answer });
    await queue.port.send(chunkMessages(1));
    await runAll(scheduler);
    expect(calls).toHaveLength(1);
  });

  it.each([
    ['a text', 'done'],
    ['an empty id', failing([''])],
    ['no id', { batchItemFailures: [{ itemIdentifier: null }] }],
    ['another name', { batchItemFailures: [{ id: 'message-1' }] }],
    ['an id that is not of the batch', failing(['message-1', 'message-9'])],
  ])('takes %s for a failure of all', async (_, answer) => {
    const { queue, scheduler } = makeQueue({ answer: () => answer });
    await queue.port.send(chunkMessages(2));
    await runAll(scheduler, START + 2 * HOUR);
    expect(queue.dead()).toBe(2);
  });
});

describe('dead letters', () => {
  const dying = (faults?: Faults) => makeQueue({ ...(faults && { faults }), answer: (ids) => failing(ids) });

  it('keep the age of their message', async () => {
    const { queue, scheduler } = dying();
    await queue.port.send(chunkMessages(3));
    await runAll(scheduler, START + RETENTION - SECOND);
    expect(queue.dead()).toBe(3);
    await runAll(scheduler, START + RETENTION + SECOND);
    expect(queue.dead()).toBe(0);
    expect(queue.redrive()).toBe(0);
  });

  it('stay when somebody who still worked on one is done', async () => {
    const { queue, scheduler } = makeQueue({ settings: { maxReceives: 1 }, takes: 800 * SECOND });
    await queue.port.send(chunkMessages(1));
    await runAll(scheduler, START + HOUR);
    expect(queue.dead()).toBe(1);
  });

  it('are new messages when they are sent back', async () => {
    const { queue, scheduler, times } = dying();
    await queue.port.send(chunkMessages(2));
    await runAll(scheduler, START + 3 * HOUR);
    expect(queue.redrive()).toBe(2);
    expect(queue.dead()).toBe(0);
    expect(queue.visible()).toBe(2);
    await runAll(scheduler, START + RETENTION + HOUR);
    expect(queue.dead()).toBe(2);
    expect([...idsOf(4)].map(times)).toEqual([RECEIVES, RECEIVES, RECEIVES, RECEIVES]);
  });

  it('come back on their own with queue-redrive, also hours later', async () => {
    const delays: number[] = [];
    for (let seed = 1; seed <= 40; seed++) {
      const { queue, scheduler, calls } = dying(surely(['queue-redrive'], 1, seed));
      await queue.port.send(chunkMessages(1));
      await runAll(scheduler);
      expect(calls).toHaveLength(2 * RECEIVES);
      delays.push((calls[RECEIVES]?.at ?? 0) - (calls[RECEIVES - 1]?.at ?? 0) - 720 * SECOND);
    }
    expect(Math.min(...delays)).toBeLessThan(SECOND);
    expect(Math.max(...delays)).toBeGreaterThan(2 * HOUR);
  });
});

describe('a message that nobody could receive in time', () => {
  it('is gone', async () => {
    const { queue, scheduler, times } = makeQueue({
      settings: { concurrency: 1, batchSize: 1 },
      takes: RETENTION + SECOND,
    });
    await queue.port.send(chunkMessages(2));
    await runAll(scheduler, START + RETENTION - 1);
    expect(queue.visible() + queue.inFlight()).toBe(2);
    await runAll(scheduler);
    expect(queue.visible() + queue.inFlight()).toBe(0);
    expect(times('message-2')).toBe(0);
  });
});

describe('faults of the queue', () => {
  it('queue-unavailable: none, some or all of a request were taken', async () => {
    const taken = new Set<number>();
    const { queue } = makeQueue({ faults: surely(['queue-unavailable']) });
    for (let i = 0; i < 50; i++) {
      const before = queue.visible();
      await expect(queue.port.send(chunkMessages(3))).rejects.toMatchObject({ code: 'QUEUE_UNAVAILABLE' });
      taken.add(queue.visible() - before);
    }
    expect([...taken].sort()).toEqual([0, 1, 2, 3]);
  });

  it('queue-unavailable: requests before it were taken, those after it not made', async () => {
    const { queue, faults } = makeQueue({ seed: 3, kinds: ['queue-unavailable'] });
    const left = new Set<number>();
    for (let i = 0; i < 20; i++) {
      const before = queue.visible();
      const failed = await queue.port.send(chunkMessages(200)).catch(() => true);
      if (failed === true) left.add(Math.floor((queue.visible() - before) / 10));
    }
    expect(faults.fired.get('queue-unavailable')).toBeGreaterThan(5);
    expect(Math.max(...left)).toBeGreaterThan(3);
    expect(left.size).toBeGreaterThan(3);
  });

  it('queue-duplicate: delivered again though it was deleted', async () => {
    const { queue, scheduler, times, calls } = makeQueue({ faults: surely(['queue-duplicate'], 30) });
    for (let i = 0; i < 30; i++) await queue.port.send(chunkMessages(1));
    await runAll(scheduler);
    const counts = idsOf(30).map(times);
    expect([Math.min(...counts), Math.max(...counts)]).toEqual([2, 2]);
    expect(calls.some(({ at }) => at > HOUR)).toBe(true);
  });

  it('queue-redrive: what was done is a dead letter, and comes again as a new message', async () => {
    const { queue, scheduler, calls } = makeQueue({ faults: surely(['queue-redrive'], 1) });
    await queue.port.send(chunkMessages(1));
    while (queue.dead() === 0) expect(await scheduler.step(START + SECOND)).toBe(true);
    expect(calls).toHaveLength(1);
    await runAll(scheduler);
    expect(queue.dead()).toBe(0);
    expect(calls.map(({ ids }) => ids)).toEqual([['message-1'], ['message-2']]);
  });

  it('queue-delete-fails: it succeeded, and comes again after the visibility timeout', async () => {
    const { queue, scheduler, calls } = makeQueue({ faults: surely(['queue-delete-fails'], 1) });
    await queue.port.send(chunkMessages(1));
    await runAll(scheduler);
    const [first = 0, second = 0] = calls.map(({ at }) => at);
    expect(calls).toHaveLength(2);
    expect(second - first).toBeGreaterThanOrEqual(720 * SECOND);
  });

  it('queue-visibility-expiry: two workers have it at once', async () => {
    const { queue, scheduler, calls, times } = makeQueue({
      faults: surely(['queue-visibility-expiry'], 10),
      takes: 30 * SECOND,
    });
    await queue.port.send(chunkMessages(10));
    await runAll(scheduler);
    const overlaps = calls.flatMap(({ at, ids }, i) =>
      calls
        .slice(i + 1)
        .filter((other) => other.at < at + 30 * SECOND && other.ids.some((id) => ids.includes(id))),
    );
    expect(overlaps.length).toBeGreaterThan(0);
    expect(Math.max(...idsOf(10).map(times))).toBeGreaterThan(1);
    expect(queue.visible() + queue.inFlight()).toBe(0);
  });

  it('queue-visibility-expiry: a deletion by who had it before may delete nothing', async () => {
    const counts = new Set<number>();
    for (let seed = 1; seed < 30; seed++) {
      const { queue, scheduler, times } = makeQueue({
        seed,
        faults: surely(['queue-visibility-expiry'], 1),
        takes: 30 * SECOND,
        // The second worker fails: only the first could have deleted it.
        answer: (ids, delivery) => failing(delivery === 2 ? ids : []),
      });
      await queue.port.send(chunkMessages(1));
      await runAll(scheduler);
      counts.add(times('message-1'));
    }
    expect([...counts].sort()).toEqual([2, 3]);
  });

  it('queue-reorder: in another order, and late', async () => {
    const { queue, scheduler, calls } = makeQueue({ seed: 2, kinds: ['queue-reorder'] });
    await queue.port.send(chunkMessages(100));
    expect(queue.inFlight()).toBeGreaterThan(0);
    await runAll(scheduler);
    const order = calls.flatMap(({ ids }) => ids);
    expect(order).not.toEqual(idsOf(100));
    expect([...order].sort()).toEqual(idsOf(100).sort());
    expect(calls.some(({ at }) => at > 60 * SECOND)).toBe(true);
  });

  it('queue-retention-expiry: it is gone', async () => {
    const { queue, scheduler, times } = makeQueue({ faults: surely(['queue-retention-expiry'], 2) });
    await queue.port.send(chunkMessages(5));
    await runAll(scheduler);
    expect(idsOf(5).map(times)).toEqual([0, 0, 1, 1, 1]);
    expect(queue.visible() + queue.inFlight() + queue.dead()).toBe(0);
  });

  it('none fires any more once they are stopped', async () => {
    const { queue, scheduler, calls, faults } = makeQueue({ seed: 5, kinds: ALL });
    faults.stop();
    await queue.port.send(chunkMessages(50));
    await runAll(scheduler);
    expect(calls.flatMap(({ ids }) => ids)).toEqual(idsOf(50));
  });
});

const ALL = [
  'queue-duplicate',
  'queue-reorder',
  'queue-visibility-expiry',
  'queue-delete-fails',
  'queue-retention-expiry',
  'queue-redrive',
  'queue-unavailable',
] as const satisfies readonly FaultKind[];

describe('every queue', () => {
  /** A worker whose messages fail as often as they say. */
  const failures = fc.array(fc.nat(RECEIVES + 1), { minLength: 1, maxLength: 40 });

  it('delivers what was sent until it is done, or dead, and loses nothing without a fault', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), failures, async (seed, fails) => {
        const left = new Map(fails.map((count, i) => [`message-${i + 1}`, count]));
        const { queue, scheduler, times } = makeQueue({
          seed,
          answer: (ids) =>
            failing(
              ids.filter((id) => {
                const count = left.get(id) ?? 0;
                left.set(id, count - 1);
                return count > 0;
              }),
            ),
        });
        await queue.port.send(chunkMessages(fails.length));
        await runAll(scheduler, START + RETENTION - 1);
        expect(idsOf(fails.length).map(times)).toEqual(fails.map((count) => Math.min(count + 1, RECEIVES)));
        expect(queue.dead()).toBe(fails.filter((count) => count >= RECEIVES).length);
        expect(queue.visible() + queue.inFlight()).toBe(0);
      }),
      { numRuns: 60 },
    );
  });

  it('loses nothing by faults that only repeat and reorder', async () => {
    const kinds = ALL.filter((kind) => kind !== 'queue-retention-expiry' && kind !== 'queue-unavailable');
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 40 }), async (seed, count) => {
        const { queue, scheduler, times } = makeQueue({ seed, kinds });
        await queue.port.send(chunkMessages(count));
        await runAll(scheduler);
        for (const id of idsOf(count)) expect(times(id)).toBeGreaterThan(0);
      }),
      { numRuns: 60 },
    );
  });

  it('does the same again with the same seed, and something else with another', async () => {
    const run = async (seed: number) => {
      const { queue, scheduler, calls, faults } = makeQueue({
        seed,
        kinds: ALL,
        answer: (ids, delivery) => failing(delivery % 3 === 0 ? ids.slice(0, 1) : []),
      });
      for (let i = 0; i < 10; i++) await queue.port.send(chunkMessages(10)).catch(() => undefined);
      await runAll(scheduler);
      return JSON.stringify([calls, [...faults.fired], scheduler.steps]);
    };
    expect(await run(7)).toBe(await run(7));
    expect(await run(7)).not.toBe(await run(8));
  });
});
