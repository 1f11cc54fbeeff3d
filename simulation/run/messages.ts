import type { Violation } from '../simulate.ts';
import type { SeedResult, Shrinking } from './seed-result.ts';

/** Between the process that was started and its workers. */

export type Order =
  | { readonly kind: 'run'; readonly seeds: readonly number[]; readonly twice: boolean }
  | {
      readonly kind: 'shrink';
      readonly seed: number;
      readonly violation: Violation;
      readonly milliseconds: number;
    };

export type Answer =
  /** A seed is begun: where a worker hangs, this is the one. */
  | { readonly kind: 'begun'; readonly seed: number }
  | { readonly kind: 'done'; readonly result: SeedResult }
  /** The order is carried out. */
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'shrunk'; readonly seed: number } & Shrinking);
