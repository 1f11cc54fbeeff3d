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

/**
 * People are written as `person:<name>`, and several who asked one after the other with commas in between, which no
 * approver's name has. Names that differ in case only are one person's.
 */
export function isRequester(approver: string, requestedBy: string): boolean {
  return askers(requestedBy).includes(nameOf(approver));
}

/** Pure. Who asked, and the person who asks again, each once. A schedule that asks again is nobody new. */
export function withRequester(requestedBy: string, again: string): string {
  const isNew = again.startsWith('person:') && !isRequester(again, requestedBy);
  return isNew ? `${requestedBy}, ${again}` : requestedBy;
}

function askers(requestedBy: string): readonly string[] {
  return [requestedBy, ...requestedBy.split(',')].map(nameOf);
}

function nameOf(text: string): string {
  return text
    .trim()
    .replace(/^person:/, '')
    .toLowerCase();
}
