import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { coverageParts } from '../../scripts/cli/coverage-words.ts';
import { censusLines } from '../../scripts/cli/job-words.ts';
import { addUp } from '../../shared/census/add-up.ts';

const some = fc.integer({ min: 0, max: 5_000_000 });

describe('the census lines of a job', () => {
  it('print parts that add up to the values that were read', () => {
    const versions = fc.dictionary(fc.constantFrom('1', '2', '3', '17'), some);
    fc.assert(
      fc.property(versions, some, some, some, some, (found, foreign, malformed, tombstones, others) => {
        const named = Object.values(found).reduce((a, b) => a + b, 0);
        const values = named + foreign + malformed + tombstones + others;
        const count = { rows: values, values, versions: found, foreign, malformed, tombstones };
        const census = addUp(
          [
            {
              ...{ jobId: 'j', census: 'c', segment: 0, recordSet: 'people', count, takenAt: AT },
              read: { store: 'main', table: 'people', columns: ['name'] },
            },
          ],
          {
            ...{ version: 1, active: 2, reach: 'everywhere', takenBy: 'person:ann', at: AT },
            searched: null,
            excluded: () => [],
          },
        );
        const [line = ''] = censusLines({ census });
        const [read = '', parts = ''] = line.split('; ');
        const numbers = [...parts.matchAll(/(?:^|, )([0-9,]+) (?=on|of|that|given)/g)];
        const sum = numbers.reduce((total, [, text = '']) => total + Number(text.replaceAll(',', '')), 0);
        expect(sum).toBe(values);
        expect(read).toContain(`and ${values.toLocaleString('en-US')} value`);
      }),
    );
  });

  it('names what is neither on a version nor damaged', () => {
    const found = { versions: { '2': 4 }, foreign: 0, malformed: 1, tombstones: 1, others: 53 };
    expect(coverageParts(found).join(', ')).toBe(
      '4 on version 2, 1 that is no envelope, 1 given up, 53 of other keys or tenants',
    );
  });
});

const AT = '2026-01-01T00:00:00.000Z';
