import type { Deps } from '../deps/deps.ts';
import { KeyError, ProviderError, type ProviderErrorCode } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import { changeJob, changeKey, getJob, getKey, jobPaused, moveJob, timestamp } from './change.ts';
import { pauseJob, resumeJob } from './pause-job.ts';
import {
  allEnabled,
  inspectRootKeys,
  type RootKeyStatuses,
  rootKeysOf,
  settleVersions,
  unusableRootKey,
} from './root-key-states.ts';
import { isRunning, type Job } from './rotation.ts';

/**
 * A step or a worker that meets a root key which cannot be used. What it met is no more than a reason to ask for the
 * truth; by that the job is paused, and not stopped, and none of its records has failed.
 */

type TroubleDeps = Pick<Deps, 'ledger' | 'provider' | 'clock' | 'log'>;

const CODES: readonly ProviderErrorCode[] = [
  'ROOT_KEY_NOT_FOUND',
  'ROOT_KEY_DISABLED',
  'ROOT_KEY_PENDING_DELETION',
  'ROOT_KEY_PENDING_IMPORT',
];

/** `text` begins with an error's code, as functions/lambda.ts writes it. */
export function namesRootKeyTrouble(text: string): boolean {
  return CODES.some((code) => text.startsWith(`${code}:`));
}

/** Calls the provider for a step. Throws JOB_PAUSED when its root key cannot be used. */
export async function askProvider<T>(deps: TroubleDeps, job: Job, call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    if (await pausedBy(deps, job.jobId, error)) throw jobPaused(job.jobId);
    throw passing(error);
  }
}

/** Whether the job rests now because of this error. */
export async function pausedBy(deps: TroubleDeps, jobId: string, error: unknown): Promise<boolean> {
  const trouble =
    isRootKeyError(error) ||
    // A version that is suspended, perhaps for its root key.
    (error instanceof KeyError && error.code === 'VERSION_STATE');
  return trouble && pauseIfUnusable(deps, jobId);
}

/**
 * The provider says by now that the root key can be used: it was disabled a moment ago, and not every part of the
 * provider knows yet (KMS is eventually consistent, for minutes).
 */
export function passing(error: unknown): unknown {
  if (!isRootKeyError(error)) return error;
  return new ProviderError(error.code, error.message, { retryable: true, cause: error });
}

function isRootKeyError(error: unknown): error is ProviderError {
  return error instanceof ProviderError && CODES.includes(error.code);
}

/** Asks for the root keys of the job's key, suspends what they wrapped, and pauses the job, if one cannot be used. */
export async function pauseIfUnusable(deps: TroubleDeps, jobId: string): Promise<boolean> {
  const job = await getJob(deps, jobId);
  if (!isRunning(job.status)) return job.status === 'PAUSED';
  const { key, statuses } = await settle(deps, job);
  return pauseFor(deps, job, unusableRootKey(deps, key, statuses));
}

/**
 * Right before what has no way back. A root key that was disabled a moment ago, of which no event told yet, stops it; and
 * so does one that cannot be asked for. Throws JOB_PAUSED or PROVIDER_UNAVAILABLE.
 */
export async function requireUsable(deps: TroubleDeps, job: Job): Promise<void> {
  const { key, statuses } = await settle(deps, job);
  if (await pauseFor(deps, job, unusableRootKey(deps, key, statuses))) throw jobPaused(job.jobId);
  if (allEnabled(deps, key, statuses)) return;
  throw new ProviderError('PROVIDER_UNAVAILABLE', 'The state of a root key that the key needs is not known', {
    retryable: true,
  });
}

async function pauseFor(deps: TroubleDeps, job: Job, rootKeyId: string | null): Promise<boolean> {
  if (rootKeyId === null) return false;
  const { jobId, tenant, purpose } = job;
  const code = 'ROOT_KEY_UNUSABLE';
  deps.log.error('a root key cannot be used: job paused', { jobId, tenant, purpose, rootKeyId, code });
  const at = timestamp(deps.clock.now());
  return (await pauseJob(deps, jobId, { reason: 'ROOT_KEY', rootKeyId, by: null, at })).status === 'PAUSED';
}

/** Takes a job up that was paused for a root key, if all of its key's can be used by now. Returns it as it is then. */
export async function resumeIfUsable(deps: Deps, job: Job): Promise<Job> {
  if (job.pause?.reason !== 'ROOT_KEY') return job;
  const { key, statuses } = await settle(deps, job);
  return allEnabled(deps, key, statuses) ? resumeJob(deps, job.jobId, 'ROOT_KEY') : getJob(deps, job.jobId);
}

/**
 * Before a job is taken up that a person had paused. If a root key cannot be used by now, the job rests on for that, and no
 * longer for the person's word. Returns it as it is then.
 */
export async function lookAgain(deps: Deps, job: Job): Promise<Job> {
  const { key, statuses } = await settle(deps, job);
  const rootKeyId = unusableRootKey(deps, key, statuses);
  if (rootKeyId === null) return getJob(deps, job.jobId);
  const at = timestamp(deps.clock.now());
  return changeJob(deps, job.jobId, (current) =>
    current.status === 'PAUSED' && current.pause?.reason === 'PERSON'
      ? moveJob(current, 'PAUSED', { pause: { reason: 'ROOT_KEY', rootKeyId, by: null, at } })
      : current,
  );
}

/** A root key that goes on and off without end is left to the next reconciliation. */
const MOST_LOOKS = 5;

/** Looks until a look changes nothing: what was written is true of the moment when it was asked for. */
async function settle(
  deps: TroubleDeps,
  { tenant, purpose }: Pick<Job, 'tenant' | 'purpose'>,
): Promise<{ readonly key: TenantKey; readonly statuses: RootKeyStatuses }> {
  for (let looks = 1; ; looks++) {
    const before = await getKey(deps, tenant, purpose);
    const statuses = await inspectRootKeys(deps, rootKeysOf(deps, before));
    const key = await changeKey(deps, tenant, purpose, (current) =>
      settleVersions(deps, current, statuses, timestamp(deps.clock.now())),
    );
    if (key.revision === before.revision || looks === MOST_LOOKS) return { key, statuses };
  }
}
