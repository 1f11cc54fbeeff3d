import { type AskedFor, recordingRefusal, recordRefusal } from '../../shared/audit/refusals.ts';
import { type RotationRequestEvent, rotationRequestEventSchema } from '../../shared/bus/rotation-request.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { type RotationAnswer, requestByEvent } from '../../shared/rotation/request-by-event.ts';
import { type CreateHandler, lambda, PermanentError, step } from '../lambda.ts';

const answer = step(rotationRequestEventSchema, async (deps, event) => {
  // Which version it asks to leave follows from when it was sent: sent again, one from the future rotates again.
  if (Date.parse(event.time) - deps.clock.now() > mostAheadMs(deps)) {
    await recordRefusal(deps, askedBy(event), 'INPUT_INVALID', unrecorded(deps));
    throw new PermanentError('INPUT_INVALID: time', null);
  }
  const work = () => requestByEvent(deps, event);
  const answered = await recordingRefusal(deps, askedBy(event), work, unrecorded(deps));
  await recordRequest(deps, event, answered);
  return answered;
});

/** Who sent it is what it says itself: whoever may write the bus may say anything, and makes no more entries by it. */
function askedBy({
  source,
  detail: { tenant, purpose, requestId, requestedBy },
}: RotationRequestEvent): AskedFor {
  return { action: 'rotate', actor: 'bus', tenant, purpose, claimed: { source, requestId, requestedBy } };
}

function unrecorded({ log }: Deps) {
  return (code: string) => log.warn('a refusal is not in the audit', { code, step: 'rotation-request' });
}

/** Of a key that is there; sent again, it is in the audit once. */
async function recordRequest(
  deps: Deps,
  { source, time, detail: { tenant, purpose, requestId, requestedBy, reason } }: RotationRequestEvent,
  { answer: given, jobId }: RotationAnswer,
): Promise<void> {
  await deps.audit.record(tenant, {
    eventId: `request/${source}/${requestId}`,
    type: 'rotation.requested',
    detail: {
      source,
      requestId,
      requestedBy,
      reason: reason ?? null,
      purpose,
      sentAt: time,
      answer: given,
      jobId,
    },
  });
}

/** The sender's clock may differ from ours by so much. */
const AT_LEAST_SECONDS = 300;

function mostAheadMs({ config }: Deps): number {
  return Math.max(config.rotation.clockSkewSeconds, AT_LEAST_SECONDS) * 1000;
}

/** Throws what it cannot answer: Lambda tries it again, and puts it into the dead-letter queue in the end. */
export const create: CreateHandler<RotationAnswer | null> = (deps) => {
  const handle = answer(deps);
  return async (event, context) => {
    try {
      return await handle(event, context);
    } catch (error) {
      if (error instanceof PermanentError) countRefusal(deps, error);
      throw error;
    }
  };
};
export const needs = ['ledger', 'executions', 'provider:inspect', 'provider:destroy'] as const;
export const handler = lambda(create, needs);

/** The sender's event, not ours: its field names are logged, and nothing that it holds. */
function countRefusal(deps: Deps, { message }: PermanentError): void {
  const [code = ''] = message.split(':');
  if (code === 'UNEXPECTED') return;
  deps.metrics.add('RequestsRefused', 1);
  const fields = code === 'INPUT_INVALID' ? message.slice(code.length) : '';
  deps.log.warn(`rotation request refused${fields}`, { code, step: 'rotation-request' });
}
