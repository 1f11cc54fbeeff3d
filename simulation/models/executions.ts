import { RotationError } from '../../shared/errors/errors.ts';
import type { Executions, StateMachineName } from '../../shared/executions/executions.ts';
import type { Dice } from '../dice.ts';
import { folderOf } from '../environments.ts';
import type { Faults } from '../faults.ts';
import type { History } from '../history.ts';
import type { Scheduler } from '../scheduler.ts';
import { StateError } from '../states-language/errors.ts';
import { MACHINES } from '../states-language/machines.ts';
import { type Ended, run, type Step } from '../states-language/run.ts';
import type { World } from '../world.ts';
import { anyTime } from './any-time.ts';

/**
 * Step Functions: the state machine files themselves, whose steps call functions and whose waits are events. Held to the
 * contract of the real one by test/contracts/executions.ts.
 */

const HOUR = 3_600_000;
/** From StartExecution to the first state. */
const LONGEST_START_MS = 200;

export interface ExecutionsParts {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly dice: Dice;
  readonly history: Pick<History, 'add'>;
  /** Settles always: a call has a timeout. */
  readonly invoke: World['invoke'];
}

export interface ExecutionsModel {
  readonly port: Executions;
  /** In the order of their starts. */
  running(): readonly { readonly machine: StateMachineName; readonly name: string }[];
}

interface Execution {
  readonly machine: StateMachineName;
  readonly name: string;
  readonly input: string;
  status: 'RUNNING' | Ended['status'];
  /** Nothing of it happens any more, but for the steps that run. */
  halt: () => void;
}

export function createExecutionsModel(parts: ExecutionsParts): ExecutionsModel {
  const { scheduler, faults, dice, history } = parts;
  /** Also those that ended: their names stay used up. */
  const executions = new Map<string, Execution>();

  function end(execution: Execution, state: Ended['status']): void {
    if (execution.status !== 'RUNNING') return;
    execution.status = state;
    const { machine, name } = execution;
    history.add({ kind: 'execution', machine, name, state });
  }

  function abort(execution: Execution): void {
    execution.halt();
    end(execution, 'ABORTED');
  }

  function begin(execution: Execution): void {
    const task = (step: Step, input: unknown) => {
      const where = `${execution.machine} ${step.state}`;
      if (faults.fires('execution-aborted', where))
        scheduler.after(anyTime(faults.dice, HOUR), () => {
          if (!faults.stopped) abort(execution);
        });
      return callStep(parts, where, step, input);
    };
    const runtime = { task, after: scheduler.after, dice };
    const { ended, stop } = run(MACHINES[execution.machine], JSON.parse(execution.input), runtime);
    execution.halt = stop;
    ended.then(({ status }) => end(execution, status));
  }

  function start(machine: StateMachineName, name: string, input: string): 'started' | 'exists' {
    const key = `${machine}:${name}`;
    const found = executions.get(key);
    // D/step-functions/latest/apireference/API_StartExecution.html: with the same input, while it runs, is a repeat.
    if (found !== undefined)
      return found.status === 'RUNNING' && found.input === input ? 'started' : 'exists';
    const execution: Execution = { machine, name, input, status: 'RUNNING', halt: () => {} };
    executions.set(key, execution);
    history.add({ kind: 'execution', machine, name, state: 'STARTED' });
    execution.halt = scheduler.after(dice.between(0, LONGEST_START_MS), () => begin(execution));
    return 'started';
  }

  /** A request fails before it has an effect, or its answer is lost afterwards. */
  function request<T>(where: string, effect: () => T): T {
    if (!faults.fires('executions-unavailable', where)) return effect();
    if (faults.dice.chance(0.5)) effect();
    throw new RotationError(
      'EXECUTIONS_UNAVAILABLE',
      'Step Functions did not take the request: ServiceUnavailable',
      { retryable: true },
    );
  }

  return {
    port: {
      start: async (machine, name, input) =>
        request(`start ${machine}`, () => start(machine, name, JSON.stringify(input))),
      isRunning: async (machine, name) =>
        request(`isRunning ${machine}`, () => executions.get(`${machine}:${name}`)?.status === 'RUNNING'),
      stop: async (machine, name) =>
        request(`stop ${machine}`, () => {
          const found = executions.get(`${machine}:${name}`);
          if (found !== undefined) abort(found);
        }),
    },
    running: () => [...executions.values()].filter(({ status }) => status === 'RUNNING'),
  };
}

/** A Task's call of its function, as Step Functions makes and sees it. */
async function callStep(
  { faults, invoke }: ExecutionsParts,
  where: string,
  { resource, timeoutSeconds }: Step,
  input: unknown,
): Promise<unknown> {
  const call = () => invoke(folderOf(resource), input, { timeout: timeoutSeconds });
  let answer: unknown;
  try {
    answer = await (faults.fires('step-twice', where) ? Promise.race([call(), call()]) : call());
  } catch (error) {
    throw asSeen(error);
  }
  if (faults.fires('step-answer-lost', where)) throw new StateError('Lambda.Unknown', 'The answer was lost');
  // What comes back is JSON.
  return JSON.parse(JSON.stringify(answer ?? null));
}

/** The cause is JSON text with the function's own message. D/lambda/latest/dg/nodejs-exceptions.html */
function asSeen(error: unknown): StateError {
  const { name, message } = error instanceof Error ? error : new Error('unknown');
  return new StateError(name, JSON.stringify({ errorType: name, errorMessage: message }));
}
