import { describe, expect, it } from 'vitest';
import {
  authorizeDestroy,
  beginDestroy,
  cancelDestroy,
  finishDestroy,
} from '../../../shared/keyring/destruction.ts';
import type { KeyVersion, TenantKey } from '../../../shared/keyring/key.ts';
import { resumeVersion, suspendVersion } from '../../../shared/keyring/suspension.ts';
import {
  activateVersion,
  addVersion,
  allLeft,
  createTenantKey,
  endResweep,
  highestVersion,
  leftBehind,
  lockKey,
  nextVersion,
  proveVersion,
  releaseLock,
  retireFrom,
} from '../../../shared/keyring/versions.ts';

const SUSPENSION = { reason: 'PERSON', rootKeyId: null, at: '2026-01-01T00:00:00.000Z' } as const;

const at = (day: number) => `2026-01-${String(day).padStart(2, '0')}T00:00:00.000Z`;
const wrapped = { rootKeyId: 'local:1', materialId: null, wrapped: Uint8Array.of(1) };
const added = (day: number) => ({ wrapped, provider: 'local', at: at(day) });
const ROTATION = 'rotation-1';

const created = createTenantKey({ keyId: 'k', tenant: 't', purpose: 'p' }, added(1));
const proved = proveVersion(created, 1, 'check-1', at(1));
const first = activateVersion(proved, 1, at(1), null);
const locked = addVersion(first, { ...added(2), rotationId: ROTATION, leaves: 1 });
const provedSecond = proveVersion(locked, 2, 'check-2', at(2));
const second = activateVersion(provedSecond, 2, at(3), ROTATION);
const retired = retireFrom(second, 1, { purgeNotBefore: at(10), rotationId: ROTATION });
const pending = beginDestroy(retired, 1, at(10));
const authorized = authorizeDestroy(pending, 1, { at: at(11), restoreEpoch: 0, approvedBy: null });
const destroyed = finishDestroy(authorized, 1, at(12));

const STATE = expect.objectContaining({ name: 'KeyError', code: 'VERSION_STATE' });
const v = (key: TenantKey, version: number): KeyVersion | undefined => key.versions[String(version)];
const withVersion = (key: TenantKey, version: number, changes: Partial<KeyVersion>): TenantKey => {
  const found = v(key, version);
  if (found === undefined) throw new Error(`no version ${version}`);
  return { ...key, versions: { ...key.versions, [version]: { ...found, ...changes } } };
};

describe('the whole way of a version', () => {
  it('goes one revision at a time', () => {
    const way = [
      created,
      proved,
      first,
      locked,
      provedSecond,
      second,
      retired,
      pending,
      authorized,
      destroyed,
    ];
    expect(way.map(({ revision }) => revision)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(way.map((key) => v(key, 1)?.state)).toEqual([
      ...['PRE_ACTIVE', 'PRE_ACTIVE', 'ACTIVE', 'ACTIVE', 'ACTIVE'],
      ...['RETIRING', 'RETIRING', 'DESTROY_PENDING', 'DESTROY_PENDING', 'DESTROYED'],
    ]);
    expect(way.map(({ active }) => active)).toEqual([0, 0, 1, 1, 1, 2, 2, 2, 2, 2]);
    expect(way.map(({ rotationId }) => rotationId !== null)).toEqual([
      ...[false, false, false, true, true, true],
      ...[false, false, false, false],
    ]);
  });

  it('notes the time of every step, and ends without the blob', () => {
    expect(v(destroyed, 1)).toEqual({
      version: 1,
      state: 'DESTROYED',
      wrapped: null,
      formerWrapped: null,
      suspended: null,
      provider: 'local',
      check: 'check-1',
      createdAt: at(1),
      provedAt: at(1),
      activatedAt: at(1),
      retiringAt: at(3),
      purgeNotBefore: at(10),
      destroyPendingAt: at(10),
      destroyAuthorizedAt: at(11),
      destroyedAt: at(12),
      retiredBy: ROTATION,
      seen: null,
      erased: [{ rootKeyId: 'local:1', materialId: null }],
      approvedBy: null,
      agreement: { required: 0, approvers: [] },
    });
    expect(v(destroyed, 2)).toMatchObject({ state: 'ACTIVE', activatedAt: at(3), wrapped });
  });

  it('is a no-op when a step is repeated, at once or later', () => {
    const add = { ...added(9), rotationId: ROTATION, leaves: 1 };
    for (const key of [locked, provedSecond, second]) expect(addVersion(key, add)).toBe(key);
    for (const key of [proved, first, second, destroyed])
      expect(proveVersion(key, 1, 'check-1', at(9))).toBe(key);
    expect(activateVersion(first, 1, at(9), null)).toBe(first);
    for (const key of [second, retired]) expect(activateVersion(key, 2, at(9), ROTATION)).toBe(key);
    for (const key of [retired, pending, destroyed]) {
      expect(retireFrom(key, 1, { purgeNotBefore: at(20), rotationId: ROTATION })).toBe(key);
    }
    for (const key of [pending, authorized]) expect(beginDestroy(key, 1, at(20))).toBe(key);
    for (const key of [retired, second]) expect(cancelDestroy(key, 1)).toBe(key);
    for (const key of [authorized, destroyed]) {
      expect(authorizeDestroy(key, 1, { at: at(20), restoreEpoch: 0, approvedBy: null })).toBe(key);
    }
    expect(finishDestroy(destroyed, 1, at(20))).toBe(destroyed);
  });

  it('changes no object that it was given', () => {
    const before = structuredClone(second);
    retireFrom(second, 1, { purgeNotBefore: at(10), rotationId: ROTATION });
    suspendVersion(second, 2, SUSPENSION);
    expect(second).toEqual(before);
  });
});

describe('adding a version', () => {
  it('numbers on from the highest', () => {
    expect(highestVersion({ ...created, versions: {} })).toBe(0);
    expect(nextVersion(second)).toBe(3);
    expect(v(locked, 2)).toMatchObject({ version: 2, state: 'PRE_ACTIVE', check: null, provedAt: null });
  });

  it('is refused while another rotation holds the lock', () => {
    expect(() => addVersion(locked, { ...added(3), rotationId: 'another', leaves: 1 })).toThrow(STATE);
  });

  it('is refused when the rotation leaves what is no longer active, or nothing', () => {
    expect(() => addVersion(retired, { ...added(9), rotationId: ROTATION, leaves: 1 })).toThrow(STATE);
    expect(() => addVersion(proved, { ...added(9), rotationId: ROTATION, leaves: 0 })).toThrow(STATE);
  });
});

describe('proving', () => {
  it('is refused with another check, or once the version was used', () => {
    expect(() => proveVersion(proved, 1, 'other', at(2))).toThrow(
      expect.objectContaining({ code: 'KEY_CHECK_FAILED' }),
    );
    expect(() => proveVersion(withVersion(first, 1, { check: null }), 1, 'c', at(2))).toThrow(STATE);
  });

  it('names a version that is not there', () => {
    expect(() => proveVersion(created, 9, 'c', at(1))).toThrow(
      expect.objectContaining({ code: 'VERSION_NOT_FOUND' }),
    );
  });
});

describe('activating', () => {
  it('is refused before the proof, without the lock, and from an end state', () => {
    expect(() => activateVersion(created, 1, at(1), null)).toThrow(STATE);
    expect(() => activateVersion(locked, 2, at(1), ROTATION)).toThrow(STATE);
    expect(() => activateVersion(provedSecond, 2, at(1), 'another')).toThrow(STATE);
    expect(() => activateVersion(provedSecond, 2, at(1), null)).toThrow(STATE);
    expect(() => activateVersion(first, 1, at(1), ROTATION)).not.toThrow();
    expect(() => activateVersion(destroyed, 1, at(1), null)).toThrow(STATE);
    expect(() => activateVersion(pending, 1, at(1), null)).toThrow(STATE);
  });

  it('does not lift a suspension', () => {
    expect(() => activateVersion(suspendVersion(second, 1, SUSPENSION), 1, at(4), ROTATION)).toThrow(STATE);
    const suspended = suspendVersion(first, 1, SUSPENSION);
    expect(() => activateVersion(suspended, 1, at(4), null)).toThrow(STATE);
  });

  it('rolls back to a retiring version, whose purge date is void', () => {
    const back = activateVersion(retired, 1, at(5), null);
    expect(back.active).toBe(1);
    expect(v(back, 1)).toMatchObject({
      state: 'ACTIVE',
      activatedAt: at(5),
      retiringAt: null,
      purgeNotBefore: null,
    });
    expect(v(back, 2)).toMatchObject({ state: 'RETIRING', retiringAt: at(5), purgeNotBefore: null });
  });

  it('leaves a suspended or compromised predecessor in its state, out of duty', () => {
    const suspended = activateVersion(suspendVersion(provedSecond, 1, SUSPENSION), 2, at(3), ROTATION);
    expect(v(suspended, 1)).toMatchObject({ state: 'SUSPENDED', retiringAt: at(3) });
    expect(v(resumeVersion(suspended, 1), 1)?.state).toBe('RETIRING');
    const compromised = withVersion(provedSecond, 1, { state: 'COMPROMISED' });
    expect(v(activateVersion(compromised, 2, at(3), ROTATION), 1)?.state).toBe('COMPROMISED');
  });
});

describe('retiring', () => {
  it('is refused to the active version, and without the lock', () => {
    const to = { purgeNotBefore: at(10), rotationId: ROTATION };
    expect(() => retireFrom(second, 2, to)).toThrow(STATE);
    expect(() => retireFrom(locked, 1, to)).toThrow(STATE);
    expect(() => retireFrom(second, 1, { ...to, rotationId: 'another' })).toThrow(STATE);
  });

  it('is refused to a version that an earlier rotation retired and that is being destroyed', () => {
    const next = addVersion(pending, { ...added(11), rotationId: 'rotation-2', leaves: 2 });
    expect(() => retireFrom(next, 1, { purgeNotBefore: at(20), rotationId: 'rotation-2' })).toThrow(STATE);
  });

  it('never shortens a hold', () => {
    const held = withVersion(second, 1, { purgeNotBefore: at(20) });
    expect(v(retireFrom(held, 1, { purgeNotBefore: at(10), rotationId: ROTATION }), 1)?.purgeNotBefore).toBe(
      at(20),
    );
    const shorter = withVersion(second, 1, { purgeNotBefore: at(5) });
    expect(
      v(retireFrom(shorter, 1, { purgeNotBefore: at(10), rotationId: ROTATION }), 1)?.purgeNotBefore,
    ).toBe(at(10));
  });
});

describe('taking the lock alone', () => {
  const back = { rotationId: 'rollback', leaves: 2, to: 1 };

  it('of a rollback voids the purge date of the version that comes back', () => {
    const lockedBack = lockKey(retired, back);
    expect(lockedBack).toMatchObject({ rotationId: 'rollback', active: 2 });
    expect(v(lockedBack, 1)).toMatchObject({ state: 'RETIRING', purgeNotBefore: null, retiredBy: null });
    expect(() => beginDestroy(lockedBack, 1, at(30))).toThrow(STATE);
    expect(lockKey(lockedBack, back)).toBe(lockedBack);
    expect(v(activateVersion(lockedBack, 1, at(11), 'rollback'), 1)?.state).toBe('ACTIVE');
  });

  it('of a re-sweep changes nothing else', () => {
    const lockedSweep = lockKey(retired, { rotationId: 'resweep', leaves: 2, to: 2 });
    expect(lockedSweep).toEqual({ ...retired, rotationId: 'resweep', revision: retired.revision + 1 });
  });

  it('is refused while another holds it, to what is not active, and from anything but RETIRING', () => {
    expect(() => lockKey(second, back)).toThrow(STATE);
    expect(() => lockKey(retired, { ...back, leaves: 1, to: 2 })).toThrow(STATE);
    expect(() => lockKey(created, { ...back, leaves: 0 })).toThrow(STATE);
    for (const key of [pending, destroyed, suspendVersion(retired, 1, SUSPENSION)]) {
      expect(() => lockKey(key, back)).toThrow(STATE);
    }
  });
});

describe('giving the lock up', () => {
  it('gives up a version that was made and not activated, and no number is used again', () => {
    for (const key of [locked, provedSecond]) {
      const free = releaseLock(key, ROTATION, at(5));
      expect(free).toMatchObject({ rotationId: null, active: 1 });
      expect(v(free, 2)).toMatchObject({
        state: 'DESTROYED',
        wrapped: null,
        destroyedAt: at(5),
        activatedAt: null,
      });
      expect(v(free, 1)).toEqual(v(key, 1));
      expect(nextVersion(free)).toBe(3);
      expect(releaseLock(free, ROTATION, at(6))).toBe(free);
    }
  });

  it('changes no version that was activated, and nothing of another rotation', () => {
    const free = releaseLock(second, ROTATION, at(5));
    expect(free.versions).toEqual(second.versions);
    expect(v(free, 1)).toMatchObject({ state: 'RETIRING', purgeNotBefore: null });
    expect(releaseLock(second, 'another', at(5))).toBe(second);
  });
});

describe('what a clean census retires', () => {
  const cancelled = releaseLock(second, ROTATION, at(4));
  const third = [
    (key: TenantKey) => addVersion(key, { ...added(5), rotationId: 'next', leaves: 2 }),
    (key: TenantKey) => proveVersion(key, 3, 'check-3', at(6)),
    (key: TenantKey) => activateVersion(key, 3, at(7), 'next'),
  ].reduce((key, change) => change(key), cancelled);

  it('is the version that is left, and any other that nobody has retired', () => {
    expect(leftBehind(third, 2)).toEqual([1, 2]);
    const free = retireFrom(third, 2, { purgeNotBefore: at(20), rotationId: 'next' });
    for (const version of [1, 2])
      expect(v(free, version)).toMatchObject({
        purgeNotBefore: at(20),
        retiredBy: 'next',
        state: 'RETIRING',
      });
    expect(v(free, 3)).toMatchObject({ purgeNotBefore: null, retiredBy: null });
    expect(retireFrom(free, 2, { purgeNotBefore: at(21), rotationId: 'next' })).toBe(free);
  });

  it('leaves the date alone of one that was retired before; a re-sweep makes it later, never earlier', () => {
    const dated = withVersion(third, 1, { purgeNotBefore: at(10), retiredBy: 'first' });
    expect(leftBehind(dated, 2)).toEqual([2]);
    expect(v(retireFrom(dated, 2, { purgeNotBefore: at(20), rotationId: 'next' }), 1)?.purgeNotBefore).toBe(
      at(10),
    );
    expect(allLeft(dated)).toEqual([1, 2]);
    const swept = endResweep(dated, { purgeNotBefore: at(20), rotationId: 'next', holds: [] });
    expect(v(swept, 1)).toMatchObject({ purgeNotBefore: at(20), retiredBy: 'first' });
    expect(v(swept, 2)).toMatchObject({ purgeNotBefore: at(20), retiredBy: 'next' });
    const later = withVersion(third, 1, { purgeNotBefore: at(30), retiredBy: 'first' });
    expect(v(endResweep(later, { purgeNotBefore: at(20), rotationId: 'next' }), 1)?.purgeNotBefore).toBe(
      at(30),
    );
    expect(() => endResweep(swept, { purgeNotBefore: at(20), rotationId: 'next' })).toThrow(STATE);
  });
});

describe('destroying', () => {
  it('does not begin in grace, before the rotation is complete, or on a version in use', () => {
    expect(() => beginDestroy(retired, 1, at(9))).toThrow(STATE);
    expect(() => beginDestroy(second, 1, at(30))).toThrow(STATE);
    expect(() => beginDestroy(retired, 2, at(30))).toThrow(STATE);
    expect(() => beginDestroy(withVersion(retired, 1, { state: 'COMPROMISED' }), 1, at(30))).toThrow(STATE);
  });

  it('is called off until it is authorized', () => {
    const cancelled = cancelDestroy(pending, 1);
    expect(v(cancelled, 1)).toMatchObject({ state: 'RETIRING', destroyPendingAt: null, wrapped });
    expect(() => cancelDestroy(authorized, 1)).toThrow(STATE);
    expect(() => cancelDestroy(destroyed, 1)).toThrow(expect.objectContaining({ code: 'VERSION_DESTROYED' }));
    expect(() => cancelDestroy(retired, 2)).toThrow(STATE);
    expect(() => cancelDestroy(created, 1)).toThrow(STATE);
    expect(() => cancelDestroy(suspendVersion(second, 1, SUSPENSION), 1)).toThrow(STATE);
  });

  it('is not authorized when it was called off, or a store was restored', () => {
    expect(() =>
      authorizeDestroy(cancelDestroy(pending, 1), 1, { at: at(11), restoreEpoch: 0, approvedBy: null }),
    ).toThrow(STATE);
    const restored = { ...pending, restoreEpoch: 1 };
    expect(() => authorizeDestroy(restored, 1, { at: at(11), restoreEpoch: 0, approvedBy: null })).toThrow(
      STATE,
    );
  });

  it('is not finished without authorization', () => {
    expect(() => finishDestroy(pending, 1, at(12))).toThrow(STATE);
    expect(() => finishDestroy(retired, 1, at(12))).toThrow(STATE);
  });
});

describe('suspending', () => {
  it('goes back to the state it had, and repeats without a change', () => {
    for (const [version, state] of [
      [1, 'RETIRING'],
      [2, 'ACTIVE'],
    ] as const) {
      const suspended = suspendVersion(second, version, SUSPENSION);
      expect(v(suspended, version)?.state).toBe('SUSPENDED');
      expect(suspendVersion(suspended, version, SUSPENSION)).toBe(suspended);
      const resumed = resumeVersion(suspended, version);
      expect(v(resumed, version)?.state).toBe(state);
      expect(resumeVersion(resumed, version)).toBe(resumed);
    }
  });

  it('is refused where the table has no such step', () => {
    expect(() => suspendVersion(pending, 1, SUSPENSION)).toThrow(STATE);
    expect(() => suspendVersion(destroyed, 1, SUSPENSION)).toThrow(STATE);
    expect(() => resumeVersion(pending, 1)).toThrow(STATE);
  });
});
