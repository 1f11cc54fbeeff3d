import { createDice } from '../../../simulation/dice.ts';
import { createFaults, type FaultKind, type Faults } from '../../../simulation/faults.ts';
import type { HappenedEvent, History, HistoryEntry } from '../../../simulation/history.ts';
import { createScheduler, type Scheduler } from '../../../simulation/scheduler.ts';

/** What a model is made of, without a world around it. */

export const START = Date.parse('2026-01-01T00:00:00Z');

/** Models work in microtasks only. */
const settled = () => new Promise<void>((resolve) => setImmediate(resolve));

export function makeParts(seed: number, kinds: readonly FaultKind[] = []) {
  const scheduler = createScheduler(START, settled);
  const faults = createFaults({ seed, kinds: new Set(kinds) }, createDice(seed, 'faults'), () => undefined);
  return { scheduler, faults, dice: createDice(seed, 'model') };
}

/** Each opportunity of these is taken, up to so many. */
export function surely(kinds: readonly FaultKind[], times = Number.POSITIVE_INFINITY, seed = 1): Faults {
  const fired = new Map<FaultKind, number>();
  let stopped = false;
  return {
    dice: createDice(seed, 'surely'),
    fired,
    get stopped() {
      return stopped;
    },
    stop: () => {
      stopped = true;
    },
    fires: (kind) => {
      const before = fired.get(kind) ?? 0;
      if (stopped || !kinds.includes(kind) || before >= times) return false;
      fired.set(kind, before + 1);
      return true;
    },
  };
}

/** Until nothing is left to happen; or until it is `until`, milliseconds. */
export async function runAll(scheduler: Scheduler, until?: number): Promise<void> {
  // Time is what an event says.
  if (until !== undefined) scheduler.after(until - scheduler.now(), () => undefined);
  while (await scheduler.step(until ?? Number.MAX_SAFE_INTEGER));
}

export function createTestHistory(scheduler: Scheduler): History {
  const entries: HistoryEntry[] = [];
  return {
    entries,
    add: (event: HappenedEvent) => {
      entries.push({ seq: entries.length, at: scheduler.now(), ...event });
    },
  };
}
