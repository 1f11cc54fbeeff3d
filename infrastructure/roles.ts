import { pascalCase, type Resource, type Resources, sub } from './cloudformation.ts';
import { FUNCTIONS, type FunctionSpec, opensPostgres, roleLogicalId } from './functions.ts';
import { functionName, roleName } from './names.ts';
import { recordStatements } from './record-rights.ts';
import { type Statement, statementsFor } from './rights.ts';
import type { Stage } from './stage.ts';

/** One role a function, with its row of functions.ts and nothing else. */
export function functionRoles(stage: Stage): Resources {
  return Object.fromEntries(
    Object.entries(FUNCTIONS).map(([name, spec]) => [
      roleLogicalId(name),
      role(stage, name, 'lambda.amazonaws.com', functionStatements(stage, name, spec)),
    ]),
  );
}

function functionStatements(stage: Stage, name: string, spec: FunctionSpec): Statement[] {
  return [
    {
      Sid: 'Logs',
      Effect: 'Allow',
      Action: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      Resource: sub(
        `arn:\${AWS::Partition}:logs:\${AWS::Region}:\${AWS::AccountId}:log-group:/aws/lambda/${functionName(stage, name)}:*`,
      ),
    },
    TRACES,
    ...statementsFor(stage, spec.rights),
    ...(spec.asynchronous ? statementsFor(stage, ['giveUpEvents']) : []),
    ...(spec.records === undefined ? [] : recordStatements(stage, spec.records)),
    ...(spec.records !== undefined && opensPostgres(stage) && stage.deployment.vpc ? [NETWORK] : []),
  ];
}

export const TRACES: Statement = {
  Sid: 'Traces',
  Effect: 'Allow',
  Action: ['xray:PutTraceSegments', 'xray:PutTelemetryRecords'],
  Resource: '*', // X-Ray segments have no resource to name.
};

/** D/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions */
const NETWORK: Statement = {
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
