import { expect, test } from 'vitest';
import type { Finding, Hunt } from '../../../simulation/mutants/finding.ts';
import { runMutants } from '../../../simulation/mutants/main.ts';

/** What the table says of what the processes found; these are made up here. */

type Found = Finding['found'];
const NOTHING = () => null;

/** Two mutants that are found by rule 3, and one by rule 4. */
const ONLY = ['two-active-versions', 'pointer-left-behind', 'activate-before-proof'];

async function table(
  broken: (mutant: string) => Found,
  unbroken: (hunt: Hunt) => Found = NOTHING,
  only: readonly string[] = ONLY,
) {
  const lines: string[] = [];
  const wrong = await runMutants({
    ...{ workers: 2, firstSeed: 5, seeds: 7, only },
    print: (line) => lines.push(line),
    run: async (hunts) =>
      hunts.map((hunt) => ({
        ...{ mutant: hunt.mutant, seeds: 1, steps: 10 },
        found: hunt.broken ? broken(hunt.mutant) : unbroken(hunt),
      })),
  });
  return { wrong, text: lines.join('\n'), last: JSON.parse(lines.at(-1) ?? '') };
}

const meant = (mutant: string): Found => ({
  seed: 5,
  rule: mutant === 'activate-before-proof' ? '4' : '3',
  what: `what ${mutant} does`,
});

test('all are found, and the unbroken code is clean on those very plans', async () => {
  const asked: Hunt[] = [];
  const { wrong, text, last } = await table(meant, (hunt) => {
    asked.push(hunt);
    return null;
  });
  expect(wrong).toBe(0);
  expect(text).toContain('3 of 3 mutants found');
  expect(text).toMatch(/pointer-left-behind +3 +1 +[0-9.]+ {2}the pointer goes on/);
  expect(last).toMatchObject({ mutants: 3, found: 3, wrong: [], falseAlarms: [] });
  expect(asked.map(({ mutant, broken, firstSeed, seeds }) => [mutant, broken, firstSeed, seeds])).toEqual(
    expect.arrayContaining(ONLY.map((name) => [name, false, 5, 1])),
  );
});

test('one that no seed finds is a survivor', async () => {
  const { wrong, text } = await table((name) => (name === 'pointer-left-behind' ? null : meant(name)));
  expect(wrong).toBe(1);
  expect(text).toMatch(/pointer-left-behind +SURVIVED/);
  expect(text).toContain('not found in 7 seeds');
});

test('one that is found by another rule than it breaks does not count', async () => {
  const { wrong, text } = await table((name) => ({ ...meant(name), seed: 5, rule: '4', what: 'else' }));
  expect(wrong).toBe(2);
  expect(text).toContain('two-active-versions: found by rule 4, not by 3: else');
});

test('what the unbroken code does too proves nothing', async () => {
  const { wrong, text } = await table(meant, ({ mutant }) =>
    mutant === 'two-active-versions' ? meant(mutant) : null,
  );
  expect(wrong).toBe(1);
  expect(text).toContain('two-active-versions: the unbroken code does it too, seed 5, rule 3');
});

test('a process that fails found nothing', async () => {
  const { wrong, text } = await table((name) => {
    if (name === 'two-active-versions') throw new Error('killed');
    return meant(name);
  });
  expect(wrong).toBe(1);
  expect(text).toContain('two-active-versions: its process failed: killed');
});

test('none: the unbroken code, on each way of plans', async () => {
  const clean = await table(meant, NOTHING, ['none']);
  expect(clean.wrong).toBe(0);
  expect(clean.last.ways).toBeGreaterThan(10);
  const { wrong, last } = await table(meant, ({ mutant }) => meant(mutant), ['none']);
  expect(wrong).toBe(last.ways);
});

test('an unknown name is said', async () => {
  await expect(table(meant, NOTHING, ['no-such'])).rejects.toThrow('no-such');
});
