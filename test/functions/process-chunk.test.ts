import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { EVENT_FUNCTIONS } from '../../functions/index.ts';
import { KeyError } from '../../shared/errors/errors.ts';
import type { Log, LogFields } from '../../shared/log/log.ts';
import type { MetricName } from '../../shared/metrics/metrics.ts';
import { writeBody } from '../../shared/queue/message-body.ts';
import type { ChunkMessage } from '../../shared/queue/work-queue.ts';
import { activateVersion } from '../../shared/rotation/activate-version.ts';
import { createVersion } from '../../shared/rotation/create-version.ts';
import { planSweep } from '../../shared/rotation/plan-sweep.ts';
import { readProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { proveVersion } from '../../shared/rotation/prove-version.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { createTestState, testState } from '../../simulation/models/state-key.ts';
import { list } from '../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, type World } from '../support/memory-world.ts';

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());
const context = { getRemainingTimeInMillis: () => 60_000 };

let world: World;
let jobId: string;
beforeEach(async () => {
  world = await worlds.makeWorld(createMemoryLedger());
  await fill(world, 8);
  ({ jobId } = (await requestRotation(world.deps, KEY)).job);
  await createVersion(world.deps, jobId);
  await proveVersion(world.deps, jobId);
  await activateVersion(world.deps, jobId);
  for (const task of (await planSweep(world.deps, jobId)).segments) await list(world, task, async () => {});
});

const bodies = () => Promise.all(world.queue.map((message) => writeBody(testState, message)));
const event = (texts: readonly string[]) => ({
  Records: texts.map((body, i) => ({ messageId: `m${i}`, body, attributes: {}, eventSource: 'aws:sqs' })),
});
const failed = (...ids: string[]) => ({
  batchItemFailures: ids.map((itemIdentifier) => ({ itemIdentifier })),
});
const progress = async () => sumProgress(await readProgress(world.deps, await world.job(jobId)));

function firstMessage(): ChunkMessage {
  const [message] = world.queue;
  if (message === undefined) throw new Error('nothing is queued');
  return message;
}

describe('a forged chunk', () => {
  const refusedAsIs = async (body: string) => {
    const before = await progress();
    const answer = await EVENT_FUNCTIONS['process-chunk'](world.deps)(event([body]), context);
    expect(answer).toEqual(failed('m0'));
    expect(await progress()).toEqual(before);
  };

  it.each([
    ['without a MAC', async () => JSON.stringify(firstMessage())],
    ['with a MAC under another key', () => writeBody(createTestState('attacker'), firstMessage())],
    [
      "with another chunk's MAC",
      async () => {
        const { mac } = JSON.parse((await bodies())[1] ?? '') as { mac: string };
        return JSON.stringify({ ...firstMessage(), mac });
      },
    ],
    [
      'of which a record was changed',
      async () => (await writeBody(testState, firstMessage())).replace('[["1"]', '[["5"]'),
    ],
  ])('%s is refused, nothing is written, and an alarm is told', async (_, forge) => {
    const measured: [MetricName, number][] = [];
    world.meter.metrics = { add: (name, value) => measured.push([name, value]) };
    const body = await forge();
    expect((await bodies())[0]).not.toBe(body);
    await refusedAsIs(body);
    expect(measured).toEqual(
      _ === 'without a MAC'
        ? [['ChunksFailed', 1]]
        : [
            ['StateForged', 1],
            ['ChunksFailed', 1],
          ],
    );
  });

  it.each([
    ["another tenant's records", { tenant: 'other' }],
    ['a record set that the job is not about', { recordSet: 'constructor' }],
  ])('of %s is refused also with the right MAC, and nothing is written', async (_, change) => {
    await refusedAsIs(await writeBody(testState, { ...firstMessage(), ...change }));
  });
});

describe('a batch of chunks', () => {
  it('goes on after a bad message, and reports only what failed', async () => {
    const good = await bodies();
    const unknown = { ...firstMessage(), jobId: '00000000-0000-4000-8000-000000000000' };
    const bad = [
      'not JSON',
      '{"v":2}',
      await writeBody(testState, unknown),
      JSON.stringify({ ...JSON.parse(good[0] ?? ''), more: 1 }),
    ];
    const mixed = [...bad.slice(0, 2), ...good, ...bad.slice(2)];
    const lines: LogFields[] = [];
    const log: Log = { info() {}, warn() {}, error: (_, fields) => lines.push(fields ?? {}) };
    const answer = await EVENT_FUNCTIONS['process-chunk']({ ...world.deps, log })(event(mixed), context);
    const ids = answer.batchItemFailures.map(({ itemIdentifier }) => itemIdentifier).sort();
    const after = good.length + 2;
    expect(ids).toEqual(['m0', 'm1', `m${after}`, `m${after + 1}`].sort());
    expect(await progress()).toMatchObject({ planned: 12, rewrapped: 12, remaining: 0 });
    expect(lines.map(({ code }) => code).sort()).toEqual([
      'MESSAGE_INVALID',
      'MESSAGE_INVALID',
      'MESSAGE_INVALID',
      'ROTATION_NOT_FOUND',
    ]);
    expect(JSON.stringify(lines)).not.toContain('not JSON');
  });

  it('waits a passing fault out within the call', async () => {
    const began = world.clock.now();
    let faults = 0;
    world.faults.before = (call) => {
      if (call.startsWith('store.read') && faults++ < 3)
        throw new KeyError('KEY_UNAVAILABLE', 'x', { retryable: true });
    };
    const [first = ''] = await bodies();
    expect(await EVENT_FUNCTIONS['process-chunk'](world.deps)(event([first]), context)).toEqual(failed());
    expect(faults).toBe(4);
    expect(world.clock.now() - began).toBe(200 + 1_000 + 3_000);
  });

  it('hands a chunk back whose fault does not pass, and one that fails for good at once', async () => {
    const [first = '', second = ''] = await bodies();
    let calls = 0;
    for (const [error, tries] of [
      [new KeyError('KEY_UNAVAILABLE', 'x', { retryable: true }), 4],
      [new KeyError('VERSION_STATE', 'suspended'), 1],
      [new TypeError('a bug'), 1],
    ] as const) {
      calls = 0;
      world.faults.before = (call) => {
        if (call.startsWith('store.read')) {
          calls += 1;
          throw error;
        }
      };
      expect(await EVENT_FUNCTIONS['process-chunk'](world.deps)(event([first]), context)).toEqual(
        failed('m0'),
      );
      expect(calls).toBe(tries);
    }
    world.faults.before = () => {};
    expect(await EVENT_FUNCTIONS['process-chunk'](world.deps)(event([second]), context)).toEqual(failed());
    expect(await progress()).toMatchObject({ rewrapped: 2, remaining: 10 });
  });

  it('is not done while it is not counted', async () => {
    world.faults.before = (call) => {
      if (call.startsWith('ledger.report')) throw new KeyError('VERSION_STATE', 'for good');
    };
    const [first = ''] = await bodies();
    expect(await EVENT_FUNCTIONS['process-chunk'](world.deps)(event([first]), context)).toEqual(failed('m0'));
    world.faults.before = () => {};
    expect(await EVENT_FUNCTIONS['process-chunk'](world.deps)(event([first]), context)).toEqual(failed());
    expect(await progress()).toMatchObject({ rewrapped: 0, skipped: 2, remaining: 10 });
  });

  it('reads each job once a process', async () => {
    let reads = 0;
    world.faults.before = (call) => {
      if (call === 'ledger.readJob') reads += 1;
    };
    const handler = EVENT_FUNCTIONS['process-chunk'](world.deps);
    for (const body of await bodies()) await handler(event([body]), context);
    expect(reads).toBe(1);
  });

  it('that is none is an error of the event source', async () => {
    await expect(EVENT_FUNCTIONS['process-chunk'](world.deps)({ records: [] }, context)).rejects.toThrow();
    expect(await EVENT_FUNCTIONS['process-chunk'](world.deps)({ Records: [] }, context)).toEqual(failed());
  });

  it('says what a batch did, once it is counted', async () => {
    const measured: [MetricName, number][] = [];
    world.meter.metrics = { add: (name, value) => measured.push([name, value]) };
    const row = world.people.rows.get(JSON.stringify(['1']));
    if (row !== undefined) row.values[0] = Buffer.from('no envelope');
    const handler = EVENT_FUNCTIONS['process-chunk'](world.deps);
    await handler(event([...(await bodies()), 'not JSON']), context);
    const total = (name: MetricName) =>
      measured
        .flatMap(([measuredName, value]) => (measuredName === name ? [value] : []))
        .reduce((a, b) => a + b, 0);
    expect(total('RecordsRewrapped')).toBe(11);
    expect(total('RecordsQuarantined')).toBe(1);
    expect(total('RecordsSkipped')).toBe(0);
    expect(total('ChunksFailed')).toBe(1);

    measured.length = 0;
    world.faults.before = (call) => {
      if (call.startsWith('ledger.report')) throw new KeyError('VERSION_STATE', 'for good');
    };
    const [first = ''] = await bodies();
    await handler(event([first]), context);
    expect(measured).toEqual([['ChunksFailed', 1]]);
  });
});
