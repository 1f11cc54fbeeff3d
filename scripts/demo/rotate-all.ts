import type { Deps } from '../../shared/deps/deps.ts';
import { purgeJobId } from '../../shared/rotation/job-id.ts';
import { readProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { count } from '../cli/format.ts';
import type { ProgressView } from '../cli/progress-view.ts';
import { type Snapshot, watchJobs } from '../cli/watch-jobs.ts';
import { PURPOSE, tenantName } from './records.ts';

export interface RotationReport {
  readonly keys: readonly { readonly tenant: string; readonly keyId: string }[];
  readonly rewrapped: number;
  readonly skipped: number;
  readonly quarantined: number;
  readonly remaining: number;
  /** Values that a census found on another version than the active one. */
  readonly stale: number;
  /** From the request to the last rotation's end. */
  readonly seconds: number;
  /** From the request until the last record was worked on. */
  readonly sweepSeconds: number;
  readonly lines: readonly string[];
}

export async function rotateAll(
  deps: Deps,
  tenants: number,
  view: ProgressView,
  signal: AbortSignal,
): Promise<RotationReport> {
  const began = performance.now();
  const requests = await Promise.all(
    Array.from({ length: tenants }, (_, i) =>
      requestRotation(deps, { tenant: tenantName(i), purpose: PURPOSE, requestedBy: 'keyturn demo' }),
    ),
  );
  let sweepSeconds = 0;
  const show = (snapshots: readonly Snapshot[]) => {
    const sweeping = snapshots.some(({ job }) => ['REQUESTED', 'PREPARING', 'SWEEPING'].includes(job.status));
    if (!sweeping && sweepSeconds === 0) sweepSeconds = (performance.now() - began) / 1000;
    view.show(snapshots);
  };
  const jobIds = requests.map(({ job }) => job.jobId);
  const ended = await watchJobs(deps, jobIds, show, signal).finally(() => view.stop());
  const totals = await Promise.all(ended.map(async ({ job }) => sumProgress(await readProgress(deps, job))));
  const sum = (part: 'rewrapped' | 'skipped' | 'quarantined' | 'remaining') =>
    totals.reduce((total, progress) => total + progress[part], 0);
  return {
    keys: ended.map(({ job }) => ({ tenant: job.tenant, keyId: job.keyId })),
    rewrapped: sum('rewrapped'),
    skipped: sum('skipped'),
    quarantined: sum('quarantined'),
    remaining: sum('remaining'),
    stale: ended.reduce((total, { job }) => total + (job.census?.stale ?? Number.NaN), 0),
    seconds: (performance.now() - began) / 1000,
    sweepSeconds,
    lines: ended.map(({ job }, i) => rotationLine(job, totals[i]?.rewrapped ?? 0)),
  };
}

function rotationLine(job: Job, rewrapped: number): string {
  if (job.status !== 'COMPLETED') return `${job.tenant}: ${job.status}: ${job.blocker?.message ?? ''}`;
  const values = Object.values(job.census?.coverage ?? {}).reduce(
    (total, covered) => total + covered.values,
    0,
  );
  const found =
    job.census?.stale === 0 ? `all on version ${job.to}` : `${job.census?.stale} not on version ${job.to}`;
  return `${job.tenant}: version ${job.from} -> ${job.to}, ${count(rewrapped)} records rewrapped; census: ${count(values)} values read, ${found}`;
}

export interface PurgeReport {
  readonly purged: number;
  readonly lines: readonly string[];
}

/** The schedule starts the purges when the grace is over; this only waits for their end. */
export async function waitForPurges(
  deps: Deps,
  keys: RotationReport['keys'],
  signal: AbortSignal,
): Promise<PurgeReport> {
  const lines: string[] = [];
  let purged = 0;
  for (const { tenant, keyId } of keys) {
    const job = await waitForEnd(deps, purgeJobId(keyId, 1), signal);
    const state = (await deps.ledger.getKey(tenant, PURPOSE))?.versions['1']?.state;
    if (state === 'DESTROYED') purged += 1;
    const rows = Object.values(job.census?.coverage ?? {}).reduce(
      (total, covered) => total + covered.rows,
      0,
    );
    lines.push(
      job.status === 'COMPLETED'
        ? `${tenant}: ${count(rows)} rows read, ${job.census?.onVersion} values on version 1: ${state}`
        : `${tenant}: ${job.status}: ${job.blocker?.message ?? ''}`,
    );
  }
  return { purged, lines };
}

async function waitForEnd(deps: Deps, jobId: string, signal: AbortSignal): Promise<Job> {
  for (;;) {
    const job = await deps.ledger.getJob(jobId);
    if (job?.status === 'COMPLETED' || job?.status === 'BLOCKED') return job;
    await deps.clock.sleep(100, signal);
  }
}
