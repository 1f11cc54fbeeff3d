import type { Deps } from '../../shared/deps/deps.ts';
import { type ErrorCode, KeyturnError } from '../../shared/errors/errors.ts';
import type { JobRequest } from '../../shared/rotation/request-job.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { mapConcurrently } from './concurrent.ts';
import { EXIT_CODES, exitCodeOf } from './exit-codes.ts';
import { type ShownError, shownError } from './failures.ts';
import { interruptible } from './interrupt.ts';
import { nameOf } from './job-words.ts';
import type { Output } from './output.ts';
import { createProgressView } from './progress-view.ts';
import { userName } from './user-name.ts';
import { type Counts, readCounts, readSnapshot, watchJobs } from './watch-jobs.ts';

/** Asks for jobs and follows them to their end: what `rotate`, `adopt` and `purge` have in common. */

export interface Followed {
  readonly request: JobRequest;
  readonly job: Job;
  readonly counts: Counts;
}

/** One of several requests: one that fails blocks no other. */
export type Asked<T> =
  | { readonly ok: true; readonly subject: T; readonly request: JobRequest }
  | { readonly ok: false; readonly subject: T; readonly error: ShownError; readonly exitCode: number };

const REQUESTS = 4;
const READERS = 8;

export function askAll<T>(
  subjects: readonly T[],
  ask: (subject: T) => Promise<JobRequest>,
): Promise<readonly Asked<T>[]> {
  return mapConcurrently(subjects, REQUESTS, async (subject): Promise<Asked<T>> => {
    try {
      return { ok: true, subject, request: await ask(subject) };
    } catch (error) {
      // Out of reach for one is out of reach for all.
      if (error instanceof KeyturnError && UNREACHABLE.has(error.code)) throw error;
      return { ok: false, subject, error: shownError(error), exitCode: exitCodeOf(error) };
    }
  });
}

const UNREACHABLE: ReadonlySet<string> = new Set<ErrorCode>(['LEDGER_UNAVAILABLE', 'EXECUTIONS_UNAVAILABLE']);

/** With `wait` to their end, otherwise as they are now. In the order of the requests. */
export async function follow(
  deps: Deps,
  out: Output,
  requests: readonly JobRequest[],
  wait: boolean,
): Promise<readonly Followed[]> {
  const jobIds = requests.map(({ job }) => job.jobId);
  const snapshots = wait
    ? await watchToEnd(deps, out, requests, jobIds)
    : await mapConcurrently(jobIds, READERS, (jobId) => readSnapshot(deps, jobId));
  return mapConcurrently([...snapshots.entries()], READERS, async ([i, { job }]) => {
    const request = requests[i] ?? { answer: 'running', job };
    return { request, job, counts: await readCounts(deps, job, request) };
  });
}

async function watchToEnd(
  deps: Deps,
  out: Output,
  requests: readonly JobRequest[],
  jobIds: readonly string[],
) {
  const [first] = requests;
  if (first === undefined) return [];
  const what = requests.length === 1 ? `"${nameOf(first.job)}"` : `${requests.length} jobs`;
  const view = createProgressView(out);
  try {
    return await interruptible(`${what}: still going on in the stack`, (signal) =>
      watchJobs(deps, jobIds, view.show, signal),
    );
  } finally {
    view.stop();
  }
}

/** A job that is BLOCKED, PAUSED or CANCELLED is the refusal that a script must notice. */
export function exitCodeOfJobs(jobs: readonly Job[]): number {
  return jobs.some(({ status }) => status === 'BLOCKED' || status === 'PAUSED' || status === 'CANCELLED')
    ? EXIT_CODES.refused.code
    : EXIT_CODES.done.code;
}

/** For the audit: who asked. */
export function requestedBy(): string {
  return `person:${userName()}`;
}
