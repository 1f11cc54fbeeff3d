import { isDeepStrictEqual } from 'node:util';
import { voidRequest } from '../approvals/check-approvals.ts';
import { type PurgeApproval, settlePurgeApproval } from '../approvals/purge-approval.ts';
import { describeFoundBySearch, notReadBySearch } from '../census/second-count.ts';
import { undeclaredBlocker } from '../census/undeclared.ts';
import { issueCertificate } from '../certificates/issue-certificate.ts';
import type { Config } from '../config/schema.ts';
import type { Deps } from '../deps/deps.ts';
import { ApprovalError, RotationError } from '../errors/errors.ts';
import { versionOf } from '../keyring/change-version.ts';
import { authorizeDestroy, finishDestroy, withdrawDestroy } from '../keyring/destruction.ts';
import type { KeyVersion, TenantKey } from '../keyring/key.ts';
import { announceEnd } from './announce-end.ts';
import { callOff, type Refusal, whyCalledOff, whyChanged } from './call-off-purge.ts';
import {
  changeJob,
  changeKey,
  getJob,
  getKey,
  getRunningJob,
  jobPaused,
  moveJob,
  requireRunning,
  timestamp,
} from './change.ts';
import { noEarlierThan } from './no-earlier.ts';
import { type StayingRecord, settleQuarantine } from './quarantine.ts';
import { renewGrace } from './renew-grace.ts';
import { askProvider, requireUsable } from './root-key-trouble.ts';
import { type CensusResult, isRunning, type Job } from './rotation.ts';
import { describeSet, describeTables, unreadSets, unreadTables } from './served.ts';
import { readCensus } from './take-census.ts';

/**
 * Step 8 ends: destroys the version when the census found nothing on it and people agree, and goes back to RETIRING
 * where anything speaks against it. While their approvals are waited for, the job rests and the version stays fenced:
 * throws JOB_PAUSED. The one conditional write that decides has {still pending, same epoch, nobody asked for it, no hold,
 * approvals not used before}; then the blob is erased, by another write. An attempt that comes between the two has counted
 * anew, and what it finds takes the decision back. Only the erasure has no way back.
 */
export async function destroyVersion(
  deps: Deps,
  jobId: string,
  round: number,
): Promise<{ destroyed: boolean }> {
  const job = await getRunningJob(deps, jobId);
  if (job.status === 'COMPLETED') return { destroyed: true };
  const key = await getKey(deps, job.tenant, job.purpose);
  const { state, destroyAuthorizedAt } = versionOf(key, job.from);
  if (state !== 'DESTROYED') {
    const census = await readCensus(deps, job, round, key.active);
    const found = await findRefusal(deps, job, key, census);
    if (destroyAuthorizedAt === null) {
      const refusal =
        found ?? (await renewGrace(deps, job, census)) ?? (await authorizeIfAgreed(deps, job, census));
      // Called off by a pause in the middle of this step: the next attempt fences and counts anew.
      requireRunning(await getJob(deps, jobId));
      if (refusal !== null) {
        await callOff(deps, job, refusal, census);
        return { destroyed: false };
      }
    }
    const refusal = await destroyOrTakeBack(deps, job, found, census);
    if (refusal !== null) {
      await blockTakenBack(deps, job, refusal, census);
      return { destroyed: false };
    }
  }
  await issueCertificate(deps, await getJob(deps, jobId));
  const { approvedBy: approvalId } = versionOf(await getKey(deps, job.tenant, job.purpose), job.from);
  const completedAt = timestamp(deps.clock.now());
  const ended = await changeJob(deps, jobId, (current) =>
    current.status === 'COMPLETED' ? current : moveJob(current, 'COMPLETED', { completedAt, approvalId }),
  );
  await announceEnd(deps, job.status, ended);
  return { destroyed: true };
}

async function findRefusal(
  deps: Deps,
  job: Job,
  key: TenantKey,
  census: CensusResult,
): Promise<Refusal | null> {
  const calledOff = whyCalledOff(key, job, deps.clock.now(), deps.config);
  if (calledOff !== null) return calledOff;
  const quarantined = await settleQuarantine(deps, job.tenant, job.purpose);
  return (
    findBlocker(job, census, quarantined) ??
    findUncovered(key, deps.config, census, await retiringCensus(deps, versionOf(key, job.from))) ??
    undeclaredBlocker(census) ??
    findNotSearched(census)
  );
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
  const hidden = describeFoundBySearch(census);
  if (hidden !== null) {
    const message = `The search found values on version ${job.from} that the count, range of keys by range, did not meet: ${hidden}. Something changes the keys of rows`;
    return { code: 'STALE_RECORDS', message };
  }
  if (census.malformed > 0) {
    const message = `${census.malformed} values cannot be read as envelopes, so their version cannot be told`;
    return { code: 'MALFORMED_RECORDS', message };
  }
  return null;
}

/**
 * Pure. Every record set that is declared now must have been counted, and every table that the key served; and one that held its values when the version was retired, and
 * is empty now, is more likely another table than one whose rows were all deleted.
 */
export function findUncovered(
  key: Pick<TenantKey, 'serves'>,
  config: Config,
  census: CensusResult,
  before: CensusResult | null,
): Refusal | null {
  const undeclared = unreadTables(key, config);
  if (undeclared.length > 0) {
    const message = `No record set declares ${describeTables(undeclared)}, which the key served`;
    return { code: 'RECORD_SET_CHANGED', message };
  }
  // What was declared during the rehearsal is neither counted nor searched.
  const late = unreadSets(config, Object.keys(config.recordSets), census.coverage);
  if (late.length > 0) {
    const message = `Declared since it was planned what is counted, or counted by another configuration, so that it was not read: ${late.map(describeSet).join('; ')}`;
    return { code: 'RECORD_SET_CHANGED', message };
  }
  const since = census.excluded.filter(({ why }) => why === 'DECLARED_SINCE');
  if (since.length > 0) {
    const message = `Declared while it was counted, and not read: ${describeTables(since)}`;
    return { code: 'RECORD_SET_CHANGED', message };
  }
  const unread = unreadTables(key, config, Object.values(census.coverage));
  if (unread.length > 0) {
    const message = `The count did not read ${describeTables(unread)}, which the key served`;
    return { code: 'RECORD_SET_CHANGED', message };
  }
  for (const [recordSet, { values }] of Object.entries(before?.coverage ?? {})) {
    if (values === 0 || (census.coverage[recordSet]?.rows ?? 0) > 0 || isRetired(config, recordSet)) continue;
    const message = `${recordSet} had ${values} values when the version was retired, and now no row was read there. If they were deleted, list its table under retired`;
    return { code: 'RECORD_SET_CHANGED', message };
  }
  return null;
}

/** Pure. By a search of an earlier release, or of another configuration than the count. */
export function findNotSearched(census: Pick<CensusResult, 'coverage'>): Refusal | null {
  const left = notReadBySearch(census);
  if (left.length === 0) return null;
  const message = `The search of the stores did not read these as declared, as the count did: ${left.join(', ')}`;
  return { code: 'RECORD_SET_CHANGED', message };
}

function isRetired(config: Config, recordSet: string): boolean {
  const set = config.recordSets[recordSet];
  return config.retired.some(({ store, table }) => store === set?.store && table === set.table);
}

/** What the rotation away from the version counted. */
async function retiringCensus(deps: Deps, { retiredBy }: KeyVersion): Promise<CensusResult | null> {
  return retiredBy === null ? null : ((await deps.ledger.getJob(retiredBy))?.census ?? null);
}

/** Throws JOB_PAUSED while people have to agree first, and while a root key of the key is disabled, told of or not. */
async function authorizeIfAgreed(deps: Deps, job: Job, census: CensusResult): Promise<Refusal | null> {
  await requireUsable(deps, job);
  const key = await getKey(deps, job.tenant, job.purpose);
  // By another execution of it, in the meantime.
  if (versionOf(key, job.from).destroyAuthorizedAt !== null) return null;
  // Called off by a person in the meantime: there is nothing to agree to.
  const changed = whyChanged(key, job);
  if (changed !== null) return changed;
  const approval = await settlePurgeApproval(deps, job, key, census);
  if (!approval.approved) {
    await waitForApproval(deps, job, census, approval.requestId);
    throw jobPaused(job.jobId);
  }
  return authorize(deps, job, census, approval);
}

/** The version stays fenced, so that the rehearsal goes on. */
async function waitForApproval(
  deps: Deps,
  job: Job,
  census: CensusResult,
  approvalId: string | null,
): Promise<void> {
  const pause = { reason: 'APPROVAL', rootKeyId: null, by: null, at: timestamp(deps.clock.now()) } as const;
  await changeJob(deps, job.jobId, (current) =>
    isRunning(current.status) && current.attempt === job.attempt
      ? moveJob({ ...current, census, approvalId }, 'PAUSED', { pause })
      : current,
  );
}

/** The write that decides: everything that could have changed since is looked at in it once more. */
async function authorize(
  deps: Deps,
  job: Job,
  census: CensusResult,
  approval: PurgeApproval,
): Promise<Refusal | null> {
  let refusal: Refusal | null = null;
  await voidUnused(deps, job, approval.requestId);
  await changeKey(deps, job.tenant, job.purpose, async (current) => {
    refusal = null;
    if (versionOf(current, job.from).destroyAuthorizedAt !== null) return current;
    // After the key: whoever calls the job off writes the job first.
    await getRunningJob(deps, job.jobId);
    const now = deps.clock.now();
    refusal =
      whyCalledOff(current, job, now, deps.config) ??
      whyChanged(current, job) ??
      findUncovered(current, deps.config, census, null);
    refusal ??= await whyTakenBack(deps, current, job);
    if (refusal !== null) return current;
    // A clock that was set back since makes no approval live longer, and decides nothing before what it is decided by: such
    // a certificate would contradict itself, when the version is gone.
    const at = noEarlierThan(now, [census.takenAt, approval.approvedAt]);
    if (hasExpired(approval, at, deps.config)) {
      throw new ApprovalError('APPROVAL_REFUSED', 'The approvals expired while they were verified', {
        retryable: true,
      });
    }
    return authorizeDestroy(current, job.from, {
      restoreEpoch: job.restoreEpoch,
      approvedBy: approval.requestId,
      agreement: approval.agreement,
      at: timestamp(at),
    });
  });
  return refusal;
}

/** Approvals whose destruction was taken back, before another takes their place on the version. */
async function voidUnused(deps: Deps, job: Job, requestId: string | null): Promise<void> {
  const { approvedBy, destroyAuthorizedAt } = versionOf(
    await getKey(deps, job.tenant, job.purpose),
    job.from,
  );
  if (destroyAuthorizedAt !== null || approvedBy === null || approvedBy === requestId) return;
  await voidRequest(deps, approvedBy, 'it was not carried out');
}

/** A rollback to the version that has taken the key's lock, and not activated it yet. */
async function whyTakenBack(
  { ledger }: Pick<Deps, 'ledger'>,
  { rotationId }: TenantKey,
  job: Job,
): Promise<Refusal | null> {
  const holder = rotationId === null ? null : await ledger.getJob(rotationId);
  if (holder?.goal !== 'ROLLBACK' || holder.to !== job.from) return null;
  return { code: 'KEY_CHANGED', message: `A rollback to version ${job.from} is under way` };
}

function hasExpired({ expiresAt }: PurgeApproval, now: number, { rotation }: Config): boolean {
  return expiresAt !== null && now + rotation.clockSkewSeconds * 1000 >= Date.parse(expiresAt);
}

/**
 * Destroys the version, or, where `found` or anything since speaks against it, takes its authorization back and returns
 * why. The job has the census before the blob is gone: that one is certified, whichever attempt comes to the end.
 */
async function destroyOrTakeBack(
  deps: Deps,
  job: Job,
  found: Refusal | null,
  census: CensusResult,
): Promise<Refusal | null> {
  if (found === null) {
    const key = await getKey(deps, job.tenant, job.purpose);
    const version = versionOf(key, job.from);
    if (version.state === 'DESTROYED') return null;
    await rememberCensus(deps, job, census, version.approvedBy);
    if (whyCalledOff(key, job, deps.clock.now(), deps.config) === null)
      await destroyAtProvider(deps, job, key);
  }
  return eraseOrTakeBack(deps, job, found);
}

async function rememberCensus(
  deps: Deps,
  { jobId, attempt }: Job,
  census: CensusResult,
  approvalId: string | null,
): Promise<void> {
  await changeJob(deps, jobId, (current) => {
    if (current.status === 'COMPLETED') return current;
    requireRunning(current);
    // It stopped, or a later attempt counts anew: what this one counted decides nothing any more.
    if (!isRunning(current.status) || current.attempt !== attempt) {
      throw new RotationError('ROTATION_STATE', `Attempt ${attempt} of job ${jobId} is over`);
    }
    const next = { ...current, census, approvalId };
    return isDeepStrictEqual(current, next) ? current : next;
  });
}

/**
 * So far no provider holds a KEK of its own, so this destroys nothing and a failure of it leaves the way back open. One
 * that did would need a mark on the version before it is called, after which there is none.
 */
async function destroyAtProvider(deps: Deps, job: Job, key: TenantKey): Promise<void> {
  const version = versionOf(key, job.from);
  const context = { tenant: key.tenant, purpose: key.purpose, keyId: key.keyId, version: job.from };
  for (const wrapped of [version.wrapped, version.formerWrapped]) {
    if (wrapped !== null) await askProvider(deps, job, () => deps.provider.destroyKek(wrapped, context));
  }
}

/** One conditional write, either way: a mark of the canary or a hold that comes at the same time is seen, or comes too late. */
async function eraseOrTakeBack(deps: Deps, job: Job, found: Refusal | null): Promise<Refusal | null> {
  let refusal = found;
  await changeKey(deps, job.tenant, job.purpose, (current) => {
    const { state } = versionOf(current, job.from);
    const now = deps.clock.now();
    if (state === 'DESTROYED') {
      // By another execution, whose census had found nothing.
      refusal = null;
      return current;
    }
    refusal = found ?? whyCalledOff(current, job, now, deps.config);
    // By another execution of it.
    if (state === 'RETIRING') refusal ??= whyChanged(current, job);
    return refusal === null
      ? finishDestroy(current, job.from, timestamp(now))
      : withdrawDestroy(current, job.from);
  });
  return refusal;
}

/** After a crash in between, the next attempt finds the version RETIRING, and blocks the job too. */
async function blockTakenBack(deps: Deps, job: Job, refusal: Refusal, census: CensusResult): Promise<void> {
  const { approvedBy } = versionOf(await getKey(deps, job.tenant, job.purpose), job.from);
  if (approvedBy !== null) await voidRequest(deps, approvedBy, `it was not carried out: ${refusal.message}`);
  await callOff(deps, job, refusal, census);
}
