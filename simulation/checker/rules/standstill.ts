import type { Job, Key, Version } from '../items.ts';
import { partsOf, timeOf } from '../parts.ts';
import type { MakeRule } from '../rule.ts';

/**
 * What is BLOCKED for a reason that has passed goes on with the next daily sweep, or ends (docs/protocol.md, "In the end"). And
 * once faults have stopped no step fails for good: what is refused has a reason of its own.
 */

const HOUR = 3_600_000;
/** A daily sweep comes every 150 minutes, at most six minutes later than it should, and is over within some more. */
const NEXT_SWEEP = 2.75 * HOUR;

/** By kind and blocker: how long after a job stopped it goes on by itself. What is not here waits for a person. */
const PASSES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  rotate: {
    STEP_FAILED: HOUR,
    OPEN_TRANSACTIONS: HOUR,
    RECORD_SET_CHANGED: HOUR,
    KEY_CHANGED: HOUR,
    STALE_RECORDS: 12 * HOUR,
  },
  purge: { STEP_FAILED: HOUR, OPEN_TRANSACTIONS: HOUR, HELD: HOUR, KEY_CHANGED: HOUR },
};

/** Such a machine reads that a job stopped just now, or that a grace still lasts: a step is refused for it, also in quiet. */
const WRONG_CLOCKS = ['clock-jump-back', 'clock-frozen'];

export const standstill: MakeRule = (book, find) => {
  let quiet = Number.NaN;
  /** By job. */
  const begun = new Map<string, number>();
  const stopped = new Map<string, number>();
  /** By key: of any change of it. */
  const changed = new Map<string, number>();

  const isClockWrong = () => WRONG_CLOCKS.some((fault) => book.faults.has(fault));

  /** When nothing kept the job any more; null: it waits for somebody, or for another job. */
  function passedAt(job: Job): number | null {
    const key = book.keys.get(job.keyId);
    if (key === undefined || book.unusable.size > 0) return null;
    const stoppedAt = stopped.get(job.jobId) ?? Number.NaN;
    const after = job.kind === 'purge' ? ofPurge(job, key, stoppedAt) : ofRotation(job, key, stoppedAt);
    return after === null ? null : Math.max(quiet, after, ...book.usableAgain.values());
  }

  function ofRotation(job: Job, key: Key, stoppedAt: number): number | null {
    const version = key.versions.get(job.to);
    const never =
      key.active !== job.from || (job.goal === 'ROLLBACK' && version !== undefined && isLost(version));
    if (key.rotationId !== job.jobId && never) return Math.max(stoppedAt, changed.get(key.keyId) ?? 0);
    if (key.rotationId !== null && key.rotationId !== job.jobId) return null;
    if (key.versions.get(key.active)?.state === 'SUSPENDED') return null;
    return passedBy(job, stoppedAt);
  }

  function ofPurge(job: Job, key: Key, stoppedAt: number): number | null {
    const version = key.versions.get(job.from);
    if (version === undefined) return null;
    if (isLost(version)) return stoppedAt + HOUR;
    // Its purge is over, so that it decrypts without an alarm again.
    if (version.state === 'DESTROY_PENDING') return stoppedAt;
    if (version.state !== 'RETIRING' || version.purgeNotBefore === null) return null;
    const holds = key.holds.filter(({ versions }) => versions.includes(version.version));
    if (holds.some(({ until }) => until === null)) return null;
    const ends = [version.purgeNotBefore, ...holds.map(({ until }) => until)].map(timeOf);
    const free = Math.max(...ends) + book.milliseconds('clockSkewSeconds');
    const passed = isRetiredSince(key, job) ? stoppedAt : passedBy(job, stoppedAt);
    return passed === null ? null : Math.max(passed, free, changed.get(key.keyId) ?? 0);
  }

  function lookAt(job: Job, at: number): void {
    if (job.status !== 'BLOCKED') return;
    const passed = passedAt(job);
    if (passed === null || at - passed <= NEXT_SWEEP) return;
    const since = ((at - passed) / HOUR).toFixed(1);
    find('liveness', `${nameOf(job)} is BLOCKED by ${job.blocker} still, ${since} h after nothing kept it`);
  }

  return {
    key({ entry, after }) {
      changed.set(after.keyId, entry.at);
    },
    job({ entry: { at }, before, after }) {
      const { jobId, status, attempt, blocker } = after;
      if (before === null || before.attempt !== attempt) begun.set(jobId, at);
      if (status === 'BLOCKED' && before?.status !== 'BLOCKED') stopped.set(jobId, at);
      if (status !== 'BLOCKED' || blocker !== 'STEP_FAILED' || before?.status === 'BLOCKED') return;
      if ((begun.get(jobId) ?? 0) > quiet && book.unusable.size === 0 && !isClockWrong())
        find('liveness', `a step of ${nameOf(after)} failed for good, in an attempt of after the last fault`);
    },
    entry(entry) {
      if (entry.kind === 'quiet') quiet = entry.at;
    },
    end({ at }) {
      if (Number.isNaN(quiet) || isClockWrong()) return;
      for (const job of book.jobs.values()) lookAt(job, at);
    },
  };
};

function passedBy({ kind, blocker }: Job, stoppedAt: number): number | null {
  const wait = PASSES[kind]?.[blocker ?? ''];
  return wait === undefined ? null : stoppedAt + wait;
}

/** Nothing brings it back: it is destroyed, or that is decided. */
function isLost({ state, destroyAuthorizedAt }: Version): boolean {
  return state === 'DESTROYED' || destroyAuthorizedAt !== null;
}

/** It was in use again and was left once more: what stopped the purge before is past. */
function isRetiredSince({ whole }: Key, job: Job): boolean {
  const version = partsOf(partsOf(whole['versions'])[String(job.from)]);
  return timeOf(version['retiringAt']) > timeOf(partsOf(job.whole['blocker'])['at']);
}

function nameOf({ kind, jobId, goal }: Job): string {
  return `${kind} ${jobId} (${goal})`;
}
