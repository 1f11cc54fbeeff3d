import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { ALARMS } from '../../infrastructure/alarms.ts';
import { PROJECT_FOLDER } from '../../infrastructure/stage.ts';
import { STATE_MACHINES } from '../../shared/executions/executions.ts';
import { METRICS } from '../../shared/metrics/metrics.ts';
import { ofType, readTemplate, resolved, resourceOf } from './support/template.ts';

/** Alarms and dashboard watch metrics that somebody emits, by the one dimension that they have. */

const template = readTemplate('dynamodb');
const alarms = [...ofType(template, 'AWS::CloudWatch::Alarm').values()].map(({ Properties }) =>
  z
    .looseObject({
      AlarmName: z.string(),
      Namespace: z.string(),
      MetricName: z.string(),
      Dimensions: z.array(z.object({ Name: z.string(), Value: z.string() })),
      Period: z.int(),
      EvaluationPeriods: z.int(),
    })
    .parse(resolved(template, Properties)),
);
const OWN = [{ Name: 'service', Value: 'keyturn-dynamodb' }];

/** Metrics that need no alarm, and why. */
const NO_ALARM: Readonly<Record<string, string>> = {
  RecordsRewrapped: 'what is meant to happen',
  RecordsSkipped: 'what is meant to happen',
  RecordsQuarantined: 'QuarantinedRecords says what is there',
  StaleRecords: 'a job that cannot get rid of them is blocked',
  JobsCompleted: 'what is meant to happen',
  JobsRunning: 'MonitorSilent watches that it is measured',
  OldestKeyAge: 'KeysOverdue compares it with the policy',
  KeksRewrapped: 'what is meant to happen',
  AuditEntriesPending: 'AuditExportMissing and AuditExportFailures watch that they come to an end',
  KmsCalls: 'what is meant to happen',
  KmsLatency: 'slow is not wrong',
  KmsErrors: 'denied and throttled ones alarm; a root key that fails otherwise shows as unusable',
};

describe('alarms', () => {
  it('name metrics of the code, or of AWS parts that the stack makes', () => {
    for (const { AlarmName, Namespace, MetricName, Dimensions } of alarms) {
      if (Namespace === 'Keyturn') {
        expect(Object.keys(METRICS), AlarmName).toContain(MetricName);
        expect(Dimensions).toEqual(OWN);
      } else {
        expect(['AWS/Lambda', 'AWS/SQS', 'AWS/States']).toContain(Namespace);
        const made = ['AWS::Lambda::Function', 'AWS::SQS::Queue', 'AWS::StepFunctions::StateMachine']
          .flatMap((type) => [...ofType(template, type).values()])
          .flatMap(({ Properties: p }) => [p['FunctionName'], p['QueueName'], p['StateMachineName']]);
        expect(made, AlarmName).toContain(Dimensions[0]?.Value.split(':').at(-1));
      }
    }
  });

  it('watch every metric, but those that need none', () => {
    const watched = new Set(Object.values(ALARMS).map(({ metric }) => metric));
    const unwatched = Object.keys(METRICS).filter((name) => !(watched as Set<string | undefined>).has(name));
    expect(unwatched.sort()).toEqual(
      Object.keys(NO_ALARM)
        .filter((name) => name !== 'JobsRunning')
        .sort(),
    );
  });

  it('watch every dead-letter queue, every state machine and every function that events call', () => {
    const values = (namespace: string, metric: string) =>
      alarms
        .filter(({ Namespace, MetricName }) => Namespace === namespace && MetricName === metric)
        .map(({ Dimensions }) => Dimensions[0]?.Value.replace(/^.*keyturn-dynamodb-/, ''))
        .sort();
    expect(values('AWS/SQS', 'ApproximateNumberOfMessagesVisible')).toEqual([
      'event-dead-letters',
      'work-dead-letters',
    ]);
    expect(values('AWS/States', 'ExecutionsFailed')).toEqual([...STATE_MACHINES].sort());
    expect(values('AWS/States', 'ExecutionsTimedOut')).toEqual([...STATE_MACHINES].sort());
    expect(values('AWS/Lambda', 'Errors')).toEqual([
      'export-audit',
      'kms-event',
      'monitor',
      'process-chunk',
      'rotation-request',
      'sweep',
    ]);
  });

  it('tell the topic, when they go off and when they are over', () => {
    for (const { Properties } of ofType(template, 'AWS::CloudWatch::Alarm').values())
      expect(Properties).toMatchObject({
        AlarmActions: [{ Ref: 'AlarmTopic' }],
        OKActions: [{ Ref: 'AlarmTopic' }],
      });
    expect(resourceOf(template, 'AlarmTopic').Properties['KmsMasterKeyId']).toEqual({
      'Fn::GetAtt': ['AlarmKey', 'Arn'],
    });
  });

  it('look no further back than CloudWatch does', () => {
    for (const { AlarmName, Period, EvaluationPeriods } of alarms)
      expect(Period * EvaluationPeriods, AlarmName).toBeLessThanOrEqual(Period < 3600 ? 86_400 : 604_800);
  });

  it('go off when nothing is said for 26 hours by the sweep, and for an hour by the monitor', () => {
    const { SweepMissing, MonitorSilent } = ALARMS;
    expect(SweepMissing).toMatchObject({ under: 1, minutes: 60, periods: 26, missing: 'broken' });
    expect(MonitorSilent).toMatchObject({ under: 1, minutes: 60, periods: 1, missing: 'broken' });
  });

  it('each have a row in docs/runbook.md: what it means, what to check, what to do', () => {
    const page = readFileSync(join(PROJECT_FOLDER, 'docs/runbook.md'), 'utf8');
    const rows = [...page.matchAll(/^\| `(\w+)` \|(?: [^|]+ \|){3}$/gm)]
      .map(([, name]) => name)
      .filter((name) => name !== undefined);
    expect(rows.filter((name) => Object.hasOwn(ALARMS, name)).sort()).toEqual(Object.keys(ALARMS).sort());
  });
});

describe('the dashboard', () => {
  const { DashboardBody } = resourceOf(template, 'Dashboard').Properties;
  const body = z
    .object({
      widgets: z.array(z.object({ properties: z.looseObject({ metrics: z.array(z.array(z.unknown())) }) })),
    })
    .parse(JSON.parse(z.string().parse(DashboardBody)));
  const metrics = body.widgets.flatMap(({ properties }) => properties.metrics);

  it('names metrics of the code and queues of the stack', () => {
    for (const [namespace, name, dimension, value] of metrics) {
      if (namespace === 'Keyturn') {
        expect(Object.keys(METRICS)).toContain(name);
        expect([dimension, value]).toEqual(['service', 'keyturn-dynamodb']);
      } else if (namespace === 'AWS/SQS') {
        expect(value).toMatch(/^keyturn-dynamodb-(work|work-dead-letters|event-dead-letters)$/);
      } else {
        expect(namespace).toEqual({ expression: 'age / 86400', label: 'OldestKeyAge' });
      }
    }
  });

  it('shows every metric of the code but what only alarms are for', () => {
    const shown = new Set(metrics.map(([, name]) => name));
    expect(Object.keys(METRICS).filter((name) => !shown.has(name))).toEqual(['KmsEventsUnreadable']);
  });
});
