import type { Deps } from '../deps/deps.ts';
import { rollUp } from './roll-up.ts';
import type { Job } from './rotation.ts';

/**
 * How far a sweep is, for people and for nothing else: no decision is ever made by it. In every round
 * rewrapped + skipped + quarantined + remaining = planned, at every moment.
 */
export interface RoundProgress {
  readonly round: number;
  /** Records that were listed so far. */
  readonly planned: number;
  readonly rewrapped: number;
  readonly skipped: number;
  readonly quarantined: number;
  readonly remaining: number;
  /** The segments are listed to their end: `planned` is final. */
  readonly listed: boolean;
}

export async function readRoundProgress(deps: Deps, job: Job, round: number): Promise<RoundProgress> {
  const plan = await deps.ledger.getRound(job.jobId, round);
  const total = { planned: 0, rewrapped: 0, skipped: 0, quarantined: 0 };
  let listed = plan !== null;
  for (const { index } of plan?.segments ?? []) {
    const { segment, open } = await rollUp(deps, job.jobId, round, index);
    for (const part of [segment, ...open]) {
      total.planned += part.planned;
      total.rewrapped += part.rewrapped;
      total.skipped += part.skipped;
      total.quarantined += part.quarantined;
    }
    listed &&= segment.finished || open.at(-1)?.plan.next === null;
  }
  const remaining = total.planned - total.rewrapped - total.skipped - total.quarantined;
  return { round, ...total, remaining, listed };
}

/** All rounds of a job, oldest first. */
export async function readProgress(deps: Deps, job: Job): Promise<readonly RoundProgress[]> {
  if (job.kind === 'purge') return [];
  const rounds: RoundProgress[] = [];
  for (let round = 1; round <= job.round; round++) rounds.push(await readRoundProgress(deps, job, round));
  return rounds;
}

/** One line for all rounds: what an earlier round left is planned again by the next, so only the last one's counts. */
export function sumProgress(rounds: readonly RoundProgress[]): Omit<RoundProgress, 'round'> {
  const last = rounds.at(-1);
  const sum = (part: 'rewrapped' | 'skipped') => rounds.reduce((total, round) => total + round[part], 0);
  const rewrapped = sum('rewrapped');
  const skipped = sum('skipped');
  const quarantined = last?.quarantined ?? 0;
  const remaining = last?.remaining ?? 0;
  return {
    planned: rewrapped + skipped + quarantined + remaining,
    rewrapped,
    skipped,
    quarantined,
    remaining,
    listed: last?.listed ?? false,
  };
}
