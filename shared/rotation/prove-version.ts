import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import { proveKek } from '../keyring/key-check.ts';
import { proveVersion as markProved } from '../keyring/versions.ts';
import { changeKey, getKey, getRunningJob, timestamp } from './change.ts';
import { askProvider } from './root-key-trouble.ts';

/**
 * Step 2: reads the stored version back, unwraps it through the provider and checks that it wraps and unwraps.
 * No record names a version before this has passed, in a step of its own; a rollback's version passes it anew.
 */
export async function proveVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getRunningJob(deps, jobId);
  // A re-sweep goes on with the version that is active.
  if (job.goal === 'RESWEEP') return;
  await askProvider(deps, job, () => proveStoredVersion(deps, job.tenant, job.purpose, job.to));
}

export async function proveStoredVersion(
  deps: Pick<Deps, 'ledger' | 'provider' | 'clock'>,
  tenant: string,
  purpose: string,
  version: number,
): Promise<void> {
  const key = await getKey(deps, tenant, purpose);
  const stored = versionOf(key, version);
  if (stored.wrapped === null) return;
  const context = { tenant, purpose, keyId: key.keyId, version };
  const check = proveKek(
    await deps.provider.unwrapKek(stored.wrapped, context),
    key.keyId,
    version,
    stored.check,
  );
  await changeKey(deps, tenant, purpose, (current) =>
    markProved(current, version, check, timestamp(deps.clock.now())),
  );
}
