import rules from '../events/rules.json' with { type: 'json' };
import schedules from '../events/schedules.json' with { type: 'json' };
import { getAtt, pascalCase, type Resources, ref } from './cloudformation.ts';
import { functionLogicalId } from './names.ts';
import { role, SAME_ACCOUNT } from './roles.ts';
import type { Stage } from './stage.ts';

/** The bus, and what starts functions: the rules of events/rules.json and the schedules of events/schedules.json. */
export function events(stage: Stage): Resources {
  return {
    EventBus: {
      Type: 'AWS::Events::EventBus',
      Properties: {
        Name: stage.service,
        Description: 'Rotation requests come in, news of rotations goes out',
      },
    },
    ...Object.assign({}, ...Object.entries(rules).map(([name, rule]) => ruleResources(stage, name, rule))),
    SchedulerRole: role(
      stage,
      'scheduler',
      'scheduler.amazonaws.com',
      [
        {
          Sid: 'CallFunctions',
          Effect: 'Allow',
          Action: 'lambda:InvokeFunction',
          Resource: scheduledFunctions().map((name) => getAtt(functionLogicalId(name))),
        },
        {
          Sid: 'GiveUpEvents',
          Effect: 'Allow',
          Action: 'sqs:SendMessage',
          Resource: getAtt('EventDeadLetters'),
        },
      ],
      SAME_ACCOUNT,
    ),
    ...Object.fromEntries(
      Object.keys(schedules).map((name) => [
        `${pascalCase(name)}Schedule`,
        scheduleResource(stage, name as keyof typeof schedules),
      ]),
    ),
  };
}

/** EventBridge tries for so long; the functions are harmless to repeat and late events are no worse than early ones. */
const RULE_RETRIES = { MaximumRetryAttempts: 185, MaximumEventAgeInSeconds: 86_400 };

function ruleResources(
  stage: Stage,
  name: string,
  rule: { readonly bus: string; readonly function: string; readonly pattern: unknown },
): Resources {
  const logicalId = ruleLogicalId(name);
  const target = getAtt(functionLogicalId(rule.function));
  return {
    [logicalId]: {
      Type: 'AWS::Events::Rule',
      Properties: {
        Name: `${stage.service}-${name}`,
        ...(rule.bus === 'keyturn' && { EventBusName: ref('EventBus') }),
        EventPattern: rule.pattern,
        State: 'ENABLED',
        Targets: [
          {
            Id: rule.function,
            Arn: target,
            RetryPolicy: RULE_RETRIES,
            DeadLetterConfig: { Arn: getAtt('EventDeadLetters') },
          },
        ],
      },
    },
    [`${logicalId}Permission`]: {
      Type: 'AWS::Lambda::Permission',
      Properties: {
        Action: 'lambda:InvokeFunction',
        FunctionName: target,
        Principal: 'events.amazonaws.com',
        SourceArn: getAtt(logicalId),
      },
    },
  };
}

function ruleLogicalId(name: string): string {
  return `${pascalCase(name)}Rule`;
}

export function ruleLogicalIds(): string[] {
  return Object.keys(rules).map(ruleLogicalId);
}

function scheduledFunctions(): string[] {
  return [...new Set(Object.values(schedules).map((schedule) => schedule.function))];
}

function scheduleResource(stage: Stage, name: keyof typeof schedules) {
  const schedule = schedules[name];
  const { function: target, ...standard } = schedule;
  const { expression, timezone, flexibleWindowMinutes, retries, maxEventAgeSeconds } = {
    ...standard,
    ...stage.deployment.schedules[name],
  };
  return {
    Type: 'AWS::Scheduler::Schedule',
    Properties: {
      Name: `${stage.service}-${name}`,
      ScheduleExpression: expression,
      ScheduleExpressionTimezone: timezone,
      FlexibleTimeWindow:
        flexibleWindowMinutes === 0
          ? { Mode: 'OFF' }
          : { Mode: 'FLEXIBLE', MaximumWindowInMinutes: flexibleWindowMinutes },
      State: 'ENABLED',
      Target: {
        Arn: getAtt(functionLogicalId(target)),
        RoleArn: getAtt('SchedulerRole'),
        ...('input' in schedule && { Input: JSON.stringify(schedule.input) }),
        RetryPolicy: { MaximumRetryAttempts: retries, MaximumEventAgeInSeconds: maxEventAgeSeconds },
        DeadLetterConfig: { Arn: getAtt('EventDeadLetters') },
      },
    },
  };
}
