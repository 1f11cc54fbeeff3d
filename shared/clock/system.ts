import { setTimeout } from 'node:timers/promises';
import { v7 } from 'uuid';
import type { Clock, NewId } from './clock.ts';

/**
 * The machine's clock, ids and dice: the one place where they are asked (a test compares). Adapters take them as the
 * default of an option; the domain is given them.
 */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => monotonicNow(),
  sleep: (milliseconds, signal) => setTimeout(milliseconds, undefined, { ...(signal && { signal }) }),
};

/** Milliseconds that never go back, from no special moment. */
export const monotonicNow = (): number => performance.now();

export const newUuidV7: NewId = () => v7();

/** In [0, 1), for the jitter of waits; never for a key. */
export const uniformRandom = (): number => Math.random();
