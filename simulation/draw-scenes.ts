import type { Dice } from './dice.ts';
import { type Choice, HOUR, MINUTE, PEOPLE, rightAfter, SECOND, type Stage, soon } from './draw-stage.ts';

/** What people and customers do: what is interesting meets in each. */

type Scene = (stage: Stage, at: number, key: Choice) => void;

/** Not in the plan's tenants: the first that come later. */
const NEW_TENANTS = ['dune', 'elm'] as const;

const SCENES: readonly (readonly [weight: number, scene: Scene])[] = [
  [3, rotation],
  [1, byEvent],
  [2, interrupted],
  [2, calledOff],
  [2, rolledBack],
  [4, purged],
  [1, limited],
  [1, held],
  [1, resweep],
  [1, newTenant],
  [1, newRootKey],
];

export function drawScene(dice: Dice): Scene {
  let left = dice.below(SCENES.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, scene] of SCENES) {
    if (left < weight) return scene;
    left -= weight;
  }
  return rotation;
}

/** Sometimes asked for twice, by two people at once or while the first runs; applications write meanwhile. */
function rotation({ dice, put }: Stage, at: number, key: Choice): void {
  put('rotate', at, { ...key, ...(dice.chance(0.3) && { mode: dice.pick(['rewrap', 're-encrypt']) }) });
  if (dice.chance(0.3)) put('rotate', at + dice.below(3 * SECOND), { ...key, by: dice.pick(PEOPLE) });
  if (dice.chance(0.3)) put('rotate', at + dice.between(MINUTE, 30 * MINUTE), key);
  if (dice.chance(0.7)) put('rush', at - dice.below(2 * MINUTE), { minutes: dice.between(5, 20) });
  if (dice.chance(0.06))
    put('write-late', at - dice.below(MINUTE), { ...key, ...rightAfter('counting', dice.below(5 * MINUTE)) });
}

/** An application of the customer asks over the bus; the event may come twice. */
function byEvent({ dice, put }: Stage, at: number, key: Choice): void {
  const event = { ...key, request: dice.below(1000) };
  put('rotate-by-event', at, event);
  if (dice.chance(0.3)) put('rotate-by-event', at + soon(dice), event);
  if (dice.chance(0.5)) put('rush', at, { minutes: dice.between(5, 20) });
}

function interrupted(stage: Stage, at: number, key: Choice): void {
  const { dice, put } = stage;
  rotation(stage, at, key);
  const pausedAt = at + soon(dice);
  put('pause', pausedAt, key);
  if (dice.chance(0.3)) put('rotate', pausedAt + soon(dice), key);
  const resumedAt = pausedAt + dice.between(SECOND, 3 * HOUR);
  if (dice.chance(0.8)) put('resume', resumedAt, key);
  if (dice.chance(0.2)) put('pause', resumedAt + soon(dice), key);
  if (dice.chance(0.2)) put('cancel', resumedAt + soon(dice), key);
}

function calledOff(stage: Stage, at: number, key: Choice): void {
  const { dice, put } = stage;
  rotation(stage, at, key);
  const cancelledAt = at + soon(dice);
  put('cancel', cancelledAt, key);
  if (dice.chance(0.7)) put('rotate', cancelledAt + dice.between(0, HOUR), key);
}

function rolledBack(stage: Stage, at: number, key: Choice): void {
  const { dice, put } = stage;
  rotation(stage, at, key);
  const back = at + (dice.chance(0.6) ? soon(dice) : dice.between(HOUR, 5 * HOUR));
  put('rollback', back, { ...key, pick: dice.below(4) });
  if (dice.chance(0.3)) put('rollback', back + soon(dice), { ...key, pick: dice.below(4) });
  if (dice.chance(0.4)) put('rotate', back + dice.between(0, 2 * HOUR), key);
  if (dice.chance(0.3)) put('cancel', back + soon(dice), key);
}

function limited({ dice, put }: Stage, at: number, key: Choice): void {
  put('rotate', at, key);
  put('limit', at + dice.below(MINUTE), { ...key, rate: dice.between(1, 3) });
  if (dice.chance(0.5)) put('limit', at + dice.between(MINUTE, 10 * MINUTE), { ...key, rate: 0 });
}

/** What meets a version that is about to be destroyed. Whoever comes a little early is refused, and asks again. */
function purged(stage: Stage, at: number, key: Choice): void {
  const { dice, put, graceSeconds, soakSeconds, expirySeconds, moments, quietAfter, short } = stage;
  const begun = Math.min(
    at,
    Math.max(10 * MINUTE, quietAfter - (graceSeconds + soakSeconds) * SECOND - (short ? 1 : 3) * HOUR),
  );
  rotation(stage, begun, key);
  const due = begun + graceSeconds * SECOND + dice.between(15 * MINUTE, HOUR);
  const span = soakSeconds * SECOND + 20 * MINUTE;
  moments.push(due, due + span);
  put('purge', due, { ...key, pick: 0 });
  put('purge', due + dice.between(20 * MINUTE, HOUR), { ...key, by: dice.pick(PEOPLE), pick: 0 });
  if (expirySeconds !== null) {
    const expired = expirySeconds * SECOND + dice.between(MINUTE, 20 * MINUTE);
    put('purge', begun, { ...key, pick: 0, ...rightAfter('awaited', expired) });
  }
  for (let i = dice.between(0, 3); i > 0; i--) {
    const when = due + dice.below(span);
    const what = dice.pick([
      'pause',
      'cancel',
      'hold',
      'rollback',
      'rotate',
      'read-old',
      'release',
      'resweep',
    ]);
    put(what, when, { ...key, pick: dice.below(4) });
    if (what === 'pause') put('resume', when + dice.between(MINUTE, 2 * HOUR), key);
    if (what === 'hold') put('release', when + dice.between(MINUTE, 4 * HOUR), { ...key, pick: 0 });
  }
}

function held({ dice, put }: Stage, at: number, key: Choice): void {
  put('hold', at, { ...key, pick: dice.below(4), hours: dice.chance(0.5) ? 0 : dice.between(1, 6) });
  put('release', at + dice.between(HOUR / 2, 2 * HOUR), { ...key, pick: dice.below(4) });
  // Once more: those who must agree have agreed by now.
  put('release', at + dice.between(3 * HOUR, 6 * HOUR), { ...key, pick: dice.below(4) });
}

function resweep({ dice, put }: Stage, at: number, key: Choice): void {
  put('resweep', at, key);
  if (dice.chance(0.5)) put('rotate', at + soon(dice), key);
}

function newTenant({ dice, put, purposes }: Stage, at: number, key: Choice): void {
  const tenant = dice.pick(NEW_TENANTS);
  for (const purpose of purposes) put('create-key', at, { ...key, tenant, purpose });
  if (dice.chance(0.5)) put('create-key', at + dice.below(SECOND), { ...key, tenant });
  put('rotate', at + dice.between(0, 2 * HOUR), { ...key, tenant });
}

function newRootKey({ dice, put }: Stage, at: number, key: Choice): void {
  put(dice.pick(['root-key-rotated', 'root-key-replaced']), at, key);
  if (dice.chance(0.5)) put('rotate', at + soon(dice), key);
}
