import { v5 } from 'uuid';
import type { TenantKey } from '../keyring/key.ts';

/** Namespace of Keyturn's name-based ids (RFC 9562, section 5.5); a constant for ever. */
const NAMESPACE = '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11';

/** After a rollback a version is left once more: the count of activations tells one leaving from the next. */
type Leaving = Pick<TenantKey, 'keyId' | 'active' | 'activations'>;

/**
 * A job's id is derived from what it does, so that duplicate events and repeated commands name one job.
 */
export function rotationJobId({ keyId, active, activations }: Leaving): string {
  return v5(`rotate/${keyId}/${active}/${activations}`, NAMESPACE);
}

export function rollbackJobId({ keyId, active, activations }: Leaving, to: number): string {
  return v5(`rollback/${keyId}/${active}/${to}/${activations}`, NAMESPACE);
}

/** `earlier`: re-sweeps of the same state of the key that are complete. */
export function resweepJobId(
  { keyId, activations, restoreEpoch }: Pick<TenantKey, 'keyId' | 'activations' | 'restoreEpoch'>,
  earlier = 0,
): string {
  const name = `resweep/${keyId}/${activations}/${restoreEpoch}`;
  return v5(earlier === 0 ? name : `${name}/${earlier}`, NAMESPACE);
}

export function purgeJobId(keyId: string, version: number): string {
  return v5(`purge/${keyId}/${version}`, NAMESPACE);
}

export function adoptionJobId(keyId: string, recordSet: string): string {
  return v5(`adopt/${keyId}/${recordSet}`, NAMESPACE);
}

/** `earlier`: restores of the same backup that were registered before. */
export function restoreId(store: string, backupTime: string, earlier: number): string {
  return v5(`restore/${store}/${backupTime}/${earlier}`, NAMESPACE);
}

/** Each attempt is an execution of its own; one attempt is at most one execution, however often it is asked for. */
export function executionName(jobId: string, attempt: number): string {
  return `${jobId}-${attempt}`;
}
