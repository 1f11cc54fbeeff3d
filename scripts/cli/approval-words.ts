import type { ApprovalRequest } from '../../shared/approvals/approval.ts';
import {
  type ApprovalCheck,
  type ApprovalDeps,
  checkApprovals,
} from '../../shared/approvals/check-approvals.ts';
import { whyNotWaitedFor } from '../../shared/approvals/waited-for.ts';
import { storedCensusSchema } from '../../shared/ledger/items.ts';
import { censusReport } from './census-words.ts';
import { time } from './format.ts';
import { keyName } from './job-words.ts';
import { whyQuarantined } from './quarantine-words.ts';

/** Requests for approval in words and JSON. */

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

/** How a request stands, and who waits for it. */
export interface Standing {
  readonly check: ApprovalCheck;
  /** `1 of 2`, `approved`; `used`, `done` or `void`: no approval of it is of use any more. */
  readonly status: string;
  /** Why it is over; null: it can be approved still. */
  readonly over: string | null;
}

export async function readStanding(deps: ApprovalDeps, requestId: string): Promise<Standing> {
  const check = await checkApprovals(deps, requestId);
  const { over, approved, valid, required } = check;
  if (over !== null) return { check, status: over.startsWith('it was used') ? 'used' : 'void', over };
  const idle = await whyNotWaitedFor(deps, check.request);
  if (idle !== null) return { check, status: idle.status, over: idle.why };
  return { check, status: approved ? 'approved' : `${valid.length} of ${required}`, over };
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

/** A census with all that it did not read; of a hold and of a record every field that says something. */
function evidenceLines({ tenant, purpose, version, evidence }: ApprovalRequest): string[] {
  const census = storedCensusSchema.shape.result.safeParse(evidence);
  if (census.success) return censusReport({ tenant, purpose, version }, census.data);
  const said = Object.entries(evidence).filter(([name, value]) => value !== null || name in NONE);
  const rows = said.map(([name, value]) => [FIELDS[name] ?? name, fieldWords(name, value)] as const);
  const width = Math.max(0, ...rows.map(([name]) => name.length));
  return rows.map(([name, words]) => `${name.padEnd(width)}  ${words}`);
}

const FIELDS: Readonly<Record<string, string>> = {
  holdId: 'hold',
  versions: 'versions',
  reason: 'reason',
  store: 'store',
  note: 'why',
  by: 'placed by',
  at: 'placed at',
  until: 'until',
  endedEpoch: 'restore ended',
  keyId: 'key',
  recordSet: 'record set',
  recordId: 'record',
  field: 'field',
  code: 'opens?',
  version: 'version',
  sha256: 'SHA-256',
};

function fieldWords(name: string, value: unknown): string {
  if (value === null) return NONE[name] ?? '-';
  if (name === 'code') return `no: ${whyQuarantined(String(value))} (${String(value)})`;
  if (name === 'at' || name === 'until') return time(String(value));
  if (name === 'endedEpoch') return `in epoch ${String(value)}`;
  if (Array.isArray(value)) return value.map(String).join(', ');
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}

const NONE: Readonly<Record<string, string>> = {
  until: 'it is released',
  version: 'it names none',
};

export function approvalLines({ check: { valid, refused, required }, over }: Standing): string[] {
  return [
    `Approved by ${valid.length} of ${required}:`,
    ...valid.map(
      ({ approver, breakGlass, at }) =>
        `  ${approver} at ${time(at)}, signature verified${breakGlass ? ' (for emergencies)' : ''}`,
    ),
    ...refused.map(
      ({ approval, why }) => `  ${approval.approver} at ${time(approval.at)} does not count: ${why}`,
    ),
    ...(over === null ? [] : [`It cannot be approved any more: ${over}.`]),
  ];
}

export function standingJson({ check, status, over }: Standing): object {
  const { request, valid, refused, required, approved } = check;
  return {
    ...request,
    status,
    required,
    approved,
    over,
    approvals: [
      ...valid.map((approval) => ({ ...approval, verified: true, why: null })),
      ...refused.map(({ approval, why }) => ({ ...approval, verified: false, why })),
    ],
  };
}
