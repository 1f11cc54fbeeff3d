import type { TenantKey } from '../../shared/keyring/key.ts';
import type { PageProgress } from '../../shared/ledger/ledger.ts';
import { type Job, type StoredCensus, waitsForApproval } from '../../shared/rotation/rotation.ts';
import type { Action } from '../plan.ts';
import type { Scheduler } from '../scheduler.ts';

/**
 * Moments that last for milliseconds, or that no time of a plan would hit: what is to happen right after one waits for it. They
 * are seen by what the ledger commits.
 */
export type Moment = keyof typeof MOMENTS;

type Of<T> = (before: T | undefined, after: T) => boolean;
type Looks =
  | { readonly key: Of<TenantKey> }
  | { readonly job: Of<Job> }
  /** Of a job whose census was kept. */
  | { readonly census: (job: Job) => boolean }
  | { readonly page: true };

/** Whether a job of that kind has come to that status just now. */
const came = (kind: Job['kind'], status: Job['status']): Looks => ({
  job: (before, after) => after.kind === kind && after.status === status && before?.status !== status,
});

export const MOMENTS = {
  /** A rotation begins, and has no version of its own yet. */
  preparing: came('rotate', 'PREPARING'),
  /** It has activated its version. */
  sweeping: came('rotate', 'SWEEPING'),
  /** A page of stale records is listed, and its chunks go to the workers. */
  listed: { page: true },
  /** Its barrier is over, and fences are raised. */
  counting: came('rotate', 'CENSUS'),
  /** Its grace begins. */
  retired: came('rotate', 'COMPLETED'),
  /** A purge has fenced its version: the rehearsal begins. */
  fenced: came('purge', 'CENSUS'),
  /** It waits for approvals. */
  awaited: { job: (before, after) => waitsForApproval(after) && before?.status !== 'PAUSED' },
  /** It has counted, and goes on to decide. */
  counted: { census: ({ kind }) => kind === 'purge' },
  /** The destruction is decided, and a few calls later carried out. */
  decided: {
    key: (before, after) =>
      Object.values(after.versions).some(
        ({ version, destroyAuthorizedAt }) =>
          destroyAuthorizedAt !== null &&
          (before?.versions[String(version)]?.destroyAuthorizedAt ?? null) === null,
      ),
  },
} as const satisfies Record<string, Looks>;

export interface Moments {
  /** Told of what the ledger committed. */
  see(item: string, value: unknown): void;
  /** Calls `then` once, so many milliseconds after the next such moment of a key; null: of any key. */
  when(moment: Moment, key: KeyName | null, delay: number, then: () => void): void;
}

interface KeyName {
  readonly tenant: string;
  readonly purpose: string;
}

interface Waiting {
  readonly moment: Moment;
  readonly key: KeyName | null;
  readonly delay: number;
  readonly then: () => void;
}

export function createMoments(scheduler: Pick<Scheduler, 'after'>): Moments {
  const keys = new Map<string, TenantKey>();
  const jobs = new Map<string, Job>();
  let waiting: readonly Waiting[] = [];

  const come = ({ tenant, purpose }: KeyName, isNow: (looks: Looks) => boolean) => {
    if (waiting.length === 0) return;
    const [now, later] = split(
      waiting,
      ({ moment, key }) =>
        (key === null || (key.tenant === tenant && key.purpose === purpose)) && isNow(MOMENTS[moment]),
    );
    waiting = later;
    for (const { delay, then } of now) scheduler.after(delay, then);
  };
  return {
    see(item, value) {
      if (value === null) return;
      if (item === 'keys') {
        const key = value as TenantKey;
        const before = keys.get(key.keyId);
        come(key, (looks) => 'key' in looks && looks.key(before, key));
        keys.set(key.keyId, key);
      } else if (item === 'jobs') {
        const job = value as Job;
        const before = jobs.get(job.jobId);
        come(job, (looks) => 'job' in looks && looks.job(before, job));
        jobs.set(job.jobId, job);
      } else if (item === 'pages') {
        const { plan, done } = value as PageProgress;
        const job = jobs.get(plan.jobId);
        if (job !== undefined && done.length === 0) come(job, (looks) => 'page' in looks);
      } else if (item === 'kept') {
        const job = jobs.get((value as StoredCensus).jobId ?? '');
        if (job !== undefined) come(job, (looks) => 'census' in looks && looks.census(job));
      }
    },
    when(moment, key, delay, then) {
      waiting = [...waiting, { moment, key, delay, then }];
    },
  };
}

function split<T>(all: readonly T[], isFirst: (one: T) => boolean): readonly [readonly T[], readonly T[]] {
  const first: T[] = [];
  const second: T[] = [];
  for (const one of all) (isFirst(one) ? first : second).push(one);
  return [first, second];
}

/** What an action waits for; null: for nothing. */
export function momentIn({ when }: Action['choice']): Moment | null {
  if (when === undefined) return null;
  const found = Object.keys(MOMENTS).find((moment) => moment === when);
  if (found === undefined) throw new TypeError(`There is no moment ${when}`);
  return found as Moment;
}

/** null: any. */
export function keyNameIn({ tenant, purpose }: Action['choice']): KeyName | null {
  return typeof tenant === 'string' && typeof purpose === 'string' ? { tenant, purpose } : null;
}
