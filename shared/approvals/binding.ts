import { canonicalBytes, digestOf } from '../signing/canonical-json.ts';
import type { Approval, ApprovalBinding, ApprovalRequest } from './approval.ts';

/** What binds an approval to its request, and a request to what it is about. Pure. */

/** `typ` of the JWS, so that no other signed statement passes for an approval. */
export const APPROVAL_TYPE = 'keyturn-approval+jws';

export function bindingOf(request: ApprovalBinding): ApprovalBinding {
  const { action, tenant, purpose, keyId, version, restoreEpoch, subject, expiresAt, requestedBy } = request;
  return { action, tenant, purpose, keyId, version, restoreEpoch, subject, expiresAt, requestedBy };
}

/** SHA-256, base64url: 43 characters. */
export function requestIdOf(binding: ApprovalBinding): string {
  return digestOf(bindingOf(binding));
}

/** Whether the request is what its id says, and its evidence what its subject says. */
export function isIntact(request: ApprovalRequest): boolean {
  return requestIdOf(request) === request.requestId && digestOf(request.evidence) === request.subject;
}

/** What an approver signs. */
export function statementOf(
  request: ApprovalRequest,
  { approver, breakGlass, at }: Omit<Approval, 'requestId' | 'jws'>,
): object {
  return { ...bindingOf(request), requestId: request.requestId, approver, breakGlass, at };
}

export function isSameStatement(a: object, b: object): boolean {
  return Buffer.from(canonicalBytes(a)).equals(canonicalBytes(b));
}

/** Ends too early rather than too late: by the clock that may be farthest ahead. */
export function isExpired(
  { expiresAt, requestedAt }: Pick<ApprovalRequest, 'expiresAt' | 'requestedAt'>,
  now: number,
  clockSkewSeconds: number,
): boolean {
  return Math.max(now, Date.parse(requestedAt)) + clockSkewSeconds * 1000 >= Date.parse(expiresAt);
}

/** People are written as `person:<name>`. Names that differ in case only are one person's. */
export function isRequester(approver: string, requestedBy: string): boolean {
  const name = (text: string) => text.replace(/^person:/, '').toLowerCase();
  return name(approver) === name(requestedBy);
}
