import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import type { KeyturnError } from '../errors/errors.ts';
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
import { type Finding, isFinding } from './findings.ts';
import { differences } from './same-detail.ts';

/** Entries of what is written once and never changed: whether it is still there, and still what its entry tells. */

export type CreatedDeps = Pick<Deps, 'ledger'>;

const LANES = 8;
/** Of one key, newest first. */
export const CENSUSES_READ = 1000;

/** Of one key. `unreadable`: why the list could not be read; then it is empty. */
interface KeyCensuses {
  readonly list: readonly StoredCensus[];
  readonly unreadable: KeyturnError | null;
}

type ReadCensuses = (keyId: string) => Promise<KeyCensuses>;

/** What would be told of the item as it is now; null: it is gone. */
type Describe = (
  ledger: Deps['ledger'],
  ids: readonly string[],
  entry: AuditEntry,
  censusesOf: ReadCensuses,
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
  census: async (ledger, [censusId = ''], { detail: { keyId } }, censusesOf) => {
    const { list, unreadable } =
      typeof keyId === 'string' ? await censusesOf(keyId) : { list: [], unreadable: null };
    const census =
      list.find((each) => each.censusId === censusId) ?? (await ledger.findStoredCensus(censusId));
    if (census !== null) return describeCensus(census);
    // It may be the very one that makes the list unreadable: lists of what is open leave out what is forged.
    if (unreadable !== null) throw unreadable;
    return null;
  },
};

/**
 * A key's own list, read once for all its entries: to find each by its id may be to read every census since the last export,
 * and the index may lag behind or have lost it. Where one of them is forged, each is looked for alone.
 */
function readCensusesOnce(ledger: Deps['ledger']): ReadCensuses {
  const read = new Map<string, Promise<KeyCensuses>>();
  return (keyId) => {
    const known = read.get(keyId) ?? readCensuses(ledger, keyId);
    read.set(keyId, known);
    return known;
  };
}

async function readCensuses(ledger: Deps['ledger'], keyId: string): Promise<KeyCensuses> {
  try {
    return { list: await ledger.listStoredCensuses(keyId, CENSUSES_READ), unreadable: null };
  } catch (error) {
    if (!isFinding(error)) throw error;
    return { list: [], unreadable: error };
  }
}

export async function compareCreated(
  { ledger }: CreatedDeps,
  tenant: string,
  entries: readonly AuditEntry[],
): Promise<readonly Finding[]> {
  const censusesOf = readCensusesOnce(ledger);
  const found = await inLanes(entries, LANES, async (entry): Promise<Finding | null> => {
    const [kind = '', ...ids] = entry.eventId.split('/');
    const describe = Object.hasOwn(CREATED, kind) ? CREATED[kind] : undefined;
    if (describe === undefined) return null;
    const finding = (code: Finding['code'], message: string): Finding => ({
      ...{ code, tenant, where: 'ledger', sequence: entry.sequence, message },
    });
    try {
      const now = await describe(ledger, ids, entry, censusesOf);
      if (now === null) return finding('GONE', `${entry.eventId} is not in the ledger any more`);
      const changed = differences(entry.detail, now.detail);
      if (changed.length === 0 && now.type === entry.type) return null;
      const what = changed.join(', ') || 'another thing';
      return finding('CHANGED', `${entry.eventId} is not what entry ${entry.sequence} tells of it (${what})`);
    } catch (error) {
      if (!isFinding(error)) throw error;
      return finding('EDITED', `${entry.eventId} in the ledger was not written by Keyturn (${error.code})`);
    }
  });
  return found.flatMap((finding) => finding ?? []);
}
