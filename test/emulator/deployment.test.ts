import { basename } from 'node:path';
import { CloudWatchClient } from '@aws-sdk/client-cloudwatch';
import { EventBridgeClient, PutEventsCommand } from '@aws-sdk/client-eventbridge';
import { DisableKeyCommand, EnableKeyCommand } from '@aws-sdk/client-kms';
import {
  InvokeCommand,
  LambdaClient,
  paginateListEventSourceMappings,
  UpdateEventSourceMappingCommand,
} from '@aws-sdk/client-lambda';
import {
  DescribeExecutionCommand,
  ListExecutionsCommand,
  SFNClient,
  StartExecutionCommand,
} from '@aws-sdk/client-sfn';
import {
  GetQueueAttributesCommand,
  type QueueAttributeName,
  ReceiveMessageCommand,
  SendMessageCommand,
  SetQueueAttributesCommand,
  SQSClient,
} from '@aws-sdk/client-sqs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';
import { inspect } from '../../shared/envelope/index.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import {
  METRICS,
  METRICS_DIMENSION,
  METRICS_NAMESPACE,
  type MetricName,
} from '../../shared/metrics/metrics.ts';
import { chunkMessageSchema } from '../../shared/queue/work-queue.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { RECORDED_EVENTS } from '../support/recorded-events.ts';
import { eventually as lookUntil } from '../support/stack.ts';
import { metricId, putMetrics, readAlarms } from './support/alarms.ts';
import {
  type DeployedService,
  OWN_ROOT_KEY_TENANT,
  startDeployedService,
} from './support/deployed-service.ts';
import { clientOf } from './support/emulators.ts';
import { executionTexts, logLines, type MeasuredMetric, measured } from './support/observed.ts';
import {
  CUSTOMERS,
  expected,
  INVOICES,
  PLAINTEXT_MARK,
  putCustomers,
  putInvoices,
  readCustomers,
  readInvoices,
} from './support/records.ts';

/**
 * The service as users deploy it: packaged by osls, its template created by CloudFormation, started by what starts it in
 * AWS. Only KMS is another emulator's, for the cryptography is real. The tests go on from each other, in this order.
 */

const TENANT = 'acme';
const CUSTOMER_COUNT = 200;
const INVOICE_COUNT = 90;
const VALUE_COUNT = 2 * CUSTOMER_COUNT + INVOICE_COUNT;
/** What the tests before have caused. */
const FIRING = [
  'RequestsRefused',
  'RootKeyUnusable',
  'DeadLetters-WorkDeadLetters',
  'DeadLetters-EventDeadLetters',
  'ExecutionsFailed-rotate-key',
];
const SILENT = [
  'KeysOverdue',
  'JobsStuck',
  'RecordsInQuarantine',
  'KmsThrottled',
  'WorkerErrors-process-chunk',
];
const STATE_MACHINES = ['RotateKeyStateMachine', 'PurgeVersionStateMachine', 'AdoptRecordsStateMachine'];

/** Each function is a process here, and starts as slowly as the machine is busy. */
const eventually = <T>(look: () => Promise<T | null | undefined | false>, what: string): Promise<T> =>
  lookUntil(look, what, 400_000);

let service: DeployedService;
let sqs: SQSClient;
let stepFunctions: SFNClient;
let lambda: LambdaClient;
/** Of every version that was ever in use, for the search for leaks. */
const keks: Buffer[] = [];

beforeAll(async () => {
  service = await startDeployedService();
  sqs = new SQSClient(clientOf(service.ministack));
  stepFunctions = new SFNClient(clientOf(service.ministack));
  lambda = new LambdaClient(clientOf(service.ministack));
  for (const [tenant, firstInvoice] of [
    [TENANT, 0],
    [OWN_ROOT_KEY_TENANT, 10_000],
  ] as const) {
    await createKey(service.deps, tenant, 'default');
    await putCustomers(service.dynamodb, service.cipher, tenant, CUSTOMER_COUNT);
    await putInvoices(service.database, service.cipher, tenant, firstInvoice, INVOICE_COUNT);
    await rememberKek(tenant, 1);
  }
});

afterAll(async () => {
  for (const client of [sqs, stepFunctions, lambda]) client?.destroy();
  await service?.stop();
});

describe('a rotation that an event on the bus asks for', () => {
  let job: Job;

  test('goes through every step to its end', async () => {
    await requestRotation(TENANT);
    job = await eventually(() => ended('rotate', TENANT), 'the end of the rotation');
    expect(job).toMatchObject({ status: 'COMPLETED', from: 1, to: 2, mode: 'rewrap', blocker: null });
    expect(job.requestedBy).toContain('test-suite');
  });

  test('left every value as it was, under the new version', async () => {
    await expectValues(TENANT, 2);
  });

  test('is proved by a census of both stores, and recorded in the ledger', async () => {
    expect(job.census).toMatchObject({ onVersion: 0, stale: 0, malformed: 0, foreign: 0 });
    expect(Object.keys(job.census?.coverage ?? {}).sort()).toEqual([CUSTOMERS, INVOICES]);
    const key = await keyOf(TENANT);
    expect(key).toMatchObject({ active: 2, rotationId: null });
    expect(key.versions['1']).toMatchObject({ state: 'RETIRING', purgeNotBefore: job.purgeNotBefore });
    expect(key.versions['2']).toMatchObject({ state: 'ACTIVE', provider: 'aws-kms' });
    await rememberKek(TENANT, 2);
  });
});

describe('a root key that is disabled in the middle of a rotation', () => {
  const tenant = OWN_ROOT_KEY_TENANT;

  test('messages on the queue name records, and hold nothing of them', async () => {
    await setWorker(false);
    await requestRotation(tenant);
    await eventually(() => depth('WorkQueue').then((n) => n >= 5), 'chunks on the queue');
    const { Messages = [] } = await sqs.send(
      new ReceiveMessageCommand({
        QueueUrl: queue('WorkQueue'),
        MaxNumberOfMessages: 10,
        VisibilityTimeout: 0,
      }),
    );
    expect(Messages.length).toBeGreaterThan(0);
    for (const { Body = '' } of Messages) {
      const { mac, ...message } = z.looseObject({ mac: z.string() }).parse(JSON.parse(Body));
      expect(chunkMessageSchema.parse(message).tenant).toBe(tenant);
      expect(Buffer.from(mac, 'base64url')).toHaveLength(32);
      expectNoSecret(Body);
    }
    await rememberKek(tenant, 2);
  });

  test('suspends its versions and pauses the rotation', async () => {
    await service.kms.send(new DisableKeyCommand({ KeyId: service.customerRootKey }));
    await putKmsEvent('DisableKey');
    const paused = await eventually(() => jobOf('rotate', tenant, 'PAUSED'), 'the pause');
    expect(paused).toMatchObject({ pause: { reason: 'ROOT_KEY' }, blocker: null });
    const { versions } = await keyOf(tenant);
    expect([versions['1']?.state, versions['2']?.state]).toEqual(['SUSPENDED', 'SUSPENDED']);
    expect((await keyOf(TENANT)).versions['2']?.state).toBe('ACTIVE');
  });

  test('goes on by itself when it is enabled again, and loses nothing', async () => {
    await setWorker(true);
    await service.kms.send(new EnableKeyCommand({ KeyId: service.customerRootKey }));
    await putKmsEvent('EnableKey');
    const done = await eventually(() => ended('rotate', tenant), 'the end of the rotation');
    expect(done).toMatchObject({ status: 'COMPLETED', from: 1, to: 2, blocker: null });
    service.deps.keyring.clear();
    await expectValues(tenant, 2);
  });
});

describe('the packaged kms-event function', () => {
  test.skipIf(RECORDED_EVENTS.length === 0)(
    'takes every recorded event, and changes nothing for keys that are not in use (skipped without ../shared/events)',
    async () => {
      for (const [name, event] of RECORDED_EVENTS) {
        const answer = await invoke('kms-event', event);
        expect(answer, name).toMatchObject({ matched: 0, changedKeys: 0, pausedJobs: 0, failed: 0 });
      }
    },
  );

  test.each(RECORDED_EVENTS)(
    'looks at a key in use that %s names, and finds nothing to do',
    async (_, event) => {
      const arn = service.customerRootKey;
      const ours = JSON.stringify(event)
        .replaceAll(/arn:aws:kms:[a-z0-9-]+:\d{12}:key\/1234abcd[0-9a-f-]+/g, arn)
        .replaceAll(/1234abcd-12ab-34cd-56ef-[0-9a-f]{12}/g, arn.split('/')[1] ?? '');
      const before = await keyOf(OWN_ROOT_KEY_TENANT);
      const answer = await invoke('kms-event', JSON.parse(ours));
      expect(answer).toMatchObject({ matched: 1, changedKeys: 0, pausedJobs: 0, failed: 0 });
      expect(await keyOf(OWN_ROOT_KEY_TENANT)).toEqual(before);
    },
  );

  test.each([
    ['nothing', {}],
    ['another source', { source: 'aws.s3', 'detail-type': 'Object Created', detail: {} }],
    ['null parameters', { source: 'aws.kms', detail: { requestParameters: null, resources: null } }],
    ['a key of the wrong type', { source: 'aws.kms', detail: { 'key-id': { $ne: 1 } }, resources: [7] }],
  ])('is harmless with a malformed event: %s', async (_, event) => {
    expect(await invoke('kms-event', event)).toMatchObject({ matched: 0, changedKeys: 0 });
  });

  test('believes no forged event: the key is enabled, so nothing is suspended', async () => {
    const before = await keyOf(OWN_ROOT_KEY_TENANT);
    const answer = await invoke('kms-event', kmsCall('ScheduleKeyDeletion'));
    expect(answer).toMatchObject({ matched: 1, changedKeys: 0, pausedJobs: 0 });
    expect(await keyOf(OWN_ROOT_KEY_TENANT)).toMatchObject({ versions: { '2': before.versions['2'] } });
  });
});

describe('what cannot be done', () => {
  test('a rotation request that is not valid starts nothing and ends in the dead letters', async () => {
    await putEvent('TenantKeyRotationRequested', { schemaVersion: 1, tenant: TENANT, unknown: true });
    await eventually(() => depth('EventDeadLetters').then((n) => n === 1), 'the dead letter');
    expect(await service.deps.ledger.listJobs({ kind: 'rotate' })).toHaveLength(2);
  });

  test('a poison message ends in the dead letters, and holds up nobody', async () => {
    // In use, a failed message is hidden for minutes.
    await sqs.send(
      new SetQueueAttributesCommand({ QueueUrl: queue('WorkQueue'), Attributes: { VisibilityTimeout: '1' } }),
    );
    await sqs.send(
      new SendMessageCommand({ QueueUrl: queue('WorkQueue'), MessageBody: '{"v":1,"jobId":7}' }),
    );
    await eventually(() => depth('WorkDeadLetters').then((n) => n === 1), 'the dead letter');
    expect(await depth('WorkQueue')).toBe(0);
  });

  test('an execution for a job that does not exist fails by the name of its error', async () => {
    const { executionArn } = await stepFunctions.send(
      new StartExecutionCommand({
        stateMachineArn: service.resources.get('RotateKeyStateMachine'),
        input: JSON.stringify({ jobId: '00000000-0000-5000-8000-000000000000' }),
      }),
    );
    const failed = await eventually(async () => {
      const execution = await stepFunctions.send(new DescribeExecutionCommand({ executionArn }));
      return execution.status === 'RUNNING' ? null : execution;
    }, 'the end of the execution');
    expect(failed).toMatchObject({ status: 'FAILED', error: 'PermanentError' });
    expect(failed.cause).toContain('ROTATION_NOT_FOUND');
  });
});

describe('the schedule', () => {
  test('purges the old version when its grace is over', async () => {
    const purge = await eventually(() => ended('purge', TENANT), 'the purge');
    expect(purge).toMatchObject({ status: 'COMPLETED', from: 1, blocker: null });
    const key = await keyOf(TENANT);
    expect(key.versions['1']).toMatchObject({ state: 'DESTROYED', wrapped: null });
    expect(key).toMatchObject({ active: 2, rotationId: null });
    await expectValues(TENANT, 2);
  });

  test('has the monitor measure', async () => {
    await eventually(async () => (await metricNames()).has('JobsRunning'), 'the gauges');
  });
});

describe('what the service tells', () => {
  let metrics: MeasuredMetric[];

  beforeAll(async () => {
    await eventually(async () => (await metricNames()).has('SweepCompleted'), 'the end of the sweep');
    const lines = [...(await logLines(service.ministack)).values()].flat();
    // Powertools adds one of its own.
    metrics = measured(lines).filter(({ name }) => name !== 'ColdStart');
  });

  test('metrics have their declared names and units, and one dimension: the service', () => {
    for (const { namespace, name, unit, dimensions } of metrics) {
      expect({ namespace, dimensions }).toEqual({
        namespace: METRICS_NAMESPACE,
        dimensions: { [METRICS_DIMENSION]: 'keyturn-emulator' },
      });
      expect(METRICS).toHaveProperty(name, expect.objectContaining({ unit }));
    }
    expect(sumOf('RecordsRewrapped')).toBe(2 * (CUSTOMER_COUNT + INVOICE_COUNT));
    // Two rotations and a purge; the other tenant's version may have been purged meanwhile.
    expect(sumOf('JobsCompleted')).toBeGreaterThanOrEqual(3);
    // Once to make the KEK, prove and activate it; then a few times a process. Never once a record.
    expect(sumOf('KmsCalls')).toBeLessThan(100);
  });

  test('alarms fire by it, and only those that should', async () => {
    const client = new CloudWatchClient(clientOf(service.ministack));
    const seen = [...metrics, ...(await queueMetrics()), ...(await executionMetrics())];
    await putMetrics(client, seen);
    const alarms = await readAlarms(client);
    client.destroy();
    const firing = alarms.filter((alarm) => alarm.firing);
    const known = new Set(seen.map(metricId));
    // ministack compares names only; CloudWatch also the dimensions.
    for (const { name, metric } of firing) {
      if (!metric.startsWith('["AWS/Lambda"')) expect(known, name).toContain(metric);
    }
    const names = firing.map(({ name }) => name.replace('keyturn-emulator-', ''));
    for (const name of FIRING) expect(names).toContain(name);
    for (const name of SILENT) expect(names).not.toContain(name);
  });

  function sumOf(metric: MetricName): number {
    const values = metrics.filter(({ name }) => name === metric).flatMap((each) => each.values);
    return values.reduce((sum, value) => sum + value, 0);
  }

  test('no plaintext and no key byte is in logs, executions or dead letters', async () => {
    const lines = [...(await logLines(service.ministack)).values()].flat();
    expect(lines.length).toBeGreaterThan(100);
    for (const line of lines) expectNoSecret(line);
    for (const machine of STATE_MACHINES) {
      const texts = await executionTexts(stepFunctions, service.resources.get(machine) ?? '');
      if (machine !== 'AdoptRecordsStateMachine') expect(texts.length).toBeGreaterThan(0);
      for (const text of texts) expectNoSecret(text);
    }
    for (const name of ['WorkDeadLetters', 'EventDeadLetters']) {
      const { Messages = [] } = await sqs.send(new ReceiveMessageCommand({ QueueUrl: queue(name) }));
      for (const { Body = '' } of Messages) expectNoSecret(Body);
    }
  });

  test('no plaintext and no key byte is in the ledger', async () => {
    for (const tenant of [TENANT, OWN_ROOT_KEY_TENANT]) expectNoSecret(JSON.stringify(await keyOf(tenant)));
    for (const job of await service.deps.ledger.listJobs()) expectNoSecret(JSON.stringify(job));
  });
});

async function requestRotation(tenant: string): Promise<void> {
  await putEvent('TenantKeyRotationRequested', {
    schemaVersion: 1,
    tenant,
    requestId: `request-${tenant}`,
    requestedBy: 'test-suite',
  });
}

async function putEvent(type: string, detail: object): Promise<void> {
  await put({ EventBusName: service.resources.get('EventBus'), Source: 'com.example.app', type, detail });
}

/** Unlike EventBridge, ministack takes events in the name of AWS: so that the deployed rules are tested too. */
async function putKmsEvent(eventName: string): Promise<void> {
  const { source, 'detail-type': type, detail } = kmsCall(eventName);
  await put({ EventBusName: 'default', Source: source, type, detail });
}

async function put(event: {
  readonly EventBusName: string | undefined;
  readonly Source: string;
  readonly type: string;
  readonly detail: object;
}): Promise<void> {
  const { type, detail, ...entry } = event;
  const client = new EventBridgeClient(clientOf(service.ministack));
  const { FailedEntryCount } = await client.send(
    new PutEventsCommand({ Entries: [{ ...entry, DetailType: type, Detail: JSON.stringify(detail) }] }),
  );
  client.destroy();
  expect(FailedEntryCount).toBe(0);
}

function kmsCall(eventName: string) {
  return {
    source: 'aws.kms',
    'detail-type': 'AWS API Call via CloudTrail',
    detail: {
      eventSource: 'kms.amazonaws.com',
      eventName,
      requestParameters: { keyId: service.customerRootKey.split('/')[1] },
      responseElements: null,
      resources: [{ type: 'AWS::KMS::Key', ARN: service.customerRootKey }],
    },
  };
}

/** After the alarms: ministack counts errors of functions without their names. */
describe('the packaged rotation-request', () => {
  test.each([
    ['nothing', {}],
    ['a detail of the wrong type', { time: '2026-01-01T00:00:00Z', detail: [7] }],
  ])('refuses %s, without a stack', async (_, event) => {
    const { FunctionError, Payload } = await lambda.send(
      new InvokeCommand({
        FunctionName: service.functionName('rotation-request'),
        Payload: JSON.stringify(event),
      }),
    );
    expect(FunctionError).toBeDefined();
    const answer = Buffer.from(Payload ?? []).toString();
    expect(answer).toContain('INPUT_INVALID');
    expect(answer).not.toContain('node_modules');
  });
});

async function invoke(name: string, event: unknown): Promise<unknown> {
  const { FunctionError, Payload } = await lambda.send(
    new InvokeCommand({ FunctionName: service.functionName(name), Payload: JSON.stringify(event) }),
  );
  const answer: unknown = JSON.parse(Buffer.from(Payload ?? []).toString());
  expect(FunctionError, JSON.stringify(answer)).toBeUndefined();
  return answer;
}

async function jobOf(kind: Job['kind'], tenant: string, ...statuses: Job['status'][]): Promise<Job | null> {
  const jobs = await service.deps.ledger.listJobs({ kind, statuses });
  return jobs.find((job) => job.tenant === tenant) ?? null;
}

function ended(kind: Job['kind'], tenant: string): Promise<Job | null> {
  return jobOf(kind, tenant, 'COMPLETED', 'BLOCKED');
}

async function keyOf(tenant: string): Promise<TenantKey> {
  const key = await service.deps.ledger.getKey(tenant, 'default');
  if (key === null) throw new Error(`${tenant} has no key`);
  return key;
}

/** Every value of the tenant opens to what was sealed, and names this version. */
async function expectValues(tenant: string, version: number): Promise<void> {
  const values = [
    ...(await readCustomers(service.dynamodb, tenant)),
    ...(await readInvoices(service.database, tenant)),
  ];
  expect(values).toHaveLength(VALUE_COUNT);
  for (const { context, envelope } of values) {
    expect(inspect(envelope).version).toBe(version);
    expect(Buffer.from(await service.cipher.open(context, envelope)).toString()).toBe(expected(context));
  }
}

async function rememberKek(tenant: string, version: number): Promise<void> {
  const { keyId, versions } = await keyOf(tenant);
  const wrapped = versions[version]?.wrapped;
  if (!wrapped) throw new Error(`Version ${version} of ${tenant} has no KEK`);
  const kek = await service.deps.provider.unwrapKek(wrapped, { tenant, purpose: 'default', keyId, version });
  keks.push(kek.export());
}

function expectNoSecret(text: string): void {
  expect(text).not.toContain(PLAINTEXT_MARK);
  for (const kek of keks) {
    for (const encoding of ['hex', 'base64', 'base64url', 'latin1'] as const)
      expect(text).not.toContain(kek.toString(encoding));
  }
}

function queue(logicalId: string): string {
  const url = service.resources.get(logicalId);
  if (url === undefined) throw new Error(`There is no ${logicalId}`);
  return url;
}

/** Messages in the queue, also those that a worker has. */
async function depth(logicalId: string): Promise<number> {
  const { Attributes = {} } = await sqs.send(
    new GetQueueAttributesCommand({ QueueUrl: queue(logicalId), AttributeNames: ['All'] }),
  );
  const count = (name: QueueAttributeName) => Number(Attributes[name] ?? 0);
  return count('ApproximateNumberOfMessages') + count('ApproximateNumberOfMessagesNotVisible');
}

async function setWorker(Enabled: boolean): Promise<void> {
  const FunctionName = service.functionName('process-chunk');
  for await (const { EventSourceMappings = [] } of paginateListEventSourceMappings(
    { client: lambda },
    { FunctionName },
  )) {
    for (const { UUID } of EventSourceMappings)
      await lambda.send(new UpdateEventSourceMappingCommand({ UUID, Enabled }));
  }
}

async function metricNames(): Promise<ReadonlySet<string>> {
  const lines = [...(await logLines(service.ministack)).values()].flat();
  return new Set(measured(lines).map(({ name }) => name));
}

/** As SQS measures it. */
async function queueMetrics(): Promise<MeasuredMetric[]> {
  const names = ['WorkQueue', 'WorkDeadLetters', 'EventDeadLetters'];
  return Promise.all(
    names.map(async (name) => ({
      ...{ namespace: 'AWS/SQS', name: 'ApproximateNumberOfMessagesVisible', unit: 'Count' },
      dimensions: { QueueName: basename(queue(name)) },
      values: [await depth(name)],
    })),
  );
}

/** As Step Functions counts them. */
async function executionMetrics(): Promise<MeasuredMetric[]> {
  return Promise.all(
    STATE_MACHINES.map(async (machine) => {
      const stateMachineArn = service.resources.get(machine) ?? '';
      const { executions = [] } = await stepFunctions.send(
        new ListExecutionsCommand({ stateMachineArn, statusFilter: 'FAILED' }),
      );
      return {
        ...{ namespace: 'AWS/States', name: 'ExecutionsFailed', unit: 'Count' },
        dimensions: { StateMachineArn: stateMachineArn },
        values: [executions.length],
      };
    }),
  );
}
