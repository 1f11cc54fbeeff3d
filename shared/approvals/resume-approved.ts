import type { Deps } from '../deps/deps.ts';
import { ApprovalError } from '../errors/errors.ts';
import { versionOf } from '../keyring/change-version.ts';
import { whyCalledOff } from '../rotation/call-off-purge.ts';
import { getJob, getKey } from '../rotation/change.ts';
import { resumeJob } from '../rotation/pause-job.ts';
import { type Job, waitsForApproval } from '../rotation/rotation.ts';
import { checkApprovals } from './check-approvals.ts';

/**
 * Purges that wait for approvals. They are taken up by a new attempt, which verifies everything itself: also when it is
 * taken up for nothing, nothing is destroyed that was not approved.
 */

/** Takes up those of the jobs that need not wait any more. Returns how many. */
export async function resumeApproved(deps: Deps, jobs: readonly Job[]): Promise<number> {
  let resumed = 0;
  for (const job of jobs) {
    if (!waitsForApproval(job)) continue;
    const now = await resumeIfDecided(deps, job, false);
    if (now.status !== 'PAUSED') resumed += 1;
  }
  return resumed;
}

/**
 * Takes the job up when it is approved, or when something ended its purge meanwhile: an application asked for the version,
 * a hold, a restore, somebody called it off. `anew`: also when its request is void or has expired, for another one with a
 * fresh census; that reads everything, so that a person must ask for it, `askedBy`, who may not approve that one. Returns
 * the job as it is then.
 */
export async function resumeIfDecided(
  deps: Deps,
  listed: Job,
  anew: boolean,
  askedBy: string | null = null,
): Promise<Job> {
  if (!waitsForApproval(listed)) return listed;
  // Lists lag behind.
  const job = await getJob(deps, listed.jobId);
  if (!waitsForApproval(job)) return job;
  const key = await getKey(deps, job.tenant, job.purpose);
  const version = versionOf(key, job.from);
  // Or decided, by an execution that was not the last: that has no way back, and is to be finished.
  const fenced = version.state === 'DESTROY_PENDING' && version.destroyAuthorizedAt === null;
  const calledOff = !fenced || whyCalledOff(key, job, deps.clock.now(), deps.config) !== null;
  const decision = calledOff ? 'decided' : await decisionOn(deps, job);
  if (decision === 'open' || (decision === 'over' && !anew)) return job;
  return resumeJob(deps, job.jobId, 'APPROVAL', decision === 'over' ? askedBy : null);
}

async function decisionOn(deps: Deps, { approvalId }: Job): Promise<'decided' | 'over' | 'open'> {
  if (approvalId === null || deps.config.approvals.required === 0) return 'decided';
  try {
    const { approved, over } = await checkApprovals(deps, approvalId);
    if (approved) return 'decided';
    return over === null ? 'open' : 'over';
  } catch (error) {
    // It is gone, or somebody changed it: the new attempt stops with that as its blocker.
    if (error instanceof ApprovalError) return 'decided';
    throw error;
  }
}
