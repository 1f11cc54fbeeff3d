import type { Deps } from '../deps/deps.ts';
import type { TenantKey, Timestamp } from '../keyring/key.ts';
import { changeJob, getJob, getKey, moveJob, timestamp } from './change.ts';
import { hasRoomForVersion } from './key-room.ts';
import { finishRetired } from './pause-job.ts';
import { isGone } from './rollback-rules.ts';
import { type BlockerCode, isRunning, type Job, type JobKind } from './rotation.ts';
import { registerServed } from './served.ts';
import { startExecution, takeUpAgain } from './take-up.ts';

/** Jobs that are BLOCKED, and what the daily sweep does about them by itself. */

const HOUR_MS = 3_600_000;

/**
 * Blockers that may be gone by themselves, and how long after them the job is tried again; any other waits for a person.
 *
 * A rotation destroys nothing by going on, and who wrote its stale records may have come to rest; but each try reads all
 * records, so that one a day is enough: half a day later, what stopped since the last daily sweep is tried by the next.
 * What was declared too late for its last round the next attempt sweeps, and one that came to the key too late goes on, or
 * ends, when the other is over. What a person asked for of a version that is not RETIRING now, they look at again.
 *
 * A purge that stopped because something still needs the version, or asked for it, is a person's to look at: tried again
 * and again, it would destroy the version in the first quiet moment. One that a hold stopped, or a restore, begins anew
 * when none stands. An adoption changes what people asked for by name.
 */
const AGAIN_AFTER_MS = {
  rotate: {
    STEP_FAILED: HOUR_MS,
    OPEN_TRANSACTIONS: HOUR_MS,
    KEY_CHANGED: HOUR_MS,
    RECORD_SET_CHANGED: HOUR_MS,
    STALE_RECORDS: 12 * HOUR_MS,
  },
  purge: { STEP_FAILED: HOUR_MS, OPEN_TRANSACTIONS: HOUR_MS, HELD: HOUR_MS, KEY_CHANGED: HOUR_MS },
  adopt: {},
} as const satisfies Readonly<Record<JobKind, Readonly<Partial<Record<BlockerCode, number>>>>>;

/** Whether the daily sweep takes up by itself what such a blocker stopped. */
export function isTriedAgain(kind: JobKind, code: BlockerCode): boolean {
  return Object.hasOwn(AGAIN_AFTER_MS[kind], code);
}

function againAfterMs({ kind, blocker }: Pick<Job, 'kind' | 'blocker'>): number | undefined {
  const times: Readonly<Partial<Record<BlockerCode, number>>> = AGAIN_AFTER_MS[kind];
  return blocker === null ? undefined : times[blocker.code];
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
 * What became of a blocked rotation. `waiting`: for a person, or not long enough yet. `idle`: the same, and it keeps its key
 * from nothing else. `elsewhere`: it is no longer what its key waits for.
 */
export type Retry = 'resumed' | 'waiting' | 'idle' | 'elsewhere';

/**
 * Takes up a rotation that is BLOCKED, if it may go on by now. It is looked for by its job and not by its key's age: that
 * begins anew with the activation, and a rotation that stopped later holds the key's lock.
 */
export async function retryRotation(deps: Deps, listed: Job): Promise<Retry> {
  // Lists lag behind.
  const job = await getJob(deps, listed.jobId);
  if (job.status !== 'BLOCKED') return 'elsewhere';
  if ((await finishRetired(deps, job)) !== null) return 'elsewhere';
  const { tenant, purpose, jobId } = job;
  const key = await getKey(deps, tenant, purpose);
  const never = whyNever(key, job);
  if (never !== null) await outdate(deps, job, never);
  // One that stopped before its first step holds no lock yet, and another may have taken it since.
  const isCurrent = key.rotationId === jobId || key.rotationId === null;
  if (never !== null || !isCurrent) return 'elsewhere';
  const suspended = key.versions[String(key.active)]?.state === 'SUSPENDED';
  if (suspended || waits(deps, key, job)) return holdsUpNothing(job) ? 'idle' : 'waiting';
  await registerServed(deps, tenant, purpose);
  const next = await takeUpAgain(deps, jobId, ({ status }) => status === 'BLOCKED');
  // Called off in between.
  if (!isRunning(next.status)) return 'elsewhere';
  await startExecution(deps, next);
  return 'resumed';
}

/** Room comes with the purge of old versions and the end of holds, and not by trying again. */
function waits({ clock, config }: Deps, key: TenantKey, job: Job): boolean {
  if (job.blocker?.code === 'KEY_FULL') return !hasRoomForVersion(key, config);
  return waitsForSomebody(job, clock.now());
}

/** It never began, and while it waits its key may be swept anew after a restore, or be rotated otherwise. */
function holdsUpNothing({ blocker }: Job): boolean {
  return blocker?.code === 'VERSION_NOT_RETIRING' || blocker?.code === 'KEY_FULL';
}

/** Pure. Why a rotation that never began never will; null: it may. */
function whyNever(key: TenantKey, { jobId, goal, from, to }: Job): string | null {
  if (key.rotationId === jobId) return null;
  if (key.active !== from) return 'another job took its place';
  return goal === 'ROLLBACK' && isGone(key, to) ? 'the version that it goes back to is destroyed' : null;
}

/** Nobody ever asks for it again. */
async function outdate(deps: Deps, { jobId }: Job, why: string): Promise<void> {
  const cancelled = { by: `keyturn: ${why}`, at: timestamp(deps.clock.now()) };
  await changeJob(deps, jobId, (current) =>
    current.status === 'BLOCKED' ? moveJob(current, 'CANCELLED', { cancelled, blocker: null }) : current,
  );
}

/**
 * A purge that stopped after the erasure lacks nothing but its certificate. No version is due for it, so that it is looked
 * for by its job. Returns whether it goes on.
 */
export async function finishErased(deps: Deps, listed: Job): Promise<boolean> {
  const job = await getJob(deps, listed.jobId);
  if (job.status !== 'BLOCKED' || waitsForSomebody(job, deps.clock.now())) return false;
  const key = await getKey(deps, job.tenant, job.purpose);
  if (key.versions[String(job.from)]?.state !== 'DESTROYED') return false;
  const next = await takeUpAgain(deps, job.jobId, ({ status }) => status === 'BLOCKED');
  if (!isRunning(next.status)) return false;
  await startExecution(deps, next);
  return true;
}
