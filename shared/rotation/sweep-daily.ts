import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { KeyVersion } from '../keyring/key.ts';
import { recoverJob, requestPurge } from './request-job.ts';
import { JOB_STATUSES } from './rotation.ts';

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
    for (const version of Object.values(key.versions)) {
      if (!isDue(version, deps.clock.now())) continue;
      await attempt(deps, result, async () => {
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

async function attempt(deps: Deps, result: { failed: number }, run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    result.failed += 1;
    const code = error instanceof KeyturnError ? error.code : 'UNEXPECTED';
    deps.log.error('daily sweep: one failed', { code, step: 'sweep' });
  }
}
