import type { Config } from '../config/schema.ts';
import { ApprovalError } from '../errors/errors.ts';
import type { Timestamp } from '../keyring/key.ts';
import { digestOf } from '../signing/canonical-json.ts';
import type { Approval, ApprovalBinding, ApprovalRequest } from './approval.ts';
import { isRequester, requestIdOf } from './binding.ts';
import { type ApprovalCheck, type ApprovalDeps, checkApprovals, rememberOver } from './check-approvals.ts';

/** What people are asked to agree to. */
export interface Approvable
  extends Pick<
    ApprovalBinding,
    'action' | 'tenant' | 'purpose' | 'keyId' | 'version' | 'restoreEpoch' | 'requestedBy'
  > {
  /**
   * What exactly is approved, as plain JSON: the census, the hold, the record with a digest of its value. An action that
   * is asked for again with other evidence needs other approvals.
   */
  readonly evidence: object;
  /** For people: what will happen. Never a value. */
  readonly summary: string;
  /** From when its time runs; left out: now. Given, a repeated step asks for the very same request. */
  readonly since?: Timestamp;
}

export type ApprovalOutcome =
  /** `requestId` null: the configuration requires no approvals. */
  | { readonly approved: true; readonly requestId: string | null; readonly approvals: readonly Approval[] }
  /** People have to approve `check.request` first; `requested`: it was made just now. */
  | { readonly approved: false; readonly check: ApprovalCheck; readonly requested: boolean };

/**
 * Asks whether an action may happen now, and asks people for their approvals where it may not: to be called right before
 * the action, each time it is asked for. An open request for the same action with the same evidence is used, whoever
 * made it; a new one is made where there is none. Throws APPROVAL_REFUSED where too few could ever approve.
 */
export async function requireApproval(deps: ApprovalDeps, wanted: Approvable): Promise<ApprovalOutcome> {
  if (deps.config.approvals.required === 0) return { approved: true, requestId: null, approvals: [] };
  const open = await findOpen(deps, wanted);
  if (open !== null) return outcome(open, false);
  const { requestId } = await requestApproval(deps, wanted);
  return outcome(await checkApprovals(deps, requestId), true);
}

function outcome(check: ApprovalCheck, requested: boolean): ApprovalOutcome {
  if (!check.approved) return { approved: false, check, requested };
  return { approved: true, requestId: check.request.requestId, approvals: check.valid };
}

/** Of several, the one that is approved, or else the one that lives longest. */
async function findOpen(deps: ApprovalDeps, wanted: Approvable): Promise<ApprovalCheck | null> {
  const subject = digestOf(wanted.evidence);
  const listed = await deps.ledger.listApprovalRequests({ expiresFrom: timestamp(deps.clock.now()) });
  let found: ApprovalCheck | null = null;
  for (const request of listed) {
    const same =
      request.subject === subject &&
      BOUND.every((part) => request[part] === wanted[part]) &&
      request.requestId === requestIdOf(request);
    if (!same) continue;
    const check = await checkApprovals(deps, request.requestId);
    if (check.approved) return check;
    await rememberOver(deps, check);
    if (check.over === null) found ??= check;
  }
  return found;
}

const BOUND = ['action', 'tenant', 'purpose', 'keyId', 'version', 'restoreEpoch'] as const;

/**
 * Writes the request down, on which `keyturn approve` gives approvals. The same twice is one request. Throws
 * APPROVAL_REFUSED where too few could ever approve it.
 */
export async function requestApproval(deps: ApprovalDeps, wanted: Approvable): Promise<ApprovalRequest> {
  const problem = whyNobodyCan(deps.config, wanted.requestedBy);
  if (problem !== null) {
    throw new ApprovalError('APPROVAL_REFUSED', problem.message, { remedy: problem.remedy });
  }
  const { action, tenant, purpose, keyId, version, restoreEpoch, requestedBy, evidence, summary } = wanted;
  const requestedAt = timestamp(deps.clock.now());
  const since = Date.parse(wanted.since ?? requestedAt);
  for (let later = 0; ; later++) {
    const binding: ApprovalBinding = {
      ...{ action, tenant, purpose, keyId, version, restoreEpoch, requestedBy },
      subject: digestOf(evidence),
      expiresAt: timestamp(since + deps.config.approvals.expirySeconds * 1000 + later),
    };
    const requestId = requestIdOf(binding);
    // People type it in a command, where what begins with a dash is an option.
    if (requestId.startsWith('-')) continue;
    const request = { ...binding, requestId, requestedAt, summary, evidence };
    const { status, item } = await deps.ledger.createApprovalRequest(request);
    // The same was asked for in the same instant, and is void: no approval of that one may count for this one.
    if (status === 'created' || (await deps.ledger.getApprovalVoid(requestId)) === null) return item;
  }
}

/** Pure. Why the approvals that the configuration requires could never come together; null: they could. */
export function whyNobodyCan(
  { approvals: { required, approvers } }: Pick<Config, 'approvals'>,
  requestedBy: string,
): { readonly message: string; readonly remedy: string } | null {
  if (required === 0) return null;
  const names = Object.keys(approvers);
  const others = names.filter((name) => !isRequester(name, requestedBy));
  if (others.length >= required) return null;
  const remedy =
    'Make their keys with `keyturn approvers create` and name them under approvals.approvers in the configuration.';
  if (names.length === 0) return { message: 'Nobody may approve it: no approvers are configured', remedy };
  const who = others.length === names.length ? 'configured' : 'not who asked for it';
  const message = `It needs ${required} approvals, and only ${others.length} approvers are ${who}`;
  return { message, remedy };
}

function timestamp(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}
