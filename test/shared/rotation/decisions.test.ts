import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { addUp, type CensusFrame } from '../../../shared/census/add-up.ts';
import type { SegmentCensus } from '../../../shared/ledger/ledger.ts';
import { addCounts, NO_COUNT } from '../../../shared/records/census-count.ts';
import type { CensusCount } from '../../../shared/records/record-store.ts';
import { countSetAside, decideRound, standingOutcome } from '../../../shared/rotation/conclude-round.ts';
import { findBlocker } from '../../../shared/rotation/destroy-version.ts';
import type { CensusResult } from '../../../shared/rotation/rotation.ts';
import { censusName } from '../../../shared/rotation/take-census.ts';
import { testJob } from '../../contracts/ledger.ts';

const AT = '2026-06-01T00:00:00.000Z';

const count = (changes: Partial<CensusCount> = {}): CensusCount => ({
  rows: 0,
  values: 0,
  versions: {},
  foreign: 0,
  malformed: 0,
  tombstones: 0,
  ...changes,
});

const total = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

/** Everything but the counts. */
const frame = (changes: Partial<CensusFrame> = {}): CensusFrame => ({
  ...{ reach: 'tenant', version: 1, active: 2, at: AT, takenBy: 'test', searched: null },
  excluded: () => [],
  ...changes,
});

const anyParts = fc.record({
  rows: fc.nat(1000),
  versions: fc.dictionary(fc.integer({ min: 1, max: 5 }).map(String), fc.nat(100)),
  foreign: fc.nat(100),
  malformed: fc.nat(100),
  tombstones: fc.nat(100),
});
/** Every value of a tenant's rows is accounted for. */
const anyCount = anyParts.map((parts): CensusCount => {
  const { foreign, malformed, tombstones } = parts;
  return { ...parts, values: total(Object.values(parts.versions)) + foreign + malformed + tombstones };
});

const anySegments: fc.Arbitrary<SegmentCensus[]> = fc.array(
  fc.record({
    jobId: fc.constant('job-1'),
    census: fc.constant('attempt-1-round-1'),
    segment: fc.nat(40),
    recordSet: fc.constantFrom('people', 'notes', 'constructor'),
    count: anyCount,
    takenAt: fc
      .date({ min: new Date(0), max: new Date(AT), noInvalidDate: true })
      .map((date) => date.toISOString()),
  }),
  { maxLength: 12 },
);

describe('adding up a census', () => {
  it('sums every part, by record set and over all, in any order', () => {
    fc.assert(
      fc.property(
        anySegments,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 5 }),
        (list, from, active) => {
          const result = addUp(list, frame({ version: from, active }));
          const on = (version: number) => total(list.map((s) => s.count.versions[String(version)] ?? 0));
          const malformed = total(list.map((s) => s.count.malformed));
          const foreign = total(list.map((s) => s.count.foreign));
          expect(result).toMatchObject({ onVersion: on(from), malformed, foreign });
          expect(result.stale).toBe(
            total([1, 2, 3, 4, 5].filter((v) => v !== active).map(on)) + malformed + foreign,
          );
          for (const part of ['rows', 'values', 'foreign', 'malformed'] as const) {
            expect(total(Object.values(result.coverage).map((c) => c[part]))).toBe(
              total(list.map((s) => s.count[part])),
            );
          }
          expect(Object.keys(result.coverage).sort()).toEqual(
            [...new Set(list.map((s) => s.recordSet))].sort(),
          );
          // Nothing that was written later is claimed to be covered.
          expect(result.takenAt).toBe([AT, ...list.map((s) => s.takenAt)].sort()[0]);
          expect(addUp([...list].reverse(), frame({ version: from, active }))).toEqual(result);
        },
      ),
      { numRuns: 200, seed: 2 },
    );
  });

  it('refuses numbers that do not add up, and tells what is none of the key apart', () => {
    const one = { jobId: 'j', census: 'c', segment: 0, recordSet: 'people', takenAt: AT };
    const of = (values: number, reach: 'tenant' | 'everywhere') => () =>
      addUp(
        [{ ...one, count: count({ values, versions: { 1: 2 }, foreign: 1, tombstones: 1 }) }],
        frame({ reach }),
      );
    const inconsistent = expect.objectContaining({ code: 'CENSUS_INCONSISTENT' });
    expect(of(4, 'tenant')().coverage['people']).toMatchObject({ values: 4, others: 0 });
    expect(of(9, 'everywhere')().coverage['people']).toMatchObject({ values: 9, others: 5 });
    expect(of(3, 'tenant')).toThrow(inconsistent);
    expect(of(5, 'tenant')).toThrow(inconsistent);
    expect(of(3, 'everywhere')).toThrow(inconsistent);
  });

  it('covers what all parts of a record set read, and nothing where one differs or does not say', () => {
    const one = { jobId: 'j', census: 'c', recordSet: 'people', takenAt: AT, count: count({}) };
    const read = { store: 'main', table: 'people', columns: ['email', 'ssn'] };
    const covered = (...reads: readonly (typeof read | undefined)[]) =>
      addUp(
        reads.map((of, segment) => ({ ...one, segment, ...(of === undefined ? {} : { read: of }) })),
        frame(),
      ).coverage['people'];
    expect(covered(read, read)).toMatchObject(read);
    for (const other of [{ ...read, columns: ['email'] }, { ...read, table: 'persons' }, undefined]) {
      expect(covered(read, other)?.columns).toEqual([]);
      expect(covered(other, read)?.columns).toEqual([]);
    }
    expect(covered(undefined)?.columns).toEqual([]);
  });

  it('adds two counts, and keeps both as they are', () => {
    const a = count({ rows: 1, values: 2, versions: { 1: 1, 2: 1 } });
    const b = count({ rows: 4, values: 5, versions: { 2: 3, 7: 2 }, foreign: 1, malformed: 2 });
    const frozen = structuredClone([a, b]);
    expect(addCounts(a, b)).toEqual({
      rows: 5,
      tombstones: 0,
      values: 7,
      versions: { 1: 1, 2: 4, 7: 2 },
      foreign: 1,
      malformed: 2,
    });
    expect(addCounts(NO_COUNT, a)).toEqual(a);
    expect([a, b]).toEqual(frozen);
  });

  it('names a census by attempt and round, each its own', () => {
    const names = [1, 2, 11].flatMap((attempt) => [1, 2, 11].map((round) => censusName(attempt, round)));
    expect(new Set(names).size).toBe(9);
    expect(censusName(1, 2)).toBe('attempt-1-round-2');
  });
});

function census(versions: Record<string, number>, more: Partial<CensusCount> = {}): CensusResult {
  const one = { jobId: 'j', census: 'c', segment: 0, recordSet: 'people', takenAt: AT };
  const { foreign = 0, malformed = 0, tombstones = 0 } = more;
  const values = total(Object.values(versions)) + foreign + malformed + tombstones;
  return addUp([{ ...one, count: count({ values, versions, ...more }) }], frame());
}

describe('deciding on a round', () => {
  it.each([
    ['nothing stale', census({ 2: 9 }), 0, 1, 'CLEAN'],
    ['an empty table', census({}), 0, 5, 'CLEAN'],
    ['only quarantined left', census({ 1: 3, 2: 9 }), 3, 1, 'CLEAN'],
    ['only quarantined left, rounds over', census({ 1: 3 }), 3, 5, 'CLEAN'],
    ['more quarantined than left', census({ 1: 1 }), 3, 1, 'CLEAN'],
    ['stale, rounds left', census({ 1: 1, 2: 9 }), 0, 1, 'SWEEP_AGAIN'],
    ['one more stale than quarantined', census({ 1: 4 }), 3, 4, 'SWEEP_AGAIN'],
    ['on any other version than the active one', census({ 3: 1 }), 0, 1, 'SWEEP_AGAIN'],
    ['unreadable', census({}, { malformed: 1 }), 0, 1, 'SWEEP_AGAIN'],
    ['of another key', census({}, { foreign: 1 }), 0, 1, 'SWEEP_AGAIN'],
    ['stale, rounds over', census({ 1: 1 }), 0, 5, 'BLOCKED'],
    ['stale, rounds more than over', census({ 1: 1 }), 0, 6, 'BLOCKED'],
  ] as const)('%s', (_, found, quarantined, round, outcome) => {
    expect(decideRound(found, quarantined, round, 5).outcome).toBe(outcome);
  });

  it('takes for set aside what was so before the census, in each record set no more than it found stale', () => {
    const one = { finding: 'stale' as const, recordSet: 'people', at: AT };
    const later = { ...one, at: '2026-06-01T00:00:00.001Z' };
    const found = census({ 1: 2, 2: 9 });
    expect(countSetAside(found, [one], 2)).toBe(1);
    expect(countSetAside(found, [one, one, one], 2)).toBe(2);
    expect(countSetAside(found, [one, later], 2)).toBe(1);
    expect(countSetAside(found, [{ ...one, recordSet: 'notes' }], 2)).toBe(0);
    expect(countSetAside(found, [{ ...one, finding: 'plaintext' }], 2)).toBe(0);
  });

  it('is never clean where a record set was not read', () => {
    expect(decideRound(census({ 2: 9 }), 0, 1, 5, ['notes (text)'])).toEqual({ outcome: 'SWEEP_AGAIN' });
    expect(decideRound(census({ 2: 9 }), 0, 5, 5, ['notes (text)'])).toMatchObject({
      ...{ outcome: 'BLOCKED', blocker: { code: 'RECORD_SET_CHANGED' } },
    });
  });

  it('names what is left: record sets, versions, counts', () => {
    const notes = { jobId: 'j', census: 'c', segment: 1, recordSet: 'notes', takenAt: AT, count: count() };
    const people = {
      ...notes,
      recordSet: 'people',
      count: count({ values: 14, versions: { 1: 2, 2: 5 }, foreign: 3, malformed: 4 }),
    };
    const decision = decideRound(addUp([people, notes], frame()), 1, 5, 5);
    expect(decision).toEqual({
      outcome: 'BLOCKED',
      blocker: {
        code: 'STALE_RECORDS',
        message:
          'After 5 rounds 8 values are not on the active version and not quarantined (people: 2 on version 1, 5 on version 2, 3 of another key, 4 unreadable; notes: none)',
      },
    });
  });

  it.each([
    ['COMPLETED', 1, 'CLEAN'],
    ['SWEEPING', 2, 'SWEEP_AGAIN'],
    ['CENSUS', 2, 'SWEEP_AGAIN'],
    ['BLOCKED', 2, 'SWEEP_AGAIN'],
    ['BLOCKED', 1, 'BLOCKED'],
    ['REQUESTED', 1, 'BLOCKED'],
    ['SWEEPING', 1, 'BLOCKED'],
    ['CENSUS', 1, null],
  ] as const)('a job that is %s in round %i has decided on round 1: %s', (status, round, outcome) => {
    expect(standingOutcome(testJob({ status, round }), 1)).toBe(outcome);
  });
});

describe('what blocks a purge', () => {
  it.each([
    ['nothing', census({ 2: 9 }), [], null],
    ['nothing, of another version', census({ 2: 9, 3: 1 }), [{ version: 2 }], null],
    ['foreign values, which cannot be on this key', census({}, { foreign: 2 }), [], null],
    ['a value', census({ 1: 1 }), [], 'STALE_RECORDS'],
    ['a value that cannot be read', census({}, { malformed: 1 }), [], 'MALFORMED_RECORDS'],
    ['a quarantined one', census({}), [{ version: 1 }], 'QUARANTINED_RECORDS'],
    ['a quarantined one of unknown version', census({}), [{ version: null }], 'QUARANTINED_RECORDS'],
    ['one of another key', census({}), [{ version: 1, code: 'KEY_MISMATCH' }], null],
    [
      'plaintext that an adoption could not seal',
      census({}),
      [{ version: null, finding: 'plaintext' as const }],
      null,
    ],
    [
      'one that cannot be looked at',
      census({}),
      [{ version: 1, finding: 'unknown' as const }],
      'QUARANTINED_RECORDS',
    ],
    ['both: the quarantine is named', census({ 1: 1 }), [{ version: 1 }], 'QUARANTINED_RECORDS'],
  ] as const)('%s', (_, found, quarantined, code) => {
    const set = quarantined.map((one) => ({ code: 'DECRYPTION_FAILED', finding: 'stale' as const, ...one }));
    const blocker = findBlocker({ from: 1 }, found, set);
    expect(blocker?.code ?? null).toBe(code);
    if (blocker !== null) expect(blocker.message).toMatch(/^(The census found )?\d+ /);
  });
});
