import { z } from 'zod';
import { reconcileRootKeys } from '../../shared/rotation/reconcile-root-keys.ts';
import { lambda, step } from '../lambda.ts';
import { concernsRootKey, keyReferences } from './key-references.ts';

/**
 * KMS says that something happened to some key. It is not believed: it only says which root keys to look at. Anybody
 * who may use KMS in the account can cause such events, and any of them may be lost, late, doubled or forged.
 * `matched`: the root keys in use that were looked at, because the event may be about them or their keys need them too.
 */
export const create = step(z.unknown(), async (deps, event, context) => {
  const references = keyReferences(event);
  if (references.length === 0) {
    deps.metrics.add('KmsEventsUnreadable', 1);
    deps.log.warn('a KMS event names no key', { code: 'KMS_EVENT_UNREADABLE' });
    return { matched: 0, changedKeys: 0, pausedJobs: 0, resumedJobs: 0, rewrapped: 0, left: 0, failed: 0 };
  }
  const report = await reconcileRootKeys(deps, {
    concerns: (rootKeyId) => references.some((reference) => concernsRootKey(reference, rootKeyId)),
    // Only the daily sweep may unwrap KEKs, and proves what is wrapped anew here.
    prove: false,
    remainingMs: () => context.getRemainingTimeInMillis(),
  });
  const { rootKeys, changedKeys, pausedJobs, resumedJobs, rewrapped, left, failed } = report;
  return { matched: rootKeys, changedKeys, pausedJobs, resumedJobs, rewrapped, left, failed };
});
export const needs = ['ledger', 'executions', 'bus', 'provider:inspect', 'provider:rewrap'] as const;
export const handler = lambda(create, needs);
