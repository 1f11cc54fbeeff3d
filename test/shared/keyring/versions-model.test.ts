import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { KeyError } from '../../../shared/errors/errors.ts';
import {
  authorizeDestroy,
  beginDestroy,
  cancelDestroy,
  finishDestroy,
  withdrawDestroy,
} from '../../../shared/keyring/destruction.ts';
import type { TenantKey } from '../../../shared/keyring/key.ts';
import { confirmWrapping, replaceWrapping, restoreWrapping } from '../../../shared/keyring/rewrapping.ts';
import { mayBecome } from '../../../shared/keyring/states.ts';
import { resumeVersion, suspendVersion } from '../../../shared/keyring/suspension.ts';
import {
  activateVersion,
  addVersion,
  createTenantKey,
  endResweep,
  lockKey,
  proveVersion,
  releaseLock,
  retireFrom,
} from '../../../shared/keyring/versions.ts';

const SUSPENSION = { reason: 'PERSON', rootKeyId: null, at: '2026-01-01T00:00:00.000Z' } as const;

/** Random sequences of every change, also on versions and by rotations that do not exist: refused, or the invariants hold. */

const wrapped = { rootKeyId: 'local:1', materialId: null, wrapped: Uint8Array.of(1) };
const again = { rootKeyId: 'local:2', materialId: 'm', wrapped: Uint8Array.of(2) };
const VERSIONS = [1, 2, 3, 4];
const ROTATIONS = ['r1', 'r2'];
const minute = (n: number) => new Date(Date.UTC(2026, 0, 1, 0, n)).toISOString();
const TIMES = [minute(0), minute(5), minute(10)];

type Change = (key: TenantKey) => TenantKey;

const CHANGES: readonly Change[] = [
  ...TIMES.flatMap((at) => [
    ...ROTATIONS.map(
      (rotationId): Change =>
        (key) =>
          addVersion(key, { wrapped, provider: 'local', at, rotationId, leaves: key.active }),
    ),
    ...ROTATIONS.flatMap((r): Change[] => [
      (key) => releaseLock(key, r, at),
      (key) => endResweep(key, { purgeNotBefore: at, rotationId: r }),
    ]),
    ...VERSIONS.flatMap((v): Change[] => [
      (key) => proveVersion(key, v, `check ${v}`, at),
      ...[null, ...ROTATIONS].map(
        (r): Change =>
          (key) =>
            activateVersion(key, v, at, r),
      ),
      ...ROTATIONS.map(
        (r): Change =>
          (key) =>
            retireFrom(key, v, { purgeNotBefore: at, rotationId: r }),
      ),
      ...ROTATIONS.map(
        (r): Change =>
          (key) =>
            lockKey(key, { rotationId: r, leaves: key.active, to: v }),
      ),
      (key) => beginDestroy(key, v, at),
      ...[0, 1].map(
        (restoreEpoch): Change =>
          (key) =>
            authorizeDestroy(key, v, { at, restoreEpoch, approvedBy: null }),
      ),
      (key) => finishDestroy(key, v, at),
    ]),
  ]),
  ...VERSIONS.flatMap((v): Change[] => [
    (key) => proveVersion(key, v, 'another check', minute(0)),
    (key) => cancelDestroy(key, v),
    (key) => withdrawDestroy(key, v),
    (key) => suspendVersion(key, v, SUSPENSION),
    (key) => resumeVersion(key, v),
    (key) => replaceWrapping(key, v, wrapped, again),
    (key) => replaceWrapping(key, v, again, wrapped),
    (key) => confirmWrapping(key, v, again),
    (key) => confirmWrapping(key, v, wrapped),
    (key) => restoreWrapping(key, v, again),
  ]),
];

/** Half of the steps are any change at all, the other half one that the key allows: so they reach far. */
const steps = fc.array(fc.record({ pick: fc.nat(), allowed: fc.boolean() }), {
  minLength: 40,
  maxLength: 80,
});

/** Steps through all changes in a scattered order; the stride has no divisor in common with their number. */
const STRIDE = 37;

function choose(key: TenantKey, { pick, allowed }: { pick: number; allowed: boolean }): Change {
  const at = (i: number): Change => CHANGES[(pick + i * STRIDE) % CHANGES.length] ?? ((same) => same);
  for (let i = 0; allowed && i < CHANGES.length; i++) {
    if (tryChange(key, at(i)) !== key) return at(i);
  }
  return at(0);
}

function tryChange(key: TenantKey, apply: Change): TenantKey {
  try {
    return apply(key);
  } catch (error) {
    if (error instanceof KeyError) return key;
    throw error;
  }
}

function checkInvariants(key: TenantKey): void {
  const versions = Object.values(key.versions);
  const active = versions.filter(({ state }) => state === 'ACTIVE');
  if (key.active === 0) {
    expect(active).toHaveLength(0);
  } else {
    // The pointer's version is active, or is suspended for now; nothing else is active.
    expect(['ACTIVE', 'SUSPENDED']).toContain(key.versions[String(key.active)]?.state);
    expect(active.every(({ version: number }) => number === key.active)).toBe(true);
  }
  for (const [name, found] of Object.entries(key.versions)) {
    expect(String(found.version)).toBe(name);
    expect(found.wrapped === null).toBe(found.state === 'DESTROYED');
    // A wrapping that is being proved for the first time is not replaced, and nothing of a destroyed KEK is left.
    if (found.state === 'PRE_ACTIVE' || found.state === 'DESTROYED') expect(found.formerWrapped).toBeNull();
    expect(found.suspended !== null).toBe(found.state === 'SUSPENDED');
    // Given up before it was ever active: nothing names it.
    const unused = found.state === 'DESTROYED' && found.activatedAt === null;
    if (found.state !== 'PRE_ACTIVE' && !unused)
      expect([found.provedAt, found.check, found.activatedAt]).not.toContain(null);
    if (found.state === 'DESTROY_PENDING' || (found.state === 'DESTROYED' && !unused)) {
      expect(found.purgeNotBefore).not.toBeNull();
      expect((found.destroyPendingAt ?? '') >= (found.purgeNotBefore ?? '')).toBe(true);
    }
    if (found.state === 'DESTROYED' && !unused) expect(found.destroyAuthorizedAt).not.toBeNull();
    if (found.state === 'PRE_ACTIVE' && key.active > 0) expect(key.rotationId).not.toBeNull();
  }
}

function checkStep(before: TenantKey, after: TenantKey): void {
  expect(after.revision).toBe(before.revision + 1);
  for (const [name, was] of Object.entries(before.versions)) {
    const is = after.versions[name];
    if (is === undefined) throw new Error(`version ${name} is gone`);
    if (is.state !== was.state) expect(mayBecome(was.state, is.state)).toBe(true);
    if (was.state === 'DESTROYED') expect(is).toEqual(was);
    if (was.destroyAuthorizedAt !== null && is.state !== was.state && is.state !== 'DESTROYED') {
      // Taken back, by its purge: nothing of the authorization is left, and its approvals are used up.
      expect(is).toMatchObject({ state: 'RETIRING', destroyAuthorizedAt: null, approvedBy: was.approvedBy });
    }
  }
  const added = Object.keys(after.versions).length - Object.keys(before.versions).length;
  expect(added === 0 || (added === 1 && before.rotationId === null && after.rotationId !== null)).toBe(true);
}

describe('any sequence of changes', () => {
  it('keeps the invariants, and a repeated change does nothing', () => {
    const reached = new Set<string>();
    fc.assert(
      fc.property(steps, (sequence) => {
        let key = createTenantKey(
          { keyId: 'k', tenant: 't', purpose: 'p' },
          { wrapped, provider: 'local', at: '2026-01-01T00:00:00.000Z' },
        );
        for (const step of sequence) {
          const each = choose(key, step);
          const next = tryChange(key, each);
          if (next !== key) {
            checkStep(key, next);
            expect(tryChange(next, each)).toBe(next);
          }
          key = next;
          checkInvariants(key);
          for (const { state } of Object.values(key.versions)) reached.add(state);
        }
      }),
      { numRuns: 100 },
    );
    // Otherwise the sequences would prove nothing.
    expect([...reached].toSorted()).toEqual([
      ...['ACTIVE', 'DESTROYED', 'DESTROY_PENDING', 'PRE_ACTIVE', 'RETIRING', 'SUSPENDED'],
    ]);
  });
});
