import type { RotationRequestEvent } from '../bus/rotation-request.ts';
import type { Deps } from '../deps/deps.ts';
import type { TenantKey } from '../keyring/key.ts';
import { getKey } from './change.ts';
import { type JobRequest, requestRotation, unlessCancelled } from './request-job.ts';

/**
 * `rotated-since`: the key was rotated after the request was made, so that there is nothing left to do. `stopped`: a person
 * called the rotation off, and only a person begins it anew.
 */
export type RotationAnswer =
  | { readonly answer: JobRequest['answer']; readonly jobId: string }
  | { readonly answer: 'rotated-since'; readonly jobId: null };

/**
 * Answers a request from the bus. It may come twice, late or out of order, also days later from a dead-letter queue: it
 * asks for a rotation of the version that was active when it was sent, and that happens once.
 */
export async function requestByEvent(
  deps: Deps,
  { detail, time }: RotationRequestEvent,
): Promise<RotationAnswer> {
  const { tenant, purpose, mode, requestId, reason, requestedBy } = detail;
  const key = await getKey(deps, tenant, purpose);
  if (isRotatedSince(key, Date.parse(time))) {
    deps.log.info('rotation request: rotated since', { tenant, purpose });
    return { answer: 'rotated-since', jobId: null };
  }
  const why = reason === undefined ? `request ${requestId}` : `request ${requestId}, ${reason}`;
  const { answer, job } = await requestRotation(deps, {
    tenant,
    purpose,
    ...(mode !== undefined && { mode }),
    requestedBy: `${requestedBy} (${why})`,
    mayTakeUp: unlessCancelled,
  });
  deps.log.info('rotation request', { tenant, purpose, jobId: job.jobId, status: answer });
  return { answer, jobId: job.jobId };
}

/**
 * Pure. The two times come from two clocks, and the event's is cut to the second. A rotation lasts longer than both
 * differ: a request that is made after its end is later than its activation by any clock.
 */
function isRotatedSince(
  { active, versions, activations }: Pick<TenantKey, 'active' | 'versions' | 'activations'>,
  requestedAt: number,
): boolean {
  // The first activation is no rotation; a rollback is one, and a request from before it does not undo it.
  if (activations <= 1) return false;
  const activatedAt = versions[String(active)]?.activatedAt ?? null;
  return activatedAt !== null && Date.parse(activatedAt) > requestedAt;
}
