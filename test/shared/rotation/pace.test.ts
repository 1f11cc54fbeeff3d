import { readFile } from 'node:fs/promises';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import type { Deps } from '../../../shared/deps/deps.ts';
import { activateVersion } from '../../../shared/rotation/activate-version.ts';
import { cancelJob } from '../../../shared/rotation/cancel-job.ts';
import { limitJob, pauseByPerson } from '../../../shared/rotation/control-job.ts';
import { createVersion } from '../../../shared/rotation/create-version.ts';
import { listSegment } from '../../../shared/rotation/list-segment.ts';
import { LISTERS_AT_ONCE } from '../../../shared/rotation/pace.ts';
import { planSweep, type SegmentTask } from '../../../shared/rotation/plan-sweep.ts';
import { proveVersion } from '../../../shared/rotation/prove-version.ts';
import { requestRotation } from '../../../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../../../simulation/models/ledger.ts';
import { createFakeClock, type FakeClock } from '../../support/clock.ts';
import { workOn } from '../../support/memory-machine.ts';
import { fill, KEY, prepareWorlds, type World } from '../../support/memory-world.ts';

/** A job's limit of records a second, kept by listers that run side by side. Time moves only when it is told to. */

const worlds = await prepareWorlds();
afterAll(() => worlds.remove());

const FAR = Number.MAX_SAFE_INTEGER;
const SECOND = 1000;

let world: World;
let deps: Deps;
let clock: FakeClock;
let jobId: string;
let segments: readonly SegmentTask[];
/** When each record was queued. */
let queuedAt: number[];

async function begin(records: number, recordsPerSecond: number | null, rotation: object = {}): Promise<void> {
  world = await worlds.makeWorld(createMemoryLedger(), { chunkSize: 100, segments: 2, ...rotation });
  await fill(world, records);
  clock = createFakeClock(world.clock.now());
  queuedAt = [];
  deps = {
    ...world.deps,
    clock,
    queue: {
      async send(messages) {
        await world.deps.queue.send(messages);
        for (const { keys } of messages) for (const _ of keys) queuedAt.push(clock.now());
      },
    },
  };
  jobId = (await requestRotation(deps, { ...KEY, recordsPerSecond })).job.jobId;
  for (const step of [createVersion, proveVersion, activateVersion]) await step(deps, jobId);
  segments = (await planSweep(deps, jobId)).segments.filter(({ segment }) => segment < 4);
}

/** Lists all segments at once and works on what is queued, for so long. Returns whether all are listed. */
async function run(milliseconds: number, listing = listAll()): Promise<boolean> {
  let done = false;
  const ended = listing.then(() => {
    done = true;
  });
  for (let passed = 0; passed < milliseconds && !done; passed += 100) {
    await clock.advance(100);
    world.clock.jumpTo(clock.now());
    await workOn(world, world.queue.splice(0));
    await new Promise((resolve) => setImmediate(resolve));
  }
  if (done) await ended;
  return done;
}

function listAll(deadline = FAR): Promise<readonly unknown[]> {
  return Promise.all(segments.map((task) => listSegment(deps, task, deadline)));
}

function queuedBetween(from: number, to: number): number {
  const start = Date.UTC(2026, 0, 1);
  return queuedAt.filter((at) => at >= start + from * SECOND && at < start + to * SECOND).length;
}

describe('a limit of records a second', () => {
  beforeEach(() => {
    queuedAt = [];
  });

  it.each([7, 20, 60])('is kept within a tenth, %i', async (rate) => {
    await begin(rate * 20, rate);
    const listing = listAll();
    await run(15 * SECOND, listing);
    const found = queuedBetween(1, 13) / 12;
    expect(found).toBeGreaterThan(rate * 0.9);
    expect(found).toBeLessThanOrEqual(rate * 1.1);
    await limitJob(deps, jobId, null);
    expect(await run(20 * SECOND, listing)).toBe(true);
    expect(queuedAt).toHaveLength(rate * 30);
    expect(world.versions(world.people)).toEqual([2]);
  });

  it('is one record a second over all segments, too', async () => {
    await begin(10, 1);
    const listing = listAll();
    await run(12 * SECOND, listing);
    // Each of the four listers begins with one.
    expect(queuedAt.length).toBeGreaterThanOrEqual(13);
    expect(queuedAt.length).toBeLessThanOrEqual(15);
  });

  it('goes to those that are left when others are listed to their ends', async () => {
    await begin(400, 20);
    // Nothing of the notes is left to do: two of the four have nothing to list.
    world.notes.rows.clear();
    const listing = listAll();
    await run(23 * SECOND, listing);
    const found = queuedBetween(12, 22) / 10;
    expect(found).toBeGreaterThanOrEqual(18);
    expect(found).toBeLessThanOrEqual(22);
  });

  it('takes effect while it runs, up and down and off', async () => {
    await begin(800, 10);
    const listing = listAll();
    await run(10 * SECOND, listing);
    await limitJob(deps, jobId, 40);
    await run(10 * SECOND, listing);
    await limitJob(deps, jobId, 4);
    await run(10 * SECOND, listing);
    expect(queuedBetween(1, 9) / 8).toBeCloseTo(10, -0.5);
    const faster = queuedBetween(14, 19) / 5;
    expect(faster).toBeGreaterThan(36);
    expect(faster).toBeLessThan(44);
    const slower = queuedBetween(22, 29) / 7;
    expect(slower).toBeGreaterThan(3);
    expect(slower).toBeLessThan(5);
    const before = queuedAt.length;
    await limitJob(deps, jobId, null);
    expect(await run(10 * SECOND, listing)).toBe(true);
    expect(queuedAt.length - before).toBeGreaterThan(400);
    expect(queuedAt).toHaveLength(1200);
  });

  it('may come while an unlimited sweep runs, and does not count what was listed before', async () => {
    await begin(2000, null, { chunkSize: 1, maxRounds: 1 });
    // Ten records a page, and 40 unfinished pages a lister: it waits for the workers.
    const listing = listAll();
    await run(SECOND, listing);
    await limitJob(deps, jobId, 8);
    await run(SECOND, listing);
    const before = queuedAt.length;
    await run(10 * SECOND, listing);
    expect(queuedAt.length - before).toBeGreaterThanOrEqual(72);
    expect(queuedAt.length - before).toBeLessThanOrEqual(88);
  });

  it('makes chunks no larger than chunkSize, nor than a second of it', async () => {
    await begin(80, 20, { chunkSize: 2 });
    await run(4 * SECOND);
    const page = (await world.ledger.listPages(jobId, 1, 0, 0, 1))[0];
    expect(page?.plan.chunks.map(({ records }) => records)).toEqual([2, 2, 1]);
  });

  it('lets the function end in its time, and the next call begin when the next page is due', async () => {
    await begin(20, 1);
    const deadline = clock.now() + 2 * SECOND;
    const listing = listAll(deadline);
    expect(await run(5 * SECOND, listing)).toBe(true);
    expect(clock.now() - deadline).toBeLessThan(SECOND);
    // The listers' shares are a quarter each, and each has planned one record.
    for (const output of await listing)
      expect(output).toMatchObject({ done: false, queued: 1, waitSeconds: 2 });
  });

  it.each([
    ['paused', pauseByPerson, 'JOB_PAUSED'],
    ['cancelled', cancelJob, 'JOB_CANCELLED'],
  ] as const)('ends within seconds when its job is %s', async (_, say, code) => {
    await begin(40, 1);
    const [first] = segments;
    if (first === undefined) throw new Error('no segment');
    const listing = listSegment(deps, first, FAR).catch((error: unknown) => error);
    await clock.advance(2 * SECOND);
    await say(world.deps, jobId, 'ann');
    await clock.advance(5 * SECOND);
    expect(await listing).toMatchObject({ code });
    expect(queuedAt).toHaveLength(1);
  });
});

it('shares among as many listers as the state machines run at once', async () => {
  const definition = z.object({
    States: z.object({ ListSegments: z.object({ MaxConcurrency: z.number() }) }),
  });
  for (const name of ['rotate-key', 'adopt-records']) {
    const text = await readFile(new URL(`../../../state-machines/${name}.asl.json`, import.meta.url), 'utf8');
    expect(definition.parse(JSON.parse(text)).States.ListSegments.MaxConcurrency).toBe(LISTERS_AT_ONCE);
  }
});
