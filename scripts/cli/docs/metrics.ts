import { METRICS, METRICS_DIMENSION, METRICS_NAMESPACE } from '../../../shared/metrics/metrics.ts';

/** docs/metrics.md: every metric with its unit and meaning. */
export function metricsPage(): string {
  const rows = Object.entries(METRICS).map(
    ([name, { unit, means }]) => `| \`${name}\` | ${unit} | ${means} |`,
  );
  return `<!-- Made from shared/metrics/metrics.ts by scripts/cli/docs/write.ts; a test checks that it is current. -->
# Metrics

In AWS every function writes its metrics as lines of CloudWatch's embedded metric format at the end of each invocation; the
embedded stack measures nothing. They are in the namespace \`${METRICS_NAMESPACE}\`, with the one dimension \`${METRICS_DIMENSION}\`, whose value is
\`keyturn-<stage>\`. CloudWatch adds nothing up over dimensions, so an alarm or a dashboard of yours must name exactly this one:

\`\`\`sh
aws cloudwatch get-metric-statistics --namespace ${METRICS_NAMESPACE} --metric-name OldestKeyAge --statistics Maximum \\
  --dimensions Name=${METRICS_DIMENSION},Value=keyturn-prod --period 3600 --start-time … --end-time …
\`\`\`

No tenant, key or record is a dimension: their number is unbounded, and each would be a metric of its own. The log lines of the same
invocation have job, tenant and key as fields.

| metric | unit | one value is |
|---|---|---|
${rows.join('\n')}

"At the time of a look": the function \`monitor\` looks every 15 minutes, and gives zero where there is nothing.
\`RootKeysUnusable\` gets its zero from a look that asked for every root key in doubt: the schedule \`root-keys\`, every 15 minutes, or
the daily sweep. What alarms watch is in \`infrastructure/alarms.yml\`.
`;
}
