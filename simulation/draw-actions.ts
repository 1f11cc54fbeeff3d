import type { Dice } from './dice.ts';
import { ACCIDENTS } from './draw-accidents.ts';
import { drawIntrusion } from './draw-intrusions.ts';
import { drawScene } from './draw-scenes.ts';
import { drawKey, HOUR, MINUTE, type Scenery, type Stage } from './draw-stage.ts';
import type { FaultKind } from './faults.ts';
import type { Action } from './plan.ts';

/**
 * What people, customers and accidents do in a seed. It is drawn as scenes, in which what is interesting meets: a rollback
 * while a rotation runs, a hold while a version waits for its destruction. Numbers in a choice select among what there is
 * when the action comes, so that each can be left out without making another senseless.
 */

/** Of the scenes: something comes right at a moment of them. */
const INTRUDED = 0.45;

export function drawActions(dice: Dice, scenery: Scenery): readonly Action[] {
  const drawn: Omit<Action, 'number'>[] = [];
  const moments: number[] = [];
  const stage: Stage = {
    ...scenery,
    dice,
    moments,
    put: (name, after, choice = {}) => {
      if (after < scenery.quietAfter) drawn.push({ name, after, choice });
    },
  };
  const scenes = scenery.short ? 1 : dice.pick([1, 2, 2]);
  for (let i = 0; i < scenes; i++) {
    // Early enough for something to come of it.
    const from = dice.between(10 * MINUTE, Math.round(scenery.quietAfter * 0.7));
    moments.push(from);
    const key = drawKey(stage);
    drawScene(dice)(stage, from, key);
    if (dice.chance(INTRUDED)) drawIntrusion(stage, from, key);
  }
  for (const [kind, accident] of Object.entries(ACCIDENTS)) {
    if (!scenery.faults.has(kind as FaultKind)) continue;
    // Few seeds have a restore, and it meets each phase of a purge otherwise.
    const times = dice.between(1, 2) + (kind === 'restore' ? 1 : 0);
    for (let i = 0; i < times; i++) accident(stage, kind, drawTime(stage));
  }
  return drawn.sort((a, b) => a.after - b.after).map((action, number) => ({ number, ...action }));
}

/** Around what a scene does; half of them within minutes of it, where the races are. */
function drawTime({ dice, moments, quietAfter }: Stage): number {
  const moment = dice.pick(moments);
  const near = dice.chance(0.5) ? dice.between(-5 * MINUTE, 15 * MINUTE) : dice.between(-2 * HOUR, 4 * HOUR);
  return Math.min(Math.max(moment + near, MINUTE), quietAfter - HOUR);
}
