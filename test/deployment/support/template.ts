import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inject } from 'vitest';
import { z } from 'zod';
import type { ExampleStage } from './global-setup.ts';

/** A packaged template, and what its names will be once it is deployed. */

export const REGION = 'eu-central-1';
export const ACCOUNT = '111122223333';

const resource = z.looseObject({
  Type: z.string(),
  Properties: z.record(z.string(), z.unknown()).default({}),
  DeletionPolicy: z.string().optional(),
});
export type PackagedResource = z.output<typeof resource>;
const template = z.looseObject({
  Resources: z.record(z.string(), resource),
  Outputs: z.record(z.string(), z.object({ Description: z.string(), Value: z.unknown() }).partial()),
});
export type PackagedTemplate = z.output<typeof template>;

export function readTemplate(stage: ExampleStage): PackagedTemplate {
  const file = join(inject('packages')[stage], 'cloudformation-template-update-stack.json');
  return template.parse(JSON.parse(readFileSync(file, 'utf8')));
}

export function ofType(from: PackagedTemplate, type: string): Map<string, PackagedResource> {
  return new Map(Object.entries(from.Resources).filter(([, { Type }]) => Type === type));
}

export function resourceOf(from: PackagedTemplate, logicalId: string): PackagedResource {
  const found = from.Resources[logicalId];
  if (found === undefined) throw new Error(`no resource ${logicalId}`);
  return found;
}

/** By type: the service, and the name within it that an ARN is made of. */
const ARNS: Readonly<Record<string, (id: string, properties: Readonly<Record<string, unknown>>) => string>> =
  {
    'AWS::DynamoDB::Table': (_, p) => arn('dynamodb', `table/${p['TableName']}`),
    'AWS::SQS::Queue': (_, p) => arn('sqs', String(p['QueueName'])),
    'AWS::KMS::Key': (id) => arn('kms', `key/${id}`),
    'AWS::Lambda::Function': (_, p) => arn('lambda', `function:${p['FunctionName']}`),
    'AWS::IAM::Role': (_, p) => `arn:aws:iam::${ACCOUNT}:role/${p['RoleName']}`,
    'AWS::IAM::ManagedPolicy': (_, p) => `arn:aws:iam::${ACCOUNT}:policy/${p['ManagedPolicyName']}`,
    'AWS::Events::EventBus': (_, p) => arn('events', `event-bus/${p['Name']}`),
    'AWS::Events::Rule': (_, p) => arn('events', `rule/${p['Name']}`),
    'AWS::StepFunctions::StateMachine': (_, p) => arn('states', `stateMachine:${p['StateMachineName']}`),
    'AWS::SNS::Topic': (_, p) => arn('sns', String(p['TopicName'])),
    'AWS::Logs::LogGroup': (_, p) => arn('logs', `log-group:${p['LogGroupName']}:*`),
    'AWS::S3::Bucket': (id) => `arn:aws:s3:::${id.toLowerCase()}`,
  };

function arn(service: string, resourceName: string): string {
  return `arn:aws:${service}:${REGION}:${ACCOUNT}:${resourceName}`;
}

export function arnOf(from: PackagedTemplate, logicalId: string): string {
  const { Type, Properties } = resourceOf(from, logicalId);
  const make = ARNS[Type];
  if (make === undefined) throw new Error(`no ARN for ${Type}`);
  return make(logicalId, Properties);
}

const PSEUDO: Readonly<Record<string, string>> = {
  'AWS::Partition': 'aws',
  'AWS::Region': REGION,
  'AWS::AccountId': ACCOUNT,
  'AWS::URLSuffix': 'amazonaws.com',
};

/** The value with its Ref, Fn::GetAtt, Fn::Sub and Fn::Join done. A reference to a resource becomes its ARN. */
export function resolved(from: PackagedTemplate, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((item) => resolved(from, item));
  if (typeof value !== 'object' || value === null) return value;
  const [[key, inner] = [], ...more] = Object.entries(value);
  if (more.length === 0 && key === 'Ref') return PSEUDO[String(inner)] ?? arnOf(from, String(inner));
  if (more.length === 0 && key === 'Fn::GetAtt') {
    const [logicalId, attribute] = z.tuple([z.string(), z.string()]).parse(inner);
    return attribute === 'Arn' ? arnOf(from, logicalId) : `${logicalId}.${attribute}`;
  }
  if (more.length === 0 && key === 'Fn::Sub') {
    return z
      .string()
      .parse(inner)
      .replace(/\$\{([^}]+)\}/g, (_, name: string) => PSEUDO[name] ?? arnOf(from, name));
  }
  if (more.length === 0 && key === 'Fn::Join') {
    const [separator, parts] = z.tuple([z.string(), z.array(z.unknown())]).parse(inner);
    return parts.map((part) => resolved(from, part)).join(separator);
  }
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, resolved(from, part)]));
}
