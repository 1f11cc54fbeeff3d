import type { KeyturnEvent } from '../bus/events.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { Job, JobStatus } from './rotation.ts';

/**
 * Tells metrics and bus that a job has ended, where a step has just written that down. The ledger is the truth and this
 * is news: it never fails the step, and a crash right before it loses it.
 */
export async function announceEnd(
  deps: Pick<Deps, 'bus' | 'log' | 'metrics'>,
  before: JobStatus,
  after: Job,
): Promise<void> {
  // A repeated step finds the end written already.
  if (before === after.status || !hasEnded(after)) return;
  deps.metrics.add(after.status === 'COMPLETED' ? 'JobsCompleted' : 'JobsBlocked', 1);
  const event = endEventOf(after);
  if (event === null) return;
  try {
    await deps.bus.publish([event]);
  } catch (error) {
    const code = error instanceof KeyturnError ? error.code : 'UNEXPECTED';
    deps.log.warn('event not published', { code, jobId: after.jobId });
  }
}

function hasEnded({ status }: Job): boolean {
  return status === 'COMPLETED' || status === 'BLOCKED';
}

/** Pure. null: nothing is published of it, as of an adoption, which only people ask for and wait for. */
export function endEventOf(job: Job): KeyturnEvent | null {
  const { tenant, purpose, keyId, jobId } = job;
  const about = { schemaVersion: 1, tenant, purpose, keyId, jobId } as const;
  if (job.status === 'BLOCKED' && job.blocker !== null) {
    const blocked = { attempt: job.attempt, blocker: job.blocker.code, blockedAt: job.blocker.at };
    if (job.kind === 'rotate')
      return { detailType: 'KeyRotationBlocked', detail: { ...about, from: job.from, ...blocked } };
    if (job.kind === 'purge')
      return { detailType: 'KeyVersionPurgeBlocked', detail: { ...about, version: job.from, ...blocked } };
  }
  const { completedAt, purgeNotBefore } = job;
  if (job.status !== 'COMPLETED' || completedAt === null) return null;
  if (job.kind === 'purge')
    return { detailType: 'KeyVersionPurged', detail: { ...about, version: job.from, completedAt } };
  if (job.kind === 'adopt' || purgeNotBefore === null) return null;
  const { from, to } = job;
  return { detailType: 'KeyRotationCompleted', detail: { ...about, from, to, completedAt, purgeNotBefore } };
}
