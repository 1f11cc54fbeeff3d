import { isDeepStrictEqual } from 'node:util';
import type { Agreement, TenantKey } from '../keyring/key.ts';
import { noEarlierThan } from '../rotation/no-earlier.ts';
import type { CensusResult, Job } from '../rotation/rotation.ts';
import type { ApprovalRequest } from './approval.ts';
import { isExpired } from './binding.ts';
import { type ApprovalDeps, checkApprovals, voidRequest } from './check-approvals.ts';
import { requestApproval } from './request-approval.ts';

/** Whether people agree to the purge of a version, by its census. */

export interface PurgeApproval {
  readonly approved: boolean;
  /** What was approved, or is to be; null: the configuration requires no approvals. */
  readonly requestId: string | null;
  /** Its last moment; null as above. */
  readonly expiresAt: string | null;
  /** When the last of those that count was given; null: none was, or it is decided already. */
  readonly approvedAt: string | null;
  /** By the configuration of this moment, which is not asked again once it is decided. */
  readonly agreement: Agreement;
}

const NOBODY: Agreement = { required: 0, approvers: [] };
const NONE_REQUIRED: PurgeApproval = {
  approved: true,
  requestId: null,
  expiresAt: null,
  approvedAt: null,
  agreement: NOBODY,
};

/**
 * Verifies the job's request and its approvals anew, against the census that was taken just now. What does not hold any
 * more is void for good, and another request takes its place, with this census and no approvals.
 */
export async function settlePurgeApproval(
  deps: ApprovalDeps,
  job: Job,
  key: TenantKey,
  census: CensusResult,
): Promise<PurgeApproval> {
  if (deps.config.approvals.required === 0) return NONE_REQUIRED;
  const { clock } = deps;
  // A clock that was set back since the count makes no approval live longer, and nothing asked for before the version was fenced.
  const now = () => noEarlierThan(clock.now(), [census.takenAt]);
  const sinceCount = { ...deps, clock: { ...clock, now } };
  const replaced = job.approvalId === null ? null : await checkApprovals(sinceCount, job.approvalId);
  let why: string | null = null;
  if (replaced !== null) {
    const { request, approved, required, valid } = replaced;
    const { requestId } = request;
    const agreement = { required, approvers: valid.map(({ approver }) => approver) };
    why = replaced.over ?? whyVoid(request, job, key, census);
    const approvedAt =
      valid
        .map(({ at }) => at)
        .sort()
        .at(-1) ?? null;
    if (why === null) return { approved, requestId, expiresAt: request.expiresAt, approvedAt, agreement };
    // By another execution of the same purge, just now: it is over because it is decided.
    if (await isUsedFor(deps, request))
      return { approved: true, requestId, expiresAt: null, approvedAt: null, agreement };
    await voidRequest(deps, requestId, why);
  }
  const { requestId, expiresAt } = await requestApproval(sinceCount, {
    action: 'purge',
    tenant: job.tenant,
    purpose: job.purpose,
    keyId: job.keyId,
    version: job.from,
    restoreEpoch: job.restoreEpoch,
    requestedBy: job.requestedBy,
    evidence: census,
    summary: summaryOf(job, census, replaced === null ? null : { request: replaced.request, why }),
    ...sinceCensus(deps, census),
  });
  return { approved: false, requestId, expiresAt, approvedAt: null, agreement: NOBODY };
}

async function isUsedFor({ ledger }: ApprovalDeps, request: ApprovalRequest): Promise<boolean> {
  const key = await ledger.getKey(request.tenant, request.purpose);
  const version = key?.versions[String(request.version)];
  return version?.approvedBy === request.requestId && version.destroyAuthorizedAt !== null;
}

/** Its time runs from the census, so that a repeated step asks for the same; but none is born when its time is over. */
function sinceCensus(deps: ApprovalDeps, { takenAt }: CensusResult): { since?: string } {
  const { approvals, rotation } = deps.config;
  const expiresAt = new Date(Date.parse(takenAt) + approvals.expirySeconds * 1000).toISOString();
  const late = isExpired({ expiresAt, requestedAt: takenAt }, deps.clock.now(), rotation.clockSkewSeconds);
  return late ? {} : { since: takenAt };
}

/** Pure. Null: what was approved is still what would be done. */
export function whyVoid(
  request: ApprovalRequest,
  job: Pick<Job, 'tenant' | 'purpose' | 'keyId' | 'from' | 'restoreEpoch'>,
  key: Pick<TenantKey, 'keyId' | 'restoreEpoch' | 'versions'>,
  census: CensusResult,
): string | null {
  const same =
    request.action === 'purge' &&
    request.tenant === job.tenant &&
    request.purpose === job.purpose &&
    request.keyId === job.keyId &&
    request.keyId === key.keyId &&
    request.version === job.from;
  if (!same) return 'it is about something else';
  const { restoreEpoch } = request;
  if (restoreEpoch !== key.restoreEpoch || restoreEpoch !== job.restoreEpoch)
    return 'a store was restored since';
  const { destroyPendingAt = null } = key.versions[String(job.from)] ?? {};
  // Whatever called the purge off in between, nobody had seen it when they approved.
  if (destroyPendingAt === null || request.requestedAt < destroyPendingAt)
    return 'the version was fenced anew since, and its rehearsal began again';
  // The evidence is what its digest says, or it would not have been read.
  return isDeepStrictEqual(findingsOf(request.evidence), findingsOf(census))
    ? null
    : 'another census found something else, or covered something else';
}

/** Counts of what lives, and changes by itself from one census to the next. */
const LIVING: readonly string[] = ['takenAt', 'takenBy', 'stale', 'foreign'];
// Whether there was time for the second count is chance; what it finds keeps the version, whatever was approved.
const LIVING_IN_SET: readonly string[] = [
  ...['rows', 'values', 'versions', 'foreign', 'others'],
  'onVersionBySearch',
];

/** Of a column that nobody declared: what matters of it is `ofKey` and `onVersion`. */
const LIVING_IN_COLUMN: readonly string[] = ['envelopes'];

/**
 * All of a census but the counts of what lives: which record sets, tables and columns were read, what was excluded, what
 * was found undeclared, malformed or on the version, and the tombstones. A part that a census gets later is compared too.
 */
function findingsOf(census: object): unknown {
  const parts = Object.entries(census).map(([name, part]: [string, unknown]) => [
    name,
    withoutLivingCounts(name, part),
  ]);
  return Object.fromEntries(parts.filter(([name]) => !LIVING.includes(String(name))));
}

function withoutLivingCounts(name: string, part: unknown): unknown {
  if (name === 'undeclared' && Array.isArray(part))
    return part.map((column: unknown) => without(LIVING_IN_COLUMN, column));
  if (name !== 'coverage' || !isObject(part)) return part;
  const sets = Object.entries(part).map(([recordSet, found]) => [recordSet, without(LIVING_IN_SET, found)]);
  return Object.fromEntries(sets);
}

function without(names: readonly string[], value: unknown): unknown {
  if (!isObject(value)) return value;
  return Object.fromEntries(Object.entries(value).filter(([name]) => !names.includes(name)));
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null;
}

function summaryOf(
  job: Job,
  census: CensusResult,
  replaced: { readonly request: ApprovalRequest; readonly why: string | null } | null,
): string {
  const sets = Object.keys(census.coverage);
  const rows = Object.values(census.coverage).reduce((sum, { rows: read }) => sum + read, 0);
  const instead =
    replaced === null
      ? ''
      : ` Takes the place of request ${replaced.request.requestId}, which is void: ${replaced.why}.`;
  return (
    `Destroys version ${job.from} of ${job.tenant}/${job.purpose}. Its census read ${rows} rows of ` +
    `${sets.join(', ')} and found nothing on it.${instead}`
  );
}
