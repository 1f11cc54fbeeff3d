import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { z } from 'zod';
import { ALARMS, alarms } from '../infrastructure/alarms.ts';
import { queues } from '../infrastructure/queues.ts';
import { readStage } from '../infrastructure/stage.ts';
import { SCHEDULES } from '../local/event-parts.ts';
import { approve } from '../shared/approvals/approve.ts';
import { AuditError, KeyturnError, RotationError } from '../shared/errors/errors.ts';
import { METRICS_NAMESPACE } from '../shared/metrics/metrics.ts';
import { createPowertoolsMetrics } from '../shared/metrics/powertools-metrics.ts';
import { createAwsKmsProvider } from '../shared/providers/aws-kms/aws-kms-provider.ts';
import { createKmsClients } from '../shared/providers/aws-kms/client.ts';
import { writeBody } from '../shared/queue/message-body.ts';
import { requestPurge, requestRotation } from '../shared/rotation/request-job.ts';
import { createMemoryLedger } from '../simulation/models/ledger.ts';
import { createTestRootKeys, type TestRootKeys } from '../simulation/models/root-keys.ts';
import { createTestState } from '../simulation/models/state-key.ts';
import { alarmSchema, isInAlarm, type Sample } from './support/alarm-state.ts';
import { createApprovers } from './support/approvers.ts';
import { withDestroyed } from './support/full-keys.ts';
import { createRunner, type FunctionName } from './support/function-runner.ts';
import { runPurge, runRotation } from './support/memory-machine.ts';
import { fill, KEY, PURPOSE, prepareWorlds, TENANT, type World } from './support/memory-world.ts';
import { readMetricLines } from './support/metric-lines.ts';
import { linesWritten } from './support/standard-output.ts';

/**
 * Every alarm is fired once by its metric's emitter: the function itself, through the metrics adapter of a Lambda, with
 * the lines it writes read as CloudWatch reads them, and the alarm's condition as it is deployed. And each stays quiet
 * when there is nothing to say.
 */

const stage = readStage('dynamodb');
const HOUR = 3600;
const DAY = 24 * HOUR;
const VISIBILITY_SECONDS = z
  .object({ Properties: z.object({ VisibilityTimeout: z.number() }) })
  .parse(queues(stage)['WorkQueue']).Properties.VisibilityTimeout;

const worlds = await prepareWorlds();
const people = await createApprovers('alice', 'emergency-eve');
const NEEDS_ONE = { required: 1, approvers: await people.configured('alice', 'emergency-eve') };
afterAll(async () => {
  await worlds.remove();
  await people.remove();
});
afterEach(() => vi.useRealTimers());

class Scene {
  readonly world: World;
  readonly roots: TestRootKeys;
  readonly samples: (Sample & { readonly series: string })[] = [];
  readonly #runner = createRunner();
  readonly #measured = createPowertoolsMetrics(stage.service);

  constructor(world: World, roots: TestRootKeys) {
    this.world = world;
    this.roots = roots;
    world.meter.metrics = this.#measured.metrics;
  }

  get metrics() {
    return this.#measured.metrics;
  }

  get rootKeyId(): string {
    return this.roots.provider.rootKeyFor(TENANT);
  }

  pass(seconds: number): void {
    this.world.pass(seconds);
  }

  /** Runs it, and keeps what it measured, with the world's time. */
  async measure(run: () => Promise<unknown>): Promise<void> {
    vi.useFakeTimers({ toFake: ['Date'], now: this.world.clock.now() });
    const lines = await linesWritten(async () => {
      await run();
      vi.setSystemTime(this.world.clock.now());
      this.#measured.publisher.publishStoredMetrics();
    });
    vi.useRealTimers();
    for (const { values, at, ...series } of readMetricLines(lines))
      this.samples.push(...values.map((value) => ({ at, value, series: seriesName(series) })));
  }

  call(name: FunctionName, event: unknown = {}): Promise<void> {
    return this.measure(() => this.#runner.call(this.world, name, event));
  }

  /** A call that is to fail. */
  callInVain(name: FunctionName, event: unknown): Promise<void> {
    return this.measure(() => expect(this.#runner.call(this.world, name, event)).rejects.toThrow());
  }

  async rotate(): Promise<string> {
    const { jobId } = (await requestRotation(this.world.deps, KEY)).job;
    await this.measure(() => runRotation(this.world, jobId));
    return jobId;
  }

  /** To its end, or to where it waits for approvals. Returns the request for them. */
  async purge(): Promise<string | null> {
    this.world.passGrace();
    return this.goOnPurging();
  }

  async goOnPurging(): Promise<string | null> {
    const { jobId } = (await requestPurge(this.world.deps, { ...KEY, version: 1 })).job;
    await this.measure(() =>
      runPurge(this.world, jobId).catch((error: unknown) => {
        if (codeOf(error) !== 'JOB_PAUSED') throw error;
      }),
    );
    return (await this.world.job(jobId)).approvalId;
  }

  async approve(requestId: string | null, name: string): Promise<void> {
    await approve(this.world.deps, requestId ?? '', name, people.signer(name));
  }

  /** A purge that has begun. */
  async fence(): Promise<void> {
    await this.rotate();
    this.world.passGrace();
    const { jobId } = (await requestPurge(this.world.deps, { ...KEY, version: 1 })).job;
    await this.call('begin-purge', { jobId });
  }

  spoil(): void {
    const row = this.world.people.rows.get(JSON.stringify(['1']));
    if (row !== undefined) row.values[0] = Buffer.from('no envelope');
  }
}

async function makeScene(approvals?: object): Promise<Scene> {
  const roots = createTestRootKeys();
  const other = { provider: roots.provider, ...(approvals !== undefined && { approvals }) };
  const world = await worlds.makeWorld(createMemoryLedger(), {}, other);
  await fill(world, 4);
  return new Scene(world, roots);
}

function seriesName({
  namespace,
  name,
  dimensions,
}: {
  readonly namespace: string;
  readonly name: string;
  readonly dimensions: Readonly<Record<string, unknown>>;
}): string {
  return JSON.stringify([namespace, name, Object.entries(dimensions).sort()]);
}

const requestOf = ({ world }: Scene, tenant: string) => ({
  'detail-type': 'TenantKeyRotationRequested',
  source: 'app',
  time: new Date(world.clock.now()).toISOString(),
  detail: { schemaVersion: 1, tenant, requestId: 'r', requestedBy: 'app' },
});

/** A chunk that is none. */
const badChunk = { Records: [{ messageId: '1', body: 'none' }] };

/** A call to a KMS that answers with this error. */
const CODES: Readonly<Record<string, string>> = {
  AccessDeniedException: 'PROVIDER_DENIED',
  ThrottlingException: 'PROVIDER_THROTTLED',
};
const codeOf = (error: unknown) => (error instanceof KeyturnError ? error.code : error);

async function callKms(scene: Scene, status: number, error: string | null) {
  const { world, metrics, rootKeyId } = scene;
  const server = createServer((incoming, response) => {
    incoming.resume().on('end', () => {
      response.writeHead(error === null ? 200 : status, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(
        JSON.stringify(error === null ? { KeyId: rootKeyId, CiphertextBlob: 'AAAA' } : { __type: error }),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const clients = createKmsClients({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
    maxAttempts: 1,
  });
  const provider = createAwsKmsProvider({
    ...{ rootKey: rootKeyId, tenantRootKeys: {}, formerRootKeys: [], requestsPerSecond: 100 },
    ...{ clients, clock: world.clock, metrics },
  });
  const context = { ...KEY, keyId: '01900000-0000-7000-8000-000000000001', version: 1 };
  const made = () => provider.generateKek(context).then(() => null, codeOf);
  await scene.measure(async () => expect(await made()).toBe(error === null ? null : CODES[error]));
  clients.destroy();
  server.close();
}

/** What the schedules do every quarter of an hour. */
async function lookLater(scene: Scene): Promise<void> {
  scene.pass(HOUR / 4);
  await scene.call('monitor');
  await scene.call('kms-event', SCHEDULES['root-keys'].input);
}

interface Scenario {
  readonly approvals?: object;
  readonly fires: (scene: Scene) => Promise<unknown>;
  readonly quiet: (scene: Scene) => Promise<unknown>;
}

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  KeysOverdue: {
    fires: async (scene) => {
      scene.pass(91 * DAY);
      await scene.call('monitor');
    },
    quiet: async (scene) => {
      scene.pass(89 * DAY);
      await scene.call('monitor');
    },
  },
  KeysNearlyFull: {
    fires: async (scene) => {
      await scene.world.changeKey((key) => ({ ...withDestroyed(key, 300), revision: key.revision + 1 }));
      await scene.call('monitor');
    },
    quiet: async (scene) => {
      await scene.world.changeKey((key) => ({ ...withDestroyed(key, 200), revision: key.revision + 1 }));
      await scene.call('monitor');
    },
  },
  JobsStuck: {
    fires: async (scene) => {
      await requestRotation(scene.world.deps, KEY);
      scene.pass(2 * HOUR);
      await scene.call('monitor');
      scene.pass(HOUR / 4);
      await scene.call('monitor');
    },
    quiet: async (scene) => {
      await requestRotation(scene.world.deps, KEY);
      scene.pass(2 * HOUR);
      // One look may fall into the moment after it was taken up again.
      await scene.call('monitor');
    },
  },
  JobsPaused: {
    fires: async (scene) => {
      await requestRotation(scene.world.deps, KEY);
      scene.roots.set(scene.rootKeyId, 'DISABLED');
      await scene.call('kms-event', { source: 'aws.kms', detail: { 'key-id': scene.rootKeyId } });
      await scene.call('monitor');
    },
    quiet: async (scene) => {
      await requestRotation(scene.world.deps, KEY);
      await scene.call('monitor');
    },
  },
  RecordsInQuarantine: {
    fires: async (scene) => {
      scene.spoil();
      await scene.rotate();
      await scene.call('monitor');
    },
    quiet: async (scene) => {
      await scene.rotate();
      await scene.call('monitor');
    },
  },
  PurgesAwaitingApproval: {
    approvals: NEEDS_ONE,
    fires: async (scene) => {
      await scene.rotate();
      await scene.purge();
      await scene.call('monitor');
    },
    quiet: async (scene) => {
      await scene.rotate();
      await scene.approve(await scene.purge(), 'alice');
      await scene.call('sweep');
      await scene.goOnPurging();
      await scene.call('monitor');
    },
  },
  BreakGlassApprovals: {
    approvals: NEEDS_ONE,
    fires: async (scene) => {
      await scene.rotate();
      await scene.approve(await scene.purge(), 'emergency-eve');
      // It is over by now, and that is no reason for silence.
      await scene.call('sweep');
      await scene.goOnPurging();
      await scene.call('monitor');
    },
    quiet: async (scene) => {
      await scene.rotate();
      await scene.approve(await scene.purge(), 'alice');
      await scene.call('monitor');
    },
  },
  StateForged: {
    fires: async (scene) => {
      const chunk = {
        v: 1 as const,
        jobId: randomUUID(),
        tenant: TENANT,
        recordSet: 'people',
        progress: null,
      };
      const body = await writeBody(createTestState('attacker'), { ...chunk, keys: [['1']] });
      await scene.call('process-chunk', { Records: [{ messageId: '1', body }] });
    },
    quiet: (scene) => scene.rotate(),
  },
  PendingVersionsUsed: {
    fires: async (scene) => {
      await scene.fence();
      await scene.world.makeKeyring().version(TENANT, PURPOSE, 1);
      await scene.call('monitor');
    },
    quiet: async (scene) => {
      await scene.fence();
      await scene.call('monitor');
    },
  },
  MonitorSilent: {
    fires: async (scene) => {
      await scene.call('monitor');
      scene.pass(HOUR + 1);
    },
    quiet: async (scene) => {
      await scene.call('monitor');
      scene.pass(HOUR - 1);
    },
  },
  JobsBlocked: {
    fires: async (scene) => {
      const { jobId } = (await requestRotation(scene.world.deps, KEY)).job;
      await scene.call('stop-job', { jobId, error: { Error: 'PermanentError', Cause: 'X: y' } });
    },
    quiet: (scene) => scene.rotate(),
  },
  JobsWaiting: {
    fires: async (scene) => {
      const { jobId } = (await requestRotation(scene.world.deps, KEY)).job;
      await scene.call('stop-job', { jobId, error: { Error: 'PermanentError', Cause: 'X: y' } });
      // Days later, too.
      scene.pass(3 * DAY);
      await scene.call('monitor');
    },
    quiet: async (scene) => {
      const { jobId } = (await requestRotation(scene.world.deps, KEY)).job;
      await scene.call('stop-job', { jobId, error: { Error: 'TransientError', Cause: 'X: y' } });
      await scene.call('monitor');
      scene.pass(DAY);
      await scene.call('sweep');
      await scene.call('monitor');
    },
  },
  SweepMissing: {
    fires: async (scene) => {
      await scene.call('sweep');
      scene.pass(26 * HOUR + 1);
    },
    // A day later, at the latest minute of the schedule's window, and the sweep's own time.
    quiet: async (scene) => {
      await scene.call('sweep');
      scene.pass(25 * HOUR);
    },
  },
  AuditExportMissing: {
    fires: async (scene) => {
      await scene.call('export-audit');
      scene.pass(3 * HOUR + 1);
    },
    quiet: async (scene) => {
      await scene.call('export-audit');
      // The latest minute of the schedule's window, and a run that lasts.
      scene.pass(2 * HOUR);
    },
  },
  AuditExportFailures: {
    fires: async (scene) => {
      scene.world.faults.before = (call) => {
        if (call === 'archive.put') throw new AuditError('AUDIT_DENIED', 'no');
      };
      await scene.call('export-audit');
    },
    quiet: async (scene) => {
      await scene.call('export-audit');
    },
  },
  AuditChainBroken: {
    fires: async (scene) => {
      await scene.call('export-audit');
      await scene.rotate();
      // Somebody puts another archive in its place.
      scene.world.archive.objects.clear();
      await scene.call('export-audit');
    },
    quiet: async (scene) => {
      await scene.call('export-audit');
      await scene.rotate();
      await scene.call('export-audit');
    },
  },
  SweepFailures: {
    fires: async (scene) => {
      scene.pass(91 * DAY);
      scene.world.faults.before = (call) => {
        if (call === 'executions.start') throw new RotationError('EXECUTIONS_UNAVAILABLE', 'down');
      };
      await scene.call('sweep');
    },
    quiet: async (scene) => {
      scene.pass(91 * DAY);
      await scene.call('sweep');
    },
  },
  RootKeyUnusable: {
    // One that wraps nothing yet, so that nothing in the ledger shows it.
    fires: async (scene) => {
      const next = scene.roots.add();
      scene.roots.ofTenant.set(TENANT, next);
      scene.roots.set(next, 'PENDING_DELETION');
      await scene.call('sweep');
      for (let i = 0; i < 8; i++) await lookLater(scene);
    },
    // One that was about to be deleted, and was saved: no event tells when it is a customer's.
    quiet: async (scene) => {
      scene.roots.set(scene.rootKeyId, 'PENDING_DELETION');
      await scene.call('sweep');
      await lookLater(scene);
      scene.roots.set(scene.rootKeyId, 'ENABLED');
      for (let i = 0; i < 5; i++) await lookLater(scene);
    },
  },
  RootKeyMaterialExpiring: {
    fires: async (scene) => {
      const key = scene.roots.keys.get(scene.rootKeyId);
      if (key !== undefined)
        key.materialExpiresAt = new Date(scene.world.clock.now() + DAY * 1000).toISOString();
      await scene.call('sweep');
    },
    quiet: async (scene) => {
      const key = scene.roots.keys.get(scene.rootKeyId);
      if (key !== undefined)
        key.materialExpiresAt = new Date(scene.world.clock.now() + 360 * DAY * 1000).toISOString();
      await scene.call('sweep');
    },
  },
  KmsDenied: {
    fires: (scene) => callKms(scene, 400, 'AccessDeniedException'),
    quiet: (scene) => callKms(scene, 200, null),
  },
  KmsThrottled: {
    fires: (scene) => callKms(scene, 400, 'ThrottlingException'),
    quiet: (scene) => callKms(scene, 400, 'AccessDeniedException'),
  },
  KmsEventsUnreadable: {
    fires: (scene) => scene.call('kms-event', { source: 'aws.kms', detail: {} }),
    quiet: (scene) => scene.call('kms-event', { source: 'aws.kms', detail: { 'key-id': scene.rootKeyId } }),
  },
  RequestsRefused: {
    fires: (scene) => scene.callInVain('rotation-request', requestOf(scene, 'nobody')),
    quiet: (scene) => scene.call('rotation-request', requestOf(scene, TENANT)),
  },
  ChunksFailed: {
    // One batch that fails again and again: each time it comes back after the queue's visibility timeout.
    fires: async (scene) => {
      for (let i = 0; i < 3; i++) {
        if (i > 0) scene.pass(VISIBILITY_SECONDS);
        await scene.call('process-chunk', badChunk);
      }
    },
    quiet: async (scene) => {
      await scene.call('process-chunk', badChunk);
      scene.pass(VISIBILITY_SECONDS);
      await scene.call('process-chunk', { Records: [] });
      await scene.rotate();
    },
  },
};

/**
 * AWS emits these itself: nothing of ours is in between, so a value stands for it here. The emulator suite makes the real
 * ones where an emulator does (dead letters, failed executions).
 */
const OF_AWS: Readonly<Record<string, string>> = {
  WorkerErrors: 'Lambda counts invocations that throw',
  WorkerThrottles: 'Lambda counts invocations for which the account has no concurrency left',
  EventFunctionErrors: 'Lambda counts invocations that throw',
  DeadLetters: 'SQS counts the messages of a queue',
  ExecutionsFailed: 'Step Functions counts executions that end in Fail',
  ExecutionsTimedOut: 'Step Functions counts executions that took too long',
};

const deployed = new Map(
  Object.entries(alarms(stage)).flatMap(([logicalId, { Type, Properties }]) =>
    Type === 'AWS::CloudWatch::Alarm' ? [[logicalId, alarmSchema.parse(Properties)] as const] : [],
  ),
);

async function stateAfter(name: string, play: Scenario['fires']): Promise<boolean> {
  const alarm = deployed.get(`${name}Alarm`);
  if (alarm === undefined) throw new Error(`no alarm ${name}`);
  const scene = await makeScene(SCENARIOS[name]?.approvals);
  await play(scene);
  const dimensions = Object.fromEntries(alarm.Dimensions.map(({ Name, Value }) => [Name, Value]));
  const series = seriesName({ namespace: alarm.Namespace, name: alarm.MetricName, dimensions });
  const own = scene.samples.filter((sample) => sample.series === series);
  // Whoever watches a gauge must see its zero.
  if (alarm.TreatMissingData === 'ignore') expect(own).not.toEqual([]);
  return isInAlarm(alarm, own, scene.world.clock.now());
}

describe('an alarm', () => {
  it('of a root key lasts, whatever is looked at in between, until a look at it finds it usable', async () => {
    const disabled = async (scene: Scene) => {
      scene.roots.set(scene.rootKeyId, 'PENDING_DELETION');
      await scene.call('sweep');
      // Hours later an event about some other key, which looks at no root key in use, does not silence it.
      scene.pass(2 * HOUR);
      await scene.call('kms-event', { source: 'aws.kms', detail: { 'key-id': 'another' } });
    };
    // One that wraps nothing yet, so that nothing in the ledger shows it, and does not answer any more.
    const unanswered = async (scene: Scene) => {
      const next = scene.roots.add();
      scene.roots.ofTenant.set(TENANT, next);
      scene.roots.set(next, 'PENDING_DELETION');
      await scene.call('sweep');
      scene.pass(2 * HOUR);
      scene.roots.silent.add(next);
      await scene.call('sweep');
      await lookLater(scene);
    };
    for (const play of [(scene: Scene) => disabled(scene).then(() => scene.call('monitor')), unanswered])
      expect(await stateAfter('RootKeyUnusable', play)).toBe(true);
  });

  it('has a scenario that fires it, or is of a metric that AWS emits', () => {
    const own = Object.entries(ALARMS).filter(([, { metric }]) => metric !== undefined);
    expect(own.map(([name]) => name).sort()).toEqual(Object.keys(SCENARIOS).sort());
    const others = Object.entries(ALARMS).filter(([, { metric }]) => metric === undefined);
    expect(others.map(([name]) => name).sort()).toEqual(Object.keys(OF_AWS).sort());
    const namespaces = [...deployed.values()].map(({ Namespace }) => Namespace);
    expect(namespaces.filter((name) => name === METRICS_NAMESPACE)).toHaveLength(own.length);
  });

  it.each(Object.entries(SCENARIOS))('%s fires by its own emitter', async (name, { fires }) => {
    expect(await stateAfter(name, fires)).toBe(true);
  });

  it.each(Object.entries(SCENARIOS))(
    '%s stays quiet when there is nothing to say',
    async (name, { quiet }) => {
      expect(await stateAfter(name, quiet)).toBe(false);
    },
  );

  const ofAws = [...deployed].filter(([, { Namespace }]) => Namespace !== METRICS_NAMESPACE);

  it.each(ofAws)('%s fires by what AWS counts, and not by its zero or its silence', (_, alarm) => {
    const now = Date.parse('2026-01-01T12:00:00Z');
    const counted = (value: number) =>
      Array.from({ length: alarm.EvaluationPeriods }, (__, i) => ({
        at: now - i * alarm.Period * 1000,
        value,
      }));
    expect(isInAlarm(alarm, counted(alarm.Threshold + 1), now)).toBe(true);
    expect(isInAlarm(alarm, counted(0), now)).toBe(false);
    expect(isInAlarm(alarm, [], now)).toBe(false);
  });

  it('is deployed by the names that the metrics have', () => {
    for (const { Namespace, Dimensions } of deployed.values())
      if (Namespace === METRICS_NAMESPACE)
        expect(Dimensions).toEqual([{ Name: 'service', Value: z.string().parse(stage.service) }]);
  });
});
