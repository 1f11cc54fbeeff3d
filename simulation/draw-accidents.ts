import type { Dice } from './dice.ts';
import { drawKey, HOUR, MINUTE, rightAfter, SECOND, type Stage } from './draw-stage.ts';
import type { FaultKind } from './faults.ts';

/** Each has the name of its fault. */
type Accident = (stage: Stage, kind: string, at: number) => void;

/** The customer comes back; a few never do. */
function outage(stage: Stage, kind: string, at: number): void {
  const { dice, put, quietAfter } = stage;
  const minutes = dice.chance(0.5) ? dice.between(1, 30) : dice.between(30, 6 * 60);
  const longest = Math.floor((quietAfter - at) / MINUTE) - 5;
  const forMinutes = dice.chance(0.05) ? 0 : Math.max(1, Math.min(minutes, longest));
  const choice = { tenant: dice.pick(stage.tenants), pick: dice.below(4), minutes: forMinutes };
  if (dice.chance(0.6)) {
    put(kind, at, choice);
    return;
  }
  const moment = dice.pick(['sweeping', 'sweeping', 'counting', 'fenced', 'awaited', 'decided'] as const);
  const minutesThen = Math.min(forMinutes, 30);
  put(kind, 10 * MINUTE, { ...choice, minutes: minutesThen, ...rightAfter(moment, drawDelay(dice)) });
}

/** Some are found and dealt with: tried again, or given up with approvals, which takes asking twice. */
function damage(stage: Stage, kind: string, at: number): void {
  const { dice, put } = stage;
  // Half of them before a scene begins: its rotation comes upon it.
  const when = dice.chance(0.5) ? at : Math.max(MINUTE, dice.pick(stage.moments) - dice.below(5 * MINUTE));
  put(kind, when, { pick: dice.below(1000), other: dice.below(1000), byte: dice.below(100_000) });
  if (dice.chance(0.5)) put('retry-quarantined', at + dice.between(HOUR, 5 * HOUR), drawKey(stage));
  if (dice.chance(0.3)) return;
  const key = drawKey(stage);
  const choice = { ...key, pick: dice.below(4) };
  const settled = dice.between(HOUR, 2 * HOUR);
  put('give-up', when, { ...choice, ...rightAfter('retired', dice.below(5 * MINUTE)) });
  put('give-up', when, { ...choice, ...rightAfter('retired', settled) });
  put('purge', when, {
    ...key,
    pick: 0,
    ...rightAfter('retired', settled + dice.between(MINUTE, 20 * MINUTE)),
  });
  // While people are being asked about a purge: what it counted is not so any more.
  put('give-up', when, { ...choice, ...rightAfter('awaited', drawDelay(dice)) });
  for (let i = 0; i < 2; i++) put('write', when, { ...key, ...rightAfter('awaited', drawDelay(dice)) });
  put('give-up', at + dice.between(HOUR, 3 * HOUR), choice);
}

const RESTORE_MOMENTS = [
  'sweeping',
  'retired',
  'fenced',
  'counted',
  'counted',
  'counted',
  'decided',
] as const;
const AWAITED_RESTORE_MOMENTS = [...RESTORE_MOMENTS, 'awaited', 'awaited', 'awaited', 'awaited'] as const;

/** Until it has held a version the decision is made, and not carried out yet. Milliseconds. */
const RESTORE_DELAYS: Readonly<Record<string, (dice: Dice) => number>> = {
  counted: (dice) => dice.between(20, 140),
  decided: (dice) => dice.below(20),
};

/** `backup` counts from the newest; the oldest should be gone by then. `minutes`: the operator is away between two steps. */
function restore({ dice, put, stores, quietAfter, expirySeconds }: Stage, kind: string, at: number): void {
  // Late: a version that it names may be destroyed by then.
  const isOldest = dice.chance(0.2);
  const choice = {
    store: dice.pick(stores),
    backup: isOldest ? 'oldest' : dice.chance(0.5) ? 0 : dice.below(6),
    end: dice.pick(['end', 'end', 'end', 'end', 'abort', 'twice']),
    minutes: dice.chance(0.5) ? 0 : dice.between(1, 180),
  };
  if (isOldest) put(kind, Math.max(at, quietAfter - dice.between(HOUR, 3 * HOUR)), choice);
  else if (dice.chance(0.4)) put(kind, at, choice);
  else {
    const moment = dice.pick(expirySeconds === null ? RESTORE_MOMENTS : AWAITED_RESTORE_MOMENTS);
    const delay = RESTORE_DELAYS[moment]?.(dice) ?? drawDelay(dice);
    put(kind, 10 * MINUTE, { ...choice, ...rightAfter(moment, delay) });
  }
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

export const ACCIDENTS = {
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

function drawDelay(dice: Dice): number {
  return dice.chance(0.5) ? dice.below(SECOND) : dice.below(10 * MINUTE);
}
