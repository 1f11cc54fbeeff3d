import type { Deps } from '../deps/deps.ts';
import { LedgerError } from '../errors/errors.ts';
import { versionOf } from '../keyring/change-version.ts';
import { cancelDestroy } from '../keyring/destruction.ts';
import { announceEnd } from './announce-end.ts';
import { blockerOfRefusal } from './blocker-of-refusal.ts';
import type { Refusal } from './call-off-purge.ts';
import { blockJob, changeJob, changeKey, getJob, getKey, timestamp } from './change.ts';
import { pauseJob } from './pause-job.ts';
import { namesRootKeyTrouble, pauseIfUnusable } from './root-key-trouble.ts';
import type { Job } from './rotation.ts';

/** Longest part of an error's text that is kept. Our own errors name shapes, never values. */
const MESSAGE_LENGTH = 500;

/**
 * A step failed for good: the job is BLOCKED with the step's error named, and what a purge had begun is undone.
 * The next request takes it up from there. A job that rests or was called off stays so;
 * one that its root key keeps from going on is PAUSED instead.
 */
export async function stopJob(
  deps: Deps,
  jobId: string,
  error: string,
  cause: string,
): Promise<{ paused: boolean }> {
  const job = await getJob(deps, jobId);
  if (job.status === 'PAUSED' || job.status === 'CANCELLED') return { paused: true };
  const rootKeyId = await unlessForged(() => rootKeyInTheWay(deps, job, cause));
  if (rootKeyId !== null && (await pauseIfUnusable(deps, jobId))) return { paused: true };
  if (job.kind === 'purge') {
    await unlessForged(() =>
      changeKey(deps, job.tenant, job.purpose, (key) => {
        const { state, destroyAuthorizedAt } = versionOf(key, job.from);
        // Any other state is not this purge's to change; and once it is authorized, there is no way back.
        const begun = state === 'DESTROY_PENDING' && destroyAuthorizedAt === null;
        return begun ? cancelDestroy(key, job.from) : key;
      }),
    );
  }
  if (rootKeyId !== null) {
    // The root key can be used again, as the provider says: the next reconciliation takes the job up.
    const at = timestamp(deps.clock.now());
    await pauseJob(deps, jobId, { reason: 'ROOT_KEY', rootKeyId, by: null, at });
    return { paused: true };
  }
  const { code, message } =
    (await unlessForged(() => nameRefusal(deps, job, cause))) ?? nameFailure(error, cause);
  const blocked = await changeJob(deps, jobId, (current) =>
    blockJob(current, code, message, deps.clock.now()),
  );
  await announceEnd(deps, job.status, blocked);
  deps.log.error('job stopped', { jobId, code, tenant: job.tenant, purpose: job.purpose });
  return { paused: false };
}

async function nameRefusal(deps: Deps, job: Job, cause: string): Promise<Refusal | null> {
  return blockerOfRefusal(deps, await getKey(deps, job.tenant, job.purpose), job, cause);
}

function nameFailure(error: string, cause: string): Refusal {
  return {
    code: cause.includes('STORE_OPEN_TRANSACTIONS') ? 'OPEN_TRANSACTIONS' : 'STEP_FAILED',
    message: cause === '' ? error : cause.slice(0, MESSAGE_LENGTH),
  };
}

/** Null where the key is not genuine: nothing is done to it, and the job still gets its blocker. */
async function unlessForged<T>(run: () => Promise<T>): Promise<T | null> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'STATE_FORGED') return null;
    throw error;
  }
}

/** The root key for which the step failed, by its error or by a version that is suspended for one; null: for none. */
async function rootKeyInTheWay(deps: Deps, job: Job, cause: string): Promise<string | null> {
  const key = await getKey(deps, job.tenant, job.purpose);
  const suspended = Object.values(key.versions).find((version) => version.suspended?.reason === 'ROOT_KEY');
  if (suspended !== undefined) return suspended.suspended?.rootKeyId ?? null;
  return namesRootKeyTrouble(cause) ? deps.provider.rootKeyFor(job.tenant) : null;
}
