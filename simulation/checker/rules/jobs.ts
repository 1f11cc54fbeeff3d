import type { MakeRule } from '../rule.ts';

/** Jobs and restores go along allowed statuses only, a revision a commit. */

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

export const jobs: MakeRule = (_, find) => {
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
    job({ before, after }) {
      look(`${after.kind} ${after.jobId}`, before, after, JOB_NEXT, 'REQUESTED');
      if (before === null || before.status !== 'COMPLETED' || after.status !== 'REQUESTED') return;
      if (after.kind !== 'adopt' && after.goal !== 'RESWEEP')
        find('6', `${after.kind} ${after.jobId} was COMPLETED and is taken up again`);
    },
    restore({ before, after }) {
      look(`restore ${after.restoreId}`, before, after, RESTORE_NEXT, 'BEGUN');
    },
  };
};
