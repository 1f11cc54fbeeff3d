import type { Deps } from '../deps/deps.ts';
import { RotationError } from '../errors/errors.ts';
import { describeUse } from '../keyring/canary.ts';
import { versionOf } from '../keyring/change-version.ts';
import { cancelDestroy } from '../keyring/destruction.ts';
import type { TenantKey } from '../keyring/key.ts';
import { markSeen } from '../keyring/sightings.ts';
import { announceEnd } from './announce-end.ts';
import { blockJob, changeJob, changeKey, timestamp } from './change.ts';
import { describeHolds, standingHolds } from './holds.ts';
import type { BlockerCode, CensusResult, Job } from './rotation.ts';

/** What ends a purge before its decision, whenever it is seen. The version is RETIRING again and decrypts on. */

export interface Refusal {
  readonly code: BlockerCode;
  readonly message: string;
}

/** Something was found on the version, or may be on it: it is not the one that was retired any more. See sightings.ts. */
const SIGHTINGS: readonly BlockerCode[] = [
  'STALE_RECORDS',
  'QUARANTINED_RECORDS',
  'MALFORMED_RECORDS',
  'UNDECLARED_ENVELOPES',
  'RECORD_SET_CHANGED',
  'VERSION_IN_USE',
];

/** Pure. Null: nothing in the key's item speaks against it. */
export function whyCalledOff(key: TenantKey, job: Job, now: number, config: Deps['config']): Refusal | null {
  // Of whichever version, since a later mark takes the place of an earlier; and whatever the state is by now.
  if (key.canary !== null) {
    const message = `Something asked for a version that is about to be destroyed: ${describeUse(key.canary)}`;
    return { code: 'VERSION_IN_USE', message };
  }
  const holds = standingHolds(key, job.from, now, config);
  if (holds.length > 0) return { code: 'HELD', message: `Version ${job.from}: ${describeHolds(holds)}` };
  if (key.restoreEpoch !== job.restoreEpoch)
    return { code: 'KEY_CHANGED', message: 'A store was restored during the purge' };
  const { state, purgeNotBefore } = versionOf(key, job.from);
  // Retired anew, by this purge before a crash or by a sweep. A fenced one began when its grace was over.
  if (state === 'RETIRING' && purgeNotBefore !== null && now < Date.parse(purgeNotBefore))
    return {
      code: 'HELD',
      message: `Version ${job.from} was retired anew: its grace lasts until ${purgeNotBefore}`,
    };
  return null;
}

/** Pure. Also a version that is fenced, but anew: its time for being asked for began with that. */
export function whyChanged(key: TenantKey, job: Job): Refusal | null {
  const { state, destroyPendingAt } = versionOf(key, job.from);
  const same = destroyPendingAt !== null && destroyPendingAt === job.fencedAt;
  if (state === 'DESTROY_PENDING' && same) return null;
  const message = `Version ${job.from} was asked for, or its purge called off, and it is ${state} again`;
  return { code: 'VERSION_IN_USE', message };
}

/**
 * Pure. What has called a fenced purge off that its job does not tell of yet: the job's next look, or the daily sweep, writes
 * it there. Null: nothing has, or the destruction is decided.
 */
export function calledOffMeanwhile(
  key: TenantKey,
  job: Job,
  now: number,
  config: Deps['config'],
): Refusal | null {
  const fenced = job.status === 'CENSUS' || (job.status === 'PAUSED' && job.pause?.reason !== 'PERSON');
  if (job.kind !== 'purge' || !fenced || job.fencedAt === null) return null;
  const { state, destroyAuthorizedAt } = versionOf(key, job.from);
  if (destroyAuthorizedAt !== null || state === 'DESTROYED') return null;
  const why = whyCalledOff(key, job, now, config);
  // A version whose root key cannot be used is fenced still.
  const changed = state === 'SUSPENDED' ? null : whyChanged(key, job);
  if (why !== null || changed === null) return why;
  // What runs ends with that as its blocker; what rests is taken up by an attempt that fences the version anew.
  return job.status === 'PAUSED' ? { ...changed, code: 'KEY_CHANGED' } : changed;
}

/**
 * Back to RETIRING, and then the job is BLOCKED. After a crash in between the next look finds it RETIRING, and blocks the
 * job too. Throws ROTATION_STATE when the destruction was authorized in the meantime: the repeated step goes on with it.
 */
export async function callOff(
  deps: Deps,
  job: Job,
  { code, message }: Refusal,
  census: CensusResult | null = job.census,
): Promise<void> {
  await changeKey(deps, job.tenant, job.purpose, (current) => {
    const { state, destroyAuthorizedAt } = versionOf(current, job.from);
    if (destroyAuthorizedAt !== null) {
      const why = `Version ${job.from} was decided to be destroyed in the meantime`;
      throw new RotationError('ROTATION_STATE', why, { retryable: true });
    }
    if (SIGHTINGS.includes(code)) return markSeen(current, job.from, timestamp(deps.clock.now()));
    // Any other state is not this purge's to change.
    return state === 'DESTROY_PENDING' ? cancelDestroy(current, job.from) : current;
  });
  const blocked = await changeJob(deps, job.jobId, (current) =>
    blockJob({ ...current, census }, code, message, deps.clock.now()),
  );
  await announceEnd(deps, job.status, blocked);
}
