import { whyNobodyCan } from '../approvals/request-approval.ts';
import { resumeApproved } from '../approvals/resume-approved.ts';
import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';
import { DAILY_SWEEP, findDueKeys } from './due-keys.ts';
import { isRestored, resweepRestored } from './end-restore.ts';
import { finishCalledOff, mayBeHalfCalledOff } from './finish-called-off.ts';
import { standingHolds } from './holds.ts';
import { purgeJobId, rotationJobId } from './job-id.ts';
import { reconcileRootKeys } from './reconcile-root-keys.ts';
import { recoverJob, requestPurge, requestRotation } from './request-job.ts';
import { finishErased, retryRotation, waitsForSomebody } from './retry-rotation.ts';
import { isRunning, type Job, RUNNING_STATUSES, waitsForApproval } from './rotation.ts';
import { registerServed } from './served.ts';

export interface DailySweep {
  /** Jobs whose execution was gone and was started again. */
  recovered: number;
  /** Rotations that were started because a key is due or a restore is over, or taken up again after a blocker that may have passed. */
  rotations: number;
  /** Purges that were started because a version's grace is over. */
  purges: number;
  /** Due keys that are left alone: their active version is suspended or compromised. */
  skipped: number;
  /** Rotations, and due purges, that stopped with a blocker that is a person's to look at, or did so only just now. */
  waiting: number;
  /** Jobs and keys that the function's time did not suffice for: the next sweep takes them. */
  left: number;
  /** Jobs and keys that failed, or that nobody can verify; one failing blocks no other. */
  failed: number;
}

/** Jobs and keys in work at one time. The executions that they start wait for nobody. */
const LANES = 8;
/** What has begun is ended in this time before the function is stopped. */
const MARGIN_MS = 60_000;

/**
 * Takes up jobs that stopped without an end, brings keys to what their root keys' states say, takes up rotations whose
 * blocker may have passed, starts the rotation of every key that is due by policy, oldest first, and the purge of every
 * version whose grace is over.
 */
export async function sweepDaily(
  deps: Deps,
  remainingMs: () => number = () => Number.MAX_SAFE_INTEGER,
): Promise<DailySweep> {
  const result = { recovered: 0, rotations: 0, purges: 0, skipped: 0, waiting: 0, left: 0, failed: 0 };
  const each = <T>(items: readonly T[], run: (item: T) => Promise<void>) =>
    inLanes(items, LANES, async (item) => {
      if (remainingMs() < MARGIN_MS) result.left += 1;
      else await attempt(deps, result, () => run(item));
    });

  const onSkipped = () => {
    result.failed += 1;
  };
  const jobs = await deps.ledger.listJobs(
    { statuses: [...RUNNING_STATUSES, 'PAUSED', 'BLOCKED'] },
    onSkipped,
  );
  await each(
    jobs.filter(({ status }) => isRunning(status)),
    async (job) => {
      if (await recoverJob(deps, job)) result.recovered += 1;
    },
  );
  await each(jobs.filter(waitsForApproval), async (job) => {
    // By whom the last approval was given, their command may have died before it took the purge up.
    result.purges += await resumeApproved(deps, [job]);
  });
  // Before rotations start, so that none starts under a root key that cannot be used; but to wrap ten thousand KEKs anew
  // takes minutes, and must leave time for the rest.
  await each([null], async () => {
    await attempt(deps, result, async () => {
      if (await deps.state.rewrap()) deps.log.info('state key wrapped anew', { step: 'sweep' });
    });
    const kept = remainingMs() / 2;
    const { failed, left } = await reconcileRootKeys(deps, { remainingMs: () => remainingMs() - kept });
    result.failed += failed;
    result.left += left;
  });
  const rotations = jobs.filter(({ kind }) => kind === 'rotate');
  const underWay = new Set(rotations.flatMap(({ keyId, status }) => (status === 'BLOCKED' ? [] : [keyId])));
  await each(
    rotations.filter(({ status }) => status === 'BLOCKED'),
    async (job) => {
      const answer = await retryRotation(deps, job);
      if (answer === 'elsewhere') return;
      if (answer !== 'idle') underWay.add(job.keyId);
      if (answer === 'resumed') result.rotations += 1;
      else result.waiting += 1;
    },
  );

  await each(
    jobs.filter(({ kind, status }) => kind === 'purge' && status === 'BLOCKED'),
    async (job) => {
      if (await finishErased(deps, job)) result.purges += 1;
    },
  );

  const keys = await deps.ledger.listKeys(onSkipped);
  await each(keys.filter(mayBeHalfCalledOff), (key) => finishCalledOff(deps, key));
  await each(
    keys.filter((key) => isRestored(key) && !underWay.has(key.keyId)),
    async (key) => {
      if (!(await resweepRestored(deps, key, DAILY_SWEEP))) return;
      underWay.add(key.keyId);
      result.rotations += 1;
    },
  );
  const { due, skipped } = findDueKeys(keys, deps.config.rotation, deps.clock.now());
  result.skipped = skipped;
  await each(
    due.filter(({ keyId }) => !underWay.has(keyId)),
    (key) => rotateDue(deps, key, result),
  );
  await each(keys, (key) => purgeDue(deps, key, result));

  deps.metrics.add('SweepFailures', result.failed);
  if (result.left === 0) deps.metrics.add('SweepCompleted', 1);
  tell(deps, result);
  return result;
}

async function rotateDue(deps: Deps, key: TenantKey, result: DailySweep): Promise<void> {
  const { tenant, purpose, rotationId } = key;
  const job = await deps.ledger.getJob(rotationId ?? rotationJobId(key));
  if (job !== null && waitsForSomebody(job, deps.clock.now())) {
    // What is blocked was counted before.
    if (job.status !== 'BLOCKED') result.waiting += 1;
    return;
  }
  const { answer } = await requestRotation(deps, {
    ...{ tenant, purpose, requestedBy: DAILY_SWEEP },
    mayTakeUp: (stopped) => !waitsForSomebody(stopped, deps.clock.now()),
  });
  if (answer === 'stopped') result.waiting += 1;
  if (answer === 'started' || answer === 'resumed') result.rotations += 1;
}

async function purgeDue(deps: Deps, key: TenantKey, result: DailySweep): Promise<void> {
  const { tenant, purpose, keyId } = await registerServed(deps, key.tenant, key.purpose);
  for (const { version, state, ...rest } of Object.values(key.versions)) {
    if (!isDue({ state, ...rest }, deps.clock.now())) continue;
    if (state === 'RETIRING' && standingHolds(key, version, deps.clock.now(), deps.config).length > 0)
      continue;
    // One version's purge does not wait for another's.
    await attempt(deps, result, async () => {
      const job = await deps.ledger.getJob(purgeJobId(keyId, version));
      const asked = job?.status === 'BLOCKED' ? job.requestedBy : DAILY_SWEEP;
      const nobody = whyNobodyCan(deps.config, asked) !== null;
      const isDecided = state === 'DESTROY_PENDING';
      const mayTakeUp = (stopped: Job) =>
        isDecided || !waitsForSomebody(stopped, deps.clock.now(), rest.retiringAt);
      if ((nobody && !isDecided) || (job !== null && !mayTakeUp(job))) {
        result.waiting += 1;
        return;
      }
      const request = { tenant, purpose, version, requestedBy: DAILY_SWEEP, mayTakeUp };
      const { answer } = await requestPurge(deps, request);
      if (answer === 'stopped') result.waiting += 1;
      if (answer === 'started' || answer === 'resumed') result.purges += 1;
    });
  }
}

/** Retired with its grace over; or decided to be destroyed, by a purge that stopped before it could. */
function isDue(
  { state, purgeNotBefore, destroyAuthorizedAt }: Omit<KeyVersion, 'version'>,
  now: number,
): boolean {
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

/** Nothing to say where nothing was done: on one machine the sweep runs every minute. */
function tell({ log }: Deps, result: DailySweep): void {
  if (result.recovered + result.rotations + result.purges + result.left === 0) return;
  const parts = Object.entries(result).map(([name, count]) => `${name} ${count}`);
  log.info(`daily sweep: ${parts.join(', ')}`, { step: 'sweep' });
}
