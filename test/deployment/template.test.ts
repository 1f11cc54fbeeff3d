import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import rules from '../../events/rules.json' with { type: 'json' };
import schedules from '../../events/schedules.json' with { type: 'json' };
import { EVENT_FUNCTIONS, STATE_FUNCTIONS } from '../../functions/index.ts';
import { FUNCTION_NEEDS } from '../../functions/needs.ts';
import { kebabCase } from '../../infrastructure/cloudformation.ts';
import { PROJECT_FOLDER } from '../../infrastructure/stage.ts';
import { danglingReferences } from '../../scripts/deploy/check-template.ts';
import { STATE_MACHINES } from '../../shared/executions/executions.ts';
import { TABLE_DEFINITION } from '../../shared/ledger/table.ts';
import { STAGES } from './support/global-setup.ts';
import { arnOf, ofType, readTemplate, resolved, resourceOf } from './support/template.ts';

/** What is packaged is what the code and its data files say. */

const template = readTemplate('dynamodb');
const postgres = readTemplate('postgres');
const text = z.string();

describe('functions', () => {
  const functions = ofType(template, 'AWS::Lambda::Function');
  const names = [...functions.values()].map(({ Properties }) =>
    text.parse(Properties['FunctionName']).replace('keyturn-dynamodb-', ''),
  );

  it('are those of functions/index.ts, and no others', () => {
    const expected = [...Object.keys(STATE_FUNCTIONS).map(kebabCase), ...Object.keys(EVENT_FUNCTIONS)];
    expect(names.sort()).toEqual(expected.sort());
    expect(Object.keys(FUNCTION_NEEDS).sort()).toEqual(expected.sort());
  });

  it('are Node 24 on arm64, traced, each with a role and a handler of its own', () => {
    const roles = new Set<string>();
    for (const { Properties } of functions.values()) {
      const name = text.parse(Properties['FunctionName']).replace('keyturn-dynamodb-', '');
      expect(Properties).toMatchObject({
        Runtime: 'nodejs24.x',
        Architectures: ['arm64'],
        TracingConfig: { Mode: 'Active' },
        Handler: `functions/${name}/index.handler`,
      });
      roles.add(JSON.stringify(Properties['Role']));
    }
    expect(roles.size).toBe(functions.size);
  });

  it('have logs that end', () => {
    for (const { Properties } of ofType(template, 'AWS::Logs::LogGroup').values())
      expect(Properties['RetentionInDays']).toBe(90);
  });
});

describe('state machines', () => {
  it.each(STATE_MACHINES)('%s is the file, with a function for each placeholder', (machine) => {
    const file = readFileSync(join(PROJECT_FOLDER, 'state-machines', `${machine}.asl.json`), 'utf8');
    const [found] = [...ofType(template, 'AWS::StepFunctions::StateMachine').values()].filter(
      ({ Properties }) => Properties['StateMachineName'] === `keyturn-dynamodb-${machine}`,
    );
    expect(found?.Properties['DefinitionString']).toBe(file);
    const substitutions = z
      .record(z.string(), z.unknown())
      .parse(found?.Properties['DefinitionSubstitutions']);
    const filled = file.replace(/\$\{([^}]+)\}/g, (_, name: string) =>
      text.parse(resolved(template, substitutions[name])),
    );
    for (const [, state = '', arn = ''] of filled.matchAll(
      /"(\w+)": \{\s*"Type": "Task",\s*"Resource": "([^"]+)"/g,
    ))
      expect(arn).toBe(
        `arn:aws:lambda:eu-central-1:111122223333:function:keyturn-dynamodb-${kebabCase(state)}`,
      );
    expect(found?.Properties).toMatchObject({
      LoggingConfiguration: { Level: 'ERROR', IncludeExecutionData: false },
      TracingConfiguration: { Enabled: true },
    });
  });

  it('wait for a function at least as long as it may run', () => {
    const functions = [...ofType(template, 'AWS::Lambda::Function').values()];
    for (const machine of STATE_MACHINES) {
      const file = readFileSync(join(PROJECT_FOLDER, 'state-machines', `${machine}.asl.json`), 'utf8');
      const tasks = [...file.matchAll(/\$\{(\w+)FunctionArn\}",\s*"TimeoutSeconds": (\d+)/g)];
      expect(tasks.length).toBeGreaterThan(0);
      for (const [, state = '', seconds] of tasks) {
        const name = `keyturn-dynamodb-${kebabCase(state)}`;
        const found = functions.find(({ Properties }) => Properties['FunctionName'] === name);
        expect(Number(seconds), state).toBeGreaterThanOrEqual(Number(found?.Properties['Timeout']));
      }
    }
  });
});

describe('what starts functions', () => {
  const deadLetters = { Arn: { 'Fn::GetAtt': ['EventDeadLetters', 'Arn'] } };

  it('rules are those of events/rules.json, each with retries and dead letters', () => {
    const found = [...ofType(template, 'AWS::Events::Rule').values()];
    expect(found.length).toBe(Object.keys(rules).length);
    for (const [name, rule] of Object.entries(rules)) {
      const { Properties = {} } =
        found.find((one) => one.Properties['Name'] === `keyturn-dynamodb-${name}`) ?? {};
      expect(Properties).toMatchObject({
        EventPattern: rule.pattern,
        State: 'ENABLED',
        Targets: [{ RetryPolicy: { MaximumRetryAttempts: 185 }, DeadLetterConfig: deadLetters }],
      });
      expect(Properties['EventBusName']).toEqual(rule.bus === 'keyturn' ? { Ref: 'EventBus' } : undefined);
      const [target] = z.array(z.looseObject({ Arn: z.unknown() })).parse(Properties['Targets']);
      expect(resolved(template, target?.Arn)).toMatch(new RegExp(`:keyturn-dynamodb-${rule.function}$`));
    }
  });

  it('schedules are those of events/schedules.json, each with retries and dead letters', () => {
    const found = [...ofType(template, 'AWS::Scheduler::Schedule').values()];
    expect(found.length).toBe(Object.keys(schedules).length);
    for (const [name, schedule] of Object.entries(schedules)) {
      const { Properties = {} } =
        found.find((one) => one.Properties['Name'] === `keyturn-dynamodb-${name}`) ?? {};
      const flexible = schedule.flexibleWindowMinutes > 0;
      expect(Properties).toMatchObject({
        ScheduleExpression: schedule.expression,
        ScheduleExpressionTimezone: schedule.timezone,
        FlexibleTimeWindow: flexible
          ? { Mode: 'FLEXIBLE', MaximumWindowInMinutes: schedule.flexibleWindowMinutes }
          : { Mode: 'OFF' },
        Target: { RetryPolicy: { MaximumRetryAttempts: schedule.retries }, DeadLetterConfig: deadLetters },
      });
    }
  });

  it('every function that events or schedules call hands what fails to the dead letters', () => {
    const called = [...Object.values(rules), ...Object.values(schedules)].map((one) => one.function);
    const configured = [...ofType(template, 'AWS::Lambda::EventInvokeConfig').values()].map(
      ({ Properties }) => {
        expect(Properties).toMatchObject({
          DestinationConfig: { OnFailure: { Destination: { 'Fn::GetAtt': ['EventDeadLetters', 'Arn'] } } },
        });
        const name = resolved(template, Properties['FunctionName']);
        return text.parse(name).replace(/^.*keyturn-dynamodb-/, '');
      },
    );
    expect(configured.sort()).toEqual([...new Set(called)].sort());
  });
});

describe('queues', () => {
  it('the work queue is encrypted, kept for less than its dead letters, hidden for six times the time of its worker', () => {
    const worker = [...ofType(template, 'AWS::Lambda::Function').values()].find(
      ({ Properties }) => Properties['FunctionName'] === 'keyturn-dynamodb-process-chunk',
    );
    const { Properties } = resourceOf(template, 'WorkQueue');
    expect(Properties['VisibilityTimeout']).toBeGreaterThanOrEqual(6 * Number(worker?.Properties['Timeout']));
    for (const [id, queue] of ofType(template, 'AWS::SQS::Queue'))
      expect(queue.Properties).toMatchObject({
        SqsManagedSseEnabled: true,
        // A dead letter keeps its age: ten days are left to look at it.
        MessageRetentionPeriod: (id === 'WorkQueue' ? 4 : 14) * 86_400,
      });
    expect(Properties['RedrivePolicy']).toEqual({
      deadLetterTargetArn: { 'Fn::GetAtt': ['WorkDeadLetters', 'Arn'] },
      maxReceiveCount: 5,
    });
    const { RedriveAllowPolicy } = resourceOf(template, 'WorkDeadLetters').Properties;
    expect(resolved(template, RedriveAllowPolicy)).toEqual({
      redrivePermission: 'byQueue',
      sourceQueueArns: [arnOf(template, 'WorkQueue')],
    });
  });

  it('the worker takes batches of it, so many at a time, and hands back what failed', () => {
    const [mapping, ...others] = [...ofType(template, 'AWS::Lambda::EventSourceMapping').values()];
    expect(others).toEqual([]);
    expect(mapping?.Properties).toMatchObject({
      BatchSize: 4,
      FunctionResponseTypes: ['ReportBatchItemFailures'],
      ScalingConfig: { MaximumConcurrency: 20 },
    });
    expect(resolved(template, mapping?.Properties['EventSourceArn'])).toBe(arnOf(template, 'WorkQueue'));
  });
});

describe('the ledger', () => {
  it('is the table that the code defines, encrypted, recoverable, protected, and kept', () => {
    const table = resourceOf(template, 'LedgerTable');
    expect(table.Properties).toMatchObject({
      ...TABLE_DEFINITION,
      SSESpecification: { SSEEnabled: true, SSEType: 'KMS' },
      PointInTimeRecoverySpecification: { PointInTimeRecoveryEnabled: true },
      DeletionProtectionEnabled: true,
    });
    expect(table).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
  });
});

describe('the signing key', () => {
  it('signs and does nothing else, and is kept', () => {
    const key = resourceOf(template, 'SigningKey');
    expect(key.Properties).toMatchObject({ KeySpec: 'RSA_3072', KeyUsage: 'SIGN_VERIFY' });
    // KMS rotates no asymmetric key, and refuses a template that asks it to.
    expect(key.Properties).not.toHaveProperty('EnableKeyRotation');
    expect(key).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
  });
});

describe('the audit archive', () => {
  it('is a bucket whose objects nobody changes or deletes, and is kept', () => {
    const bucket = resourceOf(template, 'AuditBucket');
    expect(bucket.Properties).toMatchObject({
      ObjectLockEnabled: true,
      ObjectLockConfiguration: {
        ObjectLockEnabled: 'Enabled',
        Rule: { DefaultRetention: { Mode: 'COMPLIANCE', Days: 365 } },
      },
      VersioningConfiguration: { Status: 'Enabled' },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
    });
    const blocked = Object.values(Object(bucket.Properties['PublicAccessBlockConfiguration']));
    expect(blocked).toEqual([true, true, true, true]);
    expect(bucket).toMatchObject({ DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' });
  });
});

describe('the template', () => {
  it.each(STAGES)('of %s names nothing that it does not make', (stage) => {
    expect(danglingReferences(readTemplate(stage))).toEqual([]);
  });

  it('puts functions that open stores into the VPC, and no others', () => {
    for (const { Properties } of ofType(postgres, 'AWS::Lambda::Function').values()) {
      const name = text.parse(Properties['FunctionName']).replace('keyturn-postgres-', '');
      const needs: readonly string[] =
        FUNCTION_NEEDS[z.enum(Object.keys(FUNCTION_NEEDS)).parse(name) as keyof typeof FUNCTION_NEEDS];
      const opens = needs.includes('stores:read') || needs.includes('stores:write');
      expect(Properties['VpcConfig'] !== undefined, name).toBe(opens);
    }
    for (const { Properties } of ofType(template, 'AWS::Lambda::Function').values())
      expect(Properties['VpcConfig']).toBeUndefined();
  });

  it('has an output for every variable of the command line', () => {
    const variables = Object.values(template.Outputs).flatMap(({ Description }) =>
      Description?.startsWith('KEYTURN_') ? [Description] : [],
    );
    expect(variables.sort()).toEqual([
      'KEYTURN_ADOPT_RECORDS_ARN',
      'KEYTURN_AUDIT_BUCKET',
      'KEYTURN_BUS_NAME',
      'KEYTURN_LEDGER_TABLE',
      'KEYTURN_PURGE_VERSION_ARN',
      'KEYTURN_QUEUE_URL',
      'KEYTURN_ROOT_KEY_ARN',
      'KEYTURN_ROTATE_KEY_ARN',
      'KEYTURN_SIGNING_KEY_ARN',
    ]);
  });
});
