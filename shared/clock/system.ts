import { setTimeout } from 'node:timers/promises';
import { v7 } from 'uuid';
import type { Clock, NewId } from './clock.ts';

/** The machine's clock. Only the composition root and the command line use it. */
export const systemClock: Clock = {
  now: () => Date.now(),
  sleep: (milliseconds, signal) => setTimeout(milliseconds, undefined, { ...(signal && { signal }) }),
};

export const newUuidV7: NewId = () => v7();
