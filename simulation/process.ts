import type { Clock } from '../shared/clock/clock.ts';
import type { Faults } from './faults.ts';
import type { Scheduler } from './scheduler.ts';

/**
 * A process: what runs between two calls of ports runs at once. Each call is an event, its effect, and sometimes a second
 * one, its answer. In between others run. A process that is killed never hears its answer, and its next call never happens.
 */
export interface Process {
  readonly name: string;
  readonly kind: ProcessKind;
  /** Its own: the true time, wrong by its skew; sleeping is an event. */
  readonly clock: Clock;
  readonly alive: boolean;
  readonly frozen: boolean;
  /** Nothing of it happens until then (true time). */
  freeze(milliseconds: number): void;
  kill(): void;
  /** Called once when it is killed. */
  onKilled(then: () => void): void;
  /** An asynchronous call that leaves the process: `label` is `<port>.<method>`. */
  call<T>(label: string, run: () => T | Promise<T>): Promise<T>;
  /** All asynchronous methods of a port as such calls. */
  port<T extends object>(name: string, target: T): T;
  /** The same of a plain object, made at once: for whoever copies all of it. */
  wholePort<T extends object>(name: string, target: T): T;
}

export type ProcessKind = 'function' | 'application' | 'person' | 'service';

export interface ProcessWorld {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  /** What a call of a process meets: how long it takes, and what fails. */
  readonly trouble: (process: Process, label: string) => Trouble;
  /** Told of every call's effect and answer: the trace. */
  readonly trace: (line: string) => void;
  /** The process that the effect of a call happens for, while it happens. */
  readonly acting: { by: string };
  /** Of each port that processes have as a whole: all processes of a world have the same ones. */
  readonly members: Map<object, readonly Member[]>;
}

interface Member {
  readonly name: string;
  readonly label: string;
  readonly method: (...args: unknown[]) => unknown;
}

/** What a call meets. The errors are those that the port's adapter would throw. */
export interface Trouble {
  /** Milliseconds until the effect, and from the effect until the answer. */
  readonly there: number;
  readonly back: number;
  /** Instead of the effect. */
  readonly before?: Error | undefined;
  /** Instead of the answer: the effect has happened. */
  readonly after?: Error | undefined;
}

const HOUR = 3_600_000;

/** Synchronous methods: they leave the process not at all. */
const LOCAL = new Set(['cursorAfter', 'close', 'rootKeyFor']);

export function createProcess(
  world: ProcessWorld,
  name: string,
  kind: ProcessKind,
  clock: Pick<Clock, 'now'>,
): Process {
  const { scheduler, faults } = world;
  let alive = true;
  let thawsAt = 0;
  const whenKilled: (() => void)[] = [];

  const after = (milliseconds: number, what: () => void | Promise<void>) => {
    const event = (): void | Promise<void> => {
      if (!alive) return;
      const frozen = thawsAt - scheduler.now();
      if (frozen <= 0) return what();
      scheduler.after(frozen, event);
    };
    scheduler.after(milliseconds, event);
  };
  const dies = (fault: 'kill-before-call' | 'kill-after-call', label: string): boolean => {
    if (kind === 'service' || !faults.fires(fault, `${name} ${label}`)) return false;
    self.kill();
    return true;
  };

  const self: Process = {
    name,
    kind,
    clock: {
      now: clock.now,
      monotonic: scheduler.now,
      sleep: (milliseconds) => new Promise((resolve) => after(milliseconds, resolve)),
    },
    get alive() {
      return alive;
    },
    get frozen() {
      return thawsAt > scheduler.now();
    },
    freeze: (milliseconds) => {
      thawsAt = Math.max(thawsAt, scheduler.now() + milliseconds);
    },
    kill: () => {
      if (!alive) return;
      alive = false;
      for (const then of whenKilled) then();
    },
    onKilled: (then) => {
      whenKilled.push(then);
    },
    call: <T>(label: string, run: () => T | Promise<T>) =>
      new Promise<T>((resolve, reject) => {
        const trouble = world.trouble(self, label);
        if (kind === 'function' && faults.fires('zombie', `${name} ${label}`))
          self.freeze(faults.dice.between(1, 20) * HOUR);
        after(trouble.there, () => {
          if (dies('kill-before-call', label)) return;
          const answer = (said: string, settle: () => void): void => {
            world.trace(`${name} ${label} ${said}`);
            if (dies('kill-after-call', label)) return;
            if (trouble.back === 0) settle();
            else after(trouble.back, settle);
          };
          const fail = (error: unknown) => answer(codeOf(error), () => reject(error));
          if (trouble.before !== undefined) return fail(trouble.before);
          return effectOf(world.acting, name, run, fail, (value) =>
            trouble.after === undefined ? answer('ok', () => resolve(value)) : fail(trouble.after),
          );
        });
      }),
    port: (port, target) => portOf(self, port, target),
    wholePort: (port, target) => wholePortOf(self, world.members, port, target),
  };
  return self;
}

/** Tells one of the two what it came to, and waits only for what takes its time. */
function effectOf<T>(
  acting: ProcessWorld['acting'],
  by: string,
  run: () => T | Promise<T>,
  fail: (error: unknown) => void,
  succeed: (value: T) => void,
): void | Promise<void> {
  const failed = (error: unknown) => {
    acting.by = '';
    fail(error);
  };
  const succeeded = (value: T) => {
    acting.by = '';
    succeed(value);
  };
  acting.by = by;
  let effect: T | Promise<T>;
  try {
    effect = run();
  } catch (error) {
    return failed(error);
  }
  return effect instanceof Promise ? effect.then(succeeded, failed) : succeeded(effect);
}

export function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code;
  return error instanceof Error ? error.name : 'UNKNOWN';
}

function membersOf(members: ProcessWorld['members'], port: string, target: object): readonly Member[] {
  const known = members.get(target);
  if (known !== undefined) return known;
  const found = Object.entries(target).flatMap(([name, value]) =>
    typeof value === 'function' && !LOCAL.has(name)
      ? [{ name, label: `${port}.${name}`, method: value as Member['method'] }]
      : [],
  );
  members.set(target, found);
  return found;
}

function wholePortOf<T extends object>(
  process: Process,
  members: ProcessWorld['members'],
  port: string,
  target: T,
): T {
  const whole = { ...target };
  const set = whole as Record<string, unknown>;
  for (const { name, label, method } of membersOf(members, port, target))
    set[name] =
      name === 'leaving'
        ? (...args: unknown[]) => portOf(process, port, method(...args) as object)
        : (...args: unknown[]) => process.call(label, () => method(...args));
  return whole;
}

function portOf<T extends object>(process: Process, port: string, target: T): T {
  const calls = new Map<string, unknown>();
  return new Proxy(target, {
    get(of, property) {
      const made = typeof property === 'string' ? calls.get(property) : undefined;
      if (made !== undefined) return made;
      const value: unknown = Reflect.get(of, property);
      if (property === 'fence' && typeof value === 'object' && value !== null)
        return portOf(process, 'fence', value);
      if (typeof value !== 'function' || typeof property === 'symbol' || LOCAL.has(property)) return value;
      if (property === 'leaving')
        return (...args: unknown[]) => portOf(process, port, Reflect.apply(value, of, args) as object);
      const label = `${port}.${property}`;
      const call = (...args: unknown[]) =>
        process.call(label, () => Reflect.apply(value, of, args) as unknown);
      calls.set(property, call);
      return call;
    },
  });
}
