import type { Config } from '../config/schema.ts';
import type { Deps } from '../deps/deps.ts';
import { versionOf } from '../keyring/change-version.ts';
import { authorizeDestroy, cancelDestroy, finishDestroy } from '../keyring/destruction.ts';
import type { TenantKey } from '../keyring/key.ts';
import { announceEnd } from './announce-end.ts';
import {
  blockJob,
  changeJob,
  changeKey,
  getJob,
  getKey,
  getRunningJob,
  moveJob,
  requireRunning,
  timestamp,
} from './change.ts';
import { rotationJobId } from './job-id.ts';
import { type StayingRecord, settleQuarantine } from './quarantine.ts';
import { askProvider, requireUsable } from './root-key-trouble.ts';
import type { BlockerCode, CensusResult, Job } from './rotation.ts';
import { describeTables, unreadTables } from './served.ts';
import { readCensus } from './take-census.ts';

/**
 * Step 8 ends: destroys the version when the census found nothing on it, and goes back to RETIRING otherwise. The
 * one conditional write that decides has {still pending, same epoch}; after it the provider destroys, then the blob
 * is erased.
 */
export async function destroyVersion(
  deps: Deps,
  jobId: string,
  round: number,
): Promise<{ destroyed: boolean }> {
  const job = await getRunningJob(deps, jobId);
  if (job.status === 'COMPLETED') return { destroyed: true };
  const key = await getKey(deps, job.tenant, job.purpose);
  const authorized = versionOf(key, job.from).destroyAuthorizedAt !== null;
  if (!authorized) {
    const census = await readCensus(deps, job, round, key.active);
    const quarantined = await settleQuarantine(deps, job.tenant, job.purpose);
    const blocker =
      findBlocker(job, census, quarantined) ??
      findUncovered(key, deps.config, census, await retiringCensus(deps, job)) ??
      (await authorizeIfUsable(deps, job));
    // Called off by a pause in the middle of this step: the next attempt fences and counts anew.
    requireRunning(await getJob(deps, jobId));
    if (blocker !== null) {
      await changeKey(deps, job.tenant, job.purpose, (current) => cancelDestroy(current, job.from));
      const blocked = await changeJob(deps, jobId, (current) =>
        blockJob({ ...current, census }, blocker.code, blocker.message, deps.clock.now()),
      );
      await announceEnd(deps, job.status, blocked);
      return { destroyed: false };
    }
    await changeJob(deps, jobId, (current) => ({ ...current, census }));
  }
  await destroyAtProvider(deps, job);
  const now = timestamp(deps.clock.now());
  const ended = await changeJob(deps, jobId, (current) =>
    current.status === 'COMPLETED' ? current : moveJob(current, 'COMPLETED', { completedAt: now }),
  );
  await announceEnd(deps, job.status, ended);
  return { destroyed: true };
}

interface Refusal {
  readonly code: BlockerCode;
  readonly message: string;
}

/** Pure. Anything on the version, or anything whose version cannot be told, keeps the version. */
export function findBlocker(
  job: Pick<Job, 'from'>,
  census: CensusResult,
  quarantined: readonly Pick<StayingRecord, 'code' | 'version' | 'finding'>[],
): Refusal | null {
  // An envelope of another key needs no version of this one, and plaintext none at all.
  const held = quarantined.filter(
    ({ code, version, finding }) =>
      code !== 'KEY_MISMATCH' && finding !== 'plaintext' && (version === job.from || version === null),
  );
  if (held.length > 0) {
    return {
      code: 'QUARANTINED_RECORDS',
      message: `${held.length} quarantined values may need version ${job.from}`,
    };
  }
  if (census.onVersion > 0) {
    return {
      code: 'STALE_RECORDS',
      message: `The census found ${census.onVersion} values on version ${job.from}`,
    };
  }
  if (census.malformed > 0) {
    const message = `${census.malformed} values cannot be read as envelopes, so their version cannot be told`;
    return { code: 'MALFORMED_RECORDS', message };
  }
  return null;
}

/**
 * Pure. A table that the key served must have been read; and one that held its values when the version was retired, and
 * is empty now, is more likely another table than one whose rows were all deleted.
 */
export function findUncovered(
  key: Pick<TenantKey, 'serves'>,
  config: Config,
  census: CensusResult,
  before: CensusResult | null,
): Refusal | null {
  const unread = unreadTables(key, config);
  if (unread.length > 0) {
    const message = `No record set declares ${describeTables(unread)}, which the key served`;
    return { code: 'RECORD_SET_CHANGED', message };
  }
  for (const [recordSet, { values }] of Object.entries(before?.coverage ?? {})) {
    if (values === 0 || (census.coverage[recordSet]?.rows ?? 0) > 0 || isRetired(config, recordSet)) continue;
    const message = `${recordSet} had ${values} values when the version was retired, and now no row was read there. If they were deleted, list its table under retired`;
    return { code: 'RECORD_SET_CHANGED', message };
  }
  return null;
}

function isRetired(config: Config, recordSet: string): boolean {
  const set = config.recordSets[recordSet];
  return config.retired.some(({ store, table }) => store === set?.store && table === set.table);
}

/** What the rotation away from the version counted. */
async function retiringCensus(deps: Deps, job: Job): Promise<CensusResult | null> {
  return (await deps.ledger.getJob(rotationJobId(job.keyId, job.from)))?.census ?? null;
}

/** Nothing is destroyed while a root key of the key is disabled, also when no event has told of it yet. */
async function authorizeIfUsable(deps: Deps, job: Job): Promise<Refusal | null> {
  await requireUsable(deps, job);
  return authorize(deps, job);
}

/** The write after which there is no way back. Refused when the version was asked for, or a store was restored. */
async function authorize(deps: Deps, job: Job): Promise<Refusal | null> {
  let refusal: Refusal | null = null;
  await changeKey(deps, job.tenant, job.purpose, (current) => {
    const version = versionOf(current, job.from);
    // Called off and begun again since the count began: the applications' time to ask for it has not passed.
    const pendingSince = Date.parse(version.destroyPendingAt ?? job.barrierUntil ?? '');
    const again = pendingSince + job.times.barrierSeconds * 1000 > Date.parse(job.barrierUntil ?? '');
    if (version.state !== 'DESTROY_PENDING' || again) {
      const message = `Version ${job.from} was asked for during its purge, and is ${version.state} again`;
      refusal = { code: 'VERSION_IN_USE', message };
      return current;
    }
    if (current.restoreEpoch !== job.restoreEpoch) {
      refusal = { code: 'KEY_CHANGED', message: 'A store was restored during the purge' };
      return current;
    }
    refusal = null;
    return authorizeDestroy(current, job.from, {
      restoreEpoch: job.restoreEpoch,
      at: timestamp(deps.clock.now()),
    });
  });
  return refusal;
}

async function destroyAtProvider(deps: Deps, job: Job): Promise<void> {
  const key = await getKey(deps, job.tenant, job.purpose);
  const version = versionOf(key, job.from);
  if (version.state === 'DESTROYED') return;
  const context = { tenant: key.tenant, purpose: key.purpose, keyId: key.keyId, version: job.from };
  for (const wrapped of [version.wrapped, version.formerWrapped]) {
    if (wrapped !== null) await askProvider(deps, job, () => deps.provider.destroyKek(wrapped, context));
  }
  await changeKey(deps, job.tenant, job.purpose, (current) =>
    finishDestroy(current, job.from, timestamp(deps.clock.now())),
  );
}
