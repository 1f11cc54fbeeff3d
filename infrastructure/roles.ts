import { FUNCTION_NEEDS } from '../functions/needs.ts';
import { arn, getAtt, pascalCase, type Resource, type Resources } from './cloudformation.ts';
import { opensStores } from './environment.ts';
import { FUNCTION_NAMES, FUNCTIONS, type FunctionName, roleLogicalId } from './functions.ts';
import { functionName, roleName } from './names.ts';
import { type Statement, statementsFor } from './rights.ts';
import type { Stage } from './stage.ts';

/** One role a function, with the rights of its needs and of its row in functions.ts, and nothing else. */
export function functionRoles(stage: Stage): Resources {
  return Object.fromEntries(
    FUNCTION_NAMES.map((name) => [
      roleLogicalId(name),
      {
        ...role(stage, name, 'lambda.amazonaws.com', functionStatements(stage, name)),
        ...(isInVpc(stage, name) && { Metadata: CHECKOV_NETWORK }),
      },
    ]),
  );
}

function functionStatements(stage: Stage, name: FunctionName): Statement[] {
  const { ledger, asynchronous } = FUNCTIONS[name];
  return [
    {
      Sid: 'Logs',
      Effect: 'Allow',
      Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      // The streams of its own group: Lambda names them.
      Resource: arn('logs', `log-group:/aws/lambda/${functionName(stage, name)}:*`),
    },
    TRACES,
    ...statementsFor(stage, FUNCTION_NEEDS[name], ledger),
    ...(name === 'process-chunk' ? [RECEIVE_CHUNKS] : []),
    ...(asynchronous ? [GIVE_UP_EVENTS] : []),
    ...(isInVpc(stage, name) ? [NETWORK_INTERFACES, onlyForLambda(stage, name)] : []),
  ];
}

/** Lambda polls the queue with the function's role. */
const RECEIVE_CHUNKS: Statement = {
  Sid: 'ReceiveChunks',
  Effect: 'Allow',
  Action: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
  Resource: getAtt('WorkQueue'),
};

/** What a function could not handle after all tries, Lambda puts there with the function's role. */
const GIVE_UP_EVENTS: Statement = {
  Sid: 'GiveUpEvents',
  Effect: 'Allow',
  Action: 'sqs:SendMessage',
  Resource: getAtt('EventDeadLetters'),
};

export const TRACES: Statement = {
  Sid: 'Traces',
  Effect: 'Allow',
  Action: ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'],
  Resource: '*', // X-Ray segments have no resource to name.
};

/** D/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions */
const NETWORK_INTERFACES: Statement = {
  Sid: 'NetworkInterfaces',
  Effect: 'Allow',
  Action: [
    'ec2:CreateNetworkInterface',
    'ec2:DescribeNetworkInterfaces',
    'ec2:DescribeSubnets',
    'ec2:DeleteNetworkInterface',
    'ec2:AssignPrivateIpAddresses',
    'ec2:UnassignPrivateIpAddresses',
  ],
  Resource: '*', // Lambda makes the interfaces, so their ids are not known before.
};

/**
 * The rights above are for Lambda, which has the function's role: the function's own code is denied them.
 * D/lambda/latest/dg/configuration-vpc.html#configuration-vpc-best-practice
 */
function onlyForLambda(stage: Stage, name: FunctionName): Statement {
  return {
    ...NETWORK_INTERFACES,
    Sid: 'NoNetworkInterfacesForCode',
    Effect: 'Deny',
    Condition: {
      ArnEquals: { 'lambda:SourceFunctionArn': arn('lambda', `function:${functionName(stage, name)}`) },
    },
  };
}

const CHECKOV_NETWORK = {
  checkov: {
    skip: [
      { id: 'CKV_AWS_111', comment: 'Lambda makes the network interfaces; the code itself is denied it' },
    ],
  },
};

function isInVpc(stage: Stage, name: FunctionName): boolean {
  return opensStores(FUNCTION_NEEDS[name]) && stage.deployment.vpc !== undefined;
}

export function role(
  stage: Stage,
  owner: string,
  service: string,
  statements: readonly Statement[],
  condition?: Readonly<Record<string, unknown>>,
): Resource {
  return {
    Type: 'AWS::IAM::Role',
    Properties: {
      RoleName: roleName(stage, owner),
      AssumeRolePolicyDocument: {
        Version: '2012-10-17',
        Statement: [
          {
            Effect: 'Allow',
            Principal: { Service: service },
            Action: 'sts:AssumeRole',
            ...(condition && { Condition: condition }),
          },
        ],
      },
      Policies: [
        {
          PolicyName: pascalCase(owner),
          PolicyDocument: { Version: '2012-10-17', Statement: statements },
        },
      ],
    },
  };
}

/** Only this account's resources may have a service take the role. */
export const SAME_ACCOUNT = { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } };
