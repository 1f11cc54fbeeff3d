import type { ApprovalRequest } from '../../shared/approvals/approval.ts';
import type { ApprovalCheck } from '../../shared/approvals/check-approvals.ts';
import { storedCensusSchema } from '../../shared/ledger/items.ts';
import { censusReport } from './census-words.ts';
import { time } from './format.ts';
import { keyName } from './job-words.ts';

/** Requests for approval in words and JSON. Pure. */

const ACTIONS = {
  purge: 'purge',
  'release-hold': 'release of a hold',
  'give-up': 'giving up a record',
} as const satisfies Record<ApprovalRequest['action'], string>;

/** `purge of acme version 1` */
export function subjectWords(request: ApprovalRequest): string {
  const version = request.version === 0 ? '' : ` version ${request.version}`;
  return `${ACTIONS[request.action]} of ${keyName(request)}${version}`;
}

/** `open`, `approved`, or why no approval of it counts any more. */
export function standingOf({ over, approved, valid, required }: ApprovalCheck): string {
  if (over !== null) return over.startsWith('it was used') ? 'used' : 'void';
  return approved ? 'approved' : `${valid.length} of ${required}`;
}

/** What the next approver types. */
export function approveCommand(requestId: string): string {
  return `keyturn approve ${requestId} --as <name> --key-file <file>`;
}

/** The lines of one request: what is approved, and what it is bound to. */
export function requestLines(request: ApprovalRequest): string[] {
  return [
    request.summary,
    `  action   ${subjectWords(request)}`,
    `  key      ${request.keyId}, restore epoch ${request.restoreEpoch}`,
    `  asked    by ${request.requestedBy} at ${time(request.requestedAt)}`,
    `  expires  ${time(request.expiresAt)}`,
    `  subject  ${request.subject} (SHA-256 of what follows)`,
    ...evidenceLines(request).map((line) => `  ${line}`),
  ];
}

/** A census with all that it did not read; anything else field by field. */
function evidenceLines({ tenant, purpose, evidence }: ApprovalRequest): string[] {
  const census = storedCensusSchema.shape.result.safeParse(evidence);
  if (census.success) return censusReport({ tenant, purpose }, census.data);
  return Object.entries(evidence).map(([name, value]) => `${name.padEnd(9)}${JSON.stringify(value)}`);
}

export function approvalLines({ valid, refused, required, over }: ApprovalCheck): string[] {
  return [
    `Approved by ${valid.length} of ${required}:`,
    ...valid.map(
      ({ approver, breakGlass, at }) =>
        `  ${approver} at ${time(at)}, signature verified${breakGlass ? ' (for emergencies)' : ''}`,
    ),
    ...refused.map(
      ({ approval, why }) => `  ${approval.approver} at ${time(approval.at)} does not count: ${why}`,
    ),
    ...(over === null ? [] : [`No approval of it counts any more: ${over}.`]),
  ];
}

export function checkJson(check: ApprovalCheck): object {
  const { request, valid, refused, over, required, approved } = check;
  return {
    ...request,
    status: standingOf(check),
    required,
    approved,
    over,
    approvals: [
      ...valid.map((approval) => ({ ...approval, verified: true, why: null })),
      ...refused.map(({ approval, why }) => ({ ...approval, verified: false, why })),
    ],
  };
}
