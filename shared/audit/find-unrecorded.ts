import { inLanes } from '../concurrency/in-lanes.ts';
import type { Deps } from '../deps/deps.ts';
import type { TenantKey } from '../keyring/key.ts';
import { CENSUSES_READ } from './compare-created.ts';
import { type Finding, isFinding } from './findings.ts';
import type { LedgerWalk } from './walk-ledger.ts';

/** What stands in the ledger once and for all, and no entry tells of. */

export interface ListedRequests {
  readonly keys: readonly TenantKey[];
  /** Of requests for approval of the tenant. */
  readonly requestIds: readonly string[];
}

type UnrecordedDeps = Pick<Deps, 'audit' | 'clock' | 'ledger'>;

const LANES = 8;
/** A list of the ledger, and so an outbox, may be seen later than its item is read. */
const LOOKS = 5;
const LOOK_EVERY_MS = 1000;
/** Somebody who can write items can write many. */
const MOST_NAMED = 20;

export interface Unrecorded {
  readonly findings: readonly Finding[];
  /** What was not looked at. For people. */
  readonly unread: readonly string[];
}

export async function findUnrecorded(
  deps: UnrecordedDeps,
  tenant: string,
  ledger: LedgerWalk,
  { keys, requestIds }: ListedRequests,
): Promise<Unrecorded> {
  const unknown = new Set<string>();
  const findings: Finding[] = [];
  const unread: string[] = [];
  const finding = (code: Finding['code'], message: string): Finding => ({
    ...{ code, tenant, where: 'ledger', sequence: null, message },
  });
  const see = async (what: string, list: () => Promise<readonly string[]>) => {
    try {
      for (const eventId of await list()) if (!ledger.walk.tells(eventId)) unknown.add(eventId);
    } catch (error) {
      if (!isFinding(error)) throw error;
      // An entry that tells of it has a finding of its own.
      findings.push(finding('EDITED', `${what} in the ledger was not written by Keyturn (${error.code})`));
    }
  };
  await inLanes([...new Set([...requestIds, ...ledger.requestIds])], LANES, (requestId) =>
    see(`what belongs to approval-request/${requestId}`, () => eventsOfRequest(deps, requestId)),
  );
  await inLanes(keys, LANES, (key) =>
    see(`what belongs to key/${key.keyId}`, () => eventsOfKey(deps, key, unread)),
  );
  await leaveKnown(deps, tenant, ledger, unknown);
  const named = [...unknown].slice(0, MOST_NAMED);
  for (const eventId of named) {
    const more = unknown.size > MOST_NAMED && eventId === named[0] ? ` (the first of ${unknown.size})` : '';
    findings.push(finding('UNRECORDED', `${eventId} is in the ledger, and no entry tells of it${more}`));
  }
  return { findings, unread: unread.sort() };
}

async function eventsOfRequest({ ledger }: UnrecordedDeps, requestId: string): Promise<readonly string[]> {
  const request = await ledger.getApprovalRequest(requestId);
  const approvals = await ledger.listApprovals(requestId);
  const over = await ledger.getApprovalVoid(requestId);
  return [
    ...(request === null ? [] : [`approval-request/${requestId}`]),
    ...approvals.map(({ approver }) => `approval/${requestId}/${approver}`),
    ...(over === null ? [] : [`approval-void/${requestId}`]),
  ];
}

async function eventsOfKey(
  { ledger }: UnrecordedDeps,
  { keyId, purpose, versions }: TenantKey,
  unread: string[],
): Promise<readonly string[]> {
  const events: string[] = [];
  for (const { version } of Object.values(versions)) {
    if ((await ledger.getCertificate(keyId, version)) !== null)
      events.push(`certificate/${keyId}/${version}`);
  }
  const censuses = await ledger.listStoredCensuses(keyId, CENSUSES_READ + 1);
  const oldest = censuses[CENSUSES_READ - 1];
  if (censuses.length > CENSUSES_READ && oldest !== undefined) {
    const { takenAt } = oldest.result;
    unread.push(
      `whether the censuses of key/${keyId} (${purpose}) that are older than its newest ${CENSUSES_READ}, before ${takenAt}, have entries`,
    );
  }
  return [...events, ...censuses.slice(0, CENSUSES_READ).map(({ censusId }) => `census/${censusId}`)];
}

/** Takes out what the chain tells of by now, and what still waits in its outbox. */
async function leaveKnown(
  { audit, clock }: UnrecordedDeps,
  tenant: string,
  ledger: LedgerWalk,
  unknown: Set<string>,
): Promise<void> {
  const readOn = async () => {
    await ledger.on();
    for (const eventId of unknown) if (ledger.walk.tells(eventId)) unknown.delete(eventId);
  };
  for (let look = 0; look < LOOKS && unknown.size > 0; look++) {
    if (look > 0) await clock.sleep(LOOK_EVERY_MS);
    await readOn();
    if (unknown.size === 0) return;
    for (const { event } of await audit.listOpenOutboxes())
      if (event.tenant === tenant) unknown.delete(event.eventId);
    // Appended and closed in between.
    if (unknown.size > 0) await readOn();
  }
}
