import type { Deps } from '../deps/deps.ts';
import { RecordStoreError } from '../errors/errors.ts';
import type { StateMachineName } from '../executions/executions.ts';
import type { TenantKey } from '../keyring/key.ts';
import { changeJob, getJob, getKey, moveJob, timestamp } from './change.ts';
import { adoptionJobId, executionName, purgeJobId, rotationJobId } from './job-id.ts';
import { checkPurgeable } from './purge-rules.ts';
import { retireVersion } from './retire-version.ts';
import type { Job, JobKind, JobTimes, RotationMode } from './rotation.ts';
import { registerServed } from './served.ts';

/** What a request got: a new job, the one that runs already, a stopped one taken up again, or one that is done. */
export interface JobRequest {
  readonly answer: 'started' | 'running' | 'resumed' | 'completed';
  readonly job: Job;
}

const MACHINES = {
  rotate: 'rotate-key',
  purge: 'purge-version',
  adopt: 'adopt-records',
} as const satisfies Record<JobKind, StateMachineName>;

export interface RotationRequest {
  readonly tenant: string;
  readonly purpose: string;
  readonly mode?: RotationMode;
  /** Who asked, for the audit: a person, a schedule, an event. */
  readonly requestedBy: string;
}

/** Asks for a rotation of a key. While one runs, the answer is the running one: no version is skipped or orphaned. */
export async function requestRotation(deps: Deps, request: RotationRequest): Promise<JobRequest> {
  const key = await registerServed(deps, request.tenant, request.purpose);
  if (key.rotationId !== null) return startOrResume(deps, await getJob(deps, key.rotationId), false);
  return createAndStart(deps, {
    ...newJob(deps, key, request.requestedBy),
    kind: 'rotate',
    jobId: rotationJobId(key.keyId, key.active),
    from: key.active,
    mode: request.mode ?? deps.config.rotation.mode,
    recordSets: recordSetsOf(deps, 'rotate', key),
  });
}

export interface PurgeRequest {
  readonly tenant: string;
  readonly purpose: string;
  readonly version: number;
  readonly requestedBy: string;
}

/** Asks for the destruction of a retired version. Throws PURGE_REFUSED while its grace lasts. */
export async function requestPurge(deps: Deps, request: PurgeRequest): Promise<JobRequest> {
  const key = await registerServed(deps, request.tenant, request.purpose);
  const jobId = purgeJobId(key.keyId, request.version);
  checkPurgeable(key, request.version, deps.clock.now(), deps.config);
  return createAndStart(deps, {
    ...newJob(deps, key, request.requestedBy),
    kind: 'purge',
    jobId,
    from: request.version,
    mode: 'rewrap',
    recordSets: recordSetsOf(deps, 'purge', key),
  });
}

export interface AdoptionRequest {
  readonly tenant: string;
  readonly recordSet: string;
  readonly requestedBy: string;
}

/** Asks for one tenant's plaintext in a record set to become envelopes. A finished adoption may be asked for again. */
export async function requestAdoption(deps: Deps, request: AdoptionRequest): Promise<JobRequest> {
  const { purpose } = deps.recordSets.config(request.recordSet);
  const key = await registerServed(deps, request.tenant, purpose);
  return createAndStart(deps, {
    ...newJob(deps, key, request.requestedBy),
    kind: 'adopt',
    jobId: adoptionJobId(key.keyId, request.recordSet),
    from: 0,
    mode: 'rewrap',
    recordSets: [request.recordSet],
  });
}

/**
 * A rotation sweeps the record sets that the key serves. A purge reads all that are declared, also those of other
 * purposes and tenants: an envelope of the key counts wherever it stands.
 */
function recordSetsOf(
  deps: Deps,
  kind: 'rotate' | 'purge',
  { tenant, purpose }: Pick<TenantKey, 'tenant' | 'purpose'>,
): readonly string[] {
  const names = kind === 'purge' ? deps.recordSets.names : deps.recordSets.ofKey(tenant, purpose);
  if (names.length > 0) return names;
  throw new RecordStoreError('RECORD_SET_NOT_FOUND', `No record set is declared for ${tenant}/${purpose}`, {
    remedy: 'Declare the tables with its envelopes under recordSets: without them there is nothing to count.',
  });
}

type NewJob = Omit<Job, 'kind' | 'jobId' | 'from' | 'mode' | 'recordSets'>;

function newJob(deps: Deps, key: TenantKey, requestedBy: string): NewJob {
  const { rotation } = deps.config;
  return {
    tenant: key.tenant,
    purpose: key.purpose,
    keyId: key.keyId,
    to: 0,
    status: 'REQUESTED',
    attempt: 1,
    round: 0,
    maxRounds: rotation.maxRounds,
    chunkSize: rotation.chunkSize,
    segments: rotation.segments,
    times: configuredTimes(deps),
    requestedBy,
    requestedAt: timestamp(deps.clock.now()),
    startedAt: null,
    barrierUntil: null,
    completedAt: null,
    purgeNotBefore: null,
    restoreEpoch: key.restoreEpoch,
    blocker: null,
    census: null,
    revision: 1,
  };
}

function configuredTimes({ config: { rotation } }: Deps): JobTimes {
  return {
    barrierSeconds: rotation.cacheMaxAgeSeconds + rotation.clockSkewSeconds + rotation.maxTransactionSeconds,
    graceSeconds: rotation.graceSeconds,
    stallSeconds: rotation.stallSeconds,
  };
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

async function createAndStart(deps: Deps, job: Job): Promise<JobRequest> {
  const created = await deps.ledger.createJob(job);
  return startOrResume(deps, created.item, created.status === 'created');
}

async function startOrResume(deps: Deps, job: Job, created: boolean): Promise<JobRequest> {
  const again = job.status === 'BLOCKED' || (job.status === 'COMPLETED' && job.kind === 'adopt');
  const current = again ? await takeUpAgain(deps, job.jobId) : job;
  if (current.status === 'COMPLETED') return { answer: 'completed', job: current };
  await startExecution(deps, current);
  return { answer: created ? 'started' : again ? 'resumed' : 'running', job: current };
}

async function takeUpAgain(deps: Deps, jobId: string): Promise<Job> {
  return changeJob(deps, jobId, (job) => {
    // Somebody else took it up in between: theirs is the attempt that runs.
    if (job.status !== 'BLOCKED' && job.status !== 'COMPLETED') return job;
    const { chunkSize, segments } = deps.config.rotation;
    const times = longerTimes(job.times, configuredTimes(deps));
    return moveJob(job, 'REQUESTED', {
      attempt: job.attempt + 1,
      // As the configuration is now: a table that was missing may be why it was blocked. Times only grow.
      ...(job.kind === 'adopt' ? {} : { recordSets: recordSetsOf(deps, job.kind, job) }),
      chunkSize,
      segments,
      times,
      barrierUntil: extendBarrier(job, times),
      // A new attempt sweeps and counts afresh, with its full number of rounds.
      maxRounds: job.round + deps.config.rotation.maxRounds,
      blocker: null,
      completedAt: null,
    });
  });
}

export async function startExecution(deps: Pick<Deps, 'executions'>, job: Job): Promise<void> {
  await deps.executions.start(MACHINES[job.kind], executionName(job.jobId, job.attempt), {
    jobId: job.jobId,
  });
}

/**
 * Takes up a job whose execution is gone: a stopped machine, an aborted execution. Every step may be repeated, so
 * the new execution passes quickly over what was done. Returns whether it started one.
 */
export async function recoverJob(deps: Deps, job: Job): Promise<boolean> {
  const machine = MACHINES[job.kind];
  if (await deps.executions.isRunning(machine, executionName(job.jobId, job.attempt))) return false;
  if (await isRetiredOnly(deps, job)) {
    await retireVersion(deps, job.jobId);
    return true;
  }
  const started = await deps.executions.start(machine, executionName(job.jobId, job.attempt), {
    jobId: job.jobId,
  });
  if (started === 'started') return true;
  const next = await changeJob(deps, job.jobId, (current) =>
    current.attempt === job.attempt && current.status !== 'COMPLETED' && current.status !== 'BLOCKED'
      ? { ...current, attempt: current.attempt + 1 }
      : current,
  );
  if (next.status === 'COMPLETED' || next.status === 'BLOCKED') return false;
  await startExecution(deps, next);
  return true;
}

/**
 * A rotation that freed the key's lock and crashed before its own end was written. Another may have taken the lock
 * since, so its steps are not repeated.
 */
async function isRetiredOnly(deps: Deps, job: Job): Promise<boolean> {
  if (job.kind !== 'rotate' || job.status !== 'CENSUS') return false;
  const key = await getKey(deps, job.tenant, job.purpose);
  return key.rotationId !== job.jobId && (key.versions[String(job.from)]?.purgeNotBefore ?? null) !== null;
}
