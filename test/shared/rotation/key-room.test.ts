import fc from 'fast-check';
import { expect, it } from 'vitest';
import { describeKeyChange, keyEventId } from '../../../shared/audit/describe.ts';
import type { PendingEvent } from '../../../shared/audit/outbox.ts';
import { configSchema } from '../../../shared/config/schema.ts';
import { authorizeDestroy, beginDestroy, finishDestroy } from '../../../shared/keyring/destruction.ts';
import { endRestoreHold, holdForRestore, PERSON_LIMIT, placeHold } from '../../../shared/keyring/holds.ts';
import type { TenantKey } from '../../../shared/keyring/key.ts';
import { replaceWrapping } from '../../../shared/keyring/rewrapping.ts';
import { markSeen, renewGrace } from '../../../shared/keyring/sightings.ts';
import { resumeVersion, suspendVersion } from '../../../shared/keyring/suspension.ts';
import {
  activateVersion,
  addVersion,
  allLeft,
  createTenantKey,
  endResweep,
  leftBehind,
  lockKey,
  nextVersion,
  proveVersion,
  retireFrom,
} from '../../../shared/keyring/versions.ts';
import { marshalItem } from '../../../shared/ledger/attribute-values.ts';
import { markText } from '../../../shared/ledger/canary-text.ts';
import { ITEM_LIMIT, itemSize } from '../../../shared/ledger/item-size.ts';
import { keyItem } from '../../../shared/ledger/key-ledger.ts';
import { OPEN_LIMIT } from '../../../shared/rotation/begin-restore.ts';
import { backupHolds, holdsAfterSweep } from '../../../shared/rotation/holds.ts';
import { hasRoomForVersion, roomTaken, SPARE_BYTES } from '../../../shared/rotation/key-room.ts';
import { holdOf, versionsToHold } from '../../../shared/rotation/restore-versions.ts';
import { mostDestroyed, ROOT_KEY, withDestroyed } from '../../support/full-keys.ts';

/**
 * A key that is exactly full: everything that must always be possible is done to it, as much of it as there may be at one
 * time, by the functions that do it in earnest, and its item is measured as it is stored, with what it tells the audit.
 */

const AT = '2026-06-01T00:00:00.000Z';
const LATER = '2027-06-01T00:00:00.000Z';
const UUID = '01900000-0000-7000-8000-000000000001';
const MAC = 'm'.repeat(43);
/** No longer than `by` and accounts' names are. */
const ANN = `person:${'a'.repeat(100)}`;

interface Plan {
  /** Versions that are not destroyed. */
  readonly live: number;
  readonly stores: number;
  readonly approvers: number;
  readonly tenant: string;
}

const plans: fc.Arbitrary<Plan> = fc.record({
  live: fc.integer({ min: 1, max: 10 }),
  stores: fc.integer({ min: 1, max: 4 }),
  approvers: fc.integer({ min: 0, max: 8 }),
  tenant: fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
});

const nameOf = (letter: string, i: number) => `${letter.repeat(61)}${i}`;
const wrapping = (n: number) => ({
  rootKeyId: `${ROOT_KEY}${n}`,
  materialId: 'm'.repeat(64),
  wrapped: new Uint8Array(200).fill(n),
});

function configOf({ approvers }: Plan) {
  const keyOf = (i: number) => ({ publicKey: { kty: 'OKP', crv: 'Ed25519', x: String(i).padEnd(43, 'x') } });
  const names = Array.from({ length: approvers }, (_, i) => [nameOf('n', i), keyOf(i)]);
  return configSchema.parse({
    provider: { type: 'local', keystore: 'k', keyFile: 'f' },
    stores: {},
    recordSets: {},
    approvals: { required: 0, acceptNoApprovals: true, approvers: Object.fromEntries(names) },
  });
}

type Settings = ReturnType<typeof configOf>;

/** Of one key, how large its item ever was. */
class Measured {
  key: TenantKey;
  largest = 0;

  constructor(key: TenantKey) {
    this.key = key;
  }

  change(next: (key: TenantKey) => TenantKey): void {
    const before = this.key;
    const after = next(before);
    if (after === before) throw new Error('nothing was changed');
    this.key = after;
    const event: PendingEvent = {
      tenant: after.tenant,
      eventId: keyEventId(after),
      at: AT,
      actor: ANN,
      ...describeKeyChange(before, after),
      afterSequence: 999_999,
    };
    const beside = { mac: MAC, pendingAudit: event, pendingAuditMac: MAC, writeId: UUID };
    // Whatever an application marks meanwhile.
    const mark = after.canary === null ? { canary: CANARY } : {};
    this.largest = Math.max(
      this.largest,
      itemSize({ ...keyItem(after), ...marshalItem({ ...beside, ...mark }) }),
    );
  }

  numbers(): number[] {
    return Object.values(this.key.versions).flatMap(({ version, state }) =>
      state === 'DESTROYED' ? [] : [version],
    );
  }
}

/** The longest there is. */
const CANARY = markText({
  version: 999,
  at: AT,
  recordSet: 'people',
  recordId: ['字'.repeat(2650)],
  field: 'f'.repeat(60),
});

/** Its first version active. */
function newKey({ tenant, stores }: Plan): TenantKey {
  const made = createTenantKey(
    { keyId: UUID, tenant, purpose: nameOf('p', 0) },
    { wrapped: wrapping(1), provider: 'aws-kms', at: AT },
  );
  const serves = Array.from({ length: stores }, (_, i) => {
    return { store: nameOf('s', i), table: nameOf('t', i), columns: ['email', 'phone'] };
  });
  return activateVersion(proveVersion({ ...made, serves }, 1, 'c'.repeat(22), AT), 1, AT, null);
}

/** Begins a rotation. */
function lockNext(key: TenantKey): TenantKey {
  return addVersion(key, {
    wrapped: wrapping(1),
    provider: 'aws-kms',
    at: AT,
    rotationId: UUID,
    leaves: key.active,
  });
}

/** Ends it. */
function rotate(measured: Measured, config: Settings): void {
  const left = measured.key.active;
  const version = nextVersion(measured.key) - 1;
  measured.change((key) => proveVersion(key, version, 'c'.repeat(22), AT));
  measured.change((key) => activateVersion(key, version, AT, UUID));
  measured.change((key) => {
    const holds = backupHolds(key, leftBehind(key, left), config, AT);
    return retireFrom(key, left, { purgeNotBefore: AT, rotationId: UUID, holds });
  });
}

/** As full as a key gets, right after its last version was made. */
function fullKey(plan: Plan, config: Settings): TenantKey {
  const measured = new Measured(newKey(plan));
  for (let i = 1; i < plan.live; i++) {
    measured.change(lockNext);
    rotate(measured, config);
  }
  const most = withDestroyed(measured.key, mostDestroyed(measured.key, config));
  expect(hasRoomForVersion(most, config)).toBe(true);
  expect(hasRoomForVersion(lockNext(most), config)).toBe(false);
  return lockNext(most);
}

/** As much as there may be at one time. */
function holdAll(measured: Measured, plan: Plan): void {
  for (let i = 0; i < OPEN_LIMIT; i++) {
    measured.change((key) => {
      const restore = {
        restoreId: restoreIdOf(i),
        store: nameOf('s', i % plan.stores),
        backupTime: LATER,
        backupEnd: LATER,
        status: 'BEGUN' as const,
        keys: null,
        requestedBy: ANN,
        begunAt: AT,
        readyAt: null,
        endedAt: null,
        refusal: null,
        revision: 1,
      };
      return holdForRestore(key, holdOf(restore, versionsToHold(key)));
    });
  }
  for (let i = 0; i < PERSON_LIMIT; i++) {
    measured.change((key) =>
      placeHold(key, {
        holdId: `${UUID.slice(0, -2)}${i}`,
        versions: [key.active],
        reason: 'PERSON',
        store: null,
        note: '\u{1f512}'.repeat(300),
        by: ANN,
        at: AT,
        until: LATER,
        endedEpoch: null,
      }),
    );
  }
}

const restoreIdOf = (i: number) => `019fffff-0000-7000-8000-0000000000${String(i).padStart(2, '0')}`;

/** The restores are over, and a re-sweep frees what they held. */
function endRestores(measured: Measured, config: Settings): void {
  for (let i = 0; i < OPEN_LIMIT; i++) measured.change((key) => endRestoreHold(key, restoreIdOf(i)));
  measured.change((key) => lockKey(key, { rotationId: UUID, leaves: key.active, to: key.active }));
  measured.change((key) => {
    const swept = { versions: allLeft(key), restoreEpoch: key.restoreEpoch };
    return endResweep(key, {
      purgeNotBefore: AT,
      rotationId: UUID,
      holds: holdsAfterSweep(key, swept, config, AT),
    });
  });
}

function purge(measured: Measured, version: number, approvers: readonly string[]): void {
  measured.change((key) => beginDestroy(key, version, AT));
  measured.change((key) =>
    authorizeDestroy(key, version, {
      at: AT,
      restoreEpoch: key.restoreEpoch,
      approvedBy: String(version).padEnd(43, 'a'),
      agreement: { required: approvers.length, approvers },
    }),
  );
  measured.change((key) => finishDestroy(key, version, AT));
}

it('keeps room for all that must be possible on a key that is full', () => {
  fc.assert(
    fc.property(plans, (plan) => {
      const config = configOf(plan);
      const measured = new Measured(fullKey(plan, config));
      rotate(measured, config);
      const { active } = measured.key;
      const numbers = measured.numbers();
      const left = numbers.filter((version) => version !== active);
      for (const version of numbers)
        measured.change((key) => replaceWrapping(key, version, wrapping(1), wrapping(2)));
      holdAll(measured, plan);
      for (const version of numbers) {
        const suspended = { reason: 'ROOT_KEY' as const, rootKeyId: `${ROOT_KEY}2`, at: AT };
        measured.change((key) => suspendVersion(key, version, suspended));
      }
      for (const version of left) measured.change((key) => markSeen(key, version, AT));
      // The most that was ever asked of it at once.
      expect(measured.largest).toBeLessThanOrEqual(ITEM_LIMIT - SPARE_BYTES);
      for (const version of numbers) measured.change((key) => resumeVersion(key, version));
      endRestores(measured, config);
      for (const version of left) {
        measured.change((key) => beginDestroy(key, version, AT));
        const holds = backupHolds(measured.key, [version], config, AT);
        measured.change((key) =>
          renewGrace(key, version, { at: AT, purgeNotBefore: AT, besides: measured.key.serves, holds }),
        );
        purge(measured, version, Object.keys(config.approvals.approvers));
      }
      expect(measured.largest).toBeLessThanOrEqual(ITEM_LIMIT - SPARE_BYTES);
      expect(measured.numbers()).toEqual([active]);
    }),
    { numRuns: 5 },
  );
});

it('keeps no more than is of use', () => {
  const plan = { live: 3, stores: 1, approvers: 2, tenant: 'acme' };
  const config = configOf(plan);
  const measured = new Measured(fullKey(plan, config));
  rotate(measured, config);
  holdAll(measured, plan);
  expect(measured.largest).toBeGreaterThan(0.9 * ITEM_LIMIT);
});

it('has room again when versions are purged, whose wrappings are gone then', () => {
  const plan = { live: 12, stores: 2, approvers: 2, tenant: 'acme' };
  const config = configOf(plan);
  const measured = new Measured(fullKey(plan, config));
  rotate(measured, config);
  expect(hasRoomForVersion(measured.key, config)).toBe(false);
  for (const version of [1, 2, 3, 4]) purge(measured, version, ['alice', 'bob']);
  expect(hasRoomForVersion(measured.key, config)).toBe(true);
});

it('says how much of an item a key may come to', () => {
  const plan = { live: 2, stores: 1, approvers: 0, tenant: 'acme' };
  const config = configOf(plan);
  const key = newKey(plan);
  expect(roomTaken(key, config)).toBeGreaterThan(0.2);
  expect(roomTaken(key, config)).toBeLessThan(0.4);
  const fuller = [0, 100, 200, 300, 400].map((count) => roomTaken(withDestroyed(key, count), config));
  expect(fuller).toEqual(fuller.toSorted((a, b) => a - b));
  expect(fuller.at(-1)).toBeGreaterThan(1);
});
