import type { Clock } from '../shared/clock/clock.ts';
import type { Faults } from './faults.ts';
import type { Scheduler } from './scheduler.ts';

const SECOND = 1000;
const HOUR = 3600 * SECOND;

/**
 * The clock of one machine: right but for its skew, and for what a fault does to it. No clock runs ahead by more than
 * half the skew that the configuration allows between two of them: that is assumed, not simulated (docs/protocol.md).
 */
export function createMachineClock(
  { scheduler, faults }: { readonly scheduler: Scheduler; readonly faults: Faults },
  name: string,
  skewSeconds: number,
): Pick<Clock, 'now'> {
  const { dice } = faults;
  const most = (skewSeconds * SECOND) / 2;
  const skew = faults.fires('clock-skew', name) ? dice.between(-most, most) : 0;
  const wrong = faults.fires('clock-jump-back', name)
    ? jumpBack(
        scheduler.now(),
        dice.between(0, HOUR / 2),
        dice.between(1, 10) * HOUR,
        dice.between(1, 5) * HOUR,
      )
    : faults.fires('clock-frozen', name)
      ? standStill(scheduler.now(), dice.between(0, HOUR / 2), dice.between(1, 5) * HOUR)
      : (now: number) => now;
  return { now: () => Math.round(wrong(scheduler.now()) + skew) };
}

/** So far back, some time from now, until it is set right. */
function jumpBack(start: number, after: number, by: number, lasts: number) {
  const from = start + after;
  return (now: number) => (now >= from && now < from + lasts ? now - by : now);
}

function standStill(start: number, after: number, lasts: number) {
  const from = start + after;
  return (now: number) => (now >= from && now < from + lasts ? from : now);
}
