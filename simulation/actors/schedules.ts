import { SCHEDULES, type ScheduleName } from '../../local/event-parts.ts';
import { anyTime } from '../models/any-time.ts';
import { callAsynchronously } from '../models/asynchronous.ts';
import type { World } from '../world.ts';

/**
 * EventBridge Scheduler: calls what events/schedules.json names, again and again until the simulation ends, at intervals
 * of a day that is shorter. It promises to call at least once, and the function is called asynchronously.
 */

/** Milliseconds. */
export interface Intervals {
  readonly sweep: number;
  readonly monitor: number;
  readonly rootKeys: number;
  readonly exportAudit: number;
}

/** Of the interval: how far a call with a flexible window may be from its time. */
const WINDOW = 1 / 24;
/** The second call of a doubled one comes no later than this. */
const LATEST_MS = 10 * 60_000;

type Schedules = Pick<World, 'scheduler' | 'faults' | 'dice' | 'invoke'>;

export function startSchedules(world: Schedules, every: Intervals): void {
  startSchedule(world, 'sweep', every.sweep);
  startSchedule(world, 'monitor', every.monitor);
  startSchedule(world, 'root-keys', every.rootKeys);
  startSchedule(world, 'export-audit', every.exportAudit);
}

function startSchedule(world: Schedules, name: ScheduleName, interval: number): void {
  const { scheduler, faults, dice } = world;
  const { function: functionName, input = {}, flexibleWindowMinutes } = SCHEDULES[name];
  const window = flexibleWindowMinutes === 0 ? 0 : Math.floor(interval * WINDOW);
  const call = (delay: number) => {
    scheduler.after(delay, () => callAsynchronously(world, functionName, input));
  };
  const tick = () => {
    scheduler.after(interval, tick);
    const delay = dice.between(0, window);
    if (faults.fires('schedule-lost', name)) return;
    call(delay);
    if (faults.fires('schedule-doubled', name)) call(delay + anyTime(faults.dice, LATEST_MS));
  };
  scheduler.after(dice.between(1, interval), tick);
}
