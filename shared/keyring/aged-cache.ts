import type { Clock } from '../clock/clock.ts';
import { KeyturnError } from '../errors/errors.ts';

/**
 * A cache whose entries are bounded by age, uses and number, with one load at a time for each id. Age counts from
 * before the load began: what was read may have changed right after. An error that is not retryable (denied,
 * disabled, gone) drops the entry at once; a retryable one (an outage) leaves it.
 */

export interface AgedCacheLimits {
  readonly clock: Pick<Clock, 'now'>;
  /** Milliseconds that never go back. A wall clock that was set back must not make an entry younger. */
  readonly monotonic: () => number;
  readonly maxAge: number;
  /** From maxAge - refreshAhead on, a use loads again in the background. */
  readonly refreshAhead: number;
  /** Greatest age in an outage, for `tolerant`. */
  readonly hardCeiling: number;
  readonly maxUses: number;
  readonly maxEntries: number;
  /** A refresh failed and the entry stays; `served`: it was past maxAge and was handed out all the same. */
  readonly onTrouble: (id: string, error: unknown, served: boolean) => void;
}

export interface Aged<T> {
  readonly value: T;
  readonly loadedAt: Moment;
  /** Counts the loads of the cache. */
  readonly load: number;
}

export interface AgedCache<T> {
  /** Never older than maxAge, never used more than maxUses times. Rejects with the load's error, or LoadTooSlow. */
  fresh(id: string, load: () => Promise<T>): Promise<Aged<T>>;
  /** Refreshed after maxAge; in an outage up to hardCeiling. */
  tolerant(id: string, load: () => Promise<T>): Promise<Aged<T>>;
  /** From a load that began after the one with that number. */
  after(id: string, load: () => Promise<T>, number: number): Promise<Aged<T>>;
  /** Number of the load that began last. */
  lastLoad(): number;
  /** Milliseconds; infinite when the clock stands before the load. */
  age(entry: Aged<T>): number;
  isFresh(entry: Aged<T>): boolean;
  delete(id: string): void;
  clear(): void;
}

interface Moment {
  readonly wall: number;
  readonly monotonic: number;
}

interface Entry<T> extends Aged<T> {
  uses: number;
  failedAt: Moment | null;
}

/** After a failed refresh, the next try waits this long: an outage must not make every use wait for a timeout. */
const RETRY_PAUSE = 1000;

/** More than one: a clock that is set back by a moment during a load makes that load look too slow. */
const SLOW_TRIES = 2;

/** The load took longer than an entry may be old. */
export class LoadTooSlow extends Error {}

export function createAgedCache<T>(limits: AgedCacheLimits): AgedCache<T> {
  /** In order of use, the longest unused first. */
  const entries = new Map<string, Entry<T>>();
  const loading = new Map<string, Promise<Entry<T>>>();
  let loads = 0;

  const now = (): Moment => ({ wall: limits.clock.now(), monotonic: limits.monotonic() });

  const since = (moment: Moment): number => {
    const wall = limits.clock.now() - moment.wall;
    return wall < 0 ? Number.POSITIVE_INFINITY : Math.max(wall, limits.monotonic() - moment.monotonic);
  };

  const isFresh = (entry: Aged<T>): boolean => since(entry.loadedAt) < limits.maxAge;

  const failedJustNow = (entry: Entry<T>): boolean =>
    entry.failedAt !== null && since(entry.failedAt) < RETRY_PAUSE;

  function remember(id: string, entry: Entry<T>): void {
    entries.delete(id);
    entries.set(id, entry);
    for (const [unusedId, unused] of entries) {
      // What nobody uses any more leaves the memory, too.
      if (entries.size <= limits.maxEntries && since(unused.loadedAt) < limits.hardCeiling) break;
      entries.delete(unusedId);
    }
  }

  function loadOnce(id: string, load: () => Promise<T>): Promise<Entry<T>> {
    const running = loading.get(id);
    if (running !== undefined) return running;
    const loadedAt = now();
    loads += 1;
    const number = loads;
    // After clear() this load is no longer in `loading`: its callers get their answer, the cache does not.
    const isCurrent = () => loading.get(id) === promise;
    const promise = (async () => {
      try {
        const entry: Entry<T> = { value: await load(), loadedAt, load: number, uses: 0, failedAt: null };
        if (isCurrent()) remember(id, entry);
        return entry;
      } catch (error) {
        const cached = entries.get(id);
        if (isCurrent() && cached !== undefined) {
          if (isOutage(error)) cached.failedAt = now();
          else entries.delete(id);
        }
        throw error;
      } finally {
        if (isCurrent()) loading.delete(id);
      }
    })();
    loading.set(id, promise);
    return promise;
  }

  function refreshAhead(id: string, entry: Entry<T>, load: () => Promise<T>): void {
    const due = since(entry.loadedAt) >= limits.maxAge - limits.refreshAhead;
    if (!due || loading.has(id) || failedJustNow(entry)) return;
    loadOnce(id, load).catch((error: unknown) => limits.onTrouble(id, error, false));
  }

  return {
    fresh: async (id, load) => {
      const cached = entries.get(id);
      if (cached !== undefined && isFresh(cached) && cached.uses < limits.maxUses) {
        cached.uses += 1;
        remember(id, cached);
        refreshAhead(id, cached, load);
        return cached;
      }
      for (let slow = 0; slow < SLOW_TRIES; ) {
        const entry = await loadOnce(id, load);
        if (!isFresh(entry)) {
          slow += 1;
          continue;
        }
        // Others waited for the same load and may have used it up.
        if (entry.uses >= limits.maxUses) continue;
        entry.uses += 1;
        return entry;
      }
      throw new LoadTooSlow('Reading a key took longer than its greatest age');
    },
    tolerant: async (id, load) => {
      const cached = entries.get(id);
      if (cached !== undefined && isFresh(cached)) {
        remember(id, cached);
        refreshAhead(id, cached, load);
        return cached;
      }
      const mayServe = (entry: Entry<T> | undefined) =>
        entry !== undefined && since(entry.loadedAt) < limits.hardCeiling;
      if (cached !== undefined && mayServe(cached) && failedJustNow(cached)) return cached;
      try {
        return await loadOnce(id, load);
      } catch (error) {
        const entry = entries.get(id);
        if (entry === undefined || !isOutage(error) || !mayServe(entry)) throw error;
        limits.onTrouble(id, error, true);
        return entry;
      }
    },
    after: async (id, load, number) => {
      let entry: Aged<T> | undefined = entries.get(id);
      // The load that runs already may have begun too early; the one after it has not.
      while (entry === undefined || entry.load <= number) entry = await loadOnce(id, load);
      return entry;
    },
    lastLoad: () => loads,
    age: (entry) => since(entry.loadedAt),
    isFresh,
    delete: (id) => {
      entries.delete(id);
    },
    clear: () => {
      entries.clear();
      loading.clear();
    },
  };
}

function isOutage(error: unknown): boolean {
  return error instanceof KeyturnError && error.retryable;
}
