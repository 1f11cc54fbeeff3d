import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { STATE_MACHINES } from '../shared/executions/executions.ts';
import { METRICS, METRICS_DIMENSION, METRICS_NAMESPACE, type MetricName } from '../shared/metrics/metrics.ts';
import { arn, getAtt, pascalCase, type Resource, type Resources, ref } from './cloudformation.ts';
import { FUNCTION_NAMES } from './functions.ts';
import { functionName, stateMachineArn } from './names.ts';
import { QUEUE_NAMES, queueName } from './queues.ts';
import type { Stage } from './stage.ts';

/** The alarms of alarms.yml and the topic that tells of them. */

const METRIC_NAMES = Object.keys(METRICS) as [MetricName, ...MetricName[]];

/** A metric of AWS, of each of the named parts: one alarm a part. */
const awsMetric = z.union([
  z.strictObject({
    functions: z.array(z.enum(FUNCTION_NAMES)).min(1),
    metric: z.enum(['Errors', 'Throttles']),
  }),
  z.strictObject({
    stateMachines: z.array(z.enum(STATE_MACHINES)).min(1),
    metric: z.enum(['ExecutionsFailed', 'ExecutionsTimedOut']),
  }),
  z.strictObject({
    queues: z.array(z.enum(QUEUE_NAMES)).min(1),
    metric: z.enum(['ApproximateNumberOfMessagesVisible']),
  }),
]);

const alarmSchema = z
  .strictObject({
    says: z.string().min(1),
    metric: z.enum(METRIC_NAMES).optional(),
    of: awsMetric.optional(),
    statistic: z.enum(['Sum', 'Maximum', 'SampleCount']),
    over: z.number().optional(),
    under: z.number().optional(),
    minutes: z.int().min(1),
    periods: z.int().min(1).default(1),
    missing: z.enum(['fine', 'broken', 'same']),
  })
  .refine(
    ({ metric, of }) => (metric === undefined) !== (of === undefined),
    'needs exactly one of metric and of',
  )
  .refine(
    ({ over, under }) => (over === undefined) !== (under === undefined),
    'needs exactly one of over and under',
  );
type AlarmRow = z.output<typeof alarmSchema>;

const MISSING = { fine: 'notBreaching', broken: 'breaching', same: 'ignore' } as const;

export const ALARMS = z
  .record(z.string(), alarmSchema)
  .parse(parse(readFileSync(join(import.meta.dirname, 'alarms.yml'), 'utf8')));

export function alarms(stage: Stage): Resources {
  return {
    ...alarmTopic(stage),
    ...Object.assign({}, ...Object.entries(ALARMS).map(([name, row]) => alarm(stage, name, row))),
  };
}

function alarm(stage: Stage, name: string, row: AlarmRow): Resources {
  return Object.fromEntries(
    metricsOf(stage, row).map(({ part, ...metric }): [string, Resource] => [
      `${name}${part === '' ? '' : `Of${pascalCase(part)}`}Alarm`,
      {
        Type: 'AWS::CloudWatch::Alarm',
        Properties: {
          AlarmName: [stage.service, name, ...(part === '' ? [] : [part])].join('-'),
          AlarmDescription: `${row.says} docs/runbook.md#alarms`,
          ...metric,
          Statistic: row.statistic,
          Period: row.minutes * 60,
          EvaluationPeriods: row.periods,
          DatapointsToAlarm: row.periods,
          ComparisonOperator: row.under === undefined ? 'GreaterThanThreshold' : 'LessThanThreshold',
          Threshold: row.under ?? row.over,
          TreatMissingData: MISSING[row.missing],
          AlarmActions: [ref('AlarmTopic')],
          OKActions: [ref('AlarmTopic')],
        },
      },
    ]),
  );
}

interface WatchedMetric {
  /** Of several parts, which one; '' for Keyturn's own metrics. */
  readonly part: string;
  readonly Namespace: string;
  readonly MetricName: string;
  readonly Dimensions: readonly { readonly Name: string; readonly Value: unknown }[];
}

function metricsOf(stage: Stage, { metric, of }: AlarmRow): WatchedMetric[] {
  if (of === undefined) {
    return [
      {
        part: '',
        Namespace: METRICS_NAMESPACE,
        MetricName: metric ?? '',
        Dimensions: [{ Name: METRICS_DIMENSION, Value: stage.service }],
      },
    ];
  }
  const watch = (part: string, namespace: string, dimension: string, value: unknown): WatchedMetric => ({
    part,
    Namespace: namespace,
    MetricName: of.metric,
    Dimensions: [{ Name: dimension, Value: value }],
  });
  if ('functions' in of) {
    return of.functions.map((name) => watch(name, 'AWS/Lambda', 'FunctionName', functionName(stage, name)));
  }
  if ('stateMachines' in of) {
    return of.stateMachines.map((name) =>
      watch(name, 'AWS/States', 'StateMachineArn', stateMachineArn(stage, name)),
    );
  }
  return of.queues.map((name) => watch(name, 'AWS/SQS', 'QueueName', queueName(stage, name)));
}

function alarmTopic(stage: Stage): Resources {
  const { alarmEmail } = stage.deployment;
  return {
    AlarmTopic: {
      Type: 'AWS::SNS::Topic',
      Properties: { TopicName: `${stage.service}-alarms`, KmsMasterKeyId: getAtt('AlarmKey') },
    },
    AlarmTopicPolicy: {
      Type: 'AWS::SNS::TopicPolicy',
      Properties: {
        Topics: [ref('AlarmTopic')],
        PolicyDocument: {
          Version: '2012-10-17',
          Statement: [
            {
              Sid: 'AlarmsOnly',
              Effect: 'Allow',
              Principal: { Service: 'cloudwatch.amazonaws.com' },
              Action: 'sns:Publish',
              Resource: ref('AlarmTopic'),
              Condition: {
                ArnLike: { 'aws:SourceArn': arn('cloudwatch', `alarm:${stage.service}-*`) },
                StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } },
              },
            },
            {
              Sid: 'EncryptedConnectionsOnly',
              Effect: 'Deny',
              Principal: '*',
              Action: 'sns:Publish',
              Resource: ref('AlarmTopic'),
              Condition: { Bool: { 'aws:SecureTransport': 'false' } },
            },
          ],
        },
      },
    },
    ...(alarmEmail !== undefined && {
      AlarmSubscription: {
        Type: 'AWS::SNS::Subscription',
        Properties: { TopicArn: ref('AlarmTopic'), Protocol: 'email', Endpoint: alarmEmail },
      },
    }),
  };
}
