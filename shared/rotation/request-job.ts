import type { Deps } from '../deps/deps.ts';
import type { TenantKey } from '../keyring/key.ts';
import { changeJob, getJob, getKey, timestamp } from './change.ts';
import { adoptionJobId, executionName, purgeJobId, rotationJobId } from './job-id.ts';
import { checkPurgeable } from './purge-rules.ts';
import { retireVersion } from './retire-version.ts';
import { resumeIfUsable } from './root-key-trouble.ts';
import { isRunning, type Job, type RotationMode } from './rotation.ts';
import { registerServed } from './served.ts';
import { configuredTimes, MACHINES, recordSetsOf, startExecution, takeUpAgain } from './take-up.ts';

/**
 * What a request got: a new job, the one that runs already, one that stopped or rested taken up again, one that is
 * done, or one that rests on: `job.pause` says what it waits for.
 */
export interface JobRequest {
  readonly answer: 'started' | 'running' | 'resumed' | 'completed' | 'paused';
  readonly job: Job;
}

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
    goal: 'NEW_VERSION',
    recordsPerSecond: null,
    blocker: null,
    pause: null,
    census: null,
    approvalId: null,
    cancelled: null,
    revision: 1,
  };
}

async function createAndStart(deps: Deps, job: Job): Promise<JobRequest> {
  const created = await deps.ledger.createJob(job);
  return startOrResume(deps, created.item, created.status === 'created');
}

function isOver({ status }: Job): boolean {
  return status === 'BLOCKED' || status === 'COMPLETED';
}

async function startOrResume(deps: Deps, job: Job, created: boolean): Promise<JobRequest> {
  const paused = job.status === 'PAUSED';
  const over = job.status === 'BLOCKED' || (job.status === 'COMPLETED' && job.kind === 'adopt');
  const current = paused
    ? await resumeIfUsable(deps, job)
    : over
      ? await takeUpAgain(deps, job.jobId, isOver)
      : job;
  if (current.status === 'COMPLETED') return { answer: 'completed', job: current };
  if (current.status === 'PAUSED') return { answer: 'paused', job: current };
  await startExecution(deps, current);
  return { answer: created ? 'started' : over || paused ? 'resumed' : 'running', job: current };
}

/**
 * Takes up a job whose execution is gone: a stopped machine, an aborted execution. Every step may be repeated, so
 * the new execution passes quickly over what was done. Returns whether it started one.
 */
export async function recoverJob(deps: Deps, listed: Job): Promise<boolean> {
  // Lists lag behind: what came to rest or to an end since is not to be started.
  const job = await getJob(deps, listed.jobId);
  if (!isRunning(job.status)) return false;
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
    current.attempt === job.attempt && isRunning(current.status)
      ? { ...current, attempt: current.attempt + 1 }
      : current,
  );
  if (!isRunning(next.status)) return false;
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
