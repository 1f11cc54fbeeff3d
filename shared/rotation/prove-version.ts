import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import type { TenantKey } from '../keyring/key.ts';
import { proveKek } from '../keyring/key-check.ts';
import { proveVersion as markProved } from '../keyring/versions.ts';
import { changeKey, changeKeyOf, getKey, getRunningJob, timestamp } from './change.ts';
import { askProvider } from './root-key-trouble.ts';
import type { Job } from './rotation.ts';

/**
 * Step 2: reads the stored version back, unwraps it through the provider and checks that it wraps and unwraps.
 * No record names a version before this has passed, in a step of its own; a rollback's version passes it anew.
 */
export async function proveVersion(deps: Deps, jobId: string): Promise<void> {
  const job = await getRunningJob(deps, jobId);
  // A re-sweep goes on with the version that is active.
  if (job.goal === 'RESWEEP') return;
  await askProvider(deps, job, () => proveStoredVersion(deps, job.tenant, job.purpose, job.to, job));
}

/** `job`: whose step it is; left out for a key that is being made. */
export async function proveStoredVersion(
  deps: Pick<Deps, 'ledger' | 'provider' | 'clock'>,
  tenant: string,
  purpose: string,
  version: number,
  job?: Job,
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
  const prove = (current: TenantKey) => markProved(current, version, check, timestamp(deps.clock.now()));
  await (job === undefined ? changeKey(deps, tenant, purpose, prove) : changeKeyOf(deps, job, prove));
}
