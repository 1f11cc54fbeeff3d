import { EVENT_FUNCTIONS } from '../../functions/index.ts';
import { writeBody } from '../../shared/queue/message-body.ts';
import type { ChunkMessage } from '../../shared/queue/work-queue.ts';
import { activateVersion } from '../../shared/rotation/activate-version.ts';
import { beginPurge } from '../../shared/rotation/begin-purge.ts';
import { checkBarrier } from '../../shared/rotation/check-barrier.ts';
import { checkSweep } from '../../shared/rotation/check-sweep.ts';
import { concludeAdoption } from '../../shared/rotation/conclude-adoption.ts';
import { concludeRound, type RoundOutcome } from '../../shared/rotation/conclude-round.ts';
import { createVersion } from '../../shared/rotation/create-version.ts';
import { destroyVersion } from '../../shared/rotation/destroy-version.ts';
import { type ListOutput, listSegment } from '../../shared/rotation/list-segment.ts';
import { planSweep, type SegmentTask } from '../../shared/rotation/plan-sweep.ts';
import { proveVersion } from '../../shared/rotation/prove-version.ts';
import { retireVersion } from '../../shared/rotation/retire-version.ts';
import { takeCensus } from '../../shared/rotation/take-census.ts';
import { Crash, type World } from './memory-world.ts';

/** The steps in the state machines' order, on a world: what Step Functions and the queue's poller do. */

/** Called with each step's name and the step, so that a test may repeat it or look in between. */
export type Around = <T>(name: string, step: () => Promise<T>) => Promise<T>;

export type Work = (world: World) => Promise<void>;

const FAR = Number.MAX_SAFE_INTEGER;
/** As Lambda is called by SQS. */
const BATCH = 10;

/** Hands what is queued to the worker, once each. What fails stays queued. */
export async function deliver(world: World): Promise<void> {
  const waiting = world.queue.splice(0);
  for (let i = 0; i < waiting.length; i += BATCH) {
    const batch = waiting.slice(i, i + BATCH);
    const failed = await workOn(world, batch);
    world.queue.push(...failed);
    if (world.crashed) {
      world.queue.push(...batch.filter((message) => !failed.includes(message)), ...waiting.slice(i + BATCH));
      throw new Crash('the worker');
    }
  }
}

/** Returns those that failed. */
export async function workOn(world: World, messages: readonly ChunkMessage[]): Promise<ChunkMessage[]> {
  const Records = await Promise.all(
    messages.map(async (message, i) => ({
      messageId: String(i),
      body: await writeBody(world.deps.state, message),
    })),
  );
  const context = { getRemainingTimeInMillis: () => 60_000 };
  const { batchItemFailures } = await EVENT_FUNCTIONS['process-chunk'](world.deps)({ Records }, context);
  const failed = new Set(batchItemFailures.map(({ itemIdentifier }) => itemIdentifier));
  return messages.filter((_, i) => failed.has(String(i)));
}

export async function list(world: World, task: SegmentTask, work: Work = deliver): Promise<void> {
  let state: ListOutput | SegmentTask = task;
  for (let tries = 0; tries < 1000; tries++) {
    const output: ListOutput = await listSegment(world.deps, state, FAR);
    if (output.done) return;
    await work(world);
    world.pass(output.waitSeconds);
    state = output;
  }
  throw new Error('The lister never ends');
}

async function sweep(
  world: World,
  jobId: string,
  around: Around,
  work: Work,
): Promise<readonly SegmentTask[]> {
  const { round, segments } = await around('PlanSweep', () => planSweep(world.deps, jobId));
  for (const task of segments) await around('ListSegment', () => list(world, task, work));
  for (;;) {
    await work(world);
    const { swept, waitSeconds } = await around('CheckSweep', () => checkSweep(world.deps, jobId, round));
    if (swept) return segments;
    world.pass(waitSeconds);
  }
}

/** False: what waited is over. */
async function waitForBarrier(world: World, jobId: string, around: Around): Promise<boolean> {
  for (;;) {
    const look = await around('CheckBarrier', () => checkBarrier(world.deps, jobId));
    if (look.passed || look.blocked) return look.passed;
    world.pass(look.waitSeconds);
  }
}

const once: Around = (_, step) => step();

export async function runRotation(
  world: World,
  jobId: string,
  around: Around = once,
  work: Work = deliver,
): Promise<RoundOutcome> {
  await around('CreateVersion', () => createVersion(world.deps, jobId));
  await around('ProveVersion', () => proveVersion(world.deps, jobId));
  await around('ActivateVersion', () => activateVersion(world.deps, jobId));
  for (;;) {
    const tasks = await sweep(world, jobId, around, work);
    await waitForBarrier(world, jobId, around);
    for (const task of tasks) await around('TakeCensus', () => takeCensus(world.deps, task));
    const round = tasks[0]?.round ?? 0;
    const { outcome } = await around('ConcludeRound', () => concludeRound(world.deps, jobId, round));
    if (outcome === 'CLEAN') await around('RetireVersion', () => retireVersion(world.deps, jobId));
    if (outcome !== 'SWEEP_AGAIN') return outcome;
  }
}

export async function runPurge(world: World, jobId: string, around: Around = once): Promise<boolean> {
  const { round, segments } = await around('BeginPurge', () => beginPurge(world.deps, jobId));
  if (!(await waitForBarrier(world, jobId, around))) return false;
  for (const task of segments) await around('TakeCensus', () => takeCensus(world.deps, task));
  const { destroyed } = await around('DestroyVersion', () => destroyVersion(world.deps, jobId, round));
  return destroyed;
}

export async function runAdoption(
  world: World,
  jobId: string,
  around: Around = once,
  work: Work = deliver,
): Promise<RoundOutcome> {
  for (;;) {
    const tasks = await sweep(world, jobId, around, work);
    await waitForBarrier(world, jobId, around);
    const round = tasks[0]?.round ?? 0;
    const { outcome } = await around('ConcludeAdoption', () => concludeAdoption(world.deps, jobId, round));
    if (outcome !== 'SWEEP_AGAIN') return outcome;
  }
}

/** Runs it, and again from its start in a new process after each crash, until it ends. Returns the crashes. */
export async function untilDone(world: World, run: () => Promise<unknown>): Promise<number> {
  for (let crashes = 0; crashes < 500; crashes++) {
    try {
      await run();
      if (!world.crashed) return crashes;
    } catch (error) {
      if (!world.crashed) throw error;
    }
    // A crash while news is published reaches nobody: the process is gone all the same.
    world.restart();
  }
  throw new Error('It never ends');
}
