import { approve } from '../../shared/approvals/approve.ts';
import { resumeIfDecided } from '../../shared/approvals/resume-approved.ts';
import { exportChains } from '../../shared/audit/export-chains.ts';
import { verifyChains } from '../../shared/audit/verify-all.ts';
import { verifyCertificate } from '../../shared/certificates/verify-certificate.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { purgeJobId } from '../../shared/rotation/job-id.ts';
import { readProgress, sumProgress } from '../../shared/rotation/progress.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import { type Job, waitsForApproval } from '../../shared/rotation/rotation.ts';
import type { Signer } from '../../shared/signing/signer.ts';
import { verifyLines } from '../cli/audit-words.ts';
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

/** Two people of the demo, each with a key of their own. */
export type Approvers = ReadonlyMap<string, Signer>;

/**
 * The schedule starts the purges when the grace is over, and fences the versions. Whoever may approve looks at what the
 * count has found and signs. Returns a line a key.
 */
export async function approvePurges(
  deps: Deps,
  keys: RotationReport['keys'],
  approvers: Approvers,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const lines: string[] = [];
  for (const { tenant, keyId } of keys) {
    const job = await waitUntil(deps, purgeJobId(keyId, 1), hasStopped, signal);
    if (job.approvalId === null || job.status !== 'PAUSED') continue;
    for (const [name, signer] of approvers) await approve(deps, job.approvalId, name, signer);
    await resumeIfDecided(deps, job, false);
    const names = [...approvers.keys()].join(' and ');
    lines.push(`${tenant}: ${rowsRead(job)} rows read, 0 values on version 1; ${names} signed`);
  }
  return lines;
}

export interface PurgeReport {
  readonly purged: number;
  /** Certificates whose signature and content were verified with the stack's public key alone. */
  readonly certified: number;
  readonly lines: readonly string[];
}

/** Waits for the end of the purges, and verifies the certificate of each. */
export async function waitForPurges(
  deps: Deps,
  keys: RotationReport['keys'],
  signal: AbortSignal,
): Promise<PurgeReport> {
  const lines: string[] = [];
  const publicKey = await deps.signer.publicKey();
  let purged = 0;
  let certified = 0;
  for (const { tenant, keyId } of keys) {
    const job = await waitUntil(deps, purgeJobId(keyId, 1), hasEnded, signal);
    const state = (await deps.ledger.getKey(tenant, PURPOSE))?.versions['1']?.state;
    if (state === 'DESTROYED') purged += 1;
    if (job.status !== 'COMPLETED') {
      lines.push(`${tenant}: ${job.status}: ${job.blocker?.message ?? ''}`);
      continue;
    }
    const stored = await deps.ledger.getCertificate(keyId, 1);
    const { approvers } = deps.config.approvals;
    const report = stored === null ? null : await verifyCertificate(stored.jws, [publicKey], approvers);
    const valid = report !== null && report.problems.length === 0;
    if (valid) certified += 1;
    lines.push(
      `${tenant}: counted again, ${rowsRead(job)} rows, ${job.census?.onVersion} values on version 1: ${state}; certificate ${valid ? 'verified' : 'NOT VALID'}`,
    );
  }
  return { purged, certified, lines };
}

export interface AuditReport {
  readonly entries: number;
  /** What does not fit: 0 unless somebody changed the ledger or the archive. */
  readonly findings: number;
  readonly lines: readonly string[];
}

/** What the schedules do every hour, and what an auditor does. */
export async function verifyAudit(deps: Deps): Promise<AuditReport> {
  await exportChains(deps);
  const lines: string[] = [];
  let entries = 0;
  let findings = 0;
  for await (const report of verifyChains(deps, null, [await deps.signer.publicKey()])) {
    entries += report.entries ?? 0;
    findings += report.findings.length;
    lines.push(...verifyLines(report));
  }
  return { entries, findings, lines };
}

function rowsRead({ census }: Job): string {
  return count(Object.values(census?.coverage ?? {}).reduce((total, covered) => total + covered.rows, 0));
}

function hasEnded({ status }: Job): boolean {
  return status === 'COMPLETED' || status === 'BLOCKED';
}

/** At its end, or where it waits for people. */
function hasStopped(job: Job): boolean {
  return hasEnded(job) || waitsForApproval(job);
}

async function waitUntil(
  deps: Deps,
  jobId: string,
  is: (job: Job) => boolean,
  signal: AbortSignal,
): Promise<Job> {
  for (;;) {
    const job = await deps.ledger.getJob(jobId);
    if (job !== null && is(job)) return job;
    await deps.clock.sleep(100, signal);
  }
}
