import type { Dice } from '../dice.ts';
import type { Faults } from '../faults.ts';
import type { Process } from '../process.ts';
import type { Scheduler } from '../scheduler.ts';

/**
 * A deployment of the next release. While it goes on, each process that begins is of the one release or the other; when it is over all
 * are of the next one. Some are rolled back for a while: then what the next one wrote is there, and nobody can read it.
 */
export type Release = 'this' | 'next';

export type DeploymentPhase = 'rolling' | 'rolled-back' | 'done';

export interface Deployment {
  /** Of a process: it has one for as long as it lives. */
  releaseOf(process: Process): Release;
}

export interface DeploymentParts {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly dice: Dice;
  /** Milliseconds from now on until faults stop: it is done before that. */
  readonly quietAfter: number;
  /** What is of a release that does not fit any more is to be replaced. */
  readonly onPhase: (phase: DeploymentPhase) => void;
}

const MINUTE = 60_000;

/** Of all; how long it takes, and how long it is away when it is rolled back: at most. */
const ROLLED_BACK = 0.3;
const LONGEST_ROLLING = 60 * MINUTE;
const LONGEST_BACK = 60 * MINUTE;

export function startDeployment(parts: DeploymentParts): Deployment {
  const { scheduler, faults, dice, quietAfter, onPhase } = parts;
  const releases = new WeakMap<Process, Release>();
  let phase: DeploymentPhase | 'before' = 'before';
  /** A process of the next release was there. */
  let begun = false;

  const draw = ({ name }: Process): Release => {
    if (phase === 'rolling' && faults.fires('mixed-code', name)) {
      begun = true;
      return 'next';
    }
    return phase === 'done' && begun ? 'next' : 'this';
  };
  const enter = (next: DeploymentPhase) => {
    phase = next;
    if (next === 'rolling' || begun) onPhase(next);
  };

  const begins = dice.below(Math.floor(quietAfter / 2));
  const rolls = dice.between(10 * MINUTE, LONGEST_ROLLING);
  const back = dice.chance(ROLLED_BACK) ? dice.between(5 * MINUTE, LONGEST_BACK) : 0;
  const latest = quietAfter - MINUTE;
  scheduler.after(begins, () => enter('rolling'));
  if (back > 0) scheduler.after(Math.min(begins + rolls, latest), () => enter('rolled-back'));
  scheduler.after(Math.min(begins + rolls + back, latest), () => enter('done'));

  return {
    releaseOf(process) {
      const known = releases.get(process) ?? draw(process);
      releases.set(process, known);
      return known;
    },
  };
}

/** Where no plan has one. */
export const NO_DEPLOYMENT: Deployment = { releaseOf: () => 'this' };
