import type { Deps } from '../deps/deps.ts';
import { announceEnd } from './announce-end.ts';
import { blockJob, changeJob, getRunningJob, moveJob, requireRunning, timestamp } from './change.ts';
import { type RoundOutcome, standingOutcome } from './conclude-round.ts';
import { openLister } from './lister.ts';
import { settleQuarantine } from './quarantine.ts';
import type { Job } from './rotation.ts';

/** Records looked at to say how many are left; more than this is reported as "at least". */
const LOOK = 1000;

/** Ends an adoption's round: done when no record of the tenant has plaintext without an envelope. */
export async function concludeAdoption(
  deps: Deps,
  jobId: string,
  round: number,
): Promise<{ outcome: RoundOutcome }> {
  const job = await getRunningJob(deps, jobId);
  const earlier = standingOutcome(job, round);
  if (earlier !== null) return { outcome: earlier };
  const left = await countLeft(deps, job, round);
  const quarantined = (await settleQuarantine(deps, job.tenant, job.purpose)).filter(
    ({ recordSet, finding }) => finding === 'plaintext' && job.recordSets.includes(recordSet),
  );
  const records = new Set(quarantined.map(({ recordId }) => JSON.stringify(recordId))).size;
  const outcome: RoundOutcome =
    left === 0 ? 'CLEAN' : left > records && round < job.maxRounds ? 'SWEEP_AGAIN' : 'BLOCKED';
  const concluded = await changeJob(deps, jobId, (current) => {
    if (standingOutcome(requireRunning(current), round) !== null) return current;
    if (outcome === 'SWEEP_AGAIN') return moveJob(current, 'SWEEPING', { round: round + 1 });
    if (outcome === 'CLEAN')
      return moveJob(current, 'COMPLETED', { completedAt: timestamp(deps.clock.now()) });
    const message = `${left === LOOK ? 'At least ' : ''}${left} records still have plaintext without an envelope (${records} quarantined)`;
    return blockJob(current, 'PLAINTEXT_LEFT', message, deps.clock.now());
  });
  await announceEnd(deps, job.status, concluded);
  return { outcome: standingOutcome(concluded, round) ?? outcome };
}

async function countLeft(deps: Deps, job: Job, round: number): Promise<number> {
  const plan = await deps.ledger.getRound(job.jobId, round);
  let left = 0;
  for (const { index } of plan?.segments ?? []) {
    const lister = await openLister(deps, job, round, index);
    let after: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof lister.list>> = await lister.list(after, LOOK - left);
      left += page.keys.length;
      after = page.cursor;
    } while (after !== null && left < LOOK);
    if (left >= LOOK) return LOOK;
  }
  return left;
}
