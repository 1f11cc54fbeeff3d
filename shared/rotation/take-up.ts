import { withRequester } from '../approvals/binding.ts';
import { whyNobodyCan } from '../approvals/request-approval.ts';
import type { Deps } from '../deps/deps.ts';
import { RecordStoreError, RotationError } from '../errors/errors.ts';
import type { StateMachineName } from '../executions/executions.ts';
import type { TenantKey } from '../keyring/key.ts';
import { changeJob, moveJob, timestamp } from './change.ts';
import { executionName } from './job-id.ts';
import type { Job, JobKind, JobTimes } from './rotation.ts';

/** How a job that stopped, or rests, goes on: with a new attempt, which is an execution of its own from the first state. */

export const MACHINES = {
  rotate: 'rotate-key',
  purge: 'purge-version',
  adopt: 'adopt-records',
} as const satisfies Record<JobKind, StateMachineName>;

export async function startExecution(deps: Pick<Deps, 'executions'>, job: Job): Promise<void> {
  await deps.executions.start(MACHINES[job.kind], executionName(job.jobId, job.attempt), {
    jobId: job.jobId,
  });
}

/**
 * REQUESTED once more, when it is as `may` says; its execution is the caller's to start. `askedBy`: who asks for it again, and
 * may approve it as little as whoever asked first. Throws PURGE_REFUSED where too few are left then who could.
 */
export async function takeUpAgain(
  deps: Pick<Deps, 'ledger' | 'config' | 'recordSets'>,
  jobId: string,
  may: (job: Job) => boolean,
  askedBy: string | null = null,
): Promise<Job> {
  return changeJob(deps, jobId, (job) => {
    // Somebody else took it up in between: theirs is the attempt that runs.
    if (!may(job)) return job;
    const { chunkSize, segments } = deps.config.rotation;
    const times = longerTimes(job.times, configuredTimes(deps, job.kind));
    return moveJob(job, 'REQUESTED', {
      attempt: job.attempt + 1,
      requestedBy: requestersOf(deps, job, askedBy),
      // As the configuration is now: a table that was missing may be why it was blocked. Times only grow.
      ...(job.kind === 'adopt' ? {} : { recordSets: recordSetsOf(deps, job.kind, job) }),
      chunkSize,
      segments,
      times,
      barrierUntil: extendBarrier(job, times),
      fencedAt: isStillFenced(job) ? job.fencedAt : null,
      // A new attempt sweeps and counts afresh, with its full number of rounds.
      maxRounds: job.round + deps.config.rotation.maxRounds,
      blocker: null,
      // What was approved before it stopped, or was cancelled, was another purge.
      approvalId: job.status === 'PAUSED' ? job.approvalId : null,
      completedAt: null,
    });
  });
}

function requestersOf({ config }: Pick<Deps, 'config'>, job: Job, askedBy: string | null): string {
  if (askedBy === null) return job.requestedBy;
  const requesters = withRequester(job.requestedBy, askedBy);
  const problem = requesters === job.requestedBy ? null : whyNobodyCan(config, requesters);
  if (problem === null) return requesters;
  throw new RotationError(
    'PURGE_REFUSED',
    `${askedBy} cannot ask for the purge of version ${job.from} of ${job.tenant}/${job.purpose} again. ${problem.message}`,
    { remedy: 'Have somebody ask for it who asked before, or who is no approver.' },
  );
}

/**
 * A rotation sweeps the record sets that the key serves. A purge reads all that are declared, also those of other
 * purposes and tenants: an envelope of the key counts wherever it stands.
 */
export function recordSetsOf(
  deps: Pick<Deps, 'recordSets'>,
  kind: 'rotate' | 'purge',
  { tenant, purpose }: Pick<TenantKey, 'tenant' | 'purpose'>,
): readonly string[] {
  const names = kind === 'purge' ? deps.recordSets.names : deps.recordSets.ofKey(tenant, purpose);
  if (names.length > 0) return names;
  throw new RecordStoreError('RECORD_SET_NOT_FOUND', `No record set is declared for ${tenant}/${purpose}`, {
    remedy: 'Declare the tables with its envelopes under recordSets: without them there is nothing to count.',
  });
}

/** The barrier of a purge is its rehearsal, where that is longer. */
export function configuredTimes({ config: { rotation } }: Pick<Deps, 'config'>, kind: JobKind): JobTimes {
  const barrierSeconds =
    rotation.cacheMaxAgeSeconds + rotation.clockSkewSeconds + rotation.maxTransactionSeconds;
  const soakSeconds = kind === 'purge' ? rotation.soakSeconds + rotation.clockSkewSeconds : 0;
  return {
    barrierSeconds: Math.max(barrierSeconds, soakSeconds),
    graceSeconds: rotation.graceSeconds,
    stallSeconds: rotation.stallSeconds,
  };
}

/** A purge that waits for a root key or for approvals. Whatever else it rests for, its version was set free, and is fenced anew. */
function isStillFenced({ status, pause }: Job): boolean {
  return status === 'PAUSED' && pause?.reason !== 'PERSON';
}

/** A barrier that has begun ends as much later as caches may be older by now. */
function extendBarrier({ barrierUntil, times }: Job, { barrierSeconds }: JobTimes): string | null {
  if (barrierUntil === null) return null;
  return timestamp(Date.parse(barrierUntil) + (barrierSeconds - times.barrierSeconds) * 1000);
}

function longerTimes(a: JobTimes, b: JobTimes): JobTimes {
  return {
    barrierSeconds: Math.max(a.barrierSeconds, b.barrierSeconds),
    graceSeconds: Math.max(a.graceSeconds, b.graceSeconds),
    stallSeconds: b.stallSeconds,
  };
}
