import type { Deps } from '../deps/deps.ts';
import type { TenantKey } from '../keyring/key.ts';
import { cancelJob } from './cancel-job.ts';
import { getJob, getKey } from './change.ts';
import { purgeJobId, rotationJobId } from './job-id.ts';
import { type JobRequest, startOrResume, startRollback } from './request-job.ts';
import { checkReturnable, refuseRollback } from './rollback-rules.ts';
import type { Job } from './rotation.ts';
import { registerServed } from './served.ts';

/**
 * Back to an older version, for as long as it is RETIRING: a new activation, swept like any rotation. Its number is lower
 * than that of the version that is left; which of two is newer is a matter of which is active, not of numbers.
 */

export interface RollbackRequest {
  readonly tenant: string;
  readonly purpose: string;
  /** The version to activate again. */
  readonly to: number;
  readonly requestedBy: string;
  /** Left out: as the configuration says; null: no limit. */
  readonly recordsPerSecond?: number | null;
}

export interface Rollback {
  /** Jobs that were in its way and were cancelled first: a rotation, the purge of the version. */
  readonly cancelled: readonly Job[];
  /** null: the version was active still, so that with what was cancelled all is done. */
  readonly request: JobRequest | null;
}

/** Throws ROLLBACK_REFUSED where the version cannot come back, before anything is changed. May be repeated. */
export async function requestRollback(deps: Deps, request: RollbackRequest): Promise<Rollback> {
  const { tenant, purpose, to, requestedBy } = request;
  const key = await registerServed(deps, tenant, purpose);
  checkReturnable(key, to);
  const holder = key.rotationId === null ? null : await getJob(deps, key.rotationId);
  if (holder !== null && isRollbackTo(holder, to)) {
    return { cancelled: [], request: await startOrResume(deps, holder) };
  }
  const cancelled: Job[] = [];
  for (const jobId of await inTheWay(deps, key, to))
    cancelled.push(await cancelJob(deps, jobId, requestedBy));
  const free = await getKey(deps, tenant, purpose);
  // As it is now: somebody else may have been faster.
  checkReturnable(free, to);
  if (free.active === to) {
    if (cancelled.length > 0) return { cancelled, request: null };
    throw refuseRollback({
      message: `Version ${to} of ${tenant}/${purpose} is the active version`,
      remedy: 'There is nothing to roll back.',
    });
  }
  return { cancelled, request: await startRollback(deps, free, to, request) };
}

/** Another rotation of the key, also one that does not hold the lock yet; and the purge of the version. */
async function inTheWay(deps: Deps, key: TenantKey, to: number): Promise<readonly string[]> {
  const ids = new Set([rotationJobId(key), purgeJobId(key.keyId, to)]);
  if (key.rotationId !== null) ids.add(key.rotationId);
  const jobs = await Promise.all([...ids].map((jobId) => deps.ledger.getJob(jobId)));
  return jobs.flatMap((job) =>
    job === null || job.status === 'COMPLETED' || (job.status === 'CANCELLED' && job.jobId !== key.rotationId)
      ? []
      : [job.jobId],
  );
}

function isRollbackTo({ goal, to, status }: Job, version: number): boolean {
  return goal === 'ROLLBACK' && to === version && status !== 'CANCELLED';
}
