/**
 * The events of a simulation, in order of their time; those of one time in the order in which they were put. Time is what
 * the next event says: nothing waits.
 */
export interface Scheduler {
  /** The true time, milliseconds since the Unix epoch. Processes have clocks of their own. */
  now(): number;
  /** Makes an event that happens after so many milliseconds. Returns what takes it back. */
  after(milliseconds: number, what: () => void | Promise<void>): () => void;
  /** One event, and everything that follows from it without another. False: there is none up to `until`. */
  step(until: number): Promise<boolean>;
  readonly steps: number;
}

interface Event {
  readonly at: number;
  readonly number: number;
  readonly what: () => void | Promise<void>;
}

const NONE = Promise.resolve(false);
const isThere = () => true;

export function createScheduler(start: number, settled: () => Promise<void>): Scheduler {
  /** The next one last. */
  const events: Event[] = [];
  let now = start;
  let numbers = 0;
  let steps = 0;
  return {
    now: () => now,
    after(milliseconds, what) {
      const event = { at: now + Math.max(0, milliseconds), number: numbers++, what };
      events.splice(placeOf(events, event), 0, event);
      return () => {
        const found = events.indexOf(event);
        if (found >= 0) events.splice(found, 1);
      };
    },
    step(until) {
      const next = events.at(-1);
      if (next === undefined || next.at > until) return NONE;
      events.pop();
      now = next.at;
      steps += 1;
      // No function of its own that waits: of the promises that a step takes, few are its own.
      const done = next.what();
      return (done instanceof Promise ? done.then(settled) : settled()).then(isThere);
    },
    get steps() {
      return steps;
    },
  };
}

/** By bisection: how many of the events come later. */
function placeOf(events: readonly Event[], { at, number }: Event): number {
  let low = 0;
  let high = events.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const other = events[middle];
    if (other !== undefined && (other.at > at || (other.at === at && other.number > number)))
      low = middle + 1;
    else high = middle;
  }
  return low;
}
