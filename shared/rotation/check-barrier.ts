import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import { callOff, whyCalledOff } from './call-off-purge.ts';
import { changeJob, getKey, getRunningJob, moveJob } from './change.ts';
import { raiseAfterBarrier } from './fences.ts';
import type { Job } from './rotation.ts';

export interface BarrierLook {
  readonly passed: boolean;
  readonly waitSeconds: number;
  /** A purge that is over before its time. */
  readonly blocked?: true;
}

/**
 * Step 5: no census before every writer's cache has expired. The end was fixed at the activation; a clock that
 * jumps back only makes this wait longer. Of a purge it is the rehearsal: each look sees whether anybody asked for the
 * version since, and ends the purge then.
 */
export async function checkBarrier(deps: Deps, jobId: string): Promise<BarrierLook> {
  const job = await getRunningJob(deps, jobId);
  if (job.kind === 'purge' && (await isCalledOff(deps, job))) {
    return { passed: false, waitSeconds: 0, blocked: true };
  }
  const left = job.barrierUntil === null ? 0 : Date.parse(job.barrierUntil) - deps.clock.now();
  if (left > 0) return { passed: false, waitSeconds: waitSeconds(job, Math.ceil(left / 1000)) };
  // Writers have had their time. The database refuses those that slept through it, before anything is counted.
  await raiseAfterBarrier(deps, job);
  await changeJob(deps, jobId, (current) =>
    current.status === 'BARRIER' ? moveJob(current, 'CENSUS') : current,
  );
  return { passed: true, waitSeconds: 0 };
}

async function isCalledOff(deps: Deps, job: Job): Promise<boolean> {
  if (job.status === 'COMPLETED') return false;
  // By another execution of it.
  if (job.status !== 'CENSUS') return true;
  const key = await getKey(deps, job.tenant, job.purpose);
  if (versionOf(key, job.from).destroyAuthorizedAt !== null) return false;
  const refusal = whyCalledOff(key, job, deps.clock.now(), deps.config);
  if (refusal === null) return false;
  await callOff(deps, job, refusal);
  return true;
}

const LOOK_EVERY_SECONDS = 900;
/** A look and its wait are nine events of an execution's 25,000; the census and its retries need theirs. */
const MOST_LOOKS = 1000;

/**
 * A rotation has nothing to look for: but where more is left than a whole barrier this machine's clock is behind, and another
 * one may know better. Of a purge: often enough to see soon who asks for the version.
 */
function waitSeconds({ kind, times }: Pick<Job, 'kind' | 'times'>, left: number): number {
  if (kind !== 'purge') return Math.min(left, Math.max(times.barrierSeconds, Math.ceil(left / MOST_LOOKS)));
  const whole = Math.max(times.barrierSeconds, left);
  const often = Math.min(LOOK_EVERY_SECONDS, Math.max(1, Math.ceil(whole / 20)));
  return Math.min(left, Math.max(often, Math.ceil(whole / MOST_LOOKS)));
}
