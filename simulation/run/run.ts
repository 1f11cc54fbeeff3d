import { runPool, type Task } from './pool.ts';
import { createProgress } from './progress.ts';
import type { SeedResult } from './seed-result.ts';
import { ALL, replayCommand } from './selection.ts';
import { type FoundViolation, neverFired, neverSeen, summaryJson, summaryText } from './summary.ts';
import { createTally } from './tally.ts';

/** Runs many seeds, tells how far it is, and what came of it. */
export interface RunOptions {
  readonly firstSeed: number;
  readonly seeds: number;
  readonly hours: number;
  readonly workers: number;
  readonly replayCheck: boolean;
  readonly keepGoing: boolean;
  readonly json: boolean;
}

export interface RunParts {
  readonly print: (line: string) => void;
  readonly progress: NodeJS.WriteStream;
  /** Ctrl-C. */
  readonly signal: AbortSignal;
  /** Left out: the real simulation. */
  readonly script?: URL;
  readonly shrinkMs?: number;
  readonly longestMs?: number;
}

/** Seeds that a worker is given at a time. */
const TASK = 8;
/** These run twice. */
const REPLAYED = 16;
const SHRINK_MS = 60_000;
const LONGEST_MS = 120_000;

/** Returns the exit code. */
export async function run(options: RunOptions, parts: RunParts): Promise<number> {
  const { firstSeed, seeds, hours, workers, replayCheck, keepGoing, json } = options;
  const { print, signal, script, shrinkMs = SHRINK_MS, longestMs = LONGEST_MS } = parts;
  const began = performance.now();
  const seconds = () => (performance.now() - began) / 1000;
  const tally = createTally();
  const violations = new Map<number, FoundViolation>();
  /** Shrunk, or being so. */
  const rules = new Set<string>();
  const progress = createProgress(json ? null : parts.progress, { seeds, seconds: hours * 3600 });
  const isOver = () => seconds() >= hours * 3600 || (violations.size > 0 && !keepGoing);

  let given = 0;
  const again: Task[] = [];
  const next = (): Task | null => {
    if (isOver()) return null;
    const back = again.shift();
    if (back !== undefined) return back;
    if (given >= seeds) return null;
    // Those that run twice, in tasks of their own.
    const until = given < REPLAYED ? Math.min(REPLAYED, given + TASK) : given + TASK;
    const size = Math.min(until, seeds) - given;
    const task = Array.from({ length: size }, (_, i) => firstSeed + given + i);
    const twice = replayCheck || given < REPLAYED;
    given += size;
    return { seeds: task, twice };
  };
  const onResult = (result: SeedResult) => {
    tally.add(result);
    const { seed, violation } = result;
    if (violation !== null) {
      const { rule, what } = violation;
      violations.set(seed, { seed, rule, what, command: replayCommand(seed, ALL) });
      if (!json) progress.say(`Seed ${seed}, rule ${rule}: ${what.split('\n', 1)[0] ?? ''}`, print);
    }
    progress.show({ tally, violations: violations.size, seconds: seconds() });
  };

  await runPool({
    ...{
      workers,
      next,
      onResult,
      signal,
      longest: longestMs,
      giveBack: (task: Task) => void again.push(task),
    },
    ...(script === undefined ? {} : { script }),
    shrinkFor({ violation }) {
      if (violation === null || rules.has(violation.rule) || (rules.size > 0 && !keepGoing)) return 0;
      rules.add(violation.rule);
      return shrinkMs;
    },
    onShrunk(seed, { report, command }) {
      const found = violations.get(seed);
      if (found !== undefined) violations.set(seed, { ...found, command });
      if (!json) progress.say(['', ...report, ''].join('\n'), print);
    },
  });
  progress.stop();

  const summary = { tally, firstSeed, violations: [...violations.values()], seconds: seconds() };
  if (!json) for (const line of summaryText(summary)) print(line);
  print(JSON.stringify(summaryJson(summary)));
  if (violations.size > 0) return 1;
  if (signal.aborted) return 130;
  return neverFired(tally).length + neverSeen(tally).length > 0 ? 1 : 0;
}
