import type { Clock } from '../../shared/clock/clock.ts';

/** A clock that moves only when it is told to. `sleep` resolves when the clock has come to its time. */
export interface FakeClock extends Clock {
  /** Milliseconds forward; sleepers wake in order of their time. */
  advance(milliseconds: number): Promise<void>;
  /** Jumps, also backward; wakes nobody. */
  jumpTo(now: number): void;
  /** The clock's time as the ledger writes it. */
  timestamp(): string;
}

interface Sleeper {
  readonly at: number;
  readonly wake: () => void;
}

export function createFakeClock(start: number = Date.UTC(2026, 0, 1)): FakeClock {
  let now = start;
  let farthest = start;
  const sleepers = new Set<Sleeper>();

  const nextDue = (until: number): Sleeper | undefined =>
    [...sleepers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];

  return {
    now: () => now,
    monotonic: () => {
      farthest = Math.max(farthest, now);
      return farthest;
    },
    timestamp: () => new Date(now).toISOString(),
    sleep: (milliseconds, signal) =>
      new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason);
        const sleeper = { at: now + milliseconds, wake: () => finish(resolve) };
        const abort = () => finish(() => reject(signal?.reason));
        const finish = (settle: () => void) => {
          sleepers.delete(sleeper);
          signal?.removeEventListener('abort', abort);
          settle();
        };
        signal?.addEventListener('abort', abort, { once: true });
        sleepers.add(sleeper);
      }),
    advance: async (milliseconds) => {
      const until = now + milliseconds;
      for (let due = nextDue(until); due !== undefined; due = nextDue(until)) {
        now = Math.max(now, due.at);
        due.wake();
        // Lets what woke up run, and perhaps sleep again.
        await new Promise((resolve) => setImmediate(resolve));
      }
      now = until;
    },
    jumpTo: (time) => {
      now = time;
    },
  };
}
