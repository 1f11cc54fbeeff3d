import type { Deps } from '../deps/deps.ts';
import { ApprovalError, SigningError } from '../errors/errors.ts';
import { verifyJws } from '../signing/verify-jws.ts';
import type { Approval, ApprovalRequest } from './approval.ts';
import { APPROVAL_TYPE, isExpired, isIntact, isRequester, isSameStatement, statementOf } from './binding.ts';

/** How a request stands now. Nothing of it is remembered: it is asked again right before the action. */

export interface ApprovalCheck {
  readonly request: ApprovalRequest;
  /** Approvals that count: of distinct approvers that are configured now, each signed by the key that is pinned now. */
  readonly valid: readonly Approval[];
  readonly refused: readonly { readonly approval: Approval; readonly why: string }[];
  /** Why no approval of it counts any more; null: it is open. */
  readonly over: string | null;
  readonly required: number;
  /** Open, and approved by as many as the configuration requires now. */
  readonly approved: boolean;
}

/** How far an approver's clock may be ahead of the pipeline's. A certificate allows as much between machines. */
const AHEAD_MS = 300_000;

export type ApprovalDeps = Pick<Deps, 'ledger' | 'config' | 'clock'>;

/**
 * Reads a request with its approvals and verifies all of it anew: that it is what its id says, that its key and restore
 * epoch are as they were, that it is neither expired, void nor used up by a destruction, and each approval. It only reads.
 * Throws APPROVAL_NOT_FOUND, and APPROVAL_INVALID when somebody changed the request in the ledger.
 *
 * That an action other than a purge happens once is its caller's to see to: by evidence that is gone once it has happened
 * (the hold, the record's value).
 */
export async function checkApprovals(deps: ApprovalDeps, requestId: string): Promise<ApprovalCheck> {
  const request = await readRequest(deps, requestId);
  const over = await whyOver(deps, request);
  const valid: Approval[] = [];
  const refused: { approval: Approval; why: string }[] = [];
  for (const approval of await deps.ledger.listApprovals(requestId)) {
    const why = await whyRefused(deps, request, approval);
    if (why === null) valid.push(approval);
    else refused.push({ approval, why });
  }
  const { required } = deps.config.approvals;
  return { request, valid, refused, over, required, approved: over === null && valid.length >= required };
}

export async function readRequest(
  { ledger }: Pick<ApprovalDeps, 'ledger'>,
  requestId: string,
): Promise<ApprovalRequest> {
  const request = await ledger.getApprovalRequest(requestId);
  if (request === null) {
    throw new ApprovalError('APPROVAL_NOT_FOUND', `There is no request for approval ${requestId}`, {
      remedy: '`keyturn approvals list` shows the requests.',
    });
  }
  if (isIntact(request)) return request;
  throw new ApprovalError('APPROVAL_INVALID', `The request ${requestId} is not what its id says`, {
    remedy: 'Somebody wrote the ledger by hand. Find out who; ask for the action again.',
  });
}

/**
 * Writes down what makes an approval be refused, or another request be made: a clock or a setting that is set back does not
 * bring it to life again.
 */
export async function rememberOver(deps: ApprovalDeps, { request, over }: ApprovalCheck): Promise<void> {
  if (over !== null) await voidRequest(deps, request.requestId, over);
}

/** Writes down that no approval of it counts any more. The first reason stands. */
export async function voidRequest(deps: ApprovalDeps, requestId: string, why: string): Promise<void> {
  const at = new Date(deps.clock.now()).toISOString();
  await deps.ledger.voidApprovalRequest({ requestId, at, why });
}

async function whyOver(deps: ApprovalDeps, request: ApprovalRequest): Promise<string | null> {
  const { requestId, tenant, purpose, keyId, restoreEpoch } = request;
  const written = await deps.ledger.getApprovalVoid(requestId);
  if (written !== null) return written.why;
  const key = await deps.ledger.getKey(tenant, purpose);
  if (key === null || key.keyId !== keyId) return 'its key is another one';
  const used = Object.values(key.versions).find(({ approvedBy }) => approvedBy === requestId);
  if (used !== undefined) return `it was used for version ${used.version}`;
  if (key.restoreEpoch !== restoreEpoch) return 'a store was restored since';
  const expired = isExpired(request, deps.clock.now(), deps.config.rotation.clockSkewSeconds);
  return expired ? `it expired at ${request.expiresAt}` : null;
}

/** Null: it counts. */
async function whyRefused(
  { clock, config }: Pick<ApprovalDeps, 'clock' | 'config'>,
  request: ApprovalRequest,
  approval: Approval,
): Promise<string | null> {
  const { approver, at, jws } = approval;
  const { approvers } = config.approvals;
  const configured = Object.hasOwn(approvers, approver) ? approvers[approver] : undefined;
  if (configured === undefined) return 'is no approver of the configuration any more';
  if (isRequester(approver, request.requestedBy)) return 'asked for it';
  if (Date.parse(at) >= Date.parse(request.expiresAt)) return 'approved after it had expired';
  // What is decided is dated no earlier than it: a certificate would tell of a rehearsal that was never that long.
  if (Date.parse(at) > clock.now() + AHEAD_MS) return `approved at ${at}, which has not come yet`;
  try {
    const signed = await verifyJws(jws, APPROVAL_TYPE, [configured.publicKey]);
    return isSameStatement(signed, statementOf(request, approval)) ? null : 'signed something else';
  } catch (error) {
    if (!(error instanceof SigningError)) throw error;
    return error.code === 'SIGNING_KEY_NOT_FOUND' ? 'signed with another key' : 'has no valid signature';
  }
}
