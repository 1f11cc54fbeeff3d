import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { STATE_MACHINES, type StateMachineName } from '../shared/executions/executions.ts';
import { getAtt, kebabCase, pascalCase, type Resources } from './cloudformation.ts';
import { functionLogicalId, stateMachineName } from './names.ts';
import { role, SAME_ACCOUNT, TRACES } from './roles.ts';
import { PROJECT_FOLDER, type Stage } from './stage.ts';

/**
 * The state machines, from the very files that the embedded stack runs. `${CreateVersionFunctionArn}` in them is the
 * ARN of functions/create-version. Their logs name states and errors only, never input or output.
 */
export function stateMachines(stage: Stage): Resources {
  return Object.assign({}, ...STATE_MACHINES.map((machine) => stateMachine(stage, machine)));
}

function stateMachine(stage: Stage, machine: StateMachineName): Resources {
  const definition = readFileSync(join(PROJECT_FOLDER, 'state-machines', `${machine}.asl.json`), 'utf8');
  const logicalId = `${pascalCase(machine)}StateMachine`;
  const functions = functionsOf(definition);
  // What a file that was cut off, or whose placeholders were renamed, would become is found at run time only.
  if (functions.length === 0) throw new Error(`state-machines/${machine}.asl.json calls no function`);
  return {
    [logicalId]: {
      Type: 'AWS::StepFunctions::StateMachine',
      Properties: {
        StateMachineName: stateMachineName(stage, machine),
        StateMachineType: 'STANDARD',
        DefinitionString: definition,
        DefinitionSubstitutions: Object.fromEntries(
          functions.map(({ placeholder, name }) => [placeholder, getAtt(functionLogicalId(name))]),
        ),
        RoleArn: getAtt(`${logicalId}Role`),
        LoggingConfiguration: {
          Level: 'ERROR',
          IncludeExecutionData: false,
          Destinations: [{ CloudWatchLogsLogGroup: { LogGroupArn: getAtt(`${logicalId}LogGroup`) } }],
        },
        TracingConfiguration: { Enabled: true },
      },
    },
    [`${logicalId}LogGroup`]: {
      Type: 'AWS::Logs::LogGroup',
      Properties: {
        LogGroupName: `/aws/vendedlogs/states/${stateMachineName(stage, machine)}`,
        RetentionInDays: stage.deployment.logRetentionDays,
      },
    },
    [`${logicalId}Role`]: role(
      stage,
      machine,
      'states.amazonaws.com',
      [
        {
          Sid: 'CallFunctions',
          Effect: 'Allow',
          Action: 'lambda:InvokeFunction',
          Resource: functions.map(({ name }) => getAtt(functionLogicalId(name))),
        },
        LOG_DELIVERY,
        { ...TRACES, Action: [...TRACES.Action, 'xray:GetSamplingRules', 'xray:GetSamplingTargets'] },
      ],
      SAME_ACCOUNT,
    ),
  };
}

const PLACEHOLDER = /\$\{(([A-Za-z]+)FunctionArn)\}/g;

/** The functions that a definition calls, each once. */
export function functionsOf(definition: string): { readonly placeholder: string; readonly name: string }[] {
  const found = [...definition.matchAll(PLACEHOLDER)].map(
    ([, placeholder = '', state = '']) => [placeholder, kebabCase(state)] as const,
  );
  return [...new Map(found)].map(([placeholder, name]) => ({ placeholder, name }));
}

/** D/step-functions/latest/dg/cw-logs.html#cloudwatch-iam-policy */
const LOG_DELIVERY = {
  Sid: 'LogDelivery',
  Effect: 'Allow',
  Action: [
    'logs:CreateLogDelivery',
    'logs:GetLogDelivery',
    'logs:UpdateLogDelivery',
    'logs:DeleteLogDelivery',
    'logs:ListLogDeliveries',
    'logs:PutResourcePolicy',
    'logs:DescribeResourcePolicies',
    'logs:DescribeLogGroups',
  ],
  Resource: '*', // The delivery is an account's, not a log group's.
} as const;
