import { arn, getAtt, type Resources, ref } from './cloudformation.ts';
import { ruleLogicalIds } from './events.ts';
import { WORKER_TIMEOUT } from './functions.ts';
import type { Stage } from './stage.ts';

const DAY = 86_400;
/** The longest that SQS allows. A grace is never shorter than twice this. */
const RETENTION = 14 * DAY;

/**
 * The work queue and its dead letters; and the dead letters of everything that events and schedules start. Messages
 * are in fair order between tenants by the MessageGroupId that the sender sets.
 */
export function queues(stage: Stage): Resources {
  return {
    ...queue('WorkQueue', `${stage.service}-work`, {
      // D/lambda/latest/dg/services-sqs-configure.html: six times the function's timeout, so that its retries fit in.
      VisibilityTimeout: 6 * WORKER_TIMEOUT,
      RedrivePolicy: { deadLetterTargetArn: getAtt('WorkDeadLetters'), maxReceiveCount: 5 },
    }),
    ...queue('WorkDeadLetters', `${stage.service}-work-dead-letters`, {
      RedriveAllowPolicy: {
        redrivePermission: 'byQueue',
        sourceQueueArns: [workQueueArn(stage)],
      },
    }),
    ...queue('EventDeadLetters', `${stage.service}-event-dead-letters`, {}, [
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

/** By name: the work queue names its dead letters, so these cannot refer back to it. */
function workQueueArn(stage: Stage) {
  return arn('sqs', `${stage.service}-work`);
}

function queue(
  logicalId: string,
  name: string,
  properties: Readonly<Record<string, unknown>>,
  statements: readonly unknown[] = [],
): Resources {
  return {
    [logicalId]: {
      Type: 'AWS::SQS::Queue',
      Properties: {
        QueueName: name,
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
              Action: 'sqs:*',
              Resource: getAtt(logicalId),
              Condition: { Bool: { 'aws:SecureTransport': 'false' } },
            },
          ],
        },
      },
    },
  };
}
