import { Metrics as PowertoolsMetrics } from '@aws-lambda-powertools/metrics';
import { METRICS, METRICS_NAMESPACE, type Metrics } from './metrics.ts';

/** Powertools warns of every invocation that measured nothing, and many measure nothing. */
const quiet = { debug() {}, info() {}, warn() {}, error() {} };

/**
 * The metrics of a Lambda: lines of CloudWatch's embedded metric format on standard output, one at the end of each
 * invocation (Powertools' middleware calls publishStoredMetrics), and one more whenever a metric has 100 values, the
 * format's limit. D/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
 */
export function createPowertoolsMetrics(service?: string): {
  readonly metrics: Metrics;
  readonly publisher: PowertoolsMetrics;
} {
  const publisher = new PowertoolsMetrics({
    namespace: METRICS_NAMESPACE,
    ...(service !== undefined && { serviceName: service }),
    logger: quiet,
  });
  return {
    publisher,
    metrics: {
      add(name, value) {
        // The format has no other numbers, and Powertools throws on nothing else that can come here.
        if (Number.isFinite(value)) publisher.addMetric(name, METRICS[name].unit, value);
      },
    },
  };
}
