import type { Dice } from '../dice.ts';
import type { Catcher, Retrier } from './definition.ts';
import { matches } from './errors.ts';

/** Retry and Catch. D/step-functions/latest/dg/concepts-error-handling.html */
export interface Retries {
  /** Milliseconds until the next try; null: there is none. */
  delayAfter(error: string): number | null;
}

/** Of one visit of a state. The first retrier that names an error decides, also when it has no attempt left. */
export function createRetries(retriers: readonly Retrier[], dice: Pick<Dice, 'between'>): Retries {
  const attempts = new Map<Retrier, number>();
  return {
    delayAfter(error) {
      const retrier = retriers.find(({ errorEquals }) => matches(errorEquals, error));
      if (retrier === undefined) return null;
      const made = attempts.get(retrier) ?? 0;
      if (made >= retrier.maxAttempts) return null;
      attempts.set(retrier, made + 1);
      const seconds = Math.min(
        retrier.intervalSeconds * retrier.backoffRate ** made,
        retrier.maxDelaySeconds,
      );
      return retrier.fullJitter ? dice.between(0, seconds * 1000) : seconds * 1000;
    },
  };
}

export function caughtBy(catchers: readonly Catcher[], error: string): Catcher | undefined {
  return catchers.find(({ errorEquals }) => matches(errorEquals, error));
}
