import type { Dice } from './dice.ts';
import { FAULT_KINDS, type FaultKind } from './faults.ts';

/**
 * Which kinds of faults a seed switches on: none, one, a pair, or a storm. By the seed's number and not by chance: any
 * 20,000 seeds in a row have each pair at least 5 times.
 */

type Weather = 'none' | 'one' | 'pair' | 'storm';

/** Of each 20 seeds in a row: 15 % none, 35 % one, 40 % a pair, 10 % a storm. Mixed, so that few seeds have all of it. */
const WEATHERS: readonly Weather[] = [
  ...(['pair', 'one', 'pair', 'one', 'none', 'pair', 'one', 'pair', 'storm', 'one'] as const),
  ...(['pair', 'one', 'none', 'pair', 'one', 'pair', 'storm', 'one', 'pair', 'none'] as const),
];

export const FAULT_PAIRS: readonly (readonly [FaultKind, FaultKind])[] = FAULT_KINDS.flatMap((first, i) =>
  FAULT_KINDS.slice(i + 1).map((second) => [first, second] as const),
);

/** Primes, so that they walk through all kinds and pairs: neighbours are of unlike kinds. */
const STRIDE_OF_KINDS = 17;
const STRIDE_OF_PAIRS = 991;

export function drawFaults(seed: number, dice: Dice): ReadonlySet<FaultKind> {
  const slot = seed % WEATHERS.length;
  const weather = WEATHERS[slot] ?? 'none';
  const isSame = (other: Weather) => other === weather;
  const number =
    Math.floor(seed / WEATHERS.length) * WEATHERS.filter(isSame).length +
    WEATHERS.slice(0, slot).filter(isSame).length;
  switch (weather) {
    case 'none':
      return new Set();
    case 'one':
      return new Set([at(FAULT_KINDS, number * STRIDE_OF_KINDS)]);
    case 'pair':
      return new Set(at(FAULT_PAIRS, number * STRIDE_OF_PAIRS));
    case 'storm':
      return new Set(Array.from({ length: dice.between(5, 10) }, () => dice.pick(FAULT_KINDS)));
  }
}

function at<T>(all: readonly T[], number: number): T {
  const found = all[number % all.length];
  if (found === undefined) throw new Error('Nothing to walk through');
  return found;
}
