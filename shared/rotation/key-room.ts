import { MOST_CHANGES } from '../audit/describe.ts';
import type { Config } from '../config/schema.ts';
import { RotationError } from '../errors/errors.ts';
import { versionOf } from '../keyring/change-version.ts';
import { PERSON_LIMIT } from '../keyring/holds.ts';
import type { Hold, KeyVersion, TenantKey } from '../keyring/key.ts';
import { highestVersion, nextVersion } from '../keyring/versions.ts';
import { marshalItem } from '../ledger/attribute-values.ts';
import { LONGEST_CANARY } from '../ledger/canary-text.ts';
import { ITEM_LIMIT, itemSize } from '../ledger/item-size.ts';
import { keyItem } from '../ledger/key-ledger.ts';
import type { WrappedKek } from '../providers/root-key-provider.ts';
import { OPEN_LIMIT } from './begin-restore.ts';
import { backupHoldId } from './holds.ts';
import { NOTE_LIMIT } from './holds-by-people.ts';

/**
 * How much room a key's item has. All versions of a key stand in one item, also those that are destroyed, and DynamoDB takes no
 * item over 400 KB: then nothing could be changed on the key any more. So it gets no further version where it could come
 * to that: as many holds as there may be, a restore, suspensions, the purge of every version and the mark of its canary
 * must always fit.
 */

/**
 * Pure. The part of an item that the key can come to with one more version, before any rotation after that. Over 1: it gets
 * none.
 */
export function roomTaken(key: TenantKey, config: Pick<Config, 'approvals'>): number {
  const approvers = Object.keys(config.approvals.approvers);
  const destroyed = Object.values(key.versions).filter(({ state }) => state === 'DESTROYED');
  const live = Object.values(key.versions).filter(({ state }) => state !== 'DESTROYED');
  const made = { ...versionOf(key, highestVersion(key)), version: nextVersion(key) };
  const grown = [...live, made].map((version) => atLargest(version, key, approvers));
  const numbers = grown.map(({ version }) => version);
  const holds = [...key.holds.map((hold) => withAll(hold, numbers)), ...backupHoldsToCome(key, numbers)];
  const versions = Object.fromEntries([...destroyed, ...grown].map((one) => [one.version, one]));
  const item = keyItem({ ...key, canary: null, rotationId: UUID, holds, versions });
  const restores = key.holds.filter(({ reason }) => reason === 'RESTORE');
  const open = restores.filter(({ endedEpoch }) => endedEpoch === null).length;
  const people = key.holds.filter(({ reason }) => reason === 'PERSON').length;
  const restoresToCome = Math.max(0, OPEN_LIMIT - open);
  const bytes =
    itemSize(item) +
    Math.max(0, PERSON_LIMIT - people) * PERSON_HOLD_BYTES +
    restoresToCome * sizeOf(withAll(RESTORE_HOLD, numbers)) +
    auditBytes(numbers, restores.length + restoresToCome) +
    LONGEST_CANARY +
    SPARE_BYTES;
  return bytes / ITEM_LIMIT;
}

/** Pure. */
export function hasRoomForVersion(key: TenantKey, config: Pick<Config, 'approvals'>): boolean {
  return roomTaken(key, config) <= 1;
}

/** Pure. */
export function whyFull({ keyId, versions }: TenantKey): { message: string; remedy: string } {
  const states = Object.values(versions).map(({ state }) => state);
  const destroyed = states.filter((state) => state === 'DESTROYED').length;
  return {
    message: `Key ${keyId} has ${states.length} versions, ${destroyed} of them destroyed, and its item has no room for another`,
    remedy:
      'Purge what is retired, and release holds that are over; else its records need a key of another purpose: docs/runbook.md#key_full.',
  };
}

export function keyFull(key: TenantKey): RotationError {
  const { message, remedy } = whyFull(key);
  return new RotationError('KEY_FULL', message, { remedy });
}

/** For tables that are declared later, a store of theirs, numbers that get longer, MACs, names that nobody thought of. */
export const SPARE_BYTES = 16_384;

const TIME = 'x'.repeat(24);
const UUID = 'x'.repeat(36);
/** `by` of a hold: `person:` and the name of an account. */
const NAME = 'x'.repeat(128);
/** SHA-256, base64url. */
const DIGEST = 'x'.repeat(43);
/** ARN of a multi-Region key in a partition with a long name: some 90 bytes. */
const ROOT_KEY = 'x'.repeat(100);
/** In KMS a KEK of 32 bytes has some 190; D/kms/latest/APIReference/API_GenerateDataKeyWithoutPlaintext.html says no number. */
const WRAPPED_BYTES = 256;
const MATERIAL = 'x'.repeat(64);

/**
 * A version that is not destroyed, with all that it can get. It has less when it is destroyed: then only the names of what
 * wrapped it are left of its wrappings.
 */
function atLargest(version: KeyVersion, { serves }: TenantKey, approvers: readonly string[]): KeyVersion {
  return {
    ...version,
    state: 'DESTROY_PENDING',
    wrapped: largest(version.wrapped),
    formerWrapped: largest(version.formerWrapped),
    suspended: { reason: 'ROOT_KEY', rootKeyId: ROOT_KEY, at: TIME },
    check: DIGEST,
    provedAt: TIME,
    activatedAt: TIME,
    retiringAt: TIME,
    purgeNotBefore: TIME,
    destroyPendingAt: TIME,
    destroyAuthorizedAt: TIME,
    destroyedAt: TIME,
    retiredBy: UUID,
    seen: { at: TIME, cleanAt: TIME, besides: serves },
    erased: [],
    approvedBy: DIGEST,
    agreement: { required: approvers.length, approvers },
  };
}

function largest(wrapped: WrappedKek | null): WrappedKek {
  const rootKeyId = wrapped?.rootKeyId ?? '';
  const bytes = wrapped?.wrapped ?? new Uint8Array();
  return {
    rootKeyId: rootKeyId.length > ROOT_KEY.length ? rootKeyId : ROOT_KEY,
    materialId: MATERIAL,
    wrapped: bytes.length > WRAPPED_BYTES ? bytes : new Uint8Array(WRAPPED_BYTES),
  };
}

/** A restore that is begun anew holds what was made since, too. */
function withAll(hold: Hold, numbers: readonly number[]): Hold {
  return hold.reason === 'RESTORE'
    ? { ...hold, versions: [...new Set([...hold.versions, ...numbers])] }
    : hold;
}

const HOLD: Hold = {
  holdId: UUID,
  versions: [],
  reason: 'RESTORE',
  store: 'x'.repeat(63),
  note: null,
  by: NAME,
  at: TIME,
  until: TIME,
  endedEpoch: 999_999,
};
const RESTORE_HOLD = HOLD;
const PERSON_HOLD_BYTES = sizeOf({
  ...HOLD,
  versions: [999_999],
  reason: 'PERSON',
  note: '\u{1f512}'.repeat(NOTE_LIMIT),
});

function backupHoldsToCome({ serves, holds }: TenantKey, numbers: readonly number[]): Hold[] {
  const placed = new Set(holds.map(({ holdId }) => holdId));
  const stores = [...new Set(serves.map(({ store }) => store))];
  return stores.flatMap((store) =>
    numbers
      .map((version) => ({ version, holdId: backupHoldId(store, version) }))
      .filter(({ holdId }) => !placed.has(holdId))
      .map(({ version, holdId }) => ({
        ...HOLD,
        ...{ holdId, versions: [version], reason: 'BACKUP' as const, store, by: 'policy' },
      })),
  );
}

function sizeOf(hold: Hold): number {
  return 1 + itemSize(marshalItem(hold));
}

/** Of one change, with the names of a version's root key or of a store; without the versions of a restore's hold. */
const CHANGE_BYTES = 200;
/** Who did it, when, and what is said besides the changes. */
const EVENT_BYTES = 1024;

/** What one change of the key tells the audit stands in the item with it. */
function auditBytes(numbers: readonly number[], restores: number): number {
  const told = numbers.reduce((sum, version) => sum + String(version).length + ', '.length, 0);
  return EVENT_BYTES + MOST_CHANGES * CHANGE_BYTES + Math.min(MOST_CHANGES, restores) * told;
}
