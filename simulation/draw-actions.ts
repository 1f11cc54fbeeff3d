import type { Dice } from './dice.ts';
import type { FaultKind } from './faults.ts';
import type { Action } from './plan.ts';

/**
 * What people, customers and accidents do in a seed. It is drawn as scenes, in which what is interesting meets: a rollback
 * while a rotation runs, a hold while a version waits for its destruction. Numbers in a choice select among what there is
 * when the action comes, so that each can be left out without making another senseless.
 */

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

export interface Scenery {
  readonly faults: ReadonlySet<FaultKind>;
  readonly tenants: readonly string[];
  readonly purposes: readonly string[];
  readonly stores: readonly string[];
  readonly graceSeconds: number;
  readonly soakSeconds: number;
  readonly quietAfter: number;
  readonly short: boolean;
}

type Choice = Action['choice'];

/** What the scenes of a seed are drawn with. */
interface Stage extends Scenery {
  readonly dice: Dice;
  /** `after` may be beyond the active time: then it does not happen. */
  put(name: string, after: number, choice?: Choice): void;
  /** A moment at which something is under way, for an accident. */
  readonly moments: number[];
}

/** Whoever asks. Two of them may approve, too. */
const PEOPLE = ['olaf', 'olaf', 'ada', 'bob'] as const;
/** Not in the plan's tenants: the first that come later. */
const NEW_TENANTS = ['dune', 'elm'] as const;

type Scene = (stage: Stage, at: number, key: Choice) => void;

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
    const at = dice.between(10 * MINUTE, Math.round(scenery.quietAfter * 0.7));
    moments.push(at);
    drawScene(dice)(stage, at, drawKey(stage));
  }
  for (const [kind, accident] of Object.entries(ACCIDENTS)) {
    if (!scenery.faults.has(kind as FaultKind)) continue;
    for (let i = dice.between(1, 2); i > 0; i--) accident(stage, kind, drawMoment(stage));
  }
  return drawn.sort((a, b) => a.after - b.after).map((action, number) => ({ number, ...action }));
}

function drawScene(dice: Dice): Scene {
  let left = dice.below(SCENES.reduce((sum, [weight]) => sum + weight, 0));
  for (const [weight, scene] of SCENES) {
    if (left < weight) return scene;
    left -= weight;
  }
  return rotation;
}

function drawKey({ dice, tenants, purposes, faults }: Stage): Choice {
  // Who may approve, too, asks where somebody is to approve what they asked for.
  const by = faults.has('self-approval') ? 'ada' : dice.pick(PEOPLE);
  return { tenant: dice.pick(tenants), purpose: dice.pick(purposes), by };
}

/** Around what a scene does; half of them within minutes of it, where the races are. */
function drawMoment({ dice, moments, quietAfter }: Stage): number {
  const moment = dice.pick(moments);
  const near = dice.chance(0.5) ? dice.between(-5 * MINUTE, 15 * MINUTE) : dice.between(-2 * HOUR, 4 * HOUR);
  return Math.min(Math.max(moment + near, MINUTE), quietAfter - HOUR);
}

// Scenes

/** Sometimes asked for twice, by two people at once or while the first runs; applications write meanwhile. */
function rotation({ dice, put }: Stage, at: number, key: Choice): void {
  put('rotate', at, { ...key, ...(dice.chance(0.3) && { mode: dice.pick(['rewrap', 're-encrypt']) }) });
  if (dice.chance(0.3)) put('rotate', at + dice.below(3 * SECOND), { ...key, by: dice.pick(PEOPLE) });
  if (dice.chance(0.3)) put('rotate', at + dice.between(MINUTE, 30 * MINUTE), key);
  if (dice.chance(0.7)) put('rush', at - dice.below(2 * MINUTE), { minutes: dice.between(5, 20) });
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
  const { dice, put, graceSeconds, soakSeconds, moments, quietAfter, short } = stage;
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

/** While a rotation sweeps, waits at its barrier, or counts. */
function soon(dice: Dice): number {
  return dice.chance(0.5) ? dice.below(30 * SECOND) : dice.below(25 * MINUTE);
}

// Accidents: each has the name of its fault.

type Accident = (stage: Stage, kind: string, at: number) => void;

/** The customer comes back; a few never do. */
function outage(stage: Stage, kind: string, at: number): void {
  const { dice, put, quietAfter } = stage;
  const minutes = dice.chance(0.5) ? dice.between(1, 30) : dice.between(30, 6 * 60);
  const longest = Math.floor((quietAfter - at) / MINUTE) - 5;
  const forMinutes = dice.chance(0.05) ? 0 : Math.max(1, Math.min(minutes, longest));
  put(kind, at, { tenant: dice.pick(stage.tenants), pick: dice.below(4), minutes: forMinutes });
}

/** Some are found and dealt with: tried again, or given up with approvals, which takes asking twice. */
function damage(stage: Stage, kind: string, at: number): void {
  const { dice, put } = stage;
  put(kind, at, { pick: dice.below(1000), other: dice.below(1000), byte: dice.below(100_000) });
  if (dice.chance(0.5)) put('retry-quarantined', at + dice.between(HOUR, 5 * HOUR), drawKey(stage));
  if (dice.chance(0.3)) return;
  const { by } = drawKey(stage);
  const choice = { by: by ?? 'olaf', pick: dice.below(4) };
  let when = at;
  for (let i = 0; i < 3; i++) {
    when += dice.between(HOUR, 3 * HOUR);
    put('give-up', when, choice);
  }
}

/** `backup` counts from the newest; the oldest should be gone by then. `die`: the operator goes away between the steps, and comes back so much later. */
function restore({ dice, put, stores, quietAfter }: Stage, kind: string, at: number): void {
  // Late: a version that it names may be destroyed by then.
  const isOldest = dice.chance(0.2);
  put(kind, isOldest ? Math.max(at, quietAfter - dice.between(HOUR, 3 * HOUR)) : at, {
    store: dice.pick(stores),
    backup: isOldest ? 'oldest' : dice.chance(0.5) ? 0 : dice.below(6),
    end: dice.pick(['end', 'end', 'end', 'end', 'abort', 'twice']),
    minutes: dice.chance(0.5) ? 0 : dice.between(1, 180),
  });
}

/** Approvals are asked for at any time, and for a release surely: it is tried more than once. */
function people(stage: Stage, kind: string, at: number): void {
  const { dice, put } = stage;
  const key = drawKey(stage);
  put('hold', at, { ...key, pick: 0, hours: 0 });
  put('release', at + 10 * MINUTE, { ...key, pick: 0 });
  for (let i = 0; i < 5; i++)
    put(kind, at + 15 * MINUTE + i * dice.between(HOUR / 2, 2 * HOUR), { pick: dice.below(4) });
}

const ACCIDENTS = {
  'root-key-disabled': outage,
  'root-key-deletion-pending': outage,
  'grant-revoked': outage,
  'material-expired': outage,
  restore,
  'bit-flipped': damage,
  truncated: damage,
  swapped: damage,
  'unknown-version': damage,
  'unknown-algorithm': damage,
  'approval-raced': people,
  'self-approval': people,
} as const satisfies Partial<Record<FaultKind, Accident>>;
