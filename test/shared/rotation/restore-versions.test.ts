import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Restore, RestoreStatus } from '../../../shared/rotation/restore.ts';
import { mayContain, type Presence, versionsToHold } from '../../../shared/rotation/restore-versions.ts';
import { keyWith } from '../../support/keys.ts';

/** Which versions a backup may contain: in doubt, it may. */

const DAY = 86_400_000;
const START = Date.parse('2026-01-01T00:00:00.000Z');
const SKEW = 60;
/** `seconds` off that day's midnight. */
const at = (day: number, seconds = 0) => new Date(START + day * DAY + seconds * 1000).toISOString();

/** One that is as of a moment. */
const backupAt = (day: number, seconds = 0) => during(at(day, seconds), at(day, seconds));
const during = (backupTime: string, backupEnd: string) => ({ store: 'main', backupTime, backupEnd });

/** Made on day 10, clean on day 20, destroyed on day 60. */
const presence: Presence = { createdAt: at(10), cleanAt: at(20), goneAt: at(60) };

function restoreOf(
  backup: number,
  [begun, ended]: readonly [number, number | null],
  changes: { readonly status?: RestoreStatus; readonly store?: string } = {},
): Restore {
  return {
    restoreId: `r${begun}`,
    store: 'main',
    backupTime: at(backup),
    backupEnd: at(backup),
    status: ended === null ? 'READY' : 'ENDED',
    keys: 1,
    requestedBy: 'test',
    begunAt: at(begun),
    readyAt: at(begun),
    endedAt: ended === null ? null : at(ended),
    refusal: null,
    revision: 1,
    ...changes,
  };
}

describe('a backup may contain a version', () => {
  it.each([
    ['from before its creation', backupAt(9), false],
    ['from a moment before its creation, by another clock', backupAt(10, -SKEW), true],
    ['from while it was active', backupAt(15), true],
    ['from a moment after the clean census, by another clock', backupAt(20, SKEW), true],
    ['from after the clean census', backupAt(20, SKEW + 1), false],
    ['from after its destruction', backupAt(61), false],
  ])('%s', (_, backup, expected) => {
    expect(mayContain(backup, presence, [], SKEW)).toBe(expected);
  });

  it.each([
    ['that ended before its creation', [at(8), at(10, -SKEW - 1)], false],
    ['in the middle of which it was made', [at(9), at(10, -SKEW)], true],
    ['that began before it and ended after its census', [at(9), at(21)], true],
    ['that began before its census, and ended after', [at(20, SKEW), at(25)], true],
    ['that began after its census', [at(20, SKEW + 1), at(25)], false],
    ['that began after its census and ended after its destruction', [at(59), at(61)], false],
  ] as const)('when it was taken over a time, %s', (_, [begin, end], expected) => {
    expect(mayContain(during(begin, end), presence, [], SKEW)).toBe(expected);
  });

  it('again after a restore of a backup in the middle of which it was made, or may have been', () => {
    const restore = restoreOf(9, [30, 31]);
    const brought = (backupEnd: string | null) =>
      mayContain(backupAt(40), presence, [{ ...restore, backupEnd }], SKEW);
    expect([brought(at(9)), brought(at(11)), brought(null)]).toEqual([false, true, true]);
  });

  it('from any time until its destruction, where no census is known', () => {
    const unknown = { ...presence, cleanAt: null };
    expect([15, 40, 59, 61].map((day) => mayContain(backupAt(day), unknown, [], SKEW))).toEqual([
      true,
      true,
      true,
      false,
    ]);
  });

  it.each([
    ['of a backup that contained it', restoreOf(15, [30, 31]), true],
    ['that is not over', restoreOf(15, [30, null]), true],
    ['that had ended before the clean census', restoreOf(15, [18, 19]), false],
    ['of a backup that did not', restoreOf(25, [30, 31]), false],
    ['of another store', restoreOf(15, [30, 31], { store: 'other' }), false],
    ['that was called off', restoreOf(15, [30, 31], { status: 'ABORTED' }), false],
    ['that came later than the backup', restoreOf(15, [41, 42]), false],
  ])('again after a restore %s', (_, restore, expected) => {
    expect(mayContain(backupAt(40), presence, [restore], SKEW)).toBe(expected);
  });

  it('again after a restore of a backup of a restored store', () => {
    const first = restoreOf(15, [30, 31]);
    const second = restoreOf(33, [35, 36]);
    expect(mayContain(backupAt(40), presence, [second, first], SKEW)).toBe(true);
    expect(mayContain(backupAt(40), presence, [second], SKEW)).toBe(false);
  });

  it('by the rows that were really in the store (property)', () => {
    // Days; each event on one of its own. The version is on some row between its creation and its census, and from a
    // restore that brings it back until the end of that restore's sweep, which is the last clean census if there is one.
    const history = fc.record({
      restores: fc.uniqueArray(fc.record({ from: fc.nat(50), on: fc.integer({ min: 22, max: 50 }) }), {
        selector: ({ on }) => on,
        maxLength: 4,
      }),
      backup: fc.integer({ min: 1, max: 58 }),
      lasts: fc.nat(12),
    });
    fc.assert(
      fc.property(history, ({ restores, backup, lasts }) => {
        const order = restores.filter(({ from, on }) => from < on).toSorted((a, b) => a.on - b.on);
        const contained = (day: number, known: typeof order): boolean =>
          (day >= 10 && day < 20) ||
          // The rows stay: nothing swept them away, as far as is known.
          known.some(({ from, on }, i) => on < day && contained(from, known.slice(0, i)));
        const registered = order.map(({ from, on }) => restoreOf(from, [on, on]));
        // It may have the rows of any moment while it was taken.
        const days = Array.from({ length: lasts + 1 }, (_, i) => backup + i);
        if (days.some((day) => contained(day, order))) {
          const taken = during(at(backup), at(backup + lasts));
          expect(mayContain(taken, presence, registered.toReversed(), SKEW)).toBe(true);
        }
      }),
    );
  });
});

describe('a restore holds', () => {
  it('whatever was activated and is not destroyed, also what was made after its backup', () => {
    const key = keyWith({ keyId: '01900000-0000-7000-8000-000000000001', activatedAt: START });
    const one = key.versions['1'];
    if (one === undefined) throw new Error('no version');
    const versions = {
      '1': { ...one, state: 'DESTROYED' as const },
      '2': { ...one, version: 2, state: 'RETIRING' as const, createdAt: at(10) },
      '3': { ...one, version: 3, state: 'COMPROMISED' as const, createdAt: at(11) },
      // Rolled back to: activated again after the backup.
      '4': { ...one, version: 4, createdAt: at(12), activatedAt: at(30) },
      '5': { ...one, version: 5, state: 'PRE_ACTIVE' as const, createdAt: at(12), activatedAt: null },
      '6': { ...one, version: 6, createdAt: at(21) },
    };
    expect(versionsToHold({ versions })).toEqual([2, 3, 4, 6]);
  });
});
