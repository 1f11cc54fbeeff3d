import type { Job } from '../items.ts';
import type { MakeRule } from '../rule.ts';

/** Jobs and restores go along allowed statuses only, a revision a commit. What a person called off, only a person begins anew. */

/** ARCHITECTURE.md, "Statuses of a job". One write may make several steps of the way. */
const STOPS = ['BLOCKED', 'PAUSED', 'CANCELLED'];
const JOB_NEXT: Readonly<Record<string, readonly string[]>> = {
  REQUESTED: ['PREPARING', 'SWEEPING', 'CENSUS', ...STOPS],
  PREPARING: ['SWEEPING', 'CENSUS', ...STOPS],
  SWEEPING: ['BARRIER', 'CENSUS', ...STOPS],
  BARRIER: ['CENSUS', ...STOPS],
  CENSUS: ['SWEEPING', 'COMPLETED', ...STOPS],
  COMPLETED: ['REQUESTED'],
  BLOCKED: ['REQUESTED', 'COMPLETED', 'CANCELLED'],
  PAUSED: ['REQUESTED', 'COMPLETED', 'CANCELLED'],
  CANCELLED: ['REQUESTED', 'COMPLETED'],
};
const RESTORE_NEXT: Readonly<Record<string, readonly string[]>> = {
  BEGUN: ['READY', 'ABORTING'],
  READY: ['ENDED'],
  ENDED: [],
  ABORTING: ['ABORTED'],
  ABORTED: [],
};

/** The process of a function; those of people have a number of their own before it. */
const A_FUNCTION = /^[a-z-]+#\d+$/;

export const jobs: MakeRule = (book, find) => {
  /** When each job was called off, and when each version was retired last, by key and version: by their entries. */
  const cancelled = new Map<string, number>();
  const retired = new Map<string, number>();

  /** A destruction that is decided has no way back; and a version that was retired once more is another purge. */
  function mayBeginAnew({ jobId, kind, keyId, from }: Job): boolean {
    if (kind !== 'purge') return false;
    const version = book.keys.get(keyId)?.versions.get(from);
    const since = cancelled.get(jobId) ?? 0;
    return version?.destroyAuthorizedAt != null || (retired.get(`${keyId}/${from}`) ?? 0) > since;
  }

  function look(
    what: string,
    before: { readonly status: string; readonly revision: number } | null,
    after: { readonly status: string; readonly revision: number },
    next: Readonly<Record<string, readonly string[]>>,
    first: string,
  ): void {
    const expected = (before?.revision ?? 0) + 1;
    if (after.revision !== expected)
      find('6', `${what} was committed as revision ${after.revision} after ${expected - 1}`);
    if (before === null) {
      if (after.status !== first) find('6', `${what} begins as ${after.status}`);
    } else if (before.status !== after.status && next[before.status]?.includes(after.status) !== true)
      find('6', `${what} went from ${before.status} to ${after.status}`);
  }
  return {
    key({ entry: { seq }, before, after }) {
      for (const { version, state } of after.versions.values())
        if (state === 'RETIRING' && before?.versions.get(version)?.state === 'ACTIVE')
          retired.set(`${after.keyId}/${version}`, seq);
    },
    job({ entry: { seq, by }, before, after }) {
      look(`${after.kind} ${after.jobId}`, before, after, JOB_NEXT, 'REQUESTED');
      if (after.status === 'CANCELLED' && before?.status !== 'CANCELLED') cancelled.set(after.jobId, seq);
      if (before?.status === 'CANCELLED' && after.status === 'REQUESTED' && A_FUNCTION.test(by))
        if (!mayBeginAnew(after))
          find('6', `${after.kind} ${after.jobId} was called off, and ${by} begins it anew`);
      if (before === null || before.status !== 'COMPLETED' || after.status !== 'REQUESTED') return;
      if (after.kind !== 'adopt' && after.goal !== 'RESWEEP')
        find('6', `${after.kind} ${after.jobId} was COMPLETED and is taken up again`);
    },
    restore({ before, after }) {
      look(`restore ${after.restoreId}`, before, after, RESTORE_NEXT, 'BEGUN');
    },
  };
};
