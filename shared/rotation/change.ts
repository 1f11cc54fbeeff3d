import type { Deps } from '../deps/deps.ts';
import { KeyError, LedgerError, RotationError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import { type BlockerCode, isRunning, JOB_TRANSITIONS, type Job, type JobStatus } from './rotation.ts';

/** Optimistic changes: read, decide by a pure function, write on condition that nothing changed in between. */

/** Somebody wins every round of a race, so this many losses in a row mean that something else is wrong. */
const TRIES = 10;

export async function getKey(
  deps: Pick<Deps, 'ledger'>,
  tenant: string,
  purpose: string,
): Promise<TenantKey> {
  const key = await deps.ledger.getKey(tenant, purpose);
  if (key === null) {
    throw new KeyError('KEY_NOT_FOUND', `Tenant "${tenant}" has no key for the purpose "${purpose}"`, {
      remedy: '`keyturn keys list` shows the keys; `keyturn keys create` makes one.',
    });
  }
  return key;
}

export async function getJob(deps: Pick<Deps, 'ledger'>, jobId: string): Promise<Job> {
  const job = await deps.ledger.getJob(jobId);
  if (job === null) throw new RotationError('ROTATION_NOT_FOUND', `There is no job ${jobId}`);
  return job;
}

/** `decide` returns the same object when there is nothing to do. */
export async function changeKey(
  deps: Pick<Deps, 'ledger'>,
  tenant: string,
  purpose: string,
  decide: (key: TenantKey) => TenantKey | Promise<TenantKey>,
): Promise<TenantKey> {
  return optimistic(async () => {
    const key = await getKey(deps, tenant, purpose);
    const next = await decide(key);
    if (next !== key) await replaceKey(deps, key, next);
    return next;
  });
}

/** What was marked as used is not in the key's revision, and is taken back by a write of its own, before the fence. */
async function replaceKey(deps: Pick<Deps, 'ledger'>, before: TenantKey, next: TenantKey): Promise<void> {
  const { tenant, purpose, canary } = before;
  if (canary !== null && next.canary === null && !(await deps.ledger.clearUsed(tenant, purpose, canary))) {
    throw new LedgerError('REVISION_CONFLICT', 'Something else was marked as used in between', {
      retryable: true,
    });
  }
  await deps.ledger.replaceKey(next);
}

/**
 * What a step of a job does to its key. The job is read after the key; whoever calls a job off writes the job first, and
 * changes the key afterwards. So a step either made its change before the job was called off, or makes none.
 */
export async function changeKeyOf(
  deps: Pick<Deps, 'ledger'>,
  { jobId, tenant, purpose }: Pick<Job, 'jobId' | 'tenant' | 'purpose'>,
  decide: (key: TenantKey, job: Job) => TenantKey,
): Promise<TenantKey> {
  return changeKey(deps, tenant, purpose, async (key) => decide(key, await getRunningJob(deps, jobId)));
}

/** For the steps: throws JOB_PAUSED or JOB_CANCELLED, on which an execution ends without a word. */
export async function getRunningJob(deps: Pick<Deps, 'ledger'>, jobId: string): Promise<Job> {
  return requireRunning(await getJob(deps, jobId));
}

export function requireRunning(job: Job): Job {
  if (job.status === 'PAUSED') throw jobPaused(job.jobId);
  if (job.status === 'CANCELLED') throw jobCancelled(job.jobId);
  return job;
}

export function jobPaused(jobId: string): RotationError {
  return new RotationError('JOB_PAUSED', `Job ${jobId} is paused`, {
    remedy: '`keyturn status` says what it waits for.',
  });
}

function jobCancelled(jobId: string): RotationError {
  return new RotationError('JOB_CANCELLED', `Job ${jobId} is cancelled`, {
    remedy: 'Asking for it once more begins it anew.',
  });
}

export async function changeJob(
  deps: Pick<Deps, 'ledger'>,
  jobId: string,
  decide: (job: Job) => Job,
): Promise<Job> {
  return optimistic(async () => {
    const job = await getJob(deps, jobId);
    const next = decide(job);
    if (next !== job) await deps.ledger.replaceJob({ ...next, revision: job.revision + 1 });
    return next === job ? job : { ...next, revision: job.revision + 1 };
  });
}

/** Tries again while others win. */
export async function optimistic<T>(attempt: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      const lost = error instanceof LedgerError && error.code === 'REVISION_CONFLICT';
      if (!lost || tries === TRIES) throw error;
    }
  }
}

/** Moves a job along JOB_TRANSITIONS. Already there: changes nothing but `more`. */
export function moveJob(job: Job, status: JobStatus, more: Partial<Job> = {}): Job {
  const allowed: readonly JobStatus[] = JOB_TRANSITIONS[job.status];
  // Paused or cancelled in the middle of a step.
  if (job.status !== status && !allowed.includes(status)) requireRunning(job);
  if (job.status !== status && !allowed.includes(status)) {
    throw new RotationError(
      'ROTATION_STATE',
      `Job ${job.jobId} is ${job.status} and cannot become ${status}`,
    );
  }
  const pause = status === 'PAUSED' ? (more.pause ?? job.pause) : null;
  const cancelled = status === 'CANCELLED' ? (more.cancelled ?? job.cancelled) : null;
  return { ...job, ...more, status, pause, cancelled };
}

export function blockJob(job: Job, code: BlockerCode, message: string, now: number): Job {
  // Nobody works on one that is at rest, so nothing that fails is its own.
  if (!isRunning(job.status)) return job;
  return moveJob(job, 'BLOCKED', { blocker: { code, message, at: timestamp(now) } });
}

export function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
