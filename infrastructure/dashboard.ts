import { METRICS_DIMENSION, METRICS_NAMESPACE, type MetricName } from '../shared/metrics/metrics.ts';
import type { Resources } from './cloudformation.ts';
import { queueName } from './queues.ts';
import type { Stage } from './stage.ts';

/** One page: what is in work, how fast, what is old, what is set aside, and how KMS answers. */
export function dashboard(stage: Stage): Resources {
  const own = (statistic: string, ...names: MetricName[]) =>
    names.map((name) => [
      METRICS_NAMESPACE,
      name,
      METRICS_DIMENSION,
      stage.service,
      { stat: statistic, label: name },
    ]);
  const queue = (metric: string, ...names: Parameters<typeof queueName>[1][]) =>
    names.map((name) => [
      'AWS/SQS',
      metric,
      'QueueName',
      queueName(stage, name),
      { stat: 'Maximum', label: name },
    ]);
  const widgets = [
    graph('Jobs', own('Maximum', 'JobsRunning', 'JobsStuck', 'JobsPaused', 'JobsBlockedNow')),
    graph('Jobs that ended', own('Sum', 'JobsCompleted', 'JobsBlocked')),
    graph('Records a minute', own('Sum', 'RecordsRewrapped', 'RecordsSkipped', 'RecordsQuarantined'), 60),
    graph('Age of the oldest key (days)', [
      [{ expression: 'age / 86400', label: 'OldestKeyAge' }],
      [
        METRICS_NAMESPACE,
        'OldestKeyAge',
        METRICS_DIMENSION,
        stage.service,
        { stat: 'Maximum', id: 'age', visible: false },
      ],
    ]),
    graph(
      'Keys over their age, purges that wait',
      own('Maximum', 'KeysOverdue', 'KeysNearlyFull', 'PurgesAwaitingApproval', 'BreakGlassApprovals'),
    ),
    graph('Stale records, as censuses count them', own('Maximum', 'StaleRecords')),
    graph('Quarantine', own('Maximum', 'QuarantinedRecords')),
    graph(
      'Forged state, uses of versions before their purge',
      own('Sum', 'StateForged', 'PendingVersionsUsed'),
    ),
    graph('Work queue', queue('ApproximateNumberOfMessagesVisible', 'WorkQueue')),
    graph('Dead letters', queue('ApproximateNumberOfMessagesVisible', 'WorkDeadLetters', 'EventDeadLetters')),
    graph('Chunks that failed', own('Sum', 'ChunksFailed')),
    graph('KMS calls and errors', own('Sum', 'KmsCalls', 'KmsErrors', 'KmsDenied', 'KmsThrottled')),
    graph('KMS latency (ms)', [...own('p50', 'KmsLatency'), ...own('p99', 'KmsLatency')]),
    graph('Root keys', own('Maximum', 'RootKeysUnusable', 'RootKeyMaterialExpiring')),
    graph(
      'Audit',
      own(
        'Maximum',
        'AuditEntriesPending',
        'AuditExportFailures',
        'AuditChainsBroken',
        'AuditExportCompleted',
      ),
    ),
    graph('Daily sweep', own('Sum', 'SweepCompleted', 'SweepFailures', 'KeksRewrapped', 'RequestsRefused')),
  ];
  const body = { widgets: widgets.map((widget, i) => place(widget, i, stage.deployment.region)) };
  return {
    Dashboard: {
      Type: 'AWS::CloudWatch::Dashboard',
      Properties: { DashboardName: stage.service, DashboardBody: JSON.stringify(body) },
    },
  };
}

interface Graph {
  readonly title: string;
  readonly metrics: readonly unknown[];
  readonly period: number;
}

function graph(title: string, metrics: readonly unknown[], period = 900): Graph {
  return { title, metrics, period };
}

/** Columns of the page, of CloudWatch's 24 units. */
const WIDTH = 8;
const HEIGHT = 6;
const COLUMNS = 24 / WIDTH;

function place({ title, metrics, period }: Graph, i: number, region: string) {
  return {
    type: 'metric',
    x: (i % COLUMNS) * WIDTH,
    y: Math.floor(i / COLUMNS) * HEIGHT,
    width: WIDTH,
    height: HEIGHT,
    properties: { title, metrics, period, region, view: 'timeSeries', yAxis: { left: { min: 0 } } },
  };
}
