import { findUndeclared, undeclaredOf } from '../census/undeclared.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import {
  billedUnits,
  type PredictedRequests,
  predictRequests,
  type RecordSetLoad,
} from '../pricing/predict-requests.ts';
import { type PricedPart, priceOf } from '../pricing/public-prices.ts';
import { describeHolds, standingHolds } from './holds.ts';
import { inspectRootKeys, rootKeysOf, unusableRootKey } from './root-key-states.ts';
import { type CensusResult, type Job, RUNNING_STATUSES } from './rotation.ts';
import { describeTables, unreadTables } from './served.ts';
import { configuredTimes } from './take-up.ts';

/** What a rotation would do, ask for, cost and take, and what would block it. It reads, and changes nothing at all. */

/** Something that stands in the way now. `purge`: the rotation itself goes through, and the old version stays. */
export interface Obstacle {
  readonly blocks: 'rotation' | 'purge';
  readonly code:
    | 'RUNNING'
    | 'ROOT_KEY'
    | 'SERVED_UNREAD'
    | 'UNDECLARED_ENVELOPES'
    | 'QUARANTINED'
    | 'UNREADABLE'
    | 'HELD';
  readonly message: string;
}

/** How fast an earlier rotation swept. */
export interface MeasuredRate {
  readonly jobId: string;
  /** Of the same key. */
  readonly sameKey: boolean;
  readonly records: number;
  readonly seconds: number;
  readonly perSecond: number;
}

export interface DryRun {
  readonly tenant: string;
  readonly purpose: string;
  readonly keyId: string;
  readonly from: number;
  readonly to: number;
  /** By record set. */
  readonly loads: readonly (RecordSetLoad & { readonly values: number })[];
  readonly records: number;
  /** Values that would be wrapped anew. */
  readonly values: number;
  /** Values that would be set aside: of another key, or no envelopes. */
  readonly unreadable: number;
  readonly requests: PredictedRequests;
  readonly price: { readonly dollars: number; readonly parts: readonly PricedPart[] };
  readonly time: {
    /** null: no rotation was measured yet. */
    readonly rate: MeasuredRate | null;
    readonly limit: number | null;
    /** null: not known. */
    readonly sweepSeconds: number | null;
    readonly barrierSeconds: number;
    /** As long as the census took that this was made from. */
    readonly censusSeconds: number;
    /** From the request to the end; null: not known. */
    readonly seconds: number | null;
    readonly graceSeconds: number;
    readonly soakSeconds: number;
  };
  readonly obstacles: readonly Obstacle[];
}

export interface DryRunOptions {
  /** How long the census took. */
  readonly censusSeconds: number;
  /** null: no limit; left out: as configured. */
  readonly recordsPerSecond?: number | null;
}

/** @param census of the key's own record sets, just taken; it is not kept. */
export async function planDryRun(
  deps: Deps,
  key: TenantKey,
  census: CensusResult,
  options: DryRunOptions,
): Promise<DryRun> {
  const { rotation, deployment } = deps.config;
  const { censusSeconds, recordsPerSecond: limit = rotation.recordsPerSecond } = options;
  const loads = await loadsOf(deps, key, census);
  const sum = (pick: (load: (typeof loads)[number]) => number) =>
    loads.reduce((total, load) => total + pick(load), 0);
  const records = sum((load) => load.records);
  const rate = await measuredRate(deps, key);
  const sweepSeconds = sweepTime(records, rate, limit);
  const { barrierSeconds } = configuredTimes(deps, 'rotate');
  const requests = predictRequests(loads, {
    chunkSize: rotation.chunkSize,
    messagesPerCall: deployment?.worker.batchSize ?? EMBEDDED_BATCH,
    workers: deployment?.worker.concurrency ?? 1,
    sweepSeconds,
  });
  const { tenant, purpose, keyId, active } = key;
  return {
    ...{ tenant, purpose, keyId, from: active, to: active + 1 },
    loads,
    records,
    values: sum((load) => load.values),
    unreadable: census.foreign + census.malformed,
    requests,
    price: priceOf(billedUnits(requests)),
    time: {
      ...{ rate, limit, sweepSeconds, barrierSeconds, censusSeconds },
      seconds: sweepSeconds === null ? null : Math.max(sweepSeconds, barrierSeconds) + censusSeconds,
      graceSeconds: rotation.graceSeconds,
      soakSeconds: rotation.soakSeconds,
    },
    obstacles: await findObstacles(deps, key, census),
  };
}

/** Messages that the embedded stack's poller hands to a worker at once. */
const EMBEDDED_BATCH = 10;

/** With a new version active every value of the key is stale, whatever it is on now. */
async function loadsOf(deps: Deps, key: TenantKey, census: CensusResult) {
  const loads: (RecordSetLoad & { readonly values: number })[] = [];
  for (const [recordSet, found] of Object.entries(census.coverage)) {
    const { rows, versions, foreign, malformed } = found;
    const values = Object.values(versions).reduce((a, b) => a + b, 0);
    const scope = { tenant: key.tenant, keyId: key.keyId };
    const segments = await deps.recordSets.store(recordSet).segments(scope, deps.config.rotation.segments);
    loads.push({
      recordSet,
      type: deps.config.stores[found.store]?.type ?? 'postgres',
      rows,
      values,
      // A record with several values is worked on once; which values share one is not counted.
      records: Math.min(rows, values + foreign + malformed),
      segments: segments.length,
    });
  }
  return loads;
}

function sweepTime(records: number, rate: MeasuredRate | null, limit: number | null): number | null {
  const perSecond = Math.min(rate?.perSecond ?? Number.POSITIVE_INFINITY, limit ?? Number.POSITIVE_INFINITY);
  return rate === null ? null : records / perSecond;
}

/** Rotations that are looked at for a rate. */
const LOOKED_AT = 20;

/** Of the key's last rotation that worked on records, or else of any key's. */
export async function measuredRate(
  deps: Pick<Deps, 'ledger'>,
  { keyId }: Pick<TenantKey, 'keyId'>,
): Promise<MeasuredRate | null> {
  const jobs = await deps.ledger.listJobs({ kind: 'rotate', statuses: ['COMPLETED'] });
  const own = jobs.filter((job) => job.keyId === keyId);
  const others = jobs.filter((job) => job.keyId !== keyId);
  for (const job of [...own.slice(0, LOOKED_AT), ...others.slice(0, LOOKED_AT)]) {
    const rate = await rateOf(deps, job);
    if (rate !== null) return { ...rate, sameKey: job.keyId === keyId };
  }
  return null;
}

/** Of its first round, from the plan to the last report; null: it worked on nothing, or faster than can be told. */
async function rateOf(deps: Pick<Deps, 'ledger'>, job: Job): Promise<Omit<MeasuredRate, 'sameKey'> | null> {
  const plan = await deps.ledger.getRound(job.jobId, 1);
  if (plan === null) return null;
  const segments = await deps.ledger.listSegments(job.jobId, 1);
  const records = segments.reduce((total, segment) => total + segment.rewrapped, 0);
  const ended = Math.max(...segments.map(({ updatedAt }) => Date.parse(updatedAt)));
  const seconds = (ended - Date.parse(plan.createdAt)) / 1000;
  if (records === 0 || !(seconds > 0)) return null;
  return { jobId: job.jobId, records, seconds, perSecond: records / seconds };
}

/** A rotation of the key that has not ended: the one with its lock, or one that has not taken it yet. */
async function standingRotation(
  deps: Pick<Deps, 'ledger'>,
  { keyId, rotationId }: TenantKey,
): Promise<Pick<Job, 'jobId' | 'status'> | null> {
  const jobs = await deps.ledger.listJobs({
    kind: 'rotate',
    statuses: [...RUNNING_STATUSES, 'PAUSED', 'BLOCKED'],
  });
  const found = jobs.find((job) => job.jobId === rotationId) ?? jobs.find((job) => job.keyId === keyId);
  if (found !== undefined) return found;
  return rotationId === null ? null : deps.ledger.getJob(rotationId);
}

async function findObstacles(deps: Deps, key: TenantKey, census: CensusResult): Promise<Obstacle[]> {
  const obstacles: Obstacle[] = [];
  const add = (blocks: Obstacle['blocks'], code: Obstacle['code'], message: string) =>
    obstacles.push({ blocks, code, message });
  const standing = await standingRotation(deps, key);
  if (standing !== null) {
    const { jobId, status } = standing;
    add('rotation', 'RUNNING', `Job ${jobId} is ${status}: asking would join it, or take it up`);
  }
  const rootKey = unusableRootKey(deps, key, await inspectRootKeys(deps, rootKeysOf(deps, key)));
  if (rootKey !== null) add('rotation', 'ROOT_KEY', `Root key ${rootKey} cannot be used: it would pause`);
  const quarantined = await deps.ledger.listQuarantined(key.keyId);
  if (quarantined.length > 0) {
    add('purge', 'QUARANTINED', `${quarantined.length} values are quarantined`);
  }
  const unreadable = census.foreign + census.malformed;
  if (unreadable > 0) {
    add(
      'purge',
      'UNREADABLE',
      `${unreadable} values are of another key or no envelopes, and would be set aside`,
    );
  }
  const unread = unreadTables(key, deps.config);
  if (unread.length > 0) {
    const message = `No record set declares ${describeTables(unread)}, which the key served: it would end BLOCKED`;
    add('rotation', 'SERVED_UNREAD', message);
  }
  for (const [store, message] of await undeclaredIn(deps, key)) {
    add('purge', 'UNDECLARED_ENVELOPES', `Store ${store}: ${message}`);
  }
  const holds = standingHolds(key, key.active, deps.clock.now(), deps.config);
  if (holds.length > 0) add('purge', 'HELD', `Version ${key.active} is held: ${describeHolds(holds)}`);
  return obstacles;
}

/** By store: the columns that nobody declared, or why it could not be searched. One that fails stops no other. */
async function undeclaredIn(deps: Deps, key: TenantKey): Promise<readonly (readonly [string, string])[]> {
  const found: [string, string][] = [];
  for (const store of deps.recordSets.stores) {
    try {
      const columns = undeclaredOf([await findUndeclared(deps, store, key, key.active)]);
      const names = columns.filter(({ ofKey }) => ofKey > 0).map(({ table, column }) => `${table}.${column}`);
      if (names.length > 0) {
        found.push([store, `envelopes of the key stand where no record set looks: ${names.join(', ')}`]);
      }
    } catch (error) {
      if (!(error instanceof KeyturnError)) throw error;
      found.push([store, `could not be searched for envelopes that nobody declared (${error.code})`]);
    }
  }
  return found;
}
