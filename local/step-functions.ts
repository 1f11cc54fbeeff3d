import { readFile } from 'node:fs/promises';
import { StateMachine } from 'aws-local-stepfunctions';
import { z } from 'zod';
import type { StateMachineName } from '../shared/executions/executions.ts';
import type { StateMachineArns } from '../shared/executions/step-functions.ts';
import { AwsError, startJsonServer } from './aws-json.ts';

/**
 * Step Functions' wire protocol (JSON 1.0) in front of npm `aws-local-stepfunctions`, which has no server of its
 * own. Executions live in memory: after a restart the daily sweep starts the unfinished ones again.
 */

type RunOverrides = NonNullable<NonNullable<Parameters<StateMachine['run']>[1]>['overrides']>;
/** One for each Task state, by its name. */
export type StateHandlers = NonNullable<RunOverrides['taskResourceLocalHandlers']>;

export interface LocalStepFunctions {
  readonly endpoint: string;
  readonly arns: StateMachineArns;
  /** Aborts what runs. Steps in the middle of a call end by themselves. */
  stop(): Promise<void>;
}

const ARN = 'arn:aws:states:us-east-1:000000000000';
/** D/step-functions/latest/apireference/API_StartExecution.html */
const startInput = z.object({
  stateMachineArn: z.string(),
  name: z.string().max(80),
  input: z.string().default('{}'),
});
const describeInput = z.object({ executionArn: z.string() });

type Status = 'RUNNING' | 'SUCCEEDED' | 'FAILED' | 'ABORTED';

interface Execution {
  readonly executionArn: string;
  readonly stateMachineArn: string;
  readonly name: string;
  readonly input: string;
  readonly startDate: number;
  status: Status;
  stopDate?: number;
  abort: () => void;
}

export async function startStepFunctions(options: {
  readonly machines: readonly StateMachineName[];
  readonly handlers: StateHandlers;
  readonly now: () => number;
  readonly onFailed?: (executionName: string, error: string) => void;
}): Promise<LocalStepFunctions> {
  const machines = new Map<string, StateMachine>();
  const arns: Partial<Record<StateMachineName, string>> = {};
  for (const name of options.machines) {
    const arn = `${ARN}:stateMachine:${name}`;
    arns[name] = arn;
    machines.set(arn, await loadMachine(name));
  }
  const executions = new Map<string, Execution>();

  function start(body: unknown): object {
    const { stateMachineArn, name, input } = startInput.parse(body);
    const machine = machines.get(stateMachineArn);
    if (machine === undefined) throw new AwsError('StateMachineDoesNotExist', 'No such state machine');
    const executionArn = `${stateMachineArn.replace(':stateMachine:', ':execution:')}:${name}`;
    const existing = executions.get(executionArn);
    if (existing !== undefined) {
      if (existing.status === 'RUNNING' && existing.input === input) return pick(existing);
      throw new AwsError('ExecutionAlreadyExists', `Execution already exists: ${name}`);
    }
    const execution = run(machine, { executionArn, stateMachineArn, name, input });
    executions.set(executionArn, execution);
    return pick(execution);
  }

  function run(
    machine: StateMachine,
    made: Pick<Execution, 'executionArn' | 'stateMachineArn' | 'name' | 'input'>,
  ): Execution {
    const running = machine.run(JSON.parse(made.input), {
      overrides: { taskResourceLocalHandlers: options.handlers },
    });
    const execution: Execution = {
      ...made,
      startDate: options.now() / 1000,
      status: 'RUNNING',
      abort: () => running.abort(),
    };
    const end = (status: Status) => {
      execution.status = status;
      execution.stopDate = options.now() / 1000;
    };
    // The engine keeps every event until it is read.
    const failure = readFailure(running.eventLogs);
    running.result.then(
      () => end('SUCCEEDED'),
      async (error: unknown) => {
        const name = error instanceof Error ? error.name : 'Error';
        end(name === 'ExecutionAbortedError' ? 'ABORTED' : 'FAILED');
        // What is thrown says only that it failed; the last event has the error's own name.
        options.onFailed?.(made.name, (await failure) ?? name);
      },
    );
    return execution;
  }

  function describe(body: unknown): object {
    const found = executions.get(describeInput.parse(body).executionArn);
    if (found === undefined) throw new AwsError('ExecutionDoesNotExist', 'No such execution');
    return pick(found);
  }

  function stopOne(body: unknown): object {
    const found = executions.get(describeInput.parse(body).executionArn);
    if (found === undefined) throw new AwsError('ExecutionDoesNotExist', 'No such execution');
    found.abort();
    return { stopDate: options.now() / 1000 };
  }

  const server = await startJsonServer('1.0', {
    'AWSStepFunctions.StartExecution': start,
    'AWSStepFunctions.DescribeExecution': describe,
    'AWSStepFunctions.StopExecution': stopOne,
  });
  return {
    endpoint: server.endpoint,
    arns: arns as StateMachineArns,
    async stop() {
      for (const execution of executions.values()) if (execution.status === 'RUNNING') execution.abort();
      await server.stop();
    },
  };
}

async function loadMachine(name: StateMachineName): Promise<StateMachine> {
  const file = new URL(`../state-machines/${name}.asl.json`, import.meta.url);
  // The deployment fills in the functions' ARNs; so do we. The handlers themselves are found by the state's name.
  const text = (await readFile(file, 'utf8')).replaceAll(
    /\$\{(\w+)FunctionArn\}/g,
    'arn:aws:lambda:us-east-1:000000000000:function:$1',
  );
  return new StateMachine(JSON.parse(text));
}

/** The error that the execution ended with, when it did. */
async function readFailure(events: ReturnType<StateMachine['run']>['eventLogs']): Promise<string | null> {
  let name: string | null = null;
  for await (const event of events)
    if (event.type === 'ExecutionFailed' && 'Error' in event) name = event.Error;
  return name;
}

function pick({ abort: _, ...shown }: Execution): object {
  return shown;
}
