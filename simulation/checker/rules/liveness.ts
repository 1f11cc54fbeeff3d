import type { Job } from '../items.ts';
import { numberOf } from '../parts.ts';
import type { MakeRule } from '../rule.ts';

/** Once faults stop, every job comes to its end, or says by name what it waits for; and no execution outlives its job. */

const HOUR = 3_600_000;
const RUNNING = ['REQUESTED', 'PREPARING', 'SWEEPING', 'BARRIER', 'CENSUS'];

export const liveness: MakeRule = (book, find) => {
  /** When each job's present attempt began, and when it stopped. */
  const begun = new Map<string, number>();
  const stopped = new Map<string, number>();
  const executions = new Map<string, number>();
  let quiet = Number.NaN;

  /** All rounds that an attempt may have, each with its barrier and its stall; a rehearsal; and the next daily sweep. */
  function patience(): number {
    const barrier = ['cacheMaxAgeSeconds', 'clockSkewSeconds', 'maxTransactionSeconds'];
    const round = [...barrier, 'stallSeconds'].reduce((sum, setting) => sum + book.milliseconds(setting), 0);
    const rounds = numberOf(book.config.rotation['maxRounds']) || 1;
    return rounds * round + book.milliseconds('soakSeconds') + 3 * HOUR;
  }

  function lookAt(job: Job, at: number): void {
    const { jobId, kind, goal, status, blocker, pause } = job;
    const name = `${kind} ${jobId} (${goal})`;
    if (RUNNING.includes(status)) {
      const since = Math.max(begun.get(jobId) ?? 0, quiet);
      if (at - since > patience())
        find('liveness', `${name} is ${status} still, ${hours(at - since)} after it began`);
    } else if (status === 'BLOCKED' && blocker === null) find('liveness', `${name} is BLOCKED by nothing`);
    else if (status === 'PAUSED' && pause === null) find('liveness', `${name} is PAUSED for nothing`);
    else if (pause === 'ROOT_KEY' && status === 'PAUSED' && book.unusable.size === 0) {
      const usable = Math.max(quiet, stopped.get(jobId) ?? 0, ...book.usableAgain.values());
      if (at - usable > patience()) find('liveness', `${name} waits for a root key that can be used`);
    }
  }

  return {
    job({ entry: { at }, before, after }) {
      if (before === null || before.attempt !== after.attempt) begun.set(after.jobId, at);
      if (!RUNNING.includes(after.status)) stopped.set(after.jobId, at);
    },
    entry(entry) {
      if (entry.kind === 'quiet') quiet = entry.at;
      if (entry.kind !== 'execution') return;
      if (entry.state === 'STARTED') executions.set(entry.name, entry.at);
      else executions.delete(entry.name);
    },
    end({ at }) {
      if (Number.isNaN(quiet)) return;
      for (const job of book.jobs.values()) lookAt(job, at);
      for (const [name, started] of executions) {
        const job = book.jobs.get(name.slice(0, name.lastIndexOf('-')));
        if (job === undefined || RUNNING.includes(job.status)) continue;
        const since = Math.max(quiet, started, stopped.get(job.jobId) ?? 0);
        if (at - since > patience())
          find('liveness', `execution ${name} runs on, ${hours(at - since)} after its job was ${job.status}`);
      }
    },
  };
};

function hours(milliseconds: number): string {
  return `${(milliseconds / HOUR).toFixed(1)} h`;
}
