import { whyNobodyCan } from '../approvals/request-approval.ts';
import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { TenantKey, Timestamp } from '../keyring/key.ts';
import type { RoundPlan } from '../ledger/ledger.ts';
import type { MetricName } from '../metrics/metrics.ts';
import { callOffUsed } from './call-off-used.ts';
import { DAILY_SWEEP } from './due-keys.ts';
import { standingHolds } from './holds.ts';
import { purgeJobId } from './job-id.ts';
import { roomTaken } from './key-room.ts';
import { isRunning, type Job, RUNNING_STATUSES, waitsForApproval } from './rotation.ts';
import { censusName } from './take-census.ts';

/**
 * Looks at the ledger and says how things stand, for alarms and the dashboard. All that it changes is that it calls off the
 * purges of versions that something asked for. For 10,000 tenants with a key each: the lists of keys and of jobs that are
 * not over, one query a key for its quarantine, two reads a running job, and for one that shows no progress up to eight
 * more a segment. That is some 15,000 read units and some seconds.
 */

const GAUGES = [
  'JobsRunning',
  'JobsStuck',
  'JobsPaused',
  'JobsBlockedNow',
  'QuarantinedRecords',
  'OldestKeyAge',
  'KeysOverdue',
  'KeysNearlyFull',
  'PurgesAwaitingApproval',
  'BreakGlassApprovals',
  'PendingVersionsUsed',
] as const satisfies readonly MetricName[];
export interface Gauges extends Readonly<Record<(typeof GAUGES)[number] | 'RootKeysUnusable', number>> {
  /**
   * Items that somebody else wrote or damaged, or a newer release wrote, of which the other numbers say nothing. No gauge: a
   * forged one is measured where it is met (StateForged), any other by the daily sweep (SweepFailures).
   */
  readonly unverified: number;
}

/**
 * Every gauge has a value each time, zero too: an alarm without data sees nothing. But for the root keys: of one that
 * wraps nothing yet the ledger knows nothing, so that only who asks for it may give the zero (doubtful-root-keys.ts).
 */
export async function monitor(deps: Deps): Promise<Gauges> {
  const now = deps.clock.now();
  let unverified = 0;
  const onSkipped = () => {
    unverified += 1;
  };
  /** One tenant's damage hides no other's state. */
  const sumOf = <Item>(items: readonly Item[], count: (item: Item) => Promise<number>) =>
    sumOver(items, async (item) => {
      try {
        return await count(item);
      } catch (error) {
        if (!isDamage(error)) throw error;
        onSkipped();
        return 0;
      }
    });
  const jobs = await deps.ledger.listJobs(
    { statuses: [...RUNNING_STATUSES, 'PAUSED', 'BLOCKED'] },
    onSkipped,
  );
  const keys = await deps.ledger.listKeys(onSkipped);
  const dayBefore = new Date(now - DAY_SECONDS * 1000).toISOString();
  const requests = await deps.ledger.listApprovalRequests({ expiresFrom: dayBefore }, onSkipped);
  const running = jobs.filter(({ status }) => isRunning(status));
  const ages = keys.flatMap((key) => ageSeconds(key, now));
  const { everyDays } = deps.config.rotation;
  const gauges: Gauges = {
    JobsRunning: running.length,
    JobsStuck: await sumOf(running, async (job) => ((await isStuck(deps, job)) ? 1 : 0)),
    // One that waits for people's approvals is counted as such.
    JobsPaused: jobs.filter((job) => job.status === 'PAUSED' && !waitsForApproval(job)).length,
    JobsBlockedNow: countBlocked(keys, jobs),
    QuarantinedRecords: await sumOf(keys, ({ keyId }) => countQuarantined(deps, keyId)),
    OldestKeyAge: Math.max(0, ...ages),
    KeysOverdue: everyDays === null ? 0 : ages.filter((age) => age > everyDays * DAY_SECONDS).length,
    KeysNearlyFull: countNearlyFull(deps, keys),
    PurgesAwaitingApproval: jobs.filter(waitsForApproval).length + countUnapprovable(deps, keys, now),
    BreakGlassApprovals: await sumOf(requests, ({ requestId }) =>
      countBreakGlass(deps, requestId, dayBefore),
    ),
    PendingVersionsUsed: await callOffUsed(deps, keys),
    RootKeysUnusable: countUnusableRootKeys(keys),
    unverified,
  };
  for (const name of GAUGES) deps.metrics.add(name, gauges[name]);
  if (gauges.RootKeysUnusable > 0) deps.metrics.add('RootKeysUnusable', gauges.RootKeysUnusable);
  return gauges;
}

const DAY_SECONDS = 86_400;

/** Of the active version. None where no version was ever activated. */
function ageSeconds({ active, versions }: TenantKey, now: number): number[] {
  const activatedAt = versions[String(active)]?.activatedAt ?? null;
  return activatedAt === null ? [] : [(now - Date.parse(activatedAt)) / 1000];
}

async function countQuarantined(deps: Deps, keyId: string): Promise<number> {
  const values = await deps.ledger.listQuarantined(keyId);
  return new Set(values.map(({ recordSet, recordId }) => JSON.stringify([recordSet, recordId]))).size;
}

/** Who would give such a key another purpose must have the time to. */
const NEARLY_FULL = 0.75;

function countNearlyFull({ config, log }: Deps, keys: readonly TenantKey[]): number {
  const nearly = keys.filter((key) => roomTaken(key, config) > NEARLY_FULL);
  for (const { tenant, purpose, keyId, versions } of nearly) {
    const count = Object.keys(versions).length;
    log.warn('a key has nearly as many versions as it can have', { tenant, purpose, keyId, count });
  }
  return nearly.length;
}

/** A purge that stopped, and whose version was not retired or is used again since, is over: nothing waits for it. */
function countBlocked(keys: readonly TenantKey[], jobs: readonly Job[]): number {
  const pending = new Set(
    keys.flatMap(({ keyId, versions }) =>
      Object.values(versions)
        .filter(({ state }) => state === 'RETIRING' || state === 'DESTROY_PENDING')
        .map(({ version }) => purgeJobId(keyId, version)),
    ),
  );
  const blocked = jobs.filter(({ status }) => status === 'BLOCKED');
  return blocked.filter(({ kind, jobId }) => kind !== 'purge' || pending.has(jobId)).length;
}

/** Due purges that the daily sweep cannot ask for, because the configuration names too few approvers. */
function countUnapprovable({ config }: Deps, keys: readonly TenantKey[], now: number): number {
  if (whyNobodyCan(config, DAILY_SWEEP) === null) return 0;
  const due = (key: TenantKey) =>
    Object.values(key.versions).filter(
      ({ version, state, purgeNotBefore }) =>
        state === 'RETIRING' &&
        purgeNotBefore !== null &&
        now >= Date.parse(purgeNotBefore) &&
        standingHolds(key, version, now, config).length === 0,
    );
  return keys.reduce((sum, key) => sum + due(key).length, 0);
}

/** Approvals for emergencies that were given in the last day, also where the action has happened since. */
async function countBreakGlass({ ledger }: Deps, requestId: string, since: Timestamp): Promise<number> {
  const approvals = await ledger.listApprovals(requestId);
  return approvals.filter(({ breakGlass, at }) => breakGlass && at >= since).length;
}

function isDamage(error: unknown): boolean {
  return error instanceof KeyturnError && DAMAGE.has(error.code);
}
const DAMAGE: ReadonlySet<string> = new Set(['STATE_FORGED', 'LEDGER_ITEM_INVALID']);

/** Root keys for which versions are suspended: what the last look at each found, until another finds it usable. */
function countUnusableRootKeys(keys: readonly TenantKey[]): number {
  const unusable = new Set<string | null>();
  for (const { versions } of keys) {
    for (const { suspended } of Object.values(versions)) {
      if (suspended?.reason === 'ROOT_KEY') unusable.add(suspended.rootKeyId);
    }
  }
  return unusable.size;
}

/** A stalled sweep goes on to its next round by itself: stuck is what shows no sign for longer than that takes. */
const STALLS = 2;
/** A step may try one census of fifteen minutes three times before it fails. */
const STUCK_AT_LEAST_SECONDS = 3600;

/** Whether a running job wrote nothing for so long that it will not go on by itself. */
async function isStuck(deps: Deps, job: Job): Promise<boolean> {
  const since = deps.clock.now() - Math.max(job.times.stallSeconds * STALLS, STUCK_AT_LEAST_SECONDS) * 1000;
  const after = (timestamps: readonly (string | null)[]) =>
    timestamps.some((timestamp) => timestamp !== null && Date.parse(timestamp) >= since);
  if (after([job.requestedAt, job.startedAt, job.barrierUntil])) return false;
  const plan = await deps.ledger.getRound(job.jobId, job.round);
  if (plan === null) return true;
  const segments = await deps.ledger.listSegments(job.jobId, job.round);
  if (after([plan.createdAt, ...segments.map(({ updatedAt }) => updatedAt)])) return false;
  if (job.status === 'CENSUS') {
    const counted = await deps.ledger.listSegmentCensus(job.jobId, censusName(job.attempt, job.round));
    return !after(counted.map(({ takenAt }) => takenAt));
  }
  const lowWater = new Map(segments.map((segment) => [segment.segment, segment.lowWater]));
  return !(await anyPage(deps, plan, lowWater, ({ updatedAt }) => after([updatedAt])));
}

/** Pages read at a time. */
const PAGES_A_READ = 50;

/** Whether one of the pages that are not rolled up yet is such. */
async function anyPage(
  deps: Deps,
  { jobId, round, segments }: RoundPlan,
  lowWater: ReadonlyMap<number, number>,
  isSuch: (page: { readonly updatedAt: string }) => boolean,
): Promise<boolean> {
  for (const { index } of segments) {
    let from = lowWater.get(index) ?? 0;
    for (;;) {
      const pages = await deps.ledger.listPages(jobId, round, index, from, PAGES_A_READ);
      if (pages.some(isSuch)) return true;
      if (pages.length < PAGES_A_READ) break;
      from += pages.length;
    }
  }
  return false;
}

/** Reads at one time. */
const LANES = 16;

async function sumOver<Item>(
  items: readonly Item[],
  count: (item: Item) => Promise<number>,
): Promise<number> {
  let sum = 0;
  await inLanes(items, LANES, async (item) => {
    const found = await count(item);
    sum += found;
  });
  return sum;
}
