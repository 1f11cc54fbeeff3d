import {
  CloudFormationClient,
  CloudFormationServiceException,
  DescribeStacksCommand,
  type Output as StackOutput,
} from '@aws-sdk/client-cloudformation';
import type { Stage } from '../../infrastructure/stage.ts';
import { CliError } from '../cli/cli-error.ts';

/** The variables that point the command line at the stage's stack, from the stack's outputs. */
export async function readEnvironment(stage: Stage): Promise<Record<string, string>> {
  const outputs = await readOutputs(stage);
  return {
    AWS_REGION: stage.deployment.region,
    KEYTURN_CONFIG: stage.file,
    ...variablesOf(outputs),
  };
}

/** An output is described by the name of its variable. */
export function variablesOf(outputs: readonly StackOutput[]): Record<string, string> {
  return Object.fromEntries(
    outputs.flatMap(({ Description, OutputValue }) =>
      Description?.startsWith('KEYTURN_') && OutputValue !== undefined ? [[Description, OutputValue]] : [],
    ),
  );
}

/** For `eval "$(…)"` in any POSIX shell. */
export function shellExports(variables: Readonly<Record<string, string>>): string[] {
  return Object.entries(variables).map(
    ([name, value]) => `export ${name}='${value.replaceAll("'", `'\\''`)}'`,
  );
}

async function readOutputs(stage: Stage): Promise<StackOutput[]> {
  const client = new CloudFormationClient({ region: stage.deployment.region });
  try {
    const { Stacks } = await client.send(new DescribeStacksCommand({ StackName: stage.service }));
    return Stacks?.[0]?.Outputs ?? [];
  } catch (cause) {
    // CloudFormation has no error of its own for a stack that is not there.
    if (!(cause instanceof CloudFormationServiceException && cause.name === 'ValidationError')) throw cause;
    throw new CliError('NOT_DEPLOYED', `There is no stack ${stage.service} in ${stage.deployment.region}`, {
      cause,
      remedy: `Deploy it: npm run deploy -- --stage ${stage.name}`,
    });
  } finally {
    client.destroy();
  }
}
