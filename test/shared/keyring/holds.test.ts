import { describe, expect, it } from 'vitest';
import {
  endRestoreHold,
  heldBy,
  holdForRestore,
  isFreed,
  placeHold,
  releaseHold,
  withoutHold,
} from '../../../shared/keyring/holds.ts';
import type { Hold, KeyVersion, TenantKey } from '../../../shared/keyring/key.ts';
import { keyWith } from '../../support/keys.ts';

const AT = '2026-01-01T00:00:00.000Z';
const NOW = Date.parse(AT);

function hold(changes: Partial<Hold> = {}): Hold {
  return {
    holdId: 'h1',
    versions: [1],
    reason: 'PERSON',
    store: null,
    note: 'audit',
    by: 'person:ana',
    at: AT,
    until: null,
    endedEpoch: null,
    ...changes,
  };
}

/** Version 1 as given, version 2 active. */
function keyOf(first: Partial<KeyVersion> = {}): TenantKey {
  const key = keyWith({ keyId: '01900000-0000-7000-8000-000000000001', activatedAt: NOW });
  const one = key.versions['1'];
  if (one === undefined) throw new Error('no version');
  return {
    ...key,
    active: 2,
    versions: { '1': { ...one, state: 'RETIRING', ...first }, '2': { ...one, version: 2 } },
  };
}

describe('a hold', () => {
  it('stands on its versions until its end, by the clock that is farthest behind', () => {
    const key = placeHold(keyOf(), hold({ until: '2026-01-01T01:00:00.000Z' }));
    const end = NOW + 3_600_000;
    expect(heldBy(key, 1, end + 59_999, 60)).toHaveLength(1);
    expect(heldBy(key, 1, end + 60_000, 60)).toEqual([]);
    expect(heldBy(key, 2, NOW, 60)).toEqual([]);
    expect(heldBy(placeHold(keyOf(), hold()), 1, Number.MAX_SAFE_INTEGER, 60)).toHaveLength(1);
  });

  it('is one change of the key, and placing it again none', () => {
    const key = keyOf();
    const placed = placeHold(key, hold());
    expect(placed).toMatchObject({ revision: key.revision + 1, holds: [hold()] });
    expect(placeHold(placed, hold())).toBe(placed);
    expect(releaseHold(placed, 'h1')).toMatchObject({ revision: key.revision + 2, holds: [] });
  });

  it('calls off a destruction that is not decided, in the same change', () => {
    const pending = keyOf({ state: 'DESTROY_PENDING', destroyPendingAt: AT });
    const placed = placeHold(pending, hold());
    expect(placed.revision).toBe(pending.revision + 1);
    expect(placed.versions['1']).toMatchObject({ state: 'RETIRING', destroyPendingAt: null });
  });

  it.each([
    ['decided', { state: 'DESTROY_PENDING', destroyAuthorizedAt: AT }, 'VERSION_STATE'],
    ['done', { state: 'DESTROYED', destroyAuthorizedAt: AT, wrapped: null }, 'VERSION_DESTROYED'],
  ] as const)('comes too late for a destruction that is %s', (_, first, code) => {
    expect(() => placeHold(keyOf(first), hold())).toThrow(expect.objectContaining({ code }));
  });

  it('needs a version that is there', () => {
    const code = 'VERSION_NOT_FOUND';
    expect(() => placeHold(keyOf(), hold({ versions: [7] }))).toThrow(expect.objectContaining({ code }));
  });

  it('is one of few, where people place it', () => {
    let key = keyOf();
    for (let i = 0; i < 50; i++) key = placeHold(key, hold({ holdId: `h${i}` }));
    const code = 'HOLD_REFUSED';
    expect(() => placeHold(key, hold({ holdId: 'more' }))).toThrow(expect.objectContaining({ code }));
    // A restore's is never refused for it.
    expect(placeHold(key, hold({ holdId: 'r', reason: 'RESTORE' })).holds).toHaveLength(51);
  });

  it('that is not there is not released, nor is the one of a restore', () => {
    const key = placeHold(keyOf(), hold({ holdId: 'r', reason: 'RESTORE', store: 'main' }));
    expect(() => releaseHold(key, 'none')).toThrow(expect.objectContaining({ code: 'HOLD_NOT_FOUND' }));
    expect(() => releaseHold(key, 'r')).toThrow(expect.objectContaining({ code: 'HOLD_REFUSED' }));
    expect(withoutHold(key, 'none')).toBe(key);
  });
});

describe('the hold of a restore', () => {
  const restore = hold({ holdId: 'r', reason: 'RESTORE', store: 'main', note: null });

  it('is placed with a new epoch, once', () => {
    const key = keyOf();
    const held = holdForRestore(key, restore);
    expect(held).toMatchObject({ revision: key.revision + 1, restoreEpoch: 1 });
    expect(holdForRestore(held, restore)).toBe(held);
  });

  it('ends with another epoch, once, and is freed by what began in it or later', () => {
    const held = holdForRestore(keyOf(), restore);
    const ended = endRestoreHold(held, 'r');
    expect(ended).toMatchObject({ revision: held.revision + 1, restoreEpoch: 2 });
    expect(endRestoreHold(ended, 'r')).toBe(ended);
    expect(endRestoreHold(ended, 'another')).toBe(ended);
    const freed = (key: TenantKey, epoch: number) => key.holds.map((each) => isFreed(each, epoch));
    expect([freed(held, 99), freed(ended, 1), freed(ended, 2), freed(ended, 3)]).toEqual([
      [false],
      [false],
      [true],
      [true],
    ]);
  });
});
