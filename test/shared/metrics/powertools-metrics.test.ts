import { afterEach, expect, it, vi } from 'vitest';
import { METRICS, type MetricName } from '../../../shared/metrics/metrics.ts';
import { createPowertoolsMetrics } from '../../../shared/metrics/powertools-metrics.ts';
import { readMetricLines } from '../../support/metric-lines.ts';
import { linesWritten } from '../../support/standard-output.ts';

afterEach(() => vi.unstubAllEnvs());

async function emitted(add: (metrics: ReturnType<typeof createPowertoolsMetrics>['metrics']) => void) {
  const { metrics, publisher } = createPowertoolsMetrics('keyturn-test');
  const lines = await linesWritten(() => {
    add(metrics);
    publisher.publishStoredMetrics();
  });
  return { lines, data: readMetricLines(lines) };
}

it('gives every metric in its unit, in one namespace with one dimension', async () => {
  const names = Object.keys(METRICS) as MetricName[];
  const { lines, data } = await emitted((metrics) => {
    for (const [i, name] of names.entries()) metrics.add(name, i);
  });
  expect(lines).toHaveLength(1);
  expect(data).toEqual(
    names.map((name, i) => ({
      at: expect.any(Number),
      namespace: 'Keyturn',
      name,
      unit: METRICS[name].unit,
      dimensions: { service: 'keyturn-test' },
      values: [i],
    })),
  );
});

it('takes the service from the environment, where none is given', async () => {
  vi.stubEnv('POWERTOOLS_SERVICE_NAME', 'keyturn-prod');
  const { metrics, publisher } = createPowertoolsMetrics();
  const lines = await linesWritten(() => {
    metrics.add('KmsCalls', 1);
    publisher.publishStoredMetrics();
  });
  expect(readMetricLines(lines)).toMatchObject([{ dimensions: { service: 'keyturn-prod' } }]);
});

it('loses no value of more than a line may hold', async () => {
  const { lines, data } = await emitted((metrics) => {
    for (let i = 1; i <= 250; i++) metrics.add('KmsLatency', i);
    metrics.add('KmsCalls', 250);
  });
  expect(lines).toHaveLength(3);
  const latencies = data.filter(({ name }) => name === 'KmsLatency').flatMap(({ values }) => values);
  expect(latencies).toEqual(Array.from({ length: 250 }, (_, i) => i + 1));
  expect(data.find(({ name }) => name === 'KmsCalls')?.values).toEqual([250]);
});

it('never throws, and writes nothing where nothing was measured', async () => {
  const { lines } = await emitted((metrics) => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])
      metrics.add('KmsLatency', value);
  });
  expect(lines).toEqual([]);
});
