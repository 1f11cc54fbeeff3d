import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Violation } from '../simulate.ts';
import type { Answer, Order } from './messages.ts';
import type { SeedResult, Shrinking } from './seed-result.ts';

/** Runs seeds in worker processes. */
export interface PoolOptions {
  readonly workers: number;
  /** The next seeds to run, and whether twice; null: there are no more. */
  readonly next: () => Task | null;
  /** What a worker was given and did not come to: it is `next` again. */
  readonly giveBack: (task: Task) => void;
  readonly onResult: (result: SeedResult) => void;
  /** Whether this violation is to be shrunk, and for how long; 0: it is not. */
  readonly shrinkFor: (result: SeedResult) => number;
  readonly onShrunk: (seed: number, shrunk: Shrinking) => void;
  /** Ends it: what was begun is given up. */
  readonly signal: AbortSignal;
  /** A seed that takes longer is a violation, and its process is ended. Milliseconds. */
  readonly longest: number;
  /** Left out: simulation/run/worker.ts. */
  readonly script?: URL;
}

export interface Task {
  readonly seeds: readonly number[];
  readonly twice: boolean;
}

const WORKER = new URL('worker.ts', import.meta.url);
const LOOK_EVERY_MS = 1_000;

/** Resolves when all seeds ran, or it was ended. Rejects when a worker cannot be started. */
export async function runPool(options: PoolOptions): Promise<void> {
  await Promise.all(Array.from({ length: options.workers }, () => runWorker(options)));
}

/** One worker after the other: one that ended by itself is followed by another. */
async function runWorker(options: PoolOptions): Promise<void> {
  while (!options.signal.aborted) {
    const { over } = await serveWorker(options);
    if (over) return;
  }
}

function serveWorker(options: PoolOptions): Promise<{ readonly over: boolean }> {
  const { next, giveBack, onResult, shrinkFor, onShrunk, signal, longest, script = WORKER } = options;
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(script), {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // A worker for each processor: threads that collect garbage for one would take the other's.
      execArgv: ['--single-threaded-gc'],
    });
    /** What it works on, and since when. */
    let at: { readonly seed: number; readonly since: number } | null = null;
    let given: Task | null = null;
    const toShrink: {
      readonly seed: number;
      readonly violation: Violation;
      readonly milliseconds: number;
    }[] = [];
    let ready = false;

    const look = setInterval(() => {
      if (at === null || performance.now() - at.since < longest) return;
      lose('liveness', `it takes longer than ${Math.round(longest / 1000)} s`);
    }, LOOK_EVERY_MS);
    const end = (over: boolean) => {
      clearInterval(look);
      signal.removeEventListener('abort', abort);
      child.removeAllListeners();
      child.on('error', () => {});
      child.kill('SIGKILL');
      resolve({ over });
    };
    const abort = () => end(true);
    /** The seed took the process with it. */
    const lose = (rule: string, what: string) => {
      const seed = at?.seed ?? null;
      if (given !== null && seed !== null) {
        const left = given.seeds.slice(given.seeds.indexOf(seed) + 1);
        if (left.length > 0) giveBack({ ...given, seeds: left });
        onResult({ seed, steps: 0, fired: [], situations: [], violation: { rule, what, step: 0, seq: 0 } });
      }
      end(false);
    };
    const order = () => {
      const shrinking = toShrink.shift();
      const task = shrinking === undefined ? next() : null;
      given = task;
      if (shrinking !== undefined) tell(child, { kind: 'shrink', ...shrinking });
      else if (task !== null) tell(child, { kind: 'run', ...task });
      else end(true);
    };

    signal.addEventListener('abort', abort);
    const fail = (error: Error) => {
      reject(error);
      end(true);
    };
    child.once('error', fail);
    child.once('exit', (code, killedBy) => {
      if (!ready) fail(new Error(`A worker ended before it began (${code ?? killedBy})`));
      else lose('simulation', `its process ended (${code ?? killedBy})`);
    });
    child.on('message', (answer: Answer) => {
      switch (answer.kind) {
        case 'begun':
          at = { seed: answer.seed, since: performance.now() };
          break;
        case 'done': {
          at = null;
          onResult(answer.result);
          const { seed, violation } = answer.result;
          const milliseconds = shrinkFor(answer.result);
          if (violation !== null && milliseconds > 0) toShrink.push({ seed, violation, milliseconds });
          break;
        }
        case 'shrunk':
          onShrunk(answer.seed, answer);
          break;
        case 'ready':
          ready = true;
          order();
          break;
      }
    });
  });
}

function tell(child: ChildProcess, order: Order): void {
  child.send(order);
}
