import { describe, expect, it } from 'vitest';
import {
  confirmWrapping,
  isSameWrapping,
  mayRewrap,
  replaceWrapping,
  restoreWrapping,
} from '../../../shared/keyring/rewrapping.ts';
import { VERSION_STATES } from '../../../shared/keyring/states.ts';
import { testKey } from '../../contracts/ledger.ts';

const wrapping = (n: number) => ({ rootKeyId: 'root', materialId: `m${n}`, wrapped: Uint8Array.of(n) });
const [A, B, C] = [wrapping(1), wrapping(2), wrapping(3)];

const base = testKey();
const first = Object.values(base.versions)[0];
if (first === undefined) throw new Error('no version');
const proved = { ...first, state: 'ACTIVE', check: 'c', provedAt: first.createdAt, wrapped: A } as const;
const keyOf = (version: object) => ({ ...base, versions: { '1': { ...proved, version: 1, ...version } } });
const key = keyOf({});
const of = ({ versions }: typeof base) => [versions['1']?.wrapped, versions['1']?.formerWrapped];

describe('a KEK that was wrapped anew', () => {
  it('keeps the wrapping that was proved until the new one is', () => {
    const next = replaceWrapping(key, 1, A, B);
    expect(of(next)).toEqual([B, A]);
    expect(of(confirmWrapping(next, 1, B))).toEqual([B, null]);
    expect(of(restoreWrapping(next, 1, B))).toEqual([A, null]);
  });

  it('twice before it was proved: keeps the one that was', () => {
    expect(of(replaceWrapping(replaceWrapping(key, 1, A, B), 1, B, C))).toEqual([C, A]);
  });

  it('changes nothing that somebody else changed meanwhile', () => {
    const next = replaceWrapping(key, 1, A, B);
    expect(replaceWrapping(next, 1, A, C)).toBe(next);
    expect(confirmWrapping(next, 1, A)).toBe(next);
    expect(restoreWrapping(next, 1, C)).toBe(next);
    expect(replaceWrapping(key, 1, A, A)).toBe(key);
    expect(confirmWrapping(key, 1, A)).toBe(key);
    expect(restoreWrapping(key, 1, A)).toBe(key);
  });

  it.each(VERSION_STATES)('only where it is proved and not about to be erased: %s', (state) => {
    const may = ['ACTIVE', 'RETIRING', 'SUSPENDED', 'COMPROMISED'].includes(state);
    expect(mayRewrap({ ...proved, state, formerWrapped: null, suspended: null })).toBe(may);
    expect(of(replaceWrapping(keyOf({ state }), 1, A, B))[0]).toEqual(may ? B : A);
    const unproved = keyOf({ state, check: null, provedAt: null });
    expect(replaceWrapping(unproved, 1, A, B)).toBe(unproved);
  });

  it.each([
    ['root key', { ...A, rootKeyId: 'other' }, false],
    ['material', { ...A, materialId: null }, false],
    ['bytes', { ...A, wrapped: Uint8Array.of(9) }, false],
    ['nothing', { ...A, wrapped: Uint8Array.of(1) }, true],
  ])('is compared by root key, material and bytes: another %s', (_, other, same) => {
    expect(isSameWrapping(A, other)).toBe(same);
    expect([isSameWrapping(null, other), isSameWrapping(A, null), isSameWrapping(null, null)]).toEqual([
      false,
      false,
      true,
    ]);
  });
});
