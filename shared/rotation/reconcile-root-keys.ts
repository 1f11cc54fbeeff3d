import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { RootKeyStatus } from '../providers/root-key-provider.ts';
import { changeKey, getJob, timestamp } from './change.ts';
import { pauseJob, resumeJob } from './pause-job.ts';
import { rewrapKeks } from './rewrap-keks.ts';
import {
  allEnabled,
  formerRootKeysOf,
  inspectRootKeys,
  isUnusable,
  type RootKeyStatuses,
  rootKeysOf,
  settleVersions,
  unusableRootKey,
} from './root-key-states.ts';
import { isRunning, type Job, RUNNING_STATUSES } from './rotation.ts';
import { takeBackWrappings } from './take-back-wrappings.ts';

/**
 * What happens when something happened to a root key. Events only say that it is time to look: what is done follows from
 * the provider's answer, so that lost, late, doubled, reordered and forged events change nothing (protocol, invariant 20).
 */

export interface RootKeyReport {
  /** Root keys in use that were asked for. */
  rootKeys: number;
  unusable: number;
  expiring: number;
  /** Keys whose versions were suspended or resumed. */
  changedKeys: number;
  pausedJobs: number;
  resumedJobs: number;
  rewrapped: number;
  proved: number;
  restored: number;
  /** Keys that were not come to before the time was over; the next run does. */
  left: number;
  /** Root keys, keys, versions and jobs that failed, each logged; none of them blocks another. */
  failed: number;
}

export interface ReconcileOptions {
  /** Only root keys in use of which this is true, and the keys that need them. Left out: all. */
  readonly concerns?: (rootKeyId: string) => boolean;
  /** Whether the caller may unwrap KEKs, to prove what an earlier run wrapped anew. Left out: yes. */
  readonly prove?: boolean;
  /** Milliseconds until the caller must have ended. Left out: there is no end. */
  readonly remainingMs?: () => number;
}

/** Time kept for the keys that are in work. */
const MARGIN_MS = 30_000;

/** Tenant keys in work at one time. What the provider can bear, its own budget says. */
const LANES = 8;

/** Brings every key to what its root keys' states say now. May be repeated, and run side by side. */
export async function reconcileRootKeys(
  deps: Deps,
  { concerns, prove = true, remainingMs = () => Number.POSITIVE_INFINITY }: ReconcileOptions = {},
): Promise<RootKeyReport> {
  const report = emptyReport();
  const keys = (await deps.ledger.listKeys()).filter(
    (key) => concerns === undefined || rootKeysOf(deps, key).some(concerns),
  );
  if (keys.length === 0) return report;
  const needed = new Set(keys.flatMap((key) => rootKeysOf(deps, key)));
  const former = new Set(keys.flatMap((key) => formerRootKeysOf(deps, key))).difference(needed);
  let statuses = await inspectRootKeys(deps, [...needed, ...former]);
  tell(deps, statuses, needed, report, concerns === undefined);
  // A job that is missing in the list, which may lag behind, meets the root key itself.
  const jobs = Map.groupBy(
    await deps.ledger.listJobs({ statuses: [...RUNNING_STATUSES, 'PAUSED'] }),
    ({ keyId }) => keyId,
  );
  const settleAll = (
    work: (listed: TenantKey, settle: () => Promise<TenantKey>) => Promise<unknown>,
    margin = MARGIN_MS,
  ) =>
    inLanes(keys, LANES, async (listed) => {
      const settle = () => settleKey(deps, listed, jobs.get(listed.keyId) ?? [], statuses, report);
      if (remainingMs() < margin) report.left += 1;
      else await attempt(deps, report, listed, () => work(listed, settle));
    });
  await settleAll(async (listed, settle) => {
    // First: what is suspended for a root key that the tenant no longer has is then resumed at once.
    if (prove) await takeBackWrappings(deps, listed, statuses, report);
    await rewrapKeks(deps, await settle(), statuses, report, prove);
  });
  for (let looks = 1; looks < MOST_LOOKS && hasChanged(report); looks++) {
    // What was written is true of the moment when it was asked for. If that has passed, nobody else may come to see it.
    const again = await inspectRootKeys(deps, [...needed, ...former]);
    if (sameStates(statuses, again)) break;
    statuses = again;
    // Also when its time is over: it was frozen, and what it wrote afterwards it takes back itself.
    await settleAll((_, settle) => settle(), Number.NEGATIVE_INFINITY);
  }
  if (report.rewrapped > 0) deps.metrics.add('KeksRewrapped', report.rewrapped);
  return report;
}

/** A root key that goes on and off without end is left to the next run. */
const MOST_LOOKS = 5;

function hasChanged({ changedKeys, pausedJobs, resumedJobs }: RootKeyReport): boolean {
  return changedKeys + pausedJobs + resumedJobs > 0;
}

function sameStates(before: RootKeyStatuses, after: RootKeyStatuses): boolean {
  return [...before].every(([rootKeyId, status]) => status?.state === after.get(rootKeyId)?.state);
}

function emptyReport(): RootKeyReport {
  return {
    ...{ rootKeys: 0, unusable: 0, expiring: 0 },
    ...{ changedKeys: 0, pausedJobs: 0, resumedJobs: 0 },
    ...{ rewrapped: 0, proved: 0, restored: 0, left: 0, failed: 0 },
  };
}

/** Versions first: a version that is suspended stops the purge of its key, also one that is in the middle of a step. */
async function settleKey(
  deps: Deps,
  listed: TenantKey,
  jobs: readonly Job[],
  statuses: RootKeyStatuses,
  report: RootKeyReport,
): Promise<TenantKey> {
  const { tenant, purpose } = listed;
  let changed = false;
  const key = await changeKey(deps, tenant, purpose, (current) => {
    const next = settleVersions(deps, current, statuses, timestamp(deps.clock.now()));
    changed = next !== current;
    return next;
  });
  if (changed) report.changedKeys += 1;
  for (const job of jobs) {
    await attempt(deps, report, key, () => settleJob(deps, key, job.jobId, statuses, report));
  }
  return key;
}

async function settleJob(
  deps: Deps,
  key: TenantKey,
  jobId: string,
  statuses: RootKeyStatuses,
  report: RootKeyReport,
): Promise<void> {
  const { tenant, purpose } = key;
  const { status, pause } = await getJob(deps, jobId);
  const rootKeyId = unusableRootKey(deps, key, statuses);
  if (rootKeyId !== null && isRunning(status)) {
    const at = timestamp(deps.clock.now());
    const paused = await pauseJob(deps, jobId, { reason: 'ROOT_KEY', rootKeyId, by: null, at });
    if (paused.status !== 'PAUSED') return;
    report.pausedJobs += 1;
    deps.log.warn('job paused: a root key cannot be used', { jobId, tenant, purpose, rootKeyId });
  }
  if (status === 'PAUSED' && pause?.reason === 'ROOT_KEY' && allEnabled(deps, key, statuses)) {
    const resumed = await resumeJob(deps, jobId, 'ROOT_KEY');
    if (resumed.status === 'PAUSED') return;
    report.resumedJobs += 1;
    deps.log.info('job taken up again: its root keys can be used', { jobId, tenant, purpose });
  }
}

const DAY_MS = 86_400_000;

function tell(
  deps: Deps,
  statuses: RootKeyStatuses,
  needed: ReadonlySet<string>,
  report: RootKeyReport,
  complete: boolean,
): void {
  const lead = deps.config.rotation.materialWarningDays * DAY_MS;
  for (const [rootKeyId, status] of statuses) {
    if (!needed.has(rootKeyId)) {
      tellOfFormer(deps, rootKeyId, status);
      continue;
    }
    report.rootKeys += 1;
    if (status === null) {
      // Already logged by whoever asked, or an outage of the store behind it.
      report.failed += 1;
      continue;
    }
    if (isUnusable(status)) {
      report.unusable += 1;
      const code = `ROOT_KEY_${status.state}`;
      deps.log.error('a root key in use cannot be used: its keys are suspended', { rootKeyId, code });
    }
    if (status.automaticRotation === false) {
      const code = 'ROOT_KEY_ROTATION_OFF';
      deps.log.warn('automatic rotation of a root key is off: its material stays the same', {
        rootKeyId,
        code,
      });
    }
    const { materialExpiresAt } = status;
    if (materialExpiresAt !== null && Date.parse(materialExpiresAt) - deps.clock.now() <= lead) {
      report.expiring += 1;
      deps.log.warn('imported material of a root key expires soon: import it again', {
        rootKeyId,
        code: 'ROOT_KEY_MATERIAL_EXPIRING',
      });
    }
  }
  // A look says nothing of the root keys that it did not ask for, or that did not answer: a zero from it would quiet an
  // alarm about them.
  const allKnown = complete && report.failed === 0;
  for (const [name, value] of [
    ['RootKeysUnusable', report.unusable],
    ['RootKeyMaterialExpiring', report.expiring],
  ] as const)
    if (value > 0 || allKnown) deps.metrics.add(name, value);
}

function tellOfFormer(deps: Deps, rootKeyId: string, status: RootKeyStatus | null): void {
  if (status === null || !isUnusable(status)) return;
  const code = `ROOT_KEY_${status.state}`;
  deps.log.warn('a former root key cannot be used, and what replaced it is not proved yet', {
    rootKeyId,
    code,
  });
}

async function attempt(
  deps: Deps,
  report: RootKeyReport,
  { tenant, purpose, keyId }: TenantKey,
  run: () => Promise<unknown>,
): Promise<void> {
  try {
    await run();
  } catch (error) {
    report.failed += 1;
    const code = error instanceof KeyturnError ? error.code : 'UNEXPECTED';
    deps.log.error('a key was not reconciled with its root keys', { tenant, purpose, keyId, code });
  }
}
