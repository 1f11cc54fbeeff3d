import { z } from 'zod';

/**
 * CloudWatch's side of an alarm: its state by the data of its metric. D/AmazonCloudWatch/latest/monitoring/
 * AlarmThatSendsEmail.html#alarm-evaluation. Simpler in one point: missing data are filled in for every period.
 */

export const alarmSchema = z.object({
  Namespace: z.string(),
  MetricName: z.string(),
  Dimensions: z.array(z.object({ Name: z.string(), Value: z.unknown() })),
  Statistic: z.enum(['Sum', 'Maximum', 'Minimum', 'Average', 'SampleCount']),
  /** Seconds. */
  Period: z.int(),
  EvaluationPeriods: z.int(),
  DatapointsToAlarm: z.int(),
  Threshold: z.number(),
  ComparisonOperator: z.enum([
    'GreaterThanThreshold',
    'GreaterThanOrEqualToThreshold',
    'LessThanThreshold',
    'LessThanOrEqualToThreshold',
  ]),
  TreatMissingData: z.enum(['breaching', 'notBreaching', 'ignore', 'missing']),
});
export type Alarm = z.infer<typeof alarmSchema>;

/** Values of the alarm's own metric and dimensions. */
export interface Sample {
  /** Milliseconds. */
  readonly at: number;
  readonly value: number;
}

const STATISTICS: Readonly<Record<Alarm['Statistic'], (values: readonly number[]) => number>> = {
  Sum: (values) => values.reduce((a, b) => a + b, 0),
  Maximum: (values) => Math.max(...values),
  Minimum: (values) => Math.min(...values),
  Average: (values) => values.reduce((a, b) => a + b, 0) / values.length,
  SampleCount: (values) => values.length,
};

const COMPARISONS: Readonly<
  Record<Alarm['ComparisonOperator'], (value: number, threshold: number) => boolean>
> = {
  GreaterThanThreshold: (value, threshold) => value > threshold,
  GreaterThanOrEqualToThreshold: (value, threshold) => value >= threshold,
  LessThanThreshold: (value, threshold) => value < threshold,
  LessThanOrEqualToThreshold: (value, threshold) => value <= threshold,
};

/**
 * Whether the alarm is in ALARM at `now`. One that ignores missing data stays as it was when the last data went out of
 * sight; before any, it is OK.
 */
export function isInAlarm(alarm: Alarm, samples: readonly Sample[], now: number): boolean {
  const period = alarm.Period * 1000;
  const seenUntil = Math.max(...samples.map(({ at }) => at)) + period * alarm.EvaluationPeriods - 1;
  if (alarm.TreatMissingData === 'ignore' && samples.length > 0 && seenUntil < now)
    return isInAlarm(alarm, samples, seenUntil);
  let breaching = 0;
  for (let i = 0; i < alarm.EvaluationPeriods; i++) {
    const end = now - i * period;
    const values = samples.flatMap(({ at, value }) => (at > end - period && at <= end ? [value] : []));
    const breaches =
      values.length === 0
        ? alarm.TreatMissingData === 'breaching'
        : COMPARISONS[alarm.ComparisonOperator](STATISTICS[alarm.Statistic](values), alarm.Threshold);
    if (breaches) breaching += 1;
  }
  return breaching >= alarm.DatapointsToAlarm;
}
