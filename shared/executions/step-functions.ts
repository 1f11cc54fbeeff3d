import {
  DescribeExecutionCommand,
  ExecutionAlreadyExists,
  ExecutionDoesNotExist,
  type SFNClient,
  StartExecutionCommand,
  StopExecutionCommand,
} from '@aws-sdk/client-sfn';
import { RotationError } from '../errors/errors.ts';
import type { Executions, StateMachineName } from './executions.ts';

/** State machine ARNs by the machine's name. */
export type StateMachineArns = Readonly<Record<StateMachineName, string>>;

export function createStepFunctions(client: SFNClient, arns: StateMachineArns): Executions {
  const executionArnOf = (machine: StateMachineName, name: string) =>
    `${arns[machine].replace(':stateMachine:', ':execution:')}:${name}`;
  return {
    async start(machine, name, input) {
      try {
        await client.send(
          new StartExecutionCommand({ stateMachineArn: arns[machine], name, input: JSON.stringify(input) }),
        );
        return 'started';
      } catch (cause) {
        if (cause instanceof ExecutionAlreadyExists) return 'exists';
        throw unavailable(cause);
      }
    },

    async isRunning(machine, name) {
      const executionArn = executionArnOf(machine, name);
      try {
        const reply = await client.send(new DescribeExecutionCommand({ executionArn }));
        return reply.status === 'RUNNING' || reply.status === 'PENDING_REDRIVE';
      } catch (cause) {
        if (cause instanceof ExecutionDoesNotExist) return false;
        throw unavailable(cause);
      }
    },

    async stop(machine, name) {
      try {
        await client.send(new StopExecutionCommand({ executionArn: executionArnOf(machine, name) }));
      } catch (cause) {
        if (!(cause instanceof ExecutionDoesNotExist)) throw unavailable(cause);
      }
    },
  };
}

/** What another try would not change. D/step-functions/latest/apireference/API_StartExecution.html */
const PERMANENT: ReadonlySet<string> = new Set([
  'StateMachineDoesNotExist',
  'StateMachineDeleting',
  'InvalidArn',
  'InvalidName',
  'InvalidExecutionInput',
  'AccessDeniedException',
]);

function unavailable(cause: unknown): RotationError {
  const name = cause instanceof Error ? cause.name : 'unknown error';
  return new RotationError('EXECUTIONS_UNAVAILABLE', `Step Functions did not take the request: ${name}`, {
    retryable: !PERMANENT.has(name),
    cause,
  });
}
