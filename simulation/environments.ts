import { EVENT_FUNCTIONS, STATE_FUNCTIONS } from '../functions/index.ts';
import { type CreateHandler, type Handler, PermanentError, TransientError } from '../functions/lambda.ts';
import { FUNCTION_NEEDS } from '../functions/needs.ts';
import type { Deps } from '../shared/deps/deps.ts';
import { limitDeps, type Need } from '../shared/deps/needs.ts';
import type { Dice } from './dice.ts';
import type { Faults } from './faults.ts';
import type { Process } from './process.ts';
import type { Scheduler } from './scheduler.ts';
import type { InvokeOptions } from './world.ts';

/**
 * Lambda: each call runs in an environment of its function, which is warm or new and has one call at a time. An
 * environment that is killed is gone. One that times out is gone, too, unless it was frozen: then it goes on later,
 * and nobody listens.
 */

const SECOND = 1000;
const DEFAULT_TIMEOUT_SECONDS = 300;
/** Half of the calls take less than this: what is to happen in the middle of one has to come early. */
const USUAL_MS = 80;
/** Other calls take an environment that is there. */
const WARM = 0.97;

interface Environment {
  readonly process: Process;
  readonly handler: Handler<unknown>;
  busy: boolean;
}

export interface EnvironmentParts {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly dice: Dice;
  readonly makeProcess: (name: string) => Process;
  /** What the function is behind in a process. */
  readonly handlerIn: (process: Process, handler: Handler<unknown>) => Handler<unknown>;
  /** Everything; a function gets what it declares. */
  readonly makeDeps: (process: Process, actor: string) => Deps;
  /** An error that is no answer: a bug. */
  readonly onBug: (where: string, error: unknown) => void;
}

/** There are no more of them than the state machines have states. */
const folders = new Map<string, string>();

const FUNCTIONS: ReadonlyMap<string, CreateHandler<unknown>> = new Map<string, CreateHandler<unknown>>([
  ...Object.entries(STATE_FUNCTIONS).map(([state, create]) => [folderOf(state), create] as const),
  ...Object.entries(EVENT_FUNCTIONS),
]);

/** `CheckBarrier` is in functions/check-barrier/. */
export function folderOf(state: string): string {
  const known = folders.get(state);
  if (known !== undefined) return known;
  const folder = state.replaceAll(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase();
  folders.set(state, folder);
  return folder;
}

export function createEnvironments(parts: EnvironmentParts) {
  const { scheduler, faults, dice } = parts;
  const warm = new Map<string, Environment[]>();

  function open(name: string): Environment {
    const create = FUNCTIONS.get(name);
    if (create === undefined) throw new Error(`There is no function ${name}`);
    const process = parts.makeProcess(name);
    const deps = parts.makeDeps(process, `function:${name}`);
    const handler = parts.handlerIn(process, create(limitDeps(deps, needsOf(name))));
    const environment = { process, handler, busy: false };
    const all = warm.get(name) ?? [];
    warm.set(name, all);
    all.push(environment);
    process.onKilled(() => {
      if (all.includes(environment)) all.splice(all.indexOf(environment), 1);
    });
    return environment;
  }

  function take(name: string): Environment {
    const idle = warm.get(name)?.find(({ busy }) => !busy);
    return idle !== undefined && dice.chance(WARM) ? idle : open(name);
  }

  return {
    /** Calls from now on are of new environments; those that run go on where they are, as after a deployment. */
    replace(): void {
      for (const all of warm.values()) all.splice(0);
    },
    /** Settles always: with the answer, or as Lambda says that there is none. */
    invoke(name: string, event: unknown, { timeout = DEFAULT_TIMEOUT_SECONDS }: InvokeOptions = {}) {
      const environment = take(name);
      const { process, handler } = environment;
      environment.busy = true;
      const deadline = scheduler.now() + timeout * SECOND;
      return new Promise<unknown>((resolve, reject) => {
        let over = false;
        const end = (settle: () => void) => {
          if (over) return;
          over = true;
          takeBack();
          settle();
        };
        const timeOut = () => {
          end(() => reject(named('Sandbox.Timedout', 'The call took too long')));
          if (!process.frozen) process.kill();
        };
        if (faults.fires('function-timeout', process.name))
          scheduler.after(dice.below(dice.chance(0.8) ? USUAL_MS : 2 * SECOND), () => {
            if (!over) timeOut();
          });
        const takeBack = scheduler.after(timeout * SECOND, timeOut);
        process.onKilled(() => end(() => reject(named('Runtime.ExitError', 'The process is gone'))));
        const context = { getRemainingTimeInMillis: () => deadline - scheduler.now() };
        handler(asJson(event), context).then(
          (answer) => {
            environment.busy = false;
            end(() => resolve(answer));
          },
          (error: unknown) => {
            environment.busy = false;
            if (isBug(error)) parts.onBug(process.name, error);
            end(() => reject(error));
          },
        );
      });
    },
  };
}

/** What of an event comes through to a function. */
function asJson(event: unknown): unknown {
  return JSON.parse(JSON.stringify(event));
}

function isBug(error: unknown): boolean {
  const answer = error instanceof TransientError || error instanceof PermanentError;
  return !answer || error.message.startsWith('UNEXPECTED');
}

function needsOf(name: string): readonly Need[] {
  const found = Object.entries(FUNCTION_NEEDS).find(([folder]) => folder === name);
  if (found === undefined) throw new Error(`${name} declares no needs`);
  return found[1];
}

function named(name: string, message: string): Error {
  const error = new Error(message);
  error.name = name;
  return error;
}
