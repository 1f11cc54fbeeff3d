import type { Deps } from '../deps/deps.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';
import { type RootKeyReport, reconcileRootKeys } from './reconcile-root-keys.ts';
import { rootKeysOf, wrappedVersions } from './root-key-states.ts';
import type { Job } from './rotation.ts';

/**
 * A look between the daily sweeps at those root keys only that may need one. No event need tell that a customer's
 * root key in the customer's account is enabled again: AWS delivers it there. In the usual case there are none, and then
 * the provider is not asked.
 */
export async function reconcileDoubtful(
  deps: Deps,
  remainingMs: () => number,
): Promise<RootKeyReport | null> {
  const keys = await deps.ledger.listKeys();
  const doubtful = doubtfulRootKeys(deps, keys, await deps.ledger.listJobs({ statuses: ['PAUSED'] }));
  const report =
    doubtful.size === 0
      ? null
      : await reconcileRootKeys(deps, {
          concerns: (rootKeyId) => doubtful.has(rootKeyId),
          // Only the daily sweep may unwrap KEKs.
          prove: false,
          remainingMs,
        });
  // What was not asked for wraps versions that are in use: had the last look found it unusable, they were suspended.
  const { unusable, failed, left } = report ?? { unusable: 0, failed: 0, left: 0 };
  if (unusable + failed + left === 0) deps.metrics.add('RootKeysUnusable', 0);
  return report;
}

/**
 * Pure. Root keys for which versions are suspended or jobs paused; and those of which the ledger does not show whether they
 * can be used, because they wrap no version that would be suspended: one that was just configured, for example.
 */
function doubtfulRootKeys(
  deps: Pick<Deps, 'provider'>,
  keys: readonly TenantKey[],
  jobs: readonly Job[],
): ReadonlySet<string> {
  const doubtful = new Set<string>();
  const paused = new Set(jobs.flatMap(({ keyId, pause }) => (pause?.reason === 'ROOT_KEY' ? [keyId] : [])));
  for (const key of keys) {
    const shown = new Set<string>();
    for (const { rootKeyId, version } of wrappedVersions(deps, key)) {
      if (version.suspended?.reason === 'ROOT_KEY') doubtful.add(rootKeyId);
      if (isShown(version)) shown.add(rootKeyId);
    }
    for (const rootKeyId of rootKeysOf(deps, key))
      if (paused.has(key.keyId) || !shown.has(rootKeyId)) doubtful.add(rootKeyId);
  }
  return doubtful;
}

/** In use: a root key that cannot be used suspends it. */
function isShown({ state, suspended }: KeyVersion): boolean {
  return state === 'ACTIVE' || state === 'RETIRING' || suspended?.reason === 'ROOT_KEY';
}
