import { arn, getAtt, kebabCase, type Resources, ref } from './cloudformation.ts';
import { ruleLogicalIds } from './events.ts';
import { WORKER_TIMEOUT } from './functions.ts';
import type { Stage } from './stage.ts';

const DAY = 86_400;
/** Dead letters: the longest that SQS allows. They keep the age that they had, so that work is kept for less. */
const RETENTION = 14 * DAY;
const WORK_RETENTION = 4 * DAY;

export const QUEUE_NAMES = ['WorkQueue', 'WorkDeadLetters', 'EventDeadLetters'] as const;

/** keyturn-<stage>-work, and so on. */
export function queueName(stage: Stage, logicalId: (typeof QUEUE_NAMES)[number]): string {
  return `${stage.service}-${kebabCase(logicalId).replace(/-queue$/, '')}`;
}

/**
 * The work queue and its dead letters; and the dead letters of everything that events and schedules start. Messages
 * are in fair order between tenants by the MessageGroupId that the sender sets.
 */
export function queues(stage: Stage): Resources {
  return {
    ...queue(stage, 'WorkQueue', {
      // D/lambda/latest/dg/services-sqs-configure.html: six times the function's timeout, so that its retries fit in.
      VisibilityTimeout: 6 * WORKER_TIMEOUT,
      MessageRetentionPeriod: WORK_RETENTION,
      RedrivePolicy: { deadLetterTargetArn: getAtt('WorkDeadLetters'), maxReceiveCount: 5 },
    }),
    ...queue(stage, 'WorkDeadLetters', {
      RedriveAllowPolicy: {
        redrivePermission: 'byQueue',
        // By name: the work queue names its dead letters, so these cannot refer back to it.
        sourceQueueArns: [arn('sqs', queueName(stage, 'WorkQueue'))],
      },
    }),
    ...queue(stage, 'EventDeadLetters', {}, [
      {
        Sid: 'RulesGiveUp',
        Effect: 'Allow',
        Principal: { Service: 'events.amazonaws.com' },
        Action: 'sqs:SendMessage',
        Resource: getAtt('EventDeadLetters'),
        Condition: { ArnEquals: { 'aws:SourceArn': ruleLogicalIds().map((rule) => getAtt(rule)) } },
      },
    ]),
  };
}

function queue(
  stage: Stage,
  logicalId: (typeof QUEUE_NAMES)[number],
  properties: Readonly<Record<string, unknown>>,
  statements: readonly unknown[] = [],
): Resources {
  return {
    [logicalId]: {
      Type: 'AWS::SQS::Queue',
      Properties: {
        QueueName: queueName(stage, logicalId),
        SqsManagedSseEnabled: true,
        MessageRetentionPeriod: RETENTION,
        ...properties,
      },
    },
    [`${logicalId}Policy`]: {
      Type: 'AWS::SQS::QueuePolicy',
      Properties: {
        Queues: [ref(logicalId)],
        PolicyDocument: {
          Version: '2012-10-17',
          Statement: [
            ...statements,
            {
              Sid: 'EncryptedConnectionsOnly',
              Effect: 'Deny',
              Principal: '*',
              Action: 'sqs:*', // A denial: of everything.
              Resource: getAtt(logicalId),
              Condition: { Bool: { 'aws:SecureTransport': 'false' } },
            },
          ],
        },
      },
    },
  };
}
