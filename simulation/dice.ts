import { hash } from 'node:crypto';
import { uniformInt } from 'pure-rand/distribution/uniformInt';
import { xoroshiro128plus } from 'pure-rand/generator/xoroshiro128plus';
import type { RandomFill } from '../shared/envelope/types.ts';

/** Chance that is the same in every run of a seed. Each stream is independent of what others take from theirs. */
export interface Dice {
  /** From 0 up to, but without, `limit`. */
  below(limit: number): number;
  /** From `low` to `high`, both included. */
  between(low: number, high: number): number;
  chance(probability: number): boolean;
  pick<T>(from: readonly T[]): T;
  /** For keys, IVs and ids of a simulation, which need not be secret. */
  readonly fill: RandomFill;
}

const PRECISION = 1_000_000;

export function createDice(seed: number, stream: string): Dice {
  const generator = xoroshiro128plus(numberOf(seed, stream));
  const between = (low: number, high: number) => uniformInt(generator, low, high);
  const below = (limit: number) => between(0, limit - 1);
  return {
    below,
    between,
    chance: (probability) => below(PRECISION) < probability * PRECISION,
    pick: (from) => {
      const found = from[below(from.length)];
      if (found === undefined) throw new Error('Nothing to pick from');
      return found;
    },
    fill: (buffer) => {
      for (let i = 0; i < buffer.length; i++) buffer[i] = below(256);
    },
  };
}

/** 32 bits that seed and name decide. */
export function numberOf(seed: number, name: string): number {
  return hash('sha256', `${seed}/${name}`, 'buffer').readInt32BE();
}
