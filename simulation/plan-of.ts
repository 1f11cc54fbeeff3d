import { createDice } from './dice.ts';
import { drawActions } from './draw-actions.ts';
import { drawConfig } from './draw-config.ts';
import { drawFaults } from './draw-faults.ts';
import type { FaultKind } from './faults.ts';
import type { Plan } from './plan.ts';

const HOUR = 3_600_000;

/** Those of the start. Who comes later is named in an action. */
const TENANTS = ['acme', 'birch', 'cedar'] as const;

/** From quiet to the end: the sweep comes several times, and what it takes up needs a barrier and a grace of nothing. */
const QUIET_MS = 6 * HOUR;

/** What a seed decides beforehand: always the same for the same seed. `also`: kinds of faults beside those that it draws. */
export function planOf(seed: number, also: readonly FaultKind[] = []): Plan {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new RangeError(`${seed} is no seed`);
  const dice = createDice(seed, 'plan');
  const faults = new Set([...drawFaults(seed, dice), ...also]);
  const drawn = drawConfig(dice, faults);
  const tenants = TENANTS.slice(0, dice.pick([1, 1, 1, 1, 1, 2, 2, 3]));
  const quietAfter = dice.between(8 * HOUR, dice.chance(0.08) ? 40 * HOUR : 13 * HOUR);
  return {
    seed,
    faults,
    config: drawn.config,
    tenants,
    records: dice.between(1, 3),
    applications: dice.between(1, 2),
    actions: drawActions(dice, { faults, quietAfter, tenants, ...drawn }),
    quietAfter,
    endsAfter: quietAfter + QUIET_MS,
  };
}
