import { z } from 'zod';

/** CloudWatch's side of the embedded metric format: the values of each metric that a log line gives. */

const emfSchema = z.looseObject({
  _aws: z.object({
    Timestamp: z.int(),
    CloudWatchMetrics: z.array(
      z.object({
        Namespace: z.string(),
        Dimensions: z.array(z.array(z.string())),
        Metrics: z.array(z.object({ Name: z.string(), Unit: z.string() })),
      }),
    ),
  }),
});

export interface Datum {
  /** Milliseconds. */
  readonly at: number;
  readonly namespace: string;
  readonly name: string;
  readonly unit: string;
  readonly dimensions: Readonly<Record<string, string>>;
  readonly values: readonly number[];
}

/** Lines that are not of the format are log lines, and are passed over. Throws where CloudWatch would drop a metric. */
export function readMetricLines(lines: readonly string[]): readonly Datum[] {
  return lines.flatMap((line) => {
    const parsed: unknown = JSON.parse(line);
    if (typeof parsed !== 'object' || parsed === null || !('_aws' in parsed)) return [];
    const emf = emfSchema.parse(parsed);
    return emf._aws.CloudWatchMetrics.flatMap(({ Namespace, Dimensions, Metrics }) =>
      Dimensions.flatMap((names) =>
        Metrics.map(({ Name, Unit }): Datum => {
          const value = z.union([z.number(), z.array(z.number()).max(100)]).parse(emf[Name]);
          return {
            at: emf._aws.Timestamp,
            namespace: Namespace,
            name: Name,
            unit: Unit,
            dimensions: Object.fromEntries(names.map((name) => [name, z.string().parse(emf[name])])),
            values: [value].flat(),
          };
        }),
      ),
    );
  });
}
