import { z } from 'zod';
import { CONFIGURED_APPROVERS } from '../actors/approvers.ts';
import { createDice, type Dice } from '../dice.ts';
import { rightAfter } from '../draw-stage.ts';
import { FAULT_RATES } from '../faults.ts';
import type { Action, Plan } from '../plan.ts';

/**
 * Bends a seed's plan towards where a mutant shows, so that it takes tens of seeds and not thousands. The unbroken code is
 * run on the same plans: a mutant is found only by what that does not do.
 */
export type Profile = keyof typeof PROFILES;

type Bend = (plan: Plan, dice: Dice) => Plan;
type Choice = Action['choice'];
type Put = (name: string, minutes: number, choice?: Choice) => void;

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;

/** Short, so that all of a version's life fits into hours. Seconds. */
const SHORT = {
  cacheMaxAgeSeconds: 120,
  cacheCeilingSeconds: 300,
  clockSkewSeconds: 20,
  maxTransactionSeconds: 30,
  stallSeconds: 90,
  soakSeconds: 300,
};
/** Longer than backups live, or shorter: then it is the holds that keep a version. */
const GRACES = {
  long: { backupRetentionSeconds: 1800, graceSeconds: 2700 },
  short: { backupRetentionSeconds: 3600, graceSeconds: 900 },
};
const NO_APPROVALS = { required: 0, acceptNoApprovals: true };

const PROFILES = {
  /** A version is purged as soon as it may be, and people change their minds meanwhile. */
  purge: (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    purge(put, dice);
    return bent(plan, { approvals: () => NO_APPROVALS, actions, hours: 4 });
  },
  /** Somebody goes back to a version while it is fenced. */
  'taken-back': (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    put('rotate', 10, olaf);
    put('purge', 80, { ...olaf, pick: 0 });
    put('rollback', 79, { ...olaf, pick: 0, ...rightAfter('fenced', dice.below(4 * MINUTE)) });
    return bent(plan, { approvals: () => NO_APPROVALS, actions, hours: 4 });
  },
  /** A purge is called off while its version is fenced, and nobody asks for it again. */
  'called-off': (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    put('rotate', 10, olaf);
    put('purge', 80, { ...olaf, pick: 0 });
    put('cancel', 81 + dice.below(4), { ...olaf, pick: 0 });
    return bent(plan, { approvals: () => NO_APPROVALS, actions, hours: 3 });
  },
  /** A backup of before a rotation comes back after it, and the version is purged as soon as it may be. */
  restored: (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    put('rotate', 10, olaf);
    const [store = 'main'] = Object.keys(configOf.parse(plan.config).stores);
    put('restore', dice.between(28, 36), { store, backup: dice.between(2, 3), end: 'end', minutes: 0 });
    for (const at of [65, 70, 75, 80, 85]) put('purge', at, { ...olaf, pick: 0 });
    return bent(plan, { approvals: () => NO_APPROVALS, actions, hours: 4, grace: 'long' });
  },
  /** Somebody kept a backup for too long, and restores it when its version is gone. */
  'restored-late': (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    purge(put, dice);
    const [store = 'main'] = Object.keys(configOf.parse(plan.config).stores);
    put('restore', dice.between(170, 200), { store, backup: 'oldest', end: 'end', minutes: 0 });
    return bent(plan, { approvals: () => NO_APPROVALS, actions, hours: 4 });
  },
  /** People have to agree to a purge, and something comes between their agreement and its use. */
  'approved-purge': (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    put('rotate', 10, olaf);
    for (let at = 80; at < 480; at += dice.between(20, 50)) put('purge', at, olaf);
    // Each purge is one chance that what was approved in time is taken up too late.
    if (plan.faults.has('executions-unavailable')) {
      for (const at of [25, 40, 55]) put('rotate', at, olaf);
      for (let at = 90; at < 480; at += 20) put('purge', at, { ...olaf, pick: dice.below(4) });
    }
    if (plan.faults.has('restore')) {
      const [store = 'main'] = Object.keys(configOf.parse(plan.config).stores);
      put('restore', dice.between(100, 160), { store, backup: 0, end: 'end', minutes: 0 });
    } else {
      for (const at of [95, 140, 190]) {
        const from = at + dice.below(40);
        put('pause', from, olaf);
        put('resume', from + dice.between(1, 6), olaf);
      }
    }
    return bent(plan, { approvals: agreed(dice), actions, hours: 9 });
  },
  /** Applications write all the time while the records are rewrapped. */
  busy: (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    for (const at of [10, 30]) {
      put('rush', at, { minutes: 5 });
      put('rotate', at + dice.between(0, 3), olaf);
      // Under the version that is left, between a worker's read and its write.
      for (let i = 0; i < 12; i++)
        put('write-late', at - 1, { ...olaf, ...rightAfter('listed', dice.below(400)) });
    }
    return bent({ ...plan, records: 6, applications: 5 }, { actions, hours: 2 });
  },
  /** Rotations and re-sweeps come right after one another, and are called off. */
  hasty: (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    put('rush', 10, { minutes: 30 });
    for (let at = 10; at < 50; at += dice.between(2, 8)) {
      put('rotate', at, olaf);
      const next = dice.pick(['cancel', 'resweep', 'resweep', 'rotate']);
      put(next, at + dice.between(0, 4), olaf);
    }
    return bent({ ...plan, records: 2, applications: 1 }, { actions, hours: 2 });
  },
  /** Versions come back, and are left again, and retire. */
  rollbacks: (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    for (let at = 10; at < 120; at += dice.between(10, 40)) {
      put('rotate', at, olaf);
      put('rollback', at + dice.between(1, 30), { ...olaf, pick: dice.below(4) });
      if (dice.chance(0.5)) put('purge', at + dice.between(50, 120), { ...olaf, pick: dice.below(2) });
    }
    return bent(plan, { approvals: () => NO_APPROVALS, actions, hours: 5 });
  },
  /** Rotations until the faults stop; what they stopped is left to the daily sweep. */
  'left-blocked': (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    for (let at = 120; at < 180; at += dice.between(3, 8)) put('rotate', at, olaf);
    return bent(plan, { approvals: () => NO_APPROVALS, actions, hours: 3 });
  },
  /** A backup comes back while a version is being purged, or a person holds it for a while, and nobody asks for the purge again. */
  'left-held': (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    put('rotate', 10, olaf);
    put('purge', 80, { ...olaf, pick: 0 });
    const at = 80 + dice.below(4);
    const [store = 'main'] = Object.keys(configOf.parse(plan.config).stores);
    if (plan.faults.has('restore')) put('restore', at, { store, backup: 0, end: 'end', minutes: 0 });
    else put('hold', at, { ...olaf, pick: 0 });
    return bent(plan, { approvals: () => NO_APPROVALS, actions, hours: 2 });
  },
  /** A person holds a version while its purge waits for approvals, which the next look finds when faults have stopped. */
  'held-late': (plan, dice) => {
    const { put, actions } = stage(plan, dice);
    put('rotate', 10, olaf);
    put('purge', 80, { ...olaf, pick: 0 });
    put('hold', 110 + dice.below(9), { ...olaf, pick: 0 });
    return bent(plan, { approvals: agreed(dice), actions, hours: 2 });
  },
} as const satisfies Record<string, Bend>;

/** Of the key that every plan has. */
const olaf = { tenant: 'acme', purpose: 'default', by: 'olaf' };

/** The plan of the same seed, bent. */
export function bend(plan: Plan, profile: Profile | undefined): Plan {
  return profile === undefined ? plan : PROFILES[profile](plan, createDice(plan.seed, `profile ${profile}`));
}

/** Accidents are the seed's, in the hours in which there is something to meet; the rest is the profile's. */
function stage({ actions }: Plan, dice: Dice) {
  const put: Put = (name, minutes, choice = {}) => {
    drawn.push({ name, after: minutes * MINUTE + dice.below(MINUTE), choice });
  };
  const drawn: Omit<Action, 'number'>[] = actions
    .filter(({ name }) => name in FAULT_RATES)
    .map((action) => ({ ...action, after: dice.between(10, 100) * MINUTE }));
  return { put, actions: drawn };
}

/** Retired at about minute 20, and due at about 70. */
function purge(put: Put, dice: Dice): void {
  put('rush', 9, { minutes: 10 });
  put('rotate', 10, olaf);
  const due = 66;
  for (const late of [-21, 0, 5, 15, 40, 80]) put('purge', due + late, { ...olaf, pick: 0 });
  for (let i = dice.between(0, 3); i > 0; i--) {
    const at = due + dice.below(25);
    const what = dice.pick(['pause', 'cancel', 'hold', 'rollback', 'rotate', 'read-old', 'read-old']);
    put(what, at, { ...olaf, pick: dice.below(2) });
    if (what === 'pause') put('resume', at + dice.between(1, 20), olaf);
    if (what === 'hold') put('release', at + dice.between(1, 20), { ...olaf, pick: 0 });
  }
}

function agreed(dice: Dice): (drawn: object) => object {
  const expirySeconds = dice.pick([2400, 14_400]);
  const required = dice.between(1, 2);
  return (drawn) => ({ ...drawn, required, expirySeconds, approvers: CONFIGURED_APPROVERS });
}

interface Change {
  readonly approvals?: (drawn: object) => object;
  readonly actions: readonly Omit<Action, 'number'>[];
  /** Until faults stop. */
  readonly hours: number;
  /** Left out: every other plan has the one or the other. */
  readonly grace?: keyof typeof GRACES;
}

const configOf = z.looseObject({
  stores: z.looseObject({}),
  rotation: z.looseObject({}),
  approvals: z.looseObject({}),
});

function bent(
  plan: Plan,
  { approvals = (drawn) => drawn, actions, hours, grace = plan.seed % 2 === 0 ? 'long' : 'short' }: Change,
): Plan {
  const config = configOf.parse(plan.config);
  const quietAfter = hours * HOUR;
  return {
    ...plan,
    config: {
      ...config,
      rotation: { ...config.rotation, ...SHORT, ...GRACES[grace] },
      approvals: approvals(config.approvals),
    },
    actions: actions
      .filter(({ after }) => after < quietAfter)
      .sort((a, b) => a.after - b.after)
      .map((action, number) => ({ ...action, number })),
    quietAfter,
    endsAfter: quietAfter + (plan.endsAfter - plan.quietAfter),
  };
}
