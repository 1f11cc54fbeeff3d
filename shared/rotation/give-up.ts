import { createHash } from 'node:crypto';
import { type ApprovalOutcome, requireApproval } from '../approvals/request-approval.ts';
import type { Deps } from '../deps/deps.ts';
import { inspect, makeTombstone, open, readTombstone } from '../envelope/index.ts';
import { EnvelopeError, type EnvelopeErrorCode, KeyError, RotationError } from '../errors/errors.ts';
import type { TenantKey } from '../keyring/key.ts';
import type { QuarantinedRecord } from '../ledger/ledger.ts';
import type { FieldValue, RecordKey } from '../records/record-store.ts';
import { canonicalBytes, digestOf } from '../signing/canonical-json.ts';
import { getKey, timestamp } from './change.ts';
import { holdForBackups } from './quarantine.ts';

/**
 * The end of a quarantined value that nothing can bring back: a tombstone takes its place, once people agree. Its bytes are
 * kept nowhere; their SHA-256 is in the request and in the audit. The audit is archived for years and its archive erases
 * nothing, so that it has the record's id, which may be of a person, as a digest under the state key: see `placeDigest`.
 */

export interface GiveUpRequest {
  readonly tenant: string;
  readonly recordSet: string;
  readonly recordId: RecordKey;
  readonly field: string;
  /** For people; bound into the approvals. */
  readonly reason: string;
  readonly requestedBy: string;
}

/** What the value is, as far as it can be told. */
export interface LostValue {
  readonly keyId: string;
  readonly recordSet: string;
  readonly recordId: RecordKey;
  readonly field: string;
  /** Why it does not open now. */
  readonly code: EnvelopeErrorCode;
  /** The version that it names; null when that cannot be told. */
  readonly version: number | null;
  /** Of the exact bytes, base64url. */
  readonly sha256: string;
}

export type GiveUpAnswer =
  | { readonly status: 'given-up'; readonly at: string; readonly requestId: string | null }
  /** There is nothing left to give up: the row is gone, the field is NULL, or the value opens under the active version. */
  | { readonly status: 'settled' }
  | {
      readonly status: 'not-approved';
      readonly value: LostValue;
      readonly outcome: Extract<ApprovalOutcome, { approved: false }>;
    };

/** Somebody writes the same value again and again: the next call will see it. */
const TRIES = 3;

/**
 * Gives one quarantined value up, or asks people for their approvals first; to be called again once they have approved.
 * Each step may be repeated, by several at once: the write is on condition that the very bytes stand there that were
 * approved, and after it a repeat only clears up.
 *
 * Throws GIVE_UP_REFUSED for what is not quarantined and for a value that opens. While a key cannot be had, that is what
 * is thrown: an outage is no reason to give anything up.
 */
export async function giveUp(deps: Deps, request: GiveUpRequest): Promise<GiveUpAnswer> {
  const { purpose } = deps.recordSets.config(request.recordSet);
  const key = await getKey(deps, request.tenant, purpose);
  const entry = await findEntry(deps, key, request);
  for (let tries = 0; tries < TRIES; tries++) {
    const answer = await attempt(deps, request, key, entry);
    if (answer !== null) return answer;
  }
  throw refused('The value is written again and again, or is of a type that holds no envelope', TRY_AGAIN);
}

const TRY_AGAIN = 'Look at the record, then ask for it again: what was approved is the value as it was.';

/** Null: somebody wrote it in between. */
async function attempt(
  deps: Deps,
  request: GiveUpRequest,
  key: TenantKey,
  entry: QuarantinedRecord | undefined,
): Promise<GiveUpAnswer | null> {
  const before = await readValue(deps, request);
  const tombstone = before && readTombstone(before);
  if (tombstone !== null) {
    // By an earlier call, which may have ended right after its write.
    await finish(deps, request, entry, tombstone);
    return { status: 'given-up', at: tombstone.at, requestId: tombstone.requestId };
  }
  if (entry === undefined) {
    throw refused(
      'The value is not in quarantine',
      '`keyturn quarantine list` shows what is. Only a value that a rotation could not work on can be given up.',
    );
  }
  if (before === null) return settled(deps, key, entry);
  const found = await tryToOpen(deps, request, key, before);
  if (found.code === null) {
    if (found.active) return settled(deps, key, entry);
    throw refused(
      'The value opens now, so nothing of it is lost',
      'Bring it to the active version: `keyturn quarantine retry`.',
    );
  }
  const value: LostValue = {
    ...{ keyId: key.keyId, recordSet: request.recordSet, recordId: request.recordId, field: request.field },
    ...{ code: found.code, version: found.version },
    sha256: createHash('sha256').update(before).digest('base64url'),
  };
  const outcome = await requireApproval(deps, {
    action: 'give-up',
    tenant: key.tenant,
    purpose: key.purpose,
    keyId: key.keyId,
    version: value.version ?? 0,
    restoreEpoch: key.restoreEpoch,
    requestedBy: request.requestedBy,
    evidence: { ...value, reason: request.reason, blinding: await placeDigest(deps, 'blinding', value) },
    summary: `Give up ${request.field} of record ${JSON.stringify(request.recordId)} in ${request.recordSet} (${value.code}): ${request.reason}`,
  });
  if (!outcome.approved) return { status: 'not-approved', value, outcome };
  return bury(deps, request, key, entry, { value, before, outcome });
}

interface Burial {
  readonly value: LostValue;
  readonly before: Uint8Array;
  readonly outcome: Extract<ApprovalOutcome, { approved: true }>;
}

/** What will happen is in the audit before it happens: what was lost is nowhere else afterwards. */
async function bury(
  deps: Deps,
  request: GiveUpRequest,
  key: TenantKey,
  entry: QuarantinedRecord,
  { value, before, outcome }: Burial,
): Promise<GiveUpAnswer | null> {
  const { requestId, approvals } = outcome;
  const at = timestamp(deps.clock.now());
  const { recordId: _, ...rest } = value;
  const lost = { ...rest, record: await placeDigest(deps, 'record', value) };
  await deps.audit.record(request.tenant, {
    eventId: `give-up/${requestId ?? digestOf(lost)}`,
    type: 'record.give-up-begun',
    detail: {
      ...lost,
      reason: request.reason,
      requestId,
      approvers: approvals.map(({ approver }) => approver),
    },
  });
  const stone = { keyId: key.keyId, version: value.version, at, requestId };
  const store = deps.recordSets.store(request.recordSet);
  const change = { field: fieldIndex(deps, request), before, after: makeTombstone(stone) };
  const [written] = await store.replace([
    { key: request.recordId, tenant: request.tenant, changes: [change] },
  ]);
  if (written !== 'replaced') return null;
  await finish(deps, request, entry, stone);
  return { status: 'given-up', at, requestId };
}

async function finish(
  deps: Deps,
  { tenant, recordSet, recordId, field }: GiveUpRequest,
  entry: QuarantinedRecord | undefined,
  {
    keyId,
    version,
    at,
    requestId,
  }: { keyId: string; version: number | null; at: string; requestId: string | null },
): Promise<void> {
  const record = await placeDigest(deps, 'record', { keyId, recordSet, recordId });
  await deps.audit.record(tenant, {
    eventId: `given-up/${requestId ?? digestOf({ keyId, recordSet, record, field, at })}`,
    type: 'record.given-up',
    detail: { keyId, recordSet, record, field, version, writtenAt: at, requestId },
  });
  if (entry !== undefined) await deps.ledger.deleteQuarantined(entry);
}

/**
 * HMAC-SHA-256 under the state key, base64url, of what names a record; the same record, the same digest. Ids are few and
 * can be guessed, so that a plain hash would tell them. `record` is in the audit. `blinding` is only in the evidence that
 * people approve: the audit has the evidence's SHA-256, and everything in it but this and the id.
 */
async function placeDigest(
  { state }: Deps,
  use: 'record' | 'blinding',
  { keyId, recordSet, recordId }: Pick<LostValue, 'keyId' | 'recordSet' | 'recordId'>,
): Promise<string> {
  return state.mac(canonicalBytes({ [use]: { keyId, recordSet, recordId } }));
}

async function settled(deps: Deps, key: TenantKey, entry: QuarantinedRecord): Promise<GiveUpAnswer> {
  await holdForBackups(deps, key, [entry]);
  await deps.ledger.deleteQuarantined(entry);
  return { status: 'settled' };
}

async function findEntry(
  deps: Deps,
  { keyId }: TenantKey,
  { recordSet, recordId, field }: GiveUpRequest,
): Promise<QuarantinedRecord | undefined> {
  const name = JSON.stringify([recordSet, recordId, field]);
  const entries = await deps.ledger.listQuarantined(keyId);
  return entries.find((entry) => JSON.stringify([entry.recordSet, entry.recordId, entry.field]) === name);
}

/** Null: the row is gone or another tenant's by now, or the field is NULL. */
async function readValue(deps: Deps, request: GiveUpRequest): Promise<FieldValue> {
  const index = fieldIndex(deps, request);
  const [row = null] = await deps.recordSets.store(request.recordSet).read([request.recordId]);
  if (row === null || row.tenant !== request.tenant) return null;
  return row.values[index] ?? null;
}

function fieldIndex(deps: Deps, { recordSet, field }: GiveUpRequest): number {
  const { fields } = deps.recordSets.store(recordSet);
  const index = fields.indexOf(field);
  if (index !== -1) return index;
  throw refused(`Record set "${recordSet}" has no field "${field}"`, `Its fields are: ${fields.join(', ')}.`);
}

type Opened =
  | { readonly code: null; readonly active: boolean }
  | { readonly code: EnvelopeErrorCode; readonly version: number | null };

/**
 * Whether the value opens, by the key that it names, whosever that is. Throws what the keyring throws for a key that
 * cannot be had or used now: nothing is known of the value then.
 */
async function tryToOpen(
  deps: Deps,
  { tenant, recordSet, recordId, field }: GiveUpRequest,
  key: TenantKey,
  value: Uint8Array,
): Promise<Opened> {
  let version: number | null = null;
  try {
    const named = inspect(value);
    version = named.version;
    const owner =
      named.keyId === key.keyId
        ? key
        : (await deps.ledger.scanKeys()).find((each) => each.keyId === named.keyId);
    if (owner === undefined) return { code: 'KEY_MISMATCH', version };
    const where = { recordSet, recordId, field };
    const kek = await deps.keyring.version(owner.tenant, owner.purpose, version, 'rewrap', where);
    open(value, kek, { tenant, ...where }).fill(0);
    return { code: null, active: owner === key && version === key.active };
  } catch (error) {
    if (error instanceof EnvelopeError) return { code: error.code, version };
    const gone =
      error instanceof KeyError && (error.code === 'VERSION_NOT_FOUND' || error.code === 'VERSION_DESTROYED');
    if (gone) return { code: 'VERSION_UNKNOWN', version };
    throw error;
  }
}

function refused(message: string, remedy: string): RotationError {
  return new RotationError('GIVE_UP_REFUSED', `${message}. Nothing was changed`, { remedy });
}
