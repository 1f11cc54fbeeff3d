import type { Moment } from './actors/moments.ts';
import type { Dice } from './dice.ts';
import type { FaultKind } from './faults.ts';
import type { Action } from './plan.ts';

/** What scenes and accidents of a seed are drawn with. */

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export interface Scenery {
  readonly faults: ReadonlySet<FaultKind>;
  readonly tenants: readonly string[];
  readonly purposes: readonly string[];
  readonly stores: readonly string[];
  readonly graceSeconds: number;
  readonly soakSeconds: number;
  /** Of approvals; null: none are required. */
  readonly expirySeconds: number | null;
  readonly quietAfter: number;
  readonly short: boolean;
}

export type Choice = Action['choice'];

export interface Stage extends Scenery {
  readonly dice: Dice;
  /** `after` may be beyond the active time: then it does not happen. */
  put(name: string, after: number, choice?: Choice): void;
  /** A moment at which something is under way, for an accident. */
  readonly moments: number[];
}

/** Whoever asks. Two of them may approve, too. */
export const PEOPLE = ['olaf', 'olaf', 'ada', 'bob'] as const;

export function drawKey({ dice, tenants, purposes, faults }: Stage): Choice {
  // Who may approve, too, asks where somebody is to approve what they asked for.
  const by = faults.has('self-approval') ? 'ada' : dice.pick(PEOPLE);
  return { tenant: dice.pick(tenants), purpose: dice.pick(purposes), by };
}

/** What an action's choice says where it waits for the next such moment, and so long beyond it. */
export function rightAfter(when: Moment, delay: number): Choice {
  return { when, delay };
}

/** While a rotation sweeps, waits at its barrier, or counts. */
export function soon(dice: Dice): number {
  return dice.chance(0.5) ? dice.below(30 * SECOND) : dice.below(25 * MINUTE);
}
