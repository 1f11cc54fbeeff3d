import type { Deps } from '../deps/deps.ts';
import type { Timestamp } from '../keyring/key.ts';
import { changeJob, getJob, getKey, moveJob, timestamp } from './change.ts';
import { finishRetired } from './pause-job.ts';
import type { BlockerCode, Job, JobKind } from './rotation.ts';
import { registerServed } from './served.ts';
import { startExecution, takeUpAgain } from './take-up.ts';

/** Jobs that are BLOCKED, and what the daily sweep does about them by itself. */

const HOUR_MS = 3_600_000;

/**
 * Blockers that may be gone by themselves, and how long after them the job is tried again; any other waits for a person.
 *
 * A rotation destroys nothing by going on, and who wrote its stale records may have come to rest; but each try reads all
 * records, so that one a day is enough: half a day later, what stopped since the last daily sweep is tried by the next.
 * A purge that stopped because something still needs the version, or asked for it, is a person's to look at: tried again
 * and again, it would destroy the version in the first quiet moment. One that a hold stopped begins anew when none stands. An adoption changes what people asked for by name.
 */
const AGAIN_AFTER_MS = {
  rotate: { STEP_FAILED: HOUR_MS, OPEN_TRANSACTIONS: HOUR_MS, STALE_RECORDS: 12 * HOUR_MS },
  purge: { STEP_FAILED: HOUR_MS, OPEN_TRANSACTIONS: HOUR_MS, HELD: HOUR_MS },
  adopt: {},
} as const satisfies Readonly<Record<JobKind, Readonly<Partial<Record<BlockerCode, number>>>>>;

function againAfterMs({ kind, blocker }: Pick<Job, 'kind' | 'blocker'>): number | undefined {
  const times: Readonly<Partial<Record<BlockerCode, number>>> = AGAIN_AFTER_MS[kind];
  return blocker === null ? undefined : times[blocker.code];
}

/** Whether the sweep tries the job again by itself, sooner or later. */
export function mayPass(job: Pick<Job, 'kind' | 'blocker'>): boolean {
  return againAfterMs(job) !== undefined;
}

/**
 * Whether a job stopped for a reason that is a person's to look at, or too short ago to be tried again. What a person
 * called off, no policy asks for again. `since`: what came before is past, as of a version that was retired once more.
 */
export function waitsForSomebody(job: Job, now: number, since: Timestamp | null = null): boolean {
  const stoppedAt = job.cancelled?.at ?? job.blocker?.at ?? null;
  if (since !== null && stoppedAt !== null && stoppedAt < since) return false;
  if (job.status === 'CANCELLED') return true;
  if (job.status !== 'BLOCKED' || job.blocker === null) return false;
  const after = againAfterMs(job);
  return after === undefined || now - Date.parse(job.blocker.at) < after;
}

/**
 * Takes up a rotation that is BLOCKED, if it may go on by now. It is looked for by its job and not by its key's age: that
 * begins anew with the activation, and a rotation that stopped later holds the key's lock. `elsewhere`: it is no longer
 * what its key waits for.
 */
export async function retryRotation(deps: Deps, listed: Job): Promise<'resumed' | 'waiting' | 'elsewhere'> {
  // Lists lag behind.
  const job = await getJob(deps, listed.jobId);
  if (job.status !== 'BLOCKED') return 'elsewhere';
  if ((await finishRetired(deps, job)) !== null) return 'elsewhere';
  const { tenant, purpose, jobId } = job;
  const key = await getKey(deps, tenant, purpose);
  // One that stopped before its first step holds no lock yet, and another may have taken it since.
  const isCurrent = key.rotationId === jobId || (key.rotationId === null && key.active === job.from);
  if (!isCurrent) {
    if (key.rotationId === null) await outdate(deps, job);
    return 'elsewhere';
  }
  const suspended = key.versions[String(key.active)]?.state === 'SUSPENDED';
  if (suspended || waitsForSomebody(job, deps.clock.now())) return 'waiting';
  await registerServed(deps, tenant, purpose);
  const next = await takeUpAgain(deps, jobId, ({ status }) => status === 'BLOCKED');
  await startExecution(deps, next);
  return 'resumed';
}

/** It never began, and what it was to leave is not active any more: nobody ever asks for it again. */
async function outdate(deps: Deps, { jobId }: Job): Promise<void> {
  const cancelled = { by: 'keyturn: another job took its place', at: timestamp(deps.clock.now()) };
  await changeJob(deps, jobId, (current) =>
    current.status === 'BLOCKED' ? moveJob(current, 'CANCELLED', { cancelled, blocker: null }) : current,
  );
}
