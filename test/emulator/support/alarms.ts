import {
  type CloudWatchClient,
  PutMetricDataCommand,
  paginateDescribeAlarms,
} from '@aws-sdk/client-cloudwatch';
import type { MeasuredMetric } from './observed.ts';

/** ministack evaluates alarms, and makes no metrics of log lines, queues and executions: these are handed to it here. */

/** D/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html */
const VALUES = 150;

export async function putMetrics(
  client: CloudWatchClient,
  metrics: readonly MeasuredMetric[],
): Promise<void> {
  for (const { namespace, name, dimensions, values } of metrics) {
    for (let from = 0; from < values.length; from += VALUES) {
      await client.send(
        new PutMetricDataCommand({
          Namespace: namespace,
          MetricData: [
            {
              MetricName: name,
              Dimensions: Object.entries(dimensions).map(([Name, Value]) => ({ Name, Value })),
              Values: values.slice(from, from + VALUES),
            },
          ],
        }),
      );
    }
  }
}

export interface DeployedAlarm {
  readonly name: string;
  readonly firing: boolean;
  /** The metric that it reads, to be compared with what was measured: namespace, name, dimensions. */
  readonly metric: string;
}

export async function readAlarms(client: CloudWatchClient): Promise<DeployedAlarm[]> {
  const alarms: DeployedAlarm[] = [];
  for await (const { MetricAlarms = [] } of paginateDescribeAlarms({ client }, {})) {
    for (const {
      AlarmName = '',
      StateValue,
      Namespace = '',
      MetricName = '',
      Dimensions = [],
    } of MetricAlarms) {
      const dimensions = Object.fromEntries(Dimensions.map(({ Name = '', Value = '' }) => [Name, Value]));
      const metric = metricId({ namespace: Namespace, name: MetricName, dimensions });
      alarms.push({ name: AlarmName, firing: StateValue === 'ALARM', metric });
    }
  }
  return alarms;
}

export function metricId({
  namespace,
  name,
  dimensions,
}: Pick<MeasuredMetric, 'namespace' | 'name' | 'dimensions'>): string {
  return JSON.stringify([namespace, name, Object.entries(dimensions).sort()]);
}
