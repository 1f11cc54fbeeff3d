import { describe, expect, it } from 'vitest';
import {
  countBySearch,
  describeFoundBySearch,
  notReadBySearch,
} from '../../../shared/census/second-count.ts';
import { findNotSearched } from '../../../shared/rotation/destroy-version.ts';

const PLACE = { store: 'main', table: 'people', columns: ['email', 'phone'] };

function searched(...counts: readonly (number | null)[]) {
  const declared = counts.map((onVersion, i) => ({
    ...{ table: 'people', column: PLACE.columns[i] ?? '' },
    onVersion,
  }));
  return [{ store: 'main', found: [], declared, unsearched: [] }];
}

const counted = (onVersionBySearch?: number | null) => ({
  coverage: {
    people: {
      ...PLACE,
      ...{ rows: 1, values: 1, versions: {}, foreign: 0, malformed: 0, tombstones: 0, others: 1 },
      ...(onVersionBySearch === undefined ? {} : { onVersionBySearch }),
    },
  },
});

describe('the second count of declared columns', () => {
  it.each([
    ['the sum, where each was read', searched(2, 3), 5],
    ['none, where one is too large', searched(2, null), null],
    ['not known, where one was not taken for declared', searched(2), undefined],
    ['not known, where nothing was searched', null, undefined],
  ])('is %s', (_, findings, expected) => {
    expect(countBySearch(PLACE, findings)).toBe(expected);
  });

  it('stops a purge where the search had another configuration, not where a table is too large for it', () => {
    expect(findNotSearched(counted(0))).toBeNull();
    expect(findNotSearched(counted(null))).toBeNull();
    expect(findNotSearched(counted())).toMatchObject({ code: 'RECORD_SET_CHANGED' });
    expect(notReadBySearch(counted(null))).toEqual([]);
    expect([describeFoundBySearch(counted(null)), describeFoundBySearch(counted(4))]).toEqual([
      null,
      'people (4)',
    ]);
  });
});
