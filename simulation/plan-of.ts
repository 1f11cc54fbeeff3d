import { createDice } from './dice.ts';
import { drawActions } from './draw-actions.ts';
import { drawConfig } from './draw-config.ts';
import { drawFaults } from './draw-faults.ts';
import type { FaultKind } from './faults.ts';
import type { Plan } from './plan.ts';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** Those of the start. Who comes later is named in an action. */
const TENANTS = ['acme', 'birch', 'cedar'] as const;

/** From quiet to the end: the sweep comes several times, and what it takes up needs a barrier and a grace of nothing. */
const QUIET_MS = 5 * HOUR;
const SHORT_QUIET_MS = 4 * HOUR;

/** Most seeds are short: one tenant, one scene. What takes two of them to meet is for the others. */
const SHORT = 0.9;

/**
 * What a seed decides beforehand: always the same for the same seed. `also`: kinds of faults beside those that it draws;
 * `long`: not one of the short seeds, whichever it is.
 */
export function planOf(seed: number, also: readonly FaultKind[] = [], long = false): Plan {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`${seed} is no seed`);
  const dice = createDice(seed, 'plan');
  const faults = new Set([...drawFaults(seed, dice), ...also]);
  const short = createDice(seed, 'length').chance(SHORT) && !long;
  const drawn = drawConfig(dice, faults, short);
  const tenants = TENANTS.slice(0, short ? 1 : dice.pick([1, 1, 1, 2, 2, 3]));
  const quietAfter = short
    ? dice.between(150 * MINUTE, 4 * HOUR)
    : dice.between(7 * HOUR, dice.chance(0.08) ? 30 * HOUR : 11 * HOUR);
  return {
    seed,
    faults,
    config: drawn.config,
    tenants,
    records: dice.between(1, short ? 2 : 3),
    applications: short ? 1 : dice.between(1, 2),
    actions: drawActions(dice, { faults, quietAfter, tenants, short, ...drawn }),
    quietAfter,
    endsAfter: quietAfter + (short ? SHORT_QUIET_MS : QUIET_MS),
  };
}
