import type { Approval, ApprovalRequest, ApprovalVoid } from '../approvals/approval.ts';
import type { StoredCertificate } from '../certificates/certificate.ts';
import type { Restore } from '../rotation/restore.ts';
import type { StoredCensus } from '../rotation/rotation.ts';
import { digestOf } from '../signing/canonical-json.ts';
import type { Description } from './describe.ts';

/** What is said in the chain of what people and the service said: requests, approvals, restores, certificates, censuses. */

function requested({ requestId, action, purpose, keyId, version }: ApprovalRequest) {
  return { requestId, action, purpose, keyId, version };
}

export function describeApprovalRequest(request: ApprovalRequest): Description {
  const { restoreEpoch, subject, expiresAt, requestedBy } = request;
  return {
    type: 'approval.requested',
    detail: { ...requested(request), restoreEpoch, subject, expiresAt, requestedBy },
  };
}

export function describeApproval(request: ApprovalRequest, approval: Approval): Description {
  const { approver, breakGlass, at, jws } = approval;
  // The signature itself is with the approval; its digest binds it.
  return {
    type: 'approval.given',
    detail: { ...requested(request), approver, breakGlass, givenAt: at, signed: digestOf({ jws }) },
  };
}

/** Why is text for people. */
export function describeApprovalVoid(request: ApprovalRequest, { at }: ApprovalVoid): Description {
  return { type: 'approval.voided', detail: { ...requested(request), voidedAt: at } };
}

export function describeCertificate({
  purpose,
  keyId,
  version,
  issuedAt,
  jws,
}: StoredCertificate): Description {
  return {
    type: 'certificate.issued',
    detail: { purpose, keyId, version, issuedAt, signed: digestOf({ jws }) },
  };
}

/** Before is null for one that begins. */
export function describeRestore(before: Restore | null, after: Restore): Description {
  const { restoreId, store, backupTime, backupEnd, status, keys, requestedBy, revision } = after;
  const type = before?.status === status ? 'restore.changed' : `restore.${status.toLowerCase()}`;
  return { type, detail: { restoreId, store, backupTime, backupEnd, status, keys, requestedBy, revision } };
}

export function describeCensus(census: StoredCensus): Description {
  const { censusId, purpose, keyId, active, version, restoreEpoch, jobId, result } = census;
  const { takenAt, takenBy, reach, onVersion, stale, malformed, foreign } = result;
  return {
    type: 'census.taken',
    detail: {
      ...{ censusId, purpose, keyId, active, version, restoreEpoch, jobId },
      ...{ takenAt, takenBy, reach, onVersion, stale, malformed, foreign, result: digestOf(result) },
    },
  };
}
