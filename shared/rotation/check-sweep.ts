import type { Deps } from '../deps/deps.ts';
import { changeJob, getRunningJob, moveJob } from './change.ts';
import { isStalled, rollUp } from './roll-up.ts';
import type { Job } from './rotation.ts';

/** A short sweep is noticed at once, without a state's wait: looks within one call, and the pause before each. */
const LOOKS_MS = [0, 100, 300, 900];
/** The wait between calls is a share of the time so far: long rotations stay far below 25,000 history events. */
const WAIT_SHARE = 0.05;
const MAX_WAIT_SECONDS = 300;

export interface SweepCheck {
  readonly swept: boolean;
  readonly waitSeconds: number;
}

/** Says whether every chunk of the round was reported, or no progress was made for so long that a new round is due. */
export async function checkSweep(deps: Deps, jobId: string, round: number): Promise<SweepCheck> {
  const job = await getRunningJob(deps, jobId);
  for (const pause of LOOKS_MS) {
    if (pause > 0) await deps.clock.sleep(pause);
    const state = await lookAtRound(deps, job, round);
    if (state === 'swept' || state === 'stalled') {
      if (state === 'stalled') deps.log.warn('sweep stalled', { jobId, round, code: 'SWEEP_STALLED' });
      await changeJob(deps, jobId, (current) =>
        current.status === 'SWEEPING' ? moveJob(current, 'BARRIER') : current,
      );
      return { swept: true, waitSeconds: 0 };
    }
  }
  const started = job.startedAt === null ? deps.clock.now() : Date.parse(job.startedAt);
  const wait = Math.round(((deps.clock.now() - started) / 1000) * WAIT_SHARE);
  return { swept: false, waitSeconds: Math.min(Math.max(wait, 1), MAX_WAIT_SECONDS) };
}

async function lookAtRound(deps: Deps, job: Job, round: number): Promise<'swept' | 'stalled' | 'running'> {
  const plan = await deps.ledger.getRound(job.jobId, round);
  if (plan === null) return 'running';
  let finished = true;
  let stalled = deps.clock.now() - Date.parse(plan.createdAt) > job.times.stallSeconds * 1000;
  for (const { index } of plan.segments) {
    const { segment, open } = await rollUp(deps, job.jobId, round, index);
    finished &&= segment.finished;
    stalled &&= segment.finished || isStalled(deps, job, segment, open);
  }
  if (finished) return 'swept';
  return stalled ? 'stalled' : 'running';
}
