import type { Clock } from '../shared/clock/clock.ts';
import type { ScheduleName } from './event-parts.ts';

/** What EventBridge Scheduler does by events/schedules.json, at the pace of one machine. */

/** In AWS the sweep runs daily; here it also takes up the jobs of a machine that was off. */
export const INTERVAL_SECONDS = {
  sweep: 60,
  monitor: 900,
  'root-keys': 900,
  'export-audit': 60,
} as const satisfies Record<ScheduleName, number>;

export interface Schedule {
  /** Now, besides. */
  runNow(): Promise<void>;
  stop(): Promise<void>;
}

/** Runs at once, then again and again: the next run begins that long after the end of the last one. */
export function startSchedule(options: {
  readonly run: () => Promise<unknown>;
  readonly onFailed: (error: unknown) => Promise<void>;
  readonly everySeconds: number;
  readonly sleep: Clock['sleep'];
}): Schedule {
  const abort = new AbortController();
  const runNow = async () => {
    try {
      await options.run();
    } catch (error) {
      // The next run is the next try; nothing that this one left behind stops the schedule.
      await options.onFailed(error).catch(() => undefined);
    }
  };
  const loop = (async () => {
    while (!abort.signal.aborted) {
      await runNow();
      await options.sleep(options.everySeconds * 1000, abort.signal).catch(() => undefined);
    }
  })();
  return {
    runNow,
    stop: async () => {
      abort.abort();
      await loop;
    },
  };
}
