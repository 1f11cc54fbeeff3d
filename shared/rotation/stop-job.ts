import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import { cancelDestroy } from '../keyring/destruction.ts';
import { announceEnd } from './announce-end.ts';
import { blockJob, changeJob, changeKey, getJob } from './change.ts';
import type { BlockerCode } from './rotation.ts';

/** Longest part of an error's text that is kept. Our own errors name shapes, never values. */
const MESSAGE_LENGTH = 500;

/**
 * A step failed for good: the job is BLOCKED with the step's error named, and what a purge had begun is undone.
 * The next request takes it up from there.
 */
export async function stopJob(deps: Deps, jobId: string, error: string, cause: string): Promise<void> {
  const job = await getJob(deps, jobId);
  if (job.kind === 'purge') {
    await changeKey(deps, job.tenant, job.purpose, (key) => {
      const { state, destroyAuthorizedAt } = versionOf(key, job.from);
      // Any other state is not this purge's to change; and once it is authorized, there is no way back.
      const begun = state === 'DESTROY_PENDING' && destroyAuthorizedAt === null;
      return begun ? cancelDestroy(key, job.from) : key;
    });
  }
  const code: BlockerCode = cause.includes('STORE_OPEN_TRANSACTIONS') ? 'OPEN_TRANSACTIONS' : 'STEP_FAILED';
  const message = cause === '' ? error : cause.slice(0, MESSAGE_LENGTH);
  const blocked = await changeJob(deps, jobId, (current) =>
    blockJob(current, code, message, deps.clock.now()),
  );
  await announceEnd(deps, job.status, blocked);
  deps.log.error('job stopped', { jobId, code, tenant: job.tenant, purpose: job.purpose });
}
