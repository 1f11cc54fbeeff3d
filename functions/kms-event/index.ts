import { z } from 'zod';
import { SERVICE } from '../../shared/audit/outbox.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { reconcileDoubtful } from '../../shared/rotation/doubtful-root-keys.ts';
import { type RootKeyReport, reconcileRootKeys } from '../../shared/rotation/reconcile-root-keys.ts';
import { lambda, step, TransientError } from '../lambda.ts';
import { summarize } from './event-summary.ts';
import { concernsRootKey, keyReferences } from './key-references.ts';

/** What the schedule `root-keys` sends. No rule lets an event of this source come here. */
const scheduled = z.object({ source: z.literal('keyturn.schedule') });

/**
 * KMS says that something happened to some key. It is not believed: it only says which root keys to look at. Anybody
 * who may use KMS in the account can cause such events, and any of them may be lost, late, doubled or forged.
 * The schedule says nothing: then the root keys are looked at that were found unusable, or that may be.
 * `matched`: the root keys in use that were looked at, because the event may be about them or their keys need them too.
 */
export const create = step(z.unknown(), async (deps, event, context) => {
  const remainingMs = () => context.getRemainingTimeInMillis();
  if (scheduled.safeParse(event).success) return answer(await reconcileDoubtful(deps, remainingMs));
  const references = keyReferences(event);
  if (references.length === 0) {
    deps.metrics.add('KmsEventsUnreadable', 1);
    deps.log.warn('a KMS event names no key', { code: 'KMS_EVENT_UNREADABLE' });
    return answer(null);
  }
  const report = await reconcileRootKeys(deps, {
    concerns: (rootKeyId) => references.some((reference) => concernsRootKey(reference, rootKeyId)),
    // Only the daily sweep may unwrap KEKs, and proves what is wrapped anew here.
    prove: false,
    remainingMs,
  });
  await recordEvent(deps, event, report);
  // All that could be done is done. Lambda tries the rest again; answered, the event would be gone until the next sweep.
  const { failed, left } = report;
  if (failed + left > 0) throw new TransientError(`INCOMPLETE: ${failed} failed, ${left} left`, null);
  return answer(report);
});
export const needs = ['ledger', 'executions', 'bus', 'provider:inspect', 'provider:rewrap'] as const;
export const handler = lambda(create, needs);

/** Only of a root key in use: of others anybody in the account can make as many events as they like. */
async function recordEvent(deps: Deps, event: unknown, report: RootKeyReport): Promise<void> {
  const summary = summarize(event);
  if (summary === null || report.rootKeys === 0) return;
  const { rootKeys, changedKeys, pausedJobs, resumedJobs } = report;
  const detail = { name: summary.name, rootKeys, changedKeys, pausedJobs, resumedJobs };
  await deps.audit.record(SERVICE, { eventId: `kms/${summary.id}`, type: 'kms.event', detail });
}

/** null: nothing had to be looked at. */
function answer(report: RootKeyReport | null) {
  const { rootKeys = 0, changedKeys = 0, pausedJobs = 0, resumedJobs = 0, rewrapped = 0 } = report ?? {};
  const { left = 0, failed = 0 } = report ?? {};
  return { matched: rootKeys, changedKeys, pausedJobs, resumedJobs, rewrapped, left, failed };
}
