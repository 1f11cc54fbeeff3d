import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { KeyVersion } from '../keyring/key.ts';
import { purgeJobId } from './job-id.ts';
import { recoverJob, requestPurge } from './request-job.ts';
import { type BlockerCode, JOB_STATUSES } from './rotation.ts';
import { registerServed } from './served.ts';

export interface DailySweep {
  /** Jobs whose execution was gone and was started again. */
  readonly recovered: number;
  /** Purges that were started because a version's grace is over. */
  readonly purges: number;
  /** Jobs and keys that failed; one failing blocks no other. */
  readonly failed: number;
}

/** Takes up jobs that stopped without an end, and starts the purge of every version whose grace is over. */
export async function sweepDaily(deps: Deps): Promise<DailySweep> {
  const result = { recovered: 0, purges: 0, failed: 0 };
  const statuses = JOB_STATUSES.filter((status) => status !== 'COMPLETED' && status !== 'BLOCKED');
  for (const job of await deps.ledger.listJobs({ statuses })) {
    await attempt(deps, result, async () => {
      if (await recoverJob(deps, job)) result.recovered += 1;
    });
  }
  for (const key of await deps.ledger.listKeys()) {
    await attempt(deps, result, async () => {
      await registerServed(deps, key.tenant, key.purpose);
    });
    for (const version of Object.values(key.versions)) {
      if (!isDue(version, deps.clock.now())) continue;
      await attempt(deps, result, async () => {
        if (!(await mayStart(deps, key.keyId, version))) return;
        const { answer } = await requestPurge(deps, {
          tenant: key.tenant,
          purpose: key.purpose,
          version: version.version,
          requestedBy: 'daily sweep',
        });
        if (answer === 'started' || answer === 'resumed') result.purges += 1;
      });
    }
  }
  return result;
}

/** Retired with its grace over; or decided to be destroyed, by a purge that stopped before it could. */
function isDue({ state, purgeNotBefore, destroyAuthorizedAt }: KeyVersion, now: number): boolean {
  if (state === 'DESTROY_PENDING') return destroyAuthorizedAt !== null;
  return state === 'RETIRING' && purgeNotBefore !== null && now >= Date.parse(purgeNotBefore);
}

/** Blockers that may be gone by themselves, and how long after it the purge is tried again. */
export const PASSING: readonly BlockerCode[] = ['STEP_FAILED', 'OPEN_TRANSACTIONS'];
const TRY_AGAIN_MS = 3_600_000;

/**
 * A purge that stopped because something still needs the version, or asked for it, is a person's to look at: tried
 * again and again, it would destroy the version in the first quiet moment.
 */
async function mayStart(deps: Deps, keyId: string, { version, state }: KeyVersion): Promise<boolean> {
  const job = await deps.ledger.getJob(purgeJobId(keyId, version));
  if (job?.blocker == null || job.status !== 'BLOCKED' || state === 'DESTROY_PENDING') return true;
  const since = deps.clock.now() - Date.parse(job.blocker.at);
  return PASSING.includes(job.blocker.code) && since >= TRY_AGAIN_MS;
}

async function attempt(deps: Deps, result: { failed: number }, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    result.failed += 1;
    const code = error instanceof KeyturnError ? error.code : 'UNEXPECTED';
    deps.log.error('daily sweep: one failed', { code, step: 'sweep' });
  }
}
