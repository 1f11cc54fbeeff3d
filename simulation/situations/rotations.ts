import { isRunning } from '../../shared/rotation/rotation.ts';
import { aVersion, type Situation } from './situation.ts';
import { OFTEN, SELDOM } from './within.ts';

/** What a rotation meets. */
export const ROTATIONS: readonly Situation[] = [
  {
    name: 'swept-again',
    means: 'a census finds values on an older version, and another round sweeps',
    within: OFTEN,
    seen: { job: ({ before, after }) => before?.status === 'CENSUS' && after.status === 'SWEEPING' },
  },
  {
    name: 'rounds-used-up',
    means: 'after its last round a rotation is blocked by values on an older version',
    within: OFTEN,
    seen: {
      job: ({ before, after }) =>
        after.kind === 'rotate' && before?.status === 'CENSUS' && after.blocker?.code === 'STALE_RECORDS',
    },
  },
  {
    name: 'rounds-used-up-and-done',
    means: 'a rotation whose rounds were used up is taken up again, and completed',
    within: SELDOM,
    seen: {
      job: ({ after }, known) =>
        after.kind === 'rotate' &&
        after.status === 'COMPLETED' &&
        known.wentThrough(after.jobId, />BLOCKED STALE_RECORDS/),
    },
  },
  {
    name: 'rollback-in-sweep',
    means: 'a rollback cancels a rotation that sweeps, waits or counts, and begins',
    within: OFTEN,
    seen: {
      job: ({ before, after }, known) =>
        before === null &&
        after.goal === 'ROLLBACK' &&
        known
          .rotationsOf(after.keyId)
          .some(
            ({ jobId, from, cancelled }) =>
              from === after.to &&
              cancelled?.by === after.requestedBy &&
              known.wentThrough(jobId, /^(SWEEPING|BARRIER|CENSUS)>CANCELLED/),
          ),
    },
  },
  {
    name: 'paused-then-cancelled',
    means: 'a paused rotation is cancelled',
    within: OFTEN,
    seen: {
      job: ({ before, after }) =>
        after.kind === 'rotate' && before?.status === 'PAUSED' && after.status === 'CANCELLED',
    },
  },
  {
    name: 'cancelled-unproved',
    means: 'a rotation is cancelled before its version is activated',
    within: OFTEN,
    seen: {
      job: ({ before, after }) =>
        after.kind === 'rotate' && before?.status === 'PREPARING' && after.status === 'CANCELLED',
    },
  },
  {
    name: 'cancelled-then-done',
    means: 'a rotation that was called off is asked for again, and completed',
    within: OFTEN,
    seen: {
      job: ({ after }, known) =>
        after.kind === 'rotate' &&
        after.status === 'COMPLETED' &&
        known.wentThrough(after.jobId, /^CANCELLED>REQUESTED/),
    },
  },
  {
    name: 'suspended-in-sweep',
    means: 'a root key goes in the middle of a sweep and comes back, and the rotation is completed',
    within: SELDOM,
    seen: {
      job: ({ after }, known) =>
        after.kind === 'rotate' &&
        after.status === 'COMPLETED' &&
        known.wentThrough(after.jobId, /^SWEEPING>PAUSED ROOT_KEY/),
    },
  },
  {
    name: 'failed-then-done',
    means: 'a rotation that stopped with a failed step is taken up, and completed',
    within: OFTEN,
    seen: {
      job: ({ after }, known) =>
        after.kind === 'rotate' &&
        after.status === 'COMPLETED' &&
        known.wentThrough(after.jobId, />BLOCKED STEP_FAILED/),
    },
  },
  {
    name: 'execution-lost',
    means: 'the execution of a running job is gone, and another attempt takes it up',
    within: SELDOM,
    seen: {
      job: ({ before, after }) =>
        before !== null &&
        isRunning(before.status) &&
        isRunning(after.status) &&
        after.attempt > before.attempt,
    },
  },
  {
    name: 'two-keys-at-once',
    means: 'two keys of a tenant are rotated at once',
    within: SELDOM,
    seen: {
      job: ({ after }, known) =>
        sweeps(after) &&
        [...known.jobs.values()].some(
          (other) => sweeps(other) && other.tenant === after.tenant && other.keyId !== after.keyId,
        ),
    },
  },
  {
    name: 'wrapped-anew',
    means: 'a KEK that was wrapped by a new root key is proved, and the former wrapping given up',
    within: OFTEN,
    seen: {
      key: (change) =>
        aVersion(
          change,
          (was, is) => was.formerWrapped !== null && is.formerWrapped === null && is.state !== 'DESTROYED',
        ),
    },
  },
];

function sweeps({ kind, status }: { readonly kind: string; readonly status: string }): boolean {
  return kind === 'rotate' && ['SWEEPING', 'BARRIER', 'CENSUS'].includes(status);
}
