import { withRequester } from '../approvals/binding.ts';
import { resumeIfDecided } from '../approvals/resume-approved.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import { finishCancellation } from './cancel-job.ts';
import { changeJob, getJob, moveJob, timestamp } from './change.ts';
import {
  adoptionJobId,
  executionName,
  purgeJobId,
  resweepJobId,
  rollbackJobId,
  rotationJobId,
} from './job-id.ts';
import { noEarlierThan } from './no-earlier.ts';
import { hasFreedLock } from './pause-job.ts';
import { checkApprovable, checkPurgeable } from './purge-rules.ts';
import { retireVersion } from './retire-version.ts';
import { resumeIfUsable } from './root-key-trouble.ts';
import { isRunning, type Job, type RotationMode } from './rotation.ts';
import { registerServed } from './served.ts';
import { configuredTimes, MACHINES, recordSetsOf, startExecution, takeUpAgain } from './take-up.ts';

/**
 * What a request got: a new job, the one that runs already, one that stopped or rested taken up again, one that is
 * done, or one that rests on: `job.pause` says what it waits for. `stopped`: it is BLOCKED or CANCELLED, and not this
 * asker's to take up; or somebody called it off in the same moment.
 */
export interface JobRequest {
  readonly answer: 'started' | 'running' | 'resumed' | 'completed' | 'paused' | 'stopped';
  readonly job: Job;
}

/**
 * Whether the asker may take up a job that is BLOCKED, or begin one anew that is CANCELLED. It is asked at the write, of the job
 * as it is then: a person may have called it off since the asker looked. Left out: a person asks, and may.
 */
export type MayTakeUp = (stopped: Job) => boolean;

/** No more than what stopped by itself: what a person called off, only a person begins anew. */
export const unlessCancelled: MayTakeUp = ({ status }) => status !== 'CANCELLED';

interface Asker {
  readonly mayTakeUp?: MayTakeUp;
}

export interface RotationRequest extends Asker {
  readonly tenant: string;
  readonly purpose: string;
  readonly mode?: RotationMode;
  /** Who asked, for the audit: a person, a schedule, an event. */
  readonly requestedBy: string;
  /** Left out: as the configuration says; null: no limit. */
  readonly recordsPerSecond?: number | null;
}

/** Asks for a rotation of a key. While one runs, the answer is the running one: no version is skipped or orphaned. */
export async function requestRotation(deps: Deps, request: RotationRequest): Promise<JobRequest> {
  const key = await registerServed(deps, request.tenant, request.purpose);
  requireActive(key);
  const running = await lockHolder(deps, key);
  if (running !== null) return startOrResume(deps, running, request);
  const asked = {
    ...newJob(deps, key, request),
    kind: 'rotate' as const,
    jobId: rotationJobId(key),
    from: key.active,
    mode: request.mode ?? deps.config.rotation.mode,
    recordSets: recordSetsOf(deps, 'rotate', key),
  };
  return createAndStart(deps, asked, request);
}

/** Of a key whose creation was cut off there is no version to leave, and no step could make one. */
function requireActive({ tenant, purpose, active }: TenantKey): void {
  if (active > 0) return;
  const message = `The key of ${tenant}/${purpose} has no active version: its creation was cut off`;
  throw new KeyError('VERSION_STATE', message, { remedy: 'Finish it with `keyturn keys create`.' });
}

export interface ResweepRequest extends Asker {
  readonly tenant: string;
  readonly purpose: string;
  readonly requestedBy: string;
  /** For the audit: why, e.g. which restore. */
  readonly reason: string;
}

/**
 * Asks for a sweep of a key's records to its active version, and a census; no version is made. While a rotation runs, the
 * answer is that one: whether its present sweep covers what the caller has in mind, `job.restoreEpoch` says when it ends,
 * and if it does not, the caller asks again.
 */
export async function requestResweep(deps: Deps, request: ResweepRequest): Promise<JobRequest> {
  const key = await registerServed(deps, request.tenant, request.purpose);
  const running = await lockHolder(deps, key);
  if (running !== null) return startOrResume(deps, running, request);
  const asked = {
    ...newJob(deps, key, { requestedBy: `${request.requestedBy} (${request.reason})` }),
    kind: 'rotate' as const,
    goal: 'RESWEEP' as const,
    from: key.active,
    to: key.active,
    mode: 'rewrap' as const,
    recordSets: recordSetsOf(deps, 'rotate', key),
  };
  for (;;) {
    const { jobId } = await nextResweep(deps, key);
    const answer = await createAndStart(deps, { ...asked, jobId }, request);
    // Complete by now: it began before it was asked for here.
    if (answer.answer !== 'completed') return answer;
  }
}

/**
 * The re-sweep that a request is for, and its job if there is one. One that is complete is never begun anew: versions that it
 * retired are certified by it.
 */
export async function nextResweep(
  { ledger }: Pick<Deps, 'ledger'>,
  key: TenantKey,
): Promise<{ readonly jobId: string; readonly job: Job | null }> {
  for (let earlier = 0; ; earlier++) {
    const jobId = resweepJobId(key, earlier);
    const job = await ledger.getJob(jobId);
    if (job?.status !== 'COMPLETED') return { jobId, job };
  }
}

/** Asks for the records of a key to be brought back to a RETIRING version. What may be rolled back to: rollback.ts. */
export async function startRollback(
  deps: Deps,
  key: TenantKey,
  to: number,
  request: Pick<RotationRequest, 'requestedBy' | 'recordsPerSecond'>,
): Promise<JobRequest> {
  return createAndStart(deps, {
    ...newJob(deps, key, request),
    kind: 'rotate',
    goal: 'ROLLBACK',
    jobId: rollbackJobId(key, to),
    from: key.active,
    to,
    mode: 'rewrap',
    recordSets: recordSetsOf(deps, 'rotate', key),
  });
}

/** The job that holds the key's lock. One that was cancelled gives it up first. */
async function lockHolder(deps: Deps, key: TenantKey): Promise<Job | null> {
  if (key.rotationId === null) return null;
  const job = await getJob(deps, key.rotationId);
  if (job.status !== 'CANCELLED') return job;
  await finishCancellation(deps, job);
  return null;
}

export interface PurgeRequest extends Asker {
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
  const stopped = await deps.ledger.getJob(jobId);
  const requesters =
    stopped?.status === 'BLOCKED'
      ? withRequester(stopped.requestedBy, request.requestedBy)
      : request.requestedBy;
  checkApprovable(key, request.version, deps.config, requesters);
  const asked = {
    ...newJob(deps, key, request),
    kind: 'purge' as const,
    times: configuredTimes(deps, 'purge'),
    jobId,
    from: request.version,
    mode: 'rewrap' as const,
    recordSets: recordSetsOf(deps, 'purge', key),
  };
  return createAndStart(deps, asked, request);
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
    ...newJob(deps, key, request),
    kind: 'adopt',
    jobId: adoptionJobId(key.keyId, request.recordSet),
    from: 0,
    mode: 'rewrap',
    recordSets: [request.recordSet],
  });
}

type NewJob = Omit<Job, 'kind' | 'jobId' | 'from' | 'mode' | 'recordSets'>;

function newJob(
  deps: Deps,
  key: TenantKey,
  { requestedBy, recordsPerSecond }: Pick<RotationRequest, 'requestedBy' | 'recordsPerSecond'>,
): NewJob {
  const { rotation } = deps.config;
  const { activatedAt } = key.versions[String(key.active)] ?? {};
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
    times: configuredTimes(deps, 'rotate'),
    requestedBy,
    requestedAt: timestamp(noEarlierThan(deps.clock.now(), [activatedAt])),
    startedAt: null,
    barrierUntil: null,
    fencedAt: null,
    completedAt: null,
    purgeNotBefore: null,
    restoreEpoch: key.restoreEpoch,
    goal: 'NEW_VERSION',
    recordsPerSecond: recordsPerSecond === undefined ? rotation.recordsPerSecond : recordsPerSecond,
    blocker: null,
    pause: null,
    census: null,
    approvalId: null,
    cancelled: null,
    revision: 1,
  };
}

async function createAndStart(deps: Deps, asked: Job, asker: Asker = {}): Promise<JobRequest> {
  const created = await deps.ledger.createJob(asked);
  if (created.status === 'exists' && created.item.status === 'CANCELLED')
    return beginAnew(deps, created.item, asked, asker);
  const request = await startOrResume(deps, created.item, { ...asker, askedBy: asked.requestedBy });
  return created.status === 'created' ? { ...request, answer: 'started' } : request;
}

/** What was called off: under its former id, as another attempt, and as it is asked for now. Rounds are counted on: their plans stand. */
async function beginAnew(
  deps: Deps,
  job: Job,
  asked: Job,
  { mayTakeUp = () => true }: Asker,
): Promise<JobRequest> {
  await finishCancellation(deps, job);
  const begun = await changeJob(deps, job.jobId, (current) =>
    current.status === 'CANCELLED' && mayTakeUp(current)
      ? moveJob(current, 'REQUESTED', {
          ...asked,
          attempt: current.attempt + 1,
          round: current.round,
          maxRounds: current.round + asked.maxRounds,
        })
      : current,
  );
  if (begun.status === 'CANCELLED') return { answer: 'stopped', job: begun };
  if (isRunning(begun.status)) await startExecution(deps, begun);
  return { answer: 'resumed', job: begun };
}

/** Whether asking for it takes it up again. Of what is complete only an adoption: more plaintext may have come. */
function isOver({ status, kind }: Job): boolean {
  return status === 'BLOCKED' || (status === 'COMPLETED' && kind === 'adopt');
}

/** `askedBy`: whoever takes a purge up by asking again asked for it, too. */
export async function startOrResume(
  deps: Deps,
  job: Job,
  { mayTakeUp = () => true, askedBy = null }: Asker & { readonly askedBy?: string | null } = {},
): Promise<JobRequest> {
  const paused = job.status === 'PAUSED';
  const over = isOver(job);
  const may = (current: Job) => isOver(current) && (current.status !== 'BLOCKED' || mayTakeUp(current));
  const current = paused
    ? await resumeIfDecided(deps, await resumeIfUsable(deps, job), true, askedBy)
    : over
      ? await takeUpAgain(deps, job.jobId, may, job.kind === 'purge' ? askedBy : null)
      : job;
  if (current.status === 'COMPLETED') return { answer: 'completed', job: current };
  if (current.status === 'PAUSED') return { answer: 'paused', job: current };
  if (!isRunning(current.status)) return { answer: 'stopped', job: current };
  await startExecution(deps, current);
  return { answer: over || paused ? 'resumed' : 'running', job: current };
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
  if (job.status === 'CENSUS' && (await hasFreedLock(deps, job))) {
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
