import { isDeepStrictEqual } from 'node:util';
import type { Deps } from '../deps/deps.ts';
import { announceEnd } from './announce-end.ts';
import { blockJob, changeJob, getKey, getRunningJob, moveJob, requireRunning } from './change.ts';
import { settleQuarantine } from './quarantine.ts';
import type { Blocker, CensusResult, Job } from './rotation.ts';
import { readCensus } from './take-census.ts';

export type RoundOutcome = 'CLEAN' | 'SWEEP_AGAIN' | 'BLOCKED';

/** Step 6 ends: decides by the census, and by nothing else, whether the old version is free of records. */
export async function concludeRound(
  deps: Deps,
  jobId: string,
  round: number,
): Promise<{ outcome: RoundOutcome }> {
  const job = await getRunningJob(deps, jobId);
  const earlier = standingOutcome(job, round);
  if (earlier !== null) return { outcome: earlier };
  const { active, restoreEpoch } = await getKey(deps, job.tenant, job.purpose);
  const census = await readCensus(deps, job, round, active);
  deps.metrics.add('StaleRecords', census.stale);
  const quarantined = await settleQuarantine(deps, job.tenant, job.purpose);
  const counted = quarantined.filter(
    ({ finding, recordSet }) => finding === 'stale' && Object.hasOwn(census.coverage, recordSet),
  );
  const decision = decideRound(census, counted.length, round, job.maxRounds);
  const concluded = await changeJob(deps, jobId, (current) => {
    if (standingOutcome(requireRunning(current), round) !== null) return current;
    const next = { ...current, census };
    if (decision.outcome === 'SWEEP_AGAIN')
      return moveJob(next, 'SWEEPING', { round: round + 1, restoreEpoch });
    if (decision.outcome === 'BLOCKED') {
      return blockJob(next, decision.blocker.code, decision.blocker.message, deps.clock.now());
    }
    return isDeepStrictEqual(current.census, census) ? current : next;
  });
  await announceEnd(deps, job.status, concluded);
  return { outcome: standingOutcome(concluded, round) ?? 'CLEAN' };
}

/**
 * What was decided on this round before, by the job as it stands; null: nothing yet. The quarantine may have changed
 * since, so a repeat that decided anew could send the state machine another way than the ledger.
 */
export function standingOutcome(job: Job, round: number): RoundOutcome | null {
  if (job.status === 'COMPLETED') return 'CLEAN';
  if (job.round > round) return 'SWEEP_AGAIN';
  return job.status === 'CENSUS' ? null : 'BLOCKED';
}

type Decision =
  | { readonly outcome: 'CLEAN' | 'SWEEP_AGAIN' }
  | { readonly outcome: 'BLOCKED'; readonly blocker: Omit<Blocker, 'at'> };

/**
 * Pure. Quarantined values block the purge of their version and nothing else: a round with nothing but them left is
 * clean. The quarantine is compared with the census by its size, so a value that is stale and not set aside is
 * never overlooked: it makes the census larger.
 */
export function decideRound(
  census: CensusResult,
  quarantined: number,
  round: number,
  maxRounds: number,
): Decision {
  const left = census.stale - quarantined;
  if (left <= 0) return { outcome: 'CLEAN' };
  if (round < maxRounds) return { outcome: 'SWEEP_AGAIN' };
  return {
    outcome: 'BLOCKED',
    blocker: {
      code: 'STALE_RECORDS',
      message: `After ${round} rounds ${left} values are not on the active version and not quarantined (${describe(census)})`,
    },
  };
}

function describe(census: CensusResult): string {
  return Object.entries(census.coverage)
    .map(([recordSet, { versions, foreign, malformed }]) => {
      const parts = Object.entries(versions).map(([version, count]) => `${count} on version ${version}`);
      if (foreign > 0) parts.push(`${foreign} of another key`);
      if (malformed > 0) parts.push(`${malformed} unreadable`);
      return `${recordSet}: ${parts.join(', ') || 'none'}`;
    })
    .join('; ');
}
