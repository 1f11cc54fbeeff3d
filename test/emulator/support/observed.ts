import {
  DescribeExecutionCommand,
  GetExecutionHistoryCommand,
  paginateListExecutions,
  type SFNClient,
} from '@aws-sdk/client-sfn';
import { z } from 'zod';
import { REGION } from './emulators.ts';
import type { Emulator } from './server.ts';

/** What the deployed service leaves behind for people to see: log lines, metrics, executions. */

const groupsSchema = z.object({ logGroups: z.array(z.object({ logGroupName: z.string() })) });
const eventsSchema = z.object({
  events: z.array(z.object({ message: z.string() })),
  nextToken: z.string().nullish(),
});

/** Every line of every function, by function. */
export async function logLines(ministack: Emulator): Promise<ReadonlyMap<string, readonly string[]>> {
  const { logGroups } = groupsSchema.parse(await logs(ministack, 'DescribeLogGroups', {}));
  const lines = new Map<string, string[]>();
  for (const { logGroupName } of logGroups) {
    const own: string[] = [];
    let nextToken: string | undefined;
    do {
      const request = { logGroupName, limit: 10_000, ...(nextToken !== undefined && { nextToken }) };
      const page = eventsSchema.parse(await logs(ministack, 'FilterLogEvents', request));
      own.push(...page.events.map(({ message }) => message));
      nextToken = page.nextToken ?? undefined;
    } while (nextToken !== undefined);
    lines.set(logGroupName.replace(/^.*\//, ''), own);
  }
  return lines;
}

/** CloudWatch Logs, whose client the project has no other use for. */
async function logs({ endpoint }: Emulator, operation: string, request: object): Promise<unknown> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-amz-json-1.1',
      'x-amz-target': `Logs_20140328.${operation}`,
      authorization: `AWS4-HMAC-SHA256 Credential=test/20260101/${REGION}/logs/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body: JSON.stringify(request),
  });
  if (!response.ok) throw new Error(`${operation}: ${response.status} ${await response.text()}`);
  return response.json();
}

/** One metric of one line of the embedded metric format. */
export interface MeasuredMetric {
  readonly namespace: string;
  readonly name: string;
  readonly unit: string | undefined;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly values: readonly number[];
}

const emfSchema = z.looseObject({
  _aws: z.object({
    CloudWatchMetrics: z.array(
      z.object({
        Namespace: z.string(),
        Dimensions: z.array(z.array(z.string())),
        Metrics: z.array(z.object({ Name: z.string(), Unit: z.string().optional() })),
      }),
    ),
  }),
});

/** What CloudWatch would make metrics of: D/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html */
export function measured(lines: Iterable<string>): MeasuredMetric[] {
  const metrics: MeasuredMetric[] = [];
  for (const line of lines) {
    if (!line.startsWith('{') || !line.includes('"_aws"')) continue;
    const { _aws, ...values } = emfSchema.parse(JSON.parse(line));
    for (const { Namespace, Dimensions, Metrics } of _aws.CloudWatchMetrics) {
      for (const names of Dimensions) {
        for (const { Name, Unit } of Metrics) {
          metrics.push({
            ...{ namespace: Namespace, name: Name, unit: Unit },
            dimensions: Object.fromEntries(names.map((name) => [name, String(values[name])])),
            values: [values[Name]].flat().map(Number),
          });
        }
      }
    }
  }
  return metrics;
}

/** Input, output and every event of every execution, as text. */
export async function executionTexts(client: SFNClient, stateMachineArn: string): Promise<string[]> {
  const texts: string[] = [];
  for await (const { executions = [] } of paginateListExecutions({ client }, { stateMachineArn })) {
    for (const { executionArn } of executions) {
      const execution = await client.send(new DescribeExecutionCommand({ executionArn }));
      const history = await client.send(new GetExecutionHistoryCommand({ executionArn, maxResults: 1000 }));
      texts.push(JSON.stringify(execution), JSON.stringify(history.events));
    }
  }
  return texts;
}
