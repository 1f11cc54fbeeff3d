import type { Dice } from '../dice.ts';

/** Milliseconds up to `longest`: often hours, and as often so few that it comes in between two steps of something. */
export function anyTime(dice: Dice, longest: number): number {
  const magnitude = dice.between(0, Math.ceil(Math.log2(longest)));
  const limit = dice.chance(0.5) ? longest : Math.min(longest, 2 ** magnitude);
  return dice.between(1, limit);
}
