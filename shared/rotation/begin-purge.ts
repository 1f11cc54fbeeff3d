import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import { beginDestroy } from '../keyring/destruction.ts';
import type { TenantKey } from '../keyring/key.ts';
import { markSeen } from '../keyring/sightings.ts';
import { changeJob, changeKeyOf, getRunningJob, moveJob, timestamp } from './change.ts';
import { noEarlierThan } from './no-earlier.ts';
import { planRound, type SegmentTask } from './plan-sweep.ts';
import { checkPurgeable } from './purge-rules.ts';
import type { Job } from './rotation.ts';
import { recordSetsOf } from './take-up.ts';

/**
 * Step 8 begins: the version becomes DESTROY_PENDING, so that nothing can take it up again unnoticed, and the
 * restore epoch is read, before anything is counted. The count begins when every application has seen the new state, and
 * the rehearsal is over: once for as long as the version stays fenced, however many attempts that takes. It is planned to
 * cover every row of every declared table.
 */
export async function beginPurge(
  deps: Deps,
  jobId: string,
): Promise<{ round: number; segments: SegmentTask[] }> {
  const job = await getRunningJob(deps, jobId);
  const now = deps.clock.now();
  const key = await fence(deps, job, now);
  const { destroyPendingAt, destroyAuthorizedAt } = versionOf(key, job.from);
  const fencedAt = destroyPendingAt === null ? 0 : Date.parse(destroyPendingAt);
  // After the write, not when it was prepared: until then a reader could still cache the old state.
  const pendingAt = Math.max(deps.clock.now(), fencedAt);
  const begun = await changeJob(deps, jobId, (current) => {
    if (current.status === 'CENSUS' || current.status === 'COMPLETED') return current;
    const preparing = current.status === 'REQUESTED' ? moveJob(current, 'PREPARING') : current;
    const barrierMs = current.times.barrierSeconds * 1000;
    // Fenced by an earlier attempt, and since. The epoch stays too: a restore in between ends this purge. What is decided
    // has nothing to wait for. Times are compared for equality only: a clock that is set back makes no fence an earlier one.
    const isFenced =
      destroyAuthorizedAt !== null || (destroyPendingAt !== null && destroyPendingAt === current.fencedAt);
    const fence = isFenced
      ? {}
      : {
          restoreEpoch: key.restoreEpoch,
          barrierUntil: timestamp(pendingAt + barrierMs),
          fencedAt: destroyPendingAt,
        };
    return moveJob(preparing, 'CENSUS', {
      round: current.round + 1,
      // As the configuration is now: what is read is planned right after this.
      recordSets: recordSetsOf(deps, 'purge', current),
      ...fence,
      startedAt: current.startedAt ?? timestamp(now),
    });
  });
  return { round: begun.round, segments: await planRound(deps, begun) };
}

/**
 * A use that no purge has answered for is kept by a write of its own, while its mark still stands. The fence clears the mark
 * by another: a process that dies between the two, or loses a race, would forget both.
 */
async function fence(deps: Deps, job: Job, now: number): Promise<TenantKey> {
  let kept = false;
  const at = timestamp(noEarlierThan(now, [job.requestedAt]));
  const key = await changeKeyOf(deps, job, (current, { status }) => {
    kept = false;
    // Begun before and RETIRING again: it was asked for since, and this purge is not to hide that.
    if (status === 'CENSUS' || status === 'COMPLETED') return current;
    checkPurgeable(current, job.from, now, deps.config);
    if (versionOf(current, job.from).state !== 'RETIRING') return current;
    const used = current.canary !== null && [0, job.from].includes(current.canary.version);
    const seen = used ? markSeen(current, job.from, at) : current;
    kept = seen !== current;
    return kept ? seen : beginDestroy(current, job.from, at);
  });
  return kept ? fence(deps, job, now) : key;
}
