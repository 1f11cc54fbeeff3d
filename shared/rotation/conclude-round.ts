import { isDeepStrictEqual } from 'node:util';
import type { Deps } from '../deps/deps.ts';
import type { ServedTable } from '../keyring/key.ts';
import { seenBySweep } from '../keyring/sightings.ts';
import { announceEnd } from './announce-end.ts';
import {
  blockJob,
  changeJob,
  changeKeyOf,
  getRunningJob,
  moveJob,
  requireRunning,
  timestamp,
} from './change.ts';
import { type StayingRecord, settleQuarantine } from './quarantine.ts';
import type { Blocker, CensusCoverage, CensusResult, Job } from './rotation.ts';
import { describeSet, describeTables, registerServed, unreadSets, unreadTables } from './served.ts';
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
  // With the tables that are declared since the job began.
  const key = await registerServed(deps, job.tenant, job.purpose);
  const { active, restoreEpoch } = key;
  const census = await readCensus(deps, job, round, active);
  await tellRetired(deps, job, census);
  deps.metrics.add('StaleRecords', census.stale);
  const quarantined = await settleQuarantine(deps, job.tenant, job.purpose);
  const recordSets = deps.recordSets.ofKey(job.tenant, job.purpose);
  const unread = unreadSets(deps.config, recordSets, census.coverage);
  const setAside = countSetAside(census, quarantined, active);
  // Known of, and in nobody's record sets: another process has another configuration, or the table was taken out of it.
  const undeclared = unreadTables(key, deps.config);
  const left = [...unread.map(describeSet), ...undeclared.map(describeUndeclared)];
  const decision = decideRound(census, setAside, round, job.maxRounds, left);
  const concluded = await changeJob(deps, jobId, (current) => {
    if (standingOutcome(requireRunning(current), round) !== null) return current;
    const next = { ...current, census };
    if (decision.outcome === 'SWEEP_AGAIN')
      return moveJob(next, 'SWEEPING', {
        round: round + 1,
        restoreEpoch,
        ...(unread.length > 0 ? { recordSets } : {}),
      });
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

/** What it found on versions that were retired before, they are not retired without: this round's end retires them anew. */
async function tellRetired(deps: Deps, job: Job, { coverage }: CensusResult): Promise<void> {
  const counts = Object.values(coverage).flatMap(({ versions }) => Object.entries(versions));
  const found = counts.flatMap(([version, values]) => (values > 0 ? [Number(version)] : []));
  const at = timestamp(deps.clock.now());
  await changeKeyOf(deps, job, (key) => seenBySweep(key, job.jobId, found, at));
}

/**
 * Pure. How many of the census' stale values are quarantined, for all that is known: in each record set no more than it
 * found stale there, and none that was set aside after it, which it may have counted as something else.
 */
export function countSetAside(
  census: CensusResult,
  quarantined: readonly Pick<StayingRecord, 'finding' | 'recordSet' | 'at'>[],
  active: number,
): number {
  return Object.entries(census.coverage).reduce((total, [recordSet, count]) => {
    const known = quarantined.filter(
      (one) => one.finding === 'stale' && one.recordSet === recordSet && one.at <= census.takenAt,
    );
    return total + Math.min(known.length, staleOf(count, active));
  }, 0);
}

function staleOf({ versions, foreign, malformed }: CensusCoverage, active: number): number {
  const named = Object.entries(versions).filter(([version]) => Number(version) !== active);
  return named.reduce((total, [, values]) => total + values, foreign + malformed);
}

/**
 * Pure. Quarantined values block the purge of their version and nothing else: a round with nothing but them left is
 * clean. The quarantine is compared with the census by its size, so a value that is stale and not set aside is
 * never overlooked: it makes the census larger. `unread`: what was declared since the round began, was counted by another
 * configuration than the one that decides, or is declared by neither and yet known to the key.
 */
export function decideRound(
  census: CensusResult,
  quarantined: number,
  round: number,
  maxRounds: number,
  unread: readonly string[] = [],
): Decision {
  const left = census.stale - quarantined;
  if (left <= 0 && unread.length === 0) return { outcome: 'CLEAN' };
  if (round < maxRounds) return { outcome: 'SWEEP_AGAIN' };
  if (unread.length > 0) {
    const message = `After ${round} rounds these were not read: ${unread.join('; ')}. Each is declared otherwise than by the process that counted, or not at all`;
    return { outcome: 'BLOCKED', blocker: { code: 'RECORD_SET_CHANGED', message } };
  }
  return {
    outcome: 'BLOCKED',
    blocker: {
      code: 'STALE_RECORDS',
      message: `After ${round} rounds ${left} values are not on the active version and not quarantined (${describe(census)})`,
    },
  };
}

function describeUndeclared(table: ServedTable): string {
  return `${describeTables([table])}, which the key served and no record set declares`;
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
