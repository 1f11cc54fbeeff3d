import type { Dice } from '../dice.ts';
import type { Machine, MapState, Rule, State, Task } from './definition.ts';
import { runtimeError, StateError } from './errors.ts';
import { find, type Path, place, read } from './paths.ts';
import { caughtBy, createRetries } from './recovery.ts';
import { createScope, type Scope } from './scope.ts';

/** What an execution needs of the world. It has no clock and no chance of its own. */
export interface Runtime {
  /** Calls a function. The name of the error that it rejects with is what Retry and Catch match. */
  task(step: Step, input: unknown): Promise<unknown>;
  /** An event after so many milliseconds. Returns what takes it back. */
  after(milliseconds: number, what: () => void): () => void;
  readonly dice: Pick<Dice, 'between'>;
  /** A state is entered; `item`: of a Map's inner state, the number of its item. */
  onState?(state: string, input: unknown, item: number | null): void;
}

export interface Step extends Pick<Task, 'resource' | 'timeoutSeconds'> {
  readonly state: string;
}

export type Ended =
  | { readonly status: 'SUCCEEDED'; readonly output: unknown }
  | { readonly status: 'FAILED'; readonly error: string; readonly cause: string }
  | { readonly status: 'ABORTED' };

export interface Running {
  /** Never rejects. */
  readonly ended: Promise<Ended>;
  /** Ends it where it stands: at once, and nothing of it happens any more. Tasks that run go on. */
  stop(): void;
}

interface Context {
  readonly runtime: Runtime;
  readonly scope: Scope;
  readonly item: number | null;
}

/** Data is JSON, and is never changed: what two states have in common may be the same object. */
export function run(machine: Machine, input: unknown, runtime: Runtime): Running {
  const scope = createScope();
  const { promise: ended, resolve } = Promise.withResolvers<Ended>();
  runStates({ runtime, scope, item: null }, machine, input).then(
    (output) => resolve({ status: 'SUCCEEDED', output }),
    (error: unknown) => resolve({ status: 'FAILED', ...failureOf(error) }),
  );
  return {
    ended,
    stop() {
      scope.stop();
      resolve({ status: 'ABORTED' });
    },
  };
}

async function runStates(context: Context, { startAt, states }: Machine, input: unknown): Promise<unknown> {
  let name: string | null = startAt;
  let data = input;
  while (name !== null) {
    const state = states.get(name);
    if (state === undefined) throw new Error(`There is no state ${name}`);
    context.runtime.onState?.(name, data, context.item);
    ({ next: name, data } = await enter(context, name, state, data));
  }
  return data;
}

/** Null: that was the last state. */
interface Left {
  readonly next: string | null;
  readonly data: unknown;
}

async function enter(context: Context, name: string, state: State, data: unknown): Promise<Left> {
  switch (state.type) {
    case 'Succeed':
      return { next: null, data };
    case 'Fail':
      throw new StateError(textOf(state.error, data), textOf(state.cause, data));
    case 'Choice':
      return { next: state.rules.find((rule) => holds(rule, data))?.next ?? state.otherwise, data };
    case 'Wait':
      await pause(context, secondsOf(state.secondsPath, data) * 1000);
      return { next: state.next, data };
    default:
      return work(context, name, state, data);
  }
}

function secondsOf(path: Path, data: unknown): number {
  const value = read(path, data);
  if (typeof value === 'number' && Number.isInteger(value) && value >= 0) return value;
  throw runtimeError(path, 'is not a number of seconds');
}

/** A literal, or where to find one. */
function textOf(text: string | Path, data: unknown): string {
  if (typeof text === 'string') return text;
  const value = read(text, data);
  if (typeof value !== 'string') throw runtimeError(text, 'is not a text');
  return value;
}

function holds({ all }: Rule, data: unknown): boolean {
  return all.every((test) => {
    if ('IsPresent' in test) return (find(test.Variable, data) !== undefined) === test.IsPresent;
    const value = read(test.Variable, data);
    return value === ('BooleanEquals' in test ? test.BooleanEquals : test.StringEquals);
  });
}

/** A Task or a Map, until it has succeeded, or failed for good. */
async function work(context: Context, name: string, state: Task | MapState, data: unknown): Promise<Left> {
  const retries = createRetries(state.retry, context.runtime.dice);
  for (;;) {
    try {
      const result = await (state.type === 'Task'
        ? call(context, name, state, data)
        : runItems(context, state, data));
      return { next: state.next, data: place(state.resultPath, data, result) };
    } catch (error) {
      const failure = failureOf(error);
      const delay = retries.delayAfter(failure.error);
      if (delay !== null) {
        await pause(context, delay);
        continue;
      }
      const catcher = caughtBy(state.catch, failure.error);
      if (catcher === undefined) throw error;
      const output = { Error: failure.error, Cause: failure.cause };
      return { next: catcher.next, data: place(catcher.resultPath, data, output) };
    }
  }
}

function call({ runtime, scope }: Context, name: string, state: Task, data: unknown): Promise<unknown> {
  const { resource, timeoutSeconds, parameters } = state;
  const input =
    parameters === null
      ? data
      : Object.fromEntries(parameters.map(([field, path]) => [field, read(path, data)]));
  return scope.hold((resolve, reject) => {
    // AWS says no cause of it.
    const timeOut = () => reject(new StateError('States.Timeout', ''));
    const takeBack = runtime.after(timeoutSeconds * 1000, timeOut);
    runtime.task({ state: name, resource, timeoutSeconds }, input).then(
      (answer) => {
        takeBack();
        resolve(answer);
      },
      (error: unknown) => {
        takeBack();
        reject(error);
      },
    );
    return takeBack;
  });
}

/**
 * Items begin in their order, as many at once as may. The first that fails stops all others, and is what the Map fails
 * with. D/step-functions/latest/dg/state-map-inline.html
 */
async function runItems(context: Context, state: MapState, data: unknown): Promise<readonly unknown[]> {
  const items = read(state.itemsPath, data);
  if (!Array.isArray(items)) throw runtimeError(state.itemsPath, 'is not a list');
  const scope = context.scope.part();
  const outputs = new Array<unknown>(items.length);
  const left = items.entries();
  const lane = async () => {
    for (const [item, value] of left)
      outputs[item] = await runStates({ ...context, scope, item }, state.processor, value).catch(
        (error: unknown) => {
          scope.stop();
          throw error;
        },
      );
  };
  await Promise.all(Array.from({ length: Math.min(state.maxConcurrency, items.length) }, lane));
  return outputs;
}

function pause({ runtime, scope }: Context, milliseconds: number): Promise<void> {
  return scope.hold((resolve) => runtime.after(milliseconds, resolve));
}

function failureOf(error: unknown): { error: string; cause: string } {
  if (error instanceof Error) return { error: error.name, cause: error.message };
  return { error: 'Error', cause: '' };
}
