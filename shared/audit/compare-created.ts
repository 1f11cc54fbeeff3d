import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import { KeyturnError } from '../errors/errors.ts';
import type { StoredCensus } from '../rotation/rotation.ts';
import type { Description } from './describe.ts';
import {
  describeApproval,
  describeApprovalRequest,
  describeApprovalVoid,
  describeCensus,
  describeCertificate,
} from './describe-words.ts';
import type { AuditEntry } from './entry.ts';
import type { Finding } from './findings.ts';
import { differences } from './same-detail.ts';

/** Entries of what is written once and never changed: whether it is still there, and still what its entry tells. */

export type CreatedDeps = Pick<Deps, 'ledger'>;

const LANES = 8;
/** Of one key, newest first: where the list index does not show a census. */
export const CENSUSES_READ = 1000;

/** What would be told of the item as it is now; null: it is gone. */
type Describe = (
  ledger: Deps['ledger'],
  ids: readonly string[],
  entry: AuditEntry,
) => Promise<Description | null>;

/** By what their event ids begin with. */
const CREATED: Readonly<Record<string, Describe>> = {
  'approval-request': async (ledger, [requestId = '']) => {
    const request = await ledger.getApprovalRequest(requestId);
    return request === null ? null : describeApprovalRequest(request);
  },
  approval: async (ledger, [requestId = '', ...name]) => {
    const request = await ledger.getApprovalRequest(requestId);
    const approvals = await ledger.listApprovals(requestId);
    const approval = approvals.find(({ approver }) => approver === name.join('/'));
    return request === null || approval === undefined ? null : describeApproval(request, approval);
  },
  'approval-void': async (ledger, [requestId = '']) => {
    const request = await ledger.getApprovalRequest(requestId);
    const entry = await ledger.getApprovalVoid(requestId);
    return request === null || entry === null ? null : describeApprovalVoid(request, entry);
  },
  certificate: async (ledger, [keyId = '', version = '']) => {
    const certificate = await ledger.getCertificate(keyId, Number(version));
    return certificate === null ? null : describeCertificate(certificate);
  },
  census: async (ledger, [censusId = ''], { detail }) => {
    const census = await findCensus(ledger, censusId, detail['keyId']);
    return census === null ? null : describeCensus(census);
  },
};

/** The list index may lag behind, or have lost it; the key's own list does not. */
async function findCensus(
  ledger: Deps['ledger'],
  censusId: string,
  keyId: unknown,
): Promise<StoredCensus | null> {
  const found = await ledger.findStoredCensus(censusId);
  if (found !== null || typeof keyId !== 'string') return found;
  const kept = await ledger.listStoredCensuses(keyId, CENSUSES_READ);
  return kept.find((census) => census.censusId === censusId) ?? null;
}

export async function compareCreated(
  { ledger }: CreatedDeps,
  tenant: string,
  entries: readonly AuditEntry[],
): Promise<readonly Finding[]> {
  const found = await inLanes(entries, LANES, async (entry): Promise<Finding | null> => {
    const [kind = '', ...ids] = entry.eventId.split('/');
    const describe = Object.hasOwn(CREATED, kind) ? CREATED[kind] : undefined;
    if (describe === undefined) return null;
    const finding = (code: Finding['code'], message: string): Finding => ({
      ...{ code, tenant, where: 'ledger', sequence: entry.sequence, message },
    });
    try {
      const now = await describe(ledger, ids, entry);
      if (now === null) return finding('GONE', `${entry.eventId} is not in the ledger any more`);
      const changed = differences(entry.detail, now.detail);
      if (changed.length === 0 && now.type === entry.type) return null;
      const what = changed.join(', ') || 'another thing';
      return finding('CHANGED', `${entry.eventId} is not what entry ${entry.sequence} tells of it (${what})`);
    } catch (error) {
      if (!(error instanceof KeyturnError) || error.retryable) throw error;
      return finding('EDITED', `${entry.eventId} in the ledger was not written by Keyturn (${error.code})`);
    }
  });
  return found.flatMap((finding) => finding ?? []);
}
