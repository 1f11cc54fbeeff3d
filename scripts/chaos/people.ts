import { setTimeout as sleep } from 'node:timers/promises';
import type { Deps } from '../../shared/deps/deps.ts';
import { KeyturnError } from '../../shared/errors/errors.ts';
import { cancelJob } from '../../shared/rotation/cancel-job.ts';
import { getKey } from '../../shared/rotation/change.ts';
import {
  isPausedByPerson,
  listOpenJobs,
  pauseByPerson,
  resumeByPerson,
} from '../../shared/rotation/control-job.ts';
import { type JobRequest, requestRotation } from '../../shared/rotation/request-job.ts';
import { requestRollback } from '../../shared/rotation/rollback.ts';
import { isRunning, type Job, RUNNING_STATUSES } from '../../shared/rotation/rotation.ts';
import { PURPOSE, tenantName } from '../demo/records.ts';
import { describe } from './application.ts';
import type { Request } from './plan.ts';

/** People who ask for things, and ask again until they are answered, whatever breaks meanwhile. */

export interface People {
  /** Resolves when it was answered, also with a refusal. */
  ask(request: Request): Promise<void>;
  /**
   * When nothing breaks any more: takes up what rests or stopped, and waits until every rotation has ended, and every purge
   * that began before. Throws, naming them, when some do not.
   */
  untilQuiet(): Promise<Quiet>;
}

export interface Quiet {
  readonly rotations: readonly Job[];
  /** Blockers that were named, by `rotate STEP_FAILED`; each was taken up. */
  readonly blockers: ReadonlyMap<string, number>;
}

export interface PeopleOptions {
  readonly deps: () => Deps;
  readonly note: (what: string) => void;
  readonly signal: AbortSignal;
}

const REQUESTED_BY = 'chaos';
const ASK_AGAIN_MS = 200;
/** Through restarts of the stack, which take as long as the machine is busy. */
const ANSWER_MS = 300_000;
const QUIET_MS = 120_000;
/** How often a rotation is taken up that stops again, with nothing broken any more. */
const TAKE_UPS = 3;
const OPEN = [...RUNNING_STATUSES, 'PAUSED', 'BLOCKED'] as const;

export function createPeople({ deps, note, signal }: PeopleOptions): People {
  /** null: it was refused. */
  async function insist<T>(what: string, act: () => Promise<T>): Promise<T | null> {
    const end = performance.now() + ANSWER_MS;
    for (let tries = 1; ; tries++) {
      try {
        const answer = await act();
        if (tries > 1) note(`${what}: answered at try ${tries}`);
        return answer;
      } catch (error) {
        signal.throwIfAborted();
        const { code, passing } = describe(error);
        if (!passing && error instanceof KeyturnError) {
          note(`${what}: refused, ${code}`);
          return null;
        }
        if (!passing || performance.now() > end) throw new Error(`${what} failed: ${code}`, { cause: error });
      }
      await sleep(ASK_AGAIN_MS, undefined, { signal });
    }
  }

  async function rotate(tenant: string, more: object = {}): Promise<void> {
    const answer = await insist(`rotate ${tenant}`, () =>
      requestRotation(deps(), { tenant, purpose: PURPOSE, requestedBy: REQUESTED_BY, ...more }),
    );
    if (answer !== null) note(`rotate ${tenant}: ${words(answer)}`);
  }

  async function pause(tenant: string, forMs: number): Promise<void> {
    const paused = await insist(`pause ${tenant}`, async () => {
      const [job] = await listOpenJobs(deps(), await getKey(deps(), tenant, PURPOSE));
      return job === undefined ? null : pauseByPerson(deps(), job.jobId, REQUESTED_BY);
    });
    if (paused === null) return;
    note(`pause ${tenant}: ${paused.jobId} is ${paused.status}`);
    await sleep(forMs, undefined, { signal });
    const resumed = await insist(`resume ${tenant}`, () => resumeByPerson(deps(), paused.jobId));
    if (resumed !== null) note(`resume ${tenant}: ${resumed.jobId} is ${resumed.status}`);
  }

  async function rollBack(tenant: string): Promise<void> {
    const what = `roll back ${tenant}`;
    const done = await insist(what, async () => {
      const { versions } = await getKey(deps(), tenant, PURPOSE);
      const to = Object.values(versions)
        .filter(({ state }) => state === 'RETIRING')
        .at(-1)?.version;
      if (to === undefined) return null;
      return requestRollback(deps(), { tenant, purpose: PURPOSE, to, requestedBy: REQUESTED_BY });
    });
    if (done !== null)
      note(
        `${what}: ${done.request === null ? 'it was active' : words(done.request)}, ${done.cancelled.length} cancelled`,
      );
  }

  /** A rollback whose version was fenced for its purge meanwhile is asked for again, and called off where that is decided. */
  async function takeUp({ goal, tenant, to, jobId }: Job): Promise<void> {
    if (goal !== 'ROLLBACK') return rotate(tenant);
    const request = { tenant, purpose: PURPOSE, to, requestedBy: REQUESTED_BY };
    const done = await insist(`roll back ${tenant} again`, () => requestRollback(deps(), request));
    if (done === null) await insist(`cancel ${jobId}`, () => cancelJob(deps(), jobId, REQUESTED_BY));
  }

  /** Returns what is left to wait for. */
  async function attend(
    since: string,
    taken: Map<string, number>,
    blockers: Map<string, number>,
  ): Promise<Job[]> {
    const jobs = await deps().ledger.listJobs({ statuses: OPEN });
    const left: Job[] = [];
    for (const job of jobs) {
      const { status, kind, jobId, tenant, blocker } = job;
      if (isPausedByPerson(job)) {
        await insist(`resume ${tenant}`, () => resumeByPerson(deps(), jobId));
        left.push(job);
      } else if (
        status === 'PAUSED' ||
        (isRunning(status) && (kind === 'rotate' || job.requestedAt < since))
      ) {
        left.push(job);
      } else if (kind === 'rotate' && status === 'BLOCKED') {
        const name = `${kind} ${blocker?.code ?? 'without a blocker'}`;
        blockers.set(name, (blockers.get(name) ?? 0) + 1);
        const times = (taken.get(jobId) ?? 0) + 1;
        taken.set(jobId, times);
        note(`${jobId} is BLOCKED: ${blocker?.code}: ${blocker?.message}; taken up`);
        if (times > TAKE_UPS)
          throw new Error(`${describeJob(job)}, after ${TAKE_UPS} times that it was taken up`);
        await takeUp(job);
        left.push(job);
      }
    }
    return left;
  }

  return {
    async ask(request) {
      const tenant = tenantName(request.tenant);
      switch (request.what) {
        case 'rotate': {
          const { mode, recordsPerSecond } = request;
          return rotate(tenant, { mode, recordsPerSecond });
        }
        case 'ask again':
          return rotate(tenant);
        case 'pause':
          return pause(tenant, request.forMs);
        case 'roll back':
          return rollBack(tenant);
      }
    },
    async untilQuiet() {
      const since = new Date(deps().clock.now()).toISOString();
      const end = performance.now() + QUIET_MS;
      const taken = new Map<string, number>();
      const blockers = new Map<string, number>();
      for (;;) {
        signal.throwIfAborted();
        const left = await attend(since, taken, blockers);
        if (left.length === 0) break;
        if (performance.now() > end) {
          throw new Error(
            `In ${QUIET_MS / 1000} s without faults did not end: ${left.map(describeJob).join('; ')}`,
          );
        }
        await sleep(ASK_AGAIN_MS, undefined, { signal });
      }
      return { rotations: await deps().ledger.listJobs({ kind: 'rotate' }), blockers };
    },
  };
}

function words({ answer, job }: JobRequest): string {
  return `${answer}, ${job.jobId}`;
}

function describeJob({ jobId, kind, goal, status, attempt, round, blocker }: Job): string {
  return `${kind} ${jobId} (${goal}) is ${status} in attempt ${attempt}, round ${round}${blocker === null ? '' : `: ${blocker.code}: ${blocker.message}`}`;
}
