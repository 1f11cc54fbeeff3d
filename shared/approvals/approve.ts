import { ApprovalError } from '../errors/errors.ts';
import { noEarlierThan } from '../rotation/no-earlier.ts';
import { readPublicKey } from '../signing/public-key.ts';
import type { Signer } from '../signing/signer.ts';
import type { Approval, ApprovalRequest } from './approval.ts';
import { APPROVAL_TYPE, isRequester, statementOf } from './binding.ts';
import { type ApprovalCheck, type ApprovalDeps, checkApprovals, rememberOver } from './check-approvals.ts';
import { whyNotWaitedFor } from './waited-for.ts';

/** One person's word for a request: signed by them, and written down once. */

/**
 * What this person would approve, verified, for them to read before they sign. Throws APPROVAL_NOT_FOUND,
 * APPROVAL_INVALID, and APPROVAL_REFUSED for anybody whose approval would not count.
 */
export async function checkMayApprove(
  deps: ApprovalDeps,
  requestId: string,
  approver: string,
): Promise<ApprovalCheck> {
  const check = await checkApprovals(deps, requestId);
  await rememberOver(deps, check);
  const why = await whyNot(deps, check, approver);
  if (why === null) return check;
  throw new ApprovalError('APPROVAL_REFUSED', `${approver} cannot approve ${requestId}: ${why.message}`, {
    remedy: why.remedy,
  });
}

/** Signs and writes down. Once it returns the approval stands. Throws as checkMayApprove, and the signer's errors. */
export async function approve(
  deps: ApprovalDeps,
  requestId: string,
  approver: string,
  signer: Signer,
): Promise<Approval> {
  const { request } = await checkMayApprove(deps, requestId, approver);
  await requirePinned(deps, approver, signer);
  const breakGlass = deps.config.approvals.approvers[approver]?.breakGlass ?? false;
  // On a machine whose clock stands behind, too: nobody agrees to what nobody has asked for.
  const at = new Date(noEarlierThan(deps.clock.now(), [request.requestedAt])).toISOString();
  const said = { approver, breakGlass, at };
  const jws = await signer.sign(APPROVAL_TYPE, statementOf(request, said));
  const { status, item } = await deps.ledger.createApproval({ requestId, ...said, jws });
  if (status === 'exists') throw alreadyGiven(request, item);
  return item;
}

interface Refused {
  readonly message: string;
  readonly remedy: string;
}

async function whyNot(
  deps: ApprovalDeps,
  { request, over, valid, refused }: ApprovalCheck,
  approver: string,
): Promise<Refused | null> {
  const { approvers } = deps.config.approvals;
  if (!Object.hasOwn(approvers, approver)) {
    const names = Object.keys(approvers).join(', ') || 'nobody';
    return {
      message: 'they are no approver',
      remedy: `The configuration names as approvers: ${names}.`,
    };
  }
  if (isRequester(approver, request.requestedBy)) {
    return { message: 'they asked for it themselves', remedy: 'Another approver must approve it.' };
  }
  if (over !== null) return { message: `it is void, ${over}`, remedy: ASK_ANEW };
  const given = [...valid, ...refused.map(({ approval }) => approval)].find(
    (approval) => approval.approver === approver,
  );
  if (given !== undefined) {
    return {
      message: `they did at ${given.at}`,
      remedy: 'Nobody approves twice; `keyturn approvals show` has who did.',
    };
  }
  // An approval of what is done already does no harm: what it would allow cannot happen twice.
  if (request.action !== 'purge') return null;
  const idle = await whyNotWaitedFor(deps, request);
  return idle === null ? null : { message: idle.why, remedy: ASK_ANEW };
}

const ASK_ANEW =
  '`keyturn approvals list` shows the open requests. Where there is none, ask for the action again.';

/**
 * Before anything is read or written, so that a wrong key does not use up the approver's one approval. Throws
 * APPROVAL_REFUSED, and the signer's errors.
 */
export async function requirePinned(
  { config }: Pick<ApprovalDeps, 'config'>,
  approver: string,
  signer: Signer,
): Promise<void> {
  const pinned = config.approvals.approvers[approver]?.publicKey;
  const own = await readPublicKey(await signer.publicKey());
  if (pinned !== undefined && (await readPublicKey(pinned)).kid === own.kid) return;
  throw new ApprovalError('APPROVAL_REFUSED', `The key is not the one that is pinned for ${approver}`, {
    remedy: 'Sign with the key whose public part stands under approvals.approvers in the configuration.',
  });
}

function alreadyGiven({ requestId }: ApprovalRequest, { approver, at }: Approval): ApprovalError {
  return new ApprovalError('APPROVAL_REFUSED', `${approver} approved ${requestId} already, at ${at}`, {
    remedy: 'Nobody approves twice; `keyturn approvals show` has who did.',
  });
}
