import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { TenantKey } from '../../../shared/keyring/key.ts';
import type { VersionState } from '../../../shared/keyring/states.ts';
import { dueFrom, findDueKeys } from '../../../shared/rotation/due-keys.ts';
import { keyWith } from '../../support/keys.ts';

const DAY = 86_400_000;
const START = Date.parse('2026-01-01T00:00:00Z');
/** UUIDv7 of one and the same millisecond, as of an import of many tenants. */
const keyId = (i: number) => `01900000-0000-7000-8000-${i.toString(16).padStart(12, '0')}`;
const key = (i: number, activated: number | null = START, state: VersionState = 'ACTIVE'): TenantKey =>
  keyWith({ keyId: keyId(i), activatedAt: activated, state });

const policies = fc.integer({ min: 3, max: 3650 }).chain((everyDays) =>
  fc.record({
    everyDays: fc.constant(everyDays),
    spreadDays: fc.integer({ min: 0, max: Math.min(365, everyDays - 1) }),
  }),
);
/** From one sweep to the next: daily, at any time within the flexible window, or more often. */
const gaps = fc.integer({ min: 60_000, max: DAY + 3_600_000 });

describe('when a key is due', () => {
  it('never gets older than the policy says, nor is rotated long before', () => {
    fc.assert(
      fc.property(policies, fc.nat(1_000_000), fc.nat(DAY), gaps, (policy, i, offset, gap) => {
        const one = key(i);
        const from = dueFrom(one, policy) ?? Number.NaN;
        // The first sweep at or after it, of sweeps that come a `gap` apart.
        const rotatedAt = START + offset + Math.ceil((from - START - offset) / gap) * gap;
        expect(findDueKeys([one], policy, rotatedAt).due).toHaveLength(1);
        expect(findDueKeys([one], policy, rotatedAt - gap).due).toHaveLength(0);
        const age = (rotatedAt - START) / DAY;
        expect(age).toBeLessThanOrEqual(policy.everyDays);
        expect(age).toBeGreaterThan(policy.everyDays - policy.spreadDays - 25 / 24);
        expect(age).toBeGreaterThanOrEqual(policy.everyDays / 2);
      }),
    );
  });

  it.each([
    [1, 0],
    [2, 1],
    [3, 2],
  ])('of %d days and a spread of %d is not due before half its time', (everyDays, spreadDays) => {
    for (let i = 0; i < 1000; i++) {
      const from = dueFrom(key(i), { everyDays, spreadDays }) ?? Number.NaN;
      expect(from - START).toBeGreaterThanOrEqual((everyDays * DAY) / 2);
    }
  });

  it('starts once a period, year after year', () => {
    const policy = { everyDays: 90, spreadDays: 7 };
    let keys = Array.from({ length: 100 }, (_, i) => key(i));
    const rotations = new Map<string, number[]>(keys.map((one) => [one.keyId, [START]]));
    for (let day = 0; day < 3650; day++) {
      // Within the flexible window of half an hour.
      const now = START + day * DAY + ((day * 7919) % 1800) * 1000;
      const due = new Set(findDueKeys(keys, policy, now).due.map((one) => one.keyId));
      keys = keys.map((one, i) => (due.has(one.keyId) ? key(i, now) : one));
      for (const id of due) rotations.get(id)?.push(now);
    }
    for (const times of rotations.values()) {
      const ages = times.slice(1).map((time, i) => (time - (times[i] ?? 0)) / DAY);
      expect(ages.length).toBeGreaterThanOrEqual(40);
      for (const age of ages) expect(age).toBeGreaterThan(81);
      for (const age of ages) expect(age).toBeLessThanOrEqual(90);
    }
  });

  it('is spread evenly over the days, also for keys that were made at one time', () => {
    const policy = { everyDays: 90, spreadDays: 7 };
    const days = Array.from({ length: 7 }, () => 0);
    const count = 10_000;
    for (let i = 0; i < count; i++) {
      const before = START + 90 * DAY - (dueFrom(key(i), policy) ?? 0) - (25 / 24) * DAY;
      const day = Math.floor(before / DAY);
      days[day] = (days[day] ?? 0) + 1;
    }
    expect(days).toHaveLength(7);
    const expected = count / 7;
    const chiSquare = days.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
    // Six degrees of freedom: exceeded by one in a million.
    expect(chiSquare).toBeLessThan(38.3);
  });

  it('is the same whenever it is asked, and differs from key to key', () => {
    const policy = { everyDays: 90, spreadDays: 7 };
    expect(dueFrom(key(1), policy)).toBe(dueFrom(key(1), policy));
    expect(dueFrom(key(1), policy)).not.toBe(dueFrom(key(2), policy));
    expect(dueFrom(key(1), { ...policy, spreadDays: 0 })).toBe(dueFrom(key(2), { ...policy, spreadDays: 0 }));
  });

  it('is never without a policy, and not before a version was activated', () => {
    expect(dueFrom(key(1), { everyDays: null, spreadDays: 7 })).toBeNull();
    expect(dueFrom(key(1, null), { everyDays: 90, spreadDays: 7 })).toBeNull();
    const far = START + 9999 * DAY;
    expect(findDueKeys([key(1)], { everyDays: null, spreadDays: 0 }, far)).toEqual({ due: [], skipped: 0 });
  });

  it('of every day is half a day after its activation: a sweep that runs more often does not rotate each time', () => {
    const policy = { everyDays: 1, spreadDays: 0 };
    expect(dueFrom(key(1), policy)).toBe(START + DAY / 2);
  });
});

describe('the keys that are due', () => {
  const policy = { everyDays: 90, spreadDays: 7 };
  const now = START + 500 * DAY;

  it('come oldest first', () => {
    const keys = [3, 1, 2, 0].map((day) => key(day, START + day * DAY));
    expect(findDueKeys(keys, policy, now).due.map((one) => one.keyId)).toEqual([0, 1, 2, 3].map(keyId));
  });

  it('are not those with a suspended or compromised version: they are counted', () => {
    const keys = [key(1), key(2, START, 'SUSPENDED'), key(3, START, 'COMPROMISED'), key(4, now, 'SUSPENDED')];
    const { due, skipped } = findDueKeys(keys, policy, now);
    expect(due.map((one) => one.keyId)).toEqual([keyId(1)]);
    expect(skipped).toBe(2);
  });
});
