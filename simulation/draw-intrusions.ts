import type { Moment } from './actors/moments.ts';
import type { Dice } from './dice.ts';
import { type Choice, HOUR, MINUTE, rightAfter, SECOND, type Stage } from './draw-stage.ts';

/**
 * What somebody does right at a moment that lasts for milliseconds, such as between a decision and the write that carries it
 * out. Only whoever waits for it comes in time.
 */
const INTRUSIONS = [
  ['preparing', ['pause', 'cancel', 'cancel', 'rotate']],
  ['listed', ['write', 'write-late']],
  ['sweeping', ['pause', 'cancel', 'rollback', 'resweep', 'read-old']],
  ['counting', ['pause', 'cancel', 'rollback', 'rotate', 'read-old']],
  ['retired', ['rollback', 'rotate', 'resweep']],
  ['fenced', ['read-old', 'hold', 'rollback', 'rotate', 'pause', 'cancel']],
  ['awaited', ['read-old', 'hold', 'rollback', 'pause', 'purge']],
  ['counted', ['hold', 'pause', 'cancel', 'rollback', 'read-old']],
  ['decided', ['read-old', 'read-old', 'read-old', 'rollback']],
] as const satisfies readonly (readonly [Moment, readonly string[]])[];

export function drawIntrusion({ dice, put }: Stage, from: number, key: Choice): void {
  const [moment, whats] = dice.pick<(typeof INTRUSIONS)[number]>(INTRUSIONS);
  const what = dice.pick<string>(whats);
  const delay = drawDelay(dice, moment);
  const choice = { ...key, pick: dice.below(4) };
  put(what, from, { ...choice, ...rightAfter(moment, delay) });
  const later = delay + dice.between(MINUTE, HOUR);
  if (what === 'pause') put('resume', from, { ...key, ...rightAfter(moment, later) });
  if (what === 'cancel' && dice.chance(0.6)) put('rotate', from, { ...key, ...rightAfter(moment, later) });
  if (moment === 'listed')
    for (let i = 0; i < 3; i++) put(what, from, { ...choice, ...rightAfter(moment, dice.below(400)) });
  if (what === 'hold') put('release', from, { ...key, pick: 0, ...rightAfter(moment, later) });
}

/** Most at once: what a decision waits for is over in a tenth of a second. */
function drawDelay(dice: Dice, moment: Moment): number {
  if (moment === 'decided') return dice.below(40);
  if (moment === 'counted' || moment === 'preparing' || moment === 'listed') return dice.below(200);
  return dice.chance(0.5) ? dice.below(SECOND) : dice.below(5 * MINUTE);
}
