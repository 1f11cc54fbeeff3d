/**
 * The port to the metrics that dashboard and alarms read. No tenant, key or record is a dimension: their number is
 * unbounded, and each would be a metric of its own.
 */

/** In CloudWatch. */
export const METRICS_NAMESPACE = 'Keyturn';

/**
 * The one dimension of every metric. Its value is the deployed service's name, `keyturn-<stage>`, from the environment
 * variable POWERTOOLS_SERVICE_NAME. An alarm or a dashboard must name exactly this dimension: CloudWatch adds nothing
 * up over dimensions, and without it finds no data.
 */
export const METRICS_DIMENSION = 'service';

/** Every metric, its unit and what one value means. Alarms and dashboard name these; a test compares. */
export const METRICS = {
  RecordsRewrapped: { unit: 'Count', means: 'records whose envelopes were written on a newer version' },
  RecordsSkipped: { unit: 'Count', means: 'records that had nothing left to do, or were written meanwhile' },
  RecordsQuarantined: { unit: 'Count', means: 'records set aside by a worker' },
  ChunksFailed: { unit: 'Count', means: 'messages that went back to the queue' },
  StaleRecords: { unit: 'Count', means: 'values that a census found off the active version' },
  JobsCompleted: { unit: 'Count', means: 'rotations, purges and adoptions that ended' },
  JobsBlocked: { unit: 'Count', means: 'jobs that stopped with a named blocker' },
  JobsRunning: { unit: 'Count', means: 'jobs without an end, at the time of a look' },
  JobsStuck: { unit: 'Count', means: 'running jobs without progress for longer than the policy allows' },
  JobsBlockedNow: {
    unit: 'Count',
    means: 'jobs that stand still with a named blocker, at the time of a look',
  },
  JobsPaused: { unit: 'Count', means: 'jobs that wait for their root key' },
  QuarantinedRecords: { unit: 'Count', means: 'records in quarantine, at the time of a look' },
  OldestKeyAge: { unit: 'Seconds', means: 'age of the oldest active version' },
  KeysOverdue: { unit: 'Count', means: 'keys whose active version is older than rotation.everyDays' },
  KeysNearlyFull: {
    unit: 'Count',
    means: 'keys that have, or may come to have, over 75 % of the item in which their versions stand',
  },
  StateForged: {
    unit: 'Count',
    means: "items of the ledger and messages of the queue that are not Keyturn's own, each time one is met",
  },
  PendingVersionsUsed: {
    unit: 'Count',
    means: 'uses of versions that wait for their purge, which is called off',
  },
  PurgesAwaitingApproval: {
    unit: 'Count',
    means: "purges that wait for people's approvals, or are due and have nobody to approve them",
  },
  BreakGlassApprovals: {
    unit: 'Count',
    means: 'approvals by approvers for emergencies in the last day, at the time of a look',
  },
  RootKeysUnusable: {
    unit: 'Count',
    means: 'root keys in use that are disabled, gone or about to be deleted',
  },
  RootKeyMaterialExpiring: { unit: 'Count', means: 'root keys whose imported material expires soon' },
  KmsEventsUnreadable: { unit: 'Count', means: 'KMS events that name no key where one is expected' },
  KeksRewrapped: { unit: 'Count', means: 'KEKs that were wrapped anew by the provider' },
  SweepCompleted: { unit: 'Count', means: 'daily sweeps that ran to their end' },
  SweepFailures: { unit: 'Count', means: 'keys or jobs that a daily sweep could not handle' },
  RequestsRefused: {
    unit: 'Count',
    means: "rotation requests on the bus that are not valid; each of Lambda's three tries counts",
  },
  AuditEntriesPending: {
    unit: 'Count',
    means: 'changes whose audit event could not be brought into its chain, at the time of an export',
  },
  AuditExportFailures: { unit: 'Count', means: 'audit chains and events that an export could not handle' },
  AuditChainsBroken: { unit: 'Count', means: 'audit chains that an export found changed, cut or incomplete' },
  AuditExportCompleted: { unit: 'Count', means: 'exports of the audit that ran to their end' },
  KmsCalls: { unit: 'Count', means: 'calls to KMS' },
  KmsLatency: { unit: 'Milliseconds', means: 'time of one call to KMS, with its retries' },
  KmsDenied: { unit: 'Count', means: 'calls that KMS denied' },
  KmsThrottled: { unit: 'Count', means: 'calls that stayed throttled after all retries' },
  KmsErrors: { unit: 'Count', means: 'calls to KMS that failed for any reason' },
} as const satisfies Record<string, { unit: 'Count' | 'Seconds' | 'Milliseconds'; means: string }>;

export type MetricName = keyof typeof METRICS;

export interface Metrics {
  /** Never throws and never waits. */
  add(name: MetricName, value: number): void;
}

export const silentMetrics: Metrics = { add() {} };
