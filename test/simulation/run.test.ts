import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { progressText } from '../../simulation/run/progress.ts';
import { run } from '../../simulation/run/run.ts';
import type { SeedResult } from '../../simulation/run/seed-result.ts';
import {
  ENOUGH_SEEDS,
  neverFired,
  neverSeen,
  summaryJson,
  summaryText,
} from '../../simulation/run/summary.ts';
import { createTally } from '../../simulation/run/tally.ts';
import { SITUATIONS } from '../../simulation/situations/list.ts';
import { FIRST_SLOW_SEED } from './run/fake-simulator.ts';

/** Whole runs, in processes of their own, of what stands for the simulation. */

const SCRIPT = new URL('run/fake-worker.ts', import.meta.url);
const OPTIONS = {
  ...{ firstSeed: 0, seeds: 5, hours: Number.POSITIVE_INFINITY, workers: 2 },
  ...{ replayCheck: false, keepGoing: false, json: false },
};

async function runFake(
  options: Partial<typeof OPTIONS>,
  longestMs = 60_000,
  signal?: AbortSignal,
  script = SCRIPT,
) {
  const lines: string[] = [];
  const code = await run(
    { ...OPTIONS, ...options },
    {
      print: (line) => lines.push(...line.split('\n')),
      progress: new PassThrough() as unknown as NodeJS.WriteStream,
      signal: signal ?? new AbortController().signal,
      script,
      shrinkMs: 60_000,
      longestMs,
    },
  );
  return { code, lines, last: JSON.parse(lines.at(-1) ?? '') };
}

test('nothing is violated: 0, and the last line says how much ran', async () => {
  const { code, last, lines } = await runFake({});
  expect(code).toBe(0);
  expect(last).toMatchObject({ seeds: 5, firstSeed: 0, steps: 500, violations: 0, neverFired: [] });
  expect(last.faults).toBeGreaterThan(0);
  expect(lines.join('\n')).toMatch(/event-late +[0-9]+ +5\n/);
});

test('a violation: 1, shrunk, with the command', async () => {
  const { code, last, lines } = await runFake({ firstSeed: 13, seeds: 1 });
  expect(code).toBe(1);
  const command =
    'npm run simulate -- --seed 13 --actions 3 --faults store-reply-lost --only store-reply-lost:1';
  expect(last).toMatchObject({ seeds: 1, violations: 1, found: [{ seed: 13, rule: '10', command }] });
  expect(lines).toContain('Seed 13 violates invariant 10 at step 50 of 100:');
});

test('a violation ends the run; with --keep-going it goes on', async () => {
  const much = { firstSeed: 13, seeds: 2_000, workers: 1 };
  expect((await runFake(much)).last.seeds).toBeLessThan(100);
  const { last, code } = await runFake({ ...much, seeds: 200, keepGoing: true, json: true });
  expect(last).toMatchObject({ seeds: 200, violations: 1 });
  expect(code).toBe(1);
});

test('with --json one line, and nothing else', async () => {
  const { lines } = await runFake({ firstSeed: 13, seeds: 1, json: true });
  expect(lines).toHaveLength(1);
});

test.each([
  [7, 'determinism', /ran another way/],
  [8, 'simulation', /cannot be simulated/],
  [9, 'liveness', /takes longer than 2 s/],
  [11, 'simulation', /its process ended \(9\)/],
])('seed %i is a violation of %s', async (seed, rule, what) => {
  const { code, last } = await runFake(
    { firstSeed: seed, seeds: 1, json: true },
    seed === 9 ? 2_000 : 60_000,
  );
  expect(code).toBe(1);
  expect(last.found).toMatchObject([{ seed, rule, what: expect.stringMatching(what) }]);
});

test('what a worker that ended had before it, another one takes over', async () => {
  const { last } = await runFake({ firstSeed: 11, seeds: 8, workers: 1, keepGoing: true, json: true });
  expect(last).toMatchObject({ seeds: 8, violations: 2, found: [{ seed: 11 }, { seed: 13 }] });
});

test('a worker that cannot begin is no clean run', async () => {
  const script = new URL('run/no-such-worker.ts', import.meta.url);
  await expect(runFake({}, undefined, undefined, script)).rejects.toThrow('A worker ended before it began');
});

test('Ctrl-C: what ran so far, and 130', async () => {
  const abort = new AbortController();
  setTimeout(() => abort.abort(), 1_500);
  const { code, last } = await runFake({ firstSeed: 100, seeds: 10_000_000 }, undefined, abort.signal);
  expect(code).toBe(130);
  expect(last.seeds).toBeLessThan(10_000_000);
});

test('hours end it', async () => {
  const slow = { firstSeed: FIRST_SLOW_SEED, seeds: Number.POSITIVE_INFINITY, hours: 2 / 3600 };
  const { code, last } = await runFake(slow);
  // So few that a kind which never fired is chance, on the fastest machine.
  expect(last.seeds).toBeLessThan(ENOUGH_SEEDS);
  expect(code).toBe(0);
  expect(last.seconds).toBeGreaterThanOrEqual(2);
});

const result = (seed: number, fired: SeedResult['fired']): SeedResult => ({
  seed,
  steps: 10,
  fired,
  situations: [],
  violation: null,
});

test('faults are counted by kind, and by pairs that fired in one seed', () => {
  const tally = createTally();
  tally.add(
    result(1, [
      ['kms-error', 3],
      ['zombie', 1],
    ]),
  );
  tally.add(
    result(2, [
      ['zombie', 2],
      ['event-lost', 0],
    ]),
  );
  expect(tally.faults).toBe(6);
  expect(tally.kinds.find(({ kind }) => kind === 'zombie')).toEqual({ kind: 'zombie', fired: 3, seeds: 2 });
  const kinds = tally.kinds.length;
  expect(tally.pairs).toMatchObject({ all: (kinds * (kinds - 1)) / 2, covered: 1 });
  expect(tally.pairs.least).toHaveLength(5);
});

test('a kind that never fired in 2,000 seeds fails the run; in fewer it may be chance', () => {
  const tally = createTally();
  for (let seed = 0; seed < 1_999; seed++) tally.add(result(seed, [['zombie', 1]]));
  expect(neverFired(tally)).toEqual([]);
  tally.add(result(2_000, []));
  expect(neverFired(tally)).toContain('kms-error');
  expect(neverFired(tally)).not.toContain('zombie');
  const summary = { tally, firstSeed: 0, violations: [], seconds: 20 };
  expect(summaryText(summary)).toContain('kms-error never fired.');
  expect(summaryText(summary).at(-1)).toBe(
    '2,000 seeds in 20 s (100 a second): 20,000 steps, 1,999 faults, 0 violations.',
  );
  expect(summaryJson(summary)).toMatchObject({ seeds: 2_000, faults: 1_999, seconds: 20 });
});

test('situations are counted, with the lowest seed; one that seeds enough never came to fails the run', () => {
  const tally = createTally();
  const often = SITUATIONS.find(({ within }) => within === 2_000)?.name ?? '';
  const seldom = SITUATIONS.find(({ within }) => within > 2_000)?.name ?? '';
  for (let seed = 0; seed < 1_999; seed++) tally.add(result(seed, []));
  expect(neverSeen(tally)).toEqual([]);
  tally.add(result(5_000, []));
  expect(neverSeen(tally)).toContain(often);
  expect(neverSeen(tally)).not.toContain(seldom);
  for (const seed of [9_000, 8_000]) tally.add({ ...result(seed, []), situations: [often] });
  expect(tally.situations.find(({ name }) => name === often)).toMatchObject({ seeds: 2, first: 8_000 });
  expect(neverSeen(tally)).not.toContain(often);
  const summary = { tally, firstSeed: 0, violations: [], seconds: 20 };
  expect(summaryText(summary).join('\n')).toMatch(new RegExp(`^${often} +2 +8000  [a-z]`, 'm'));
  expect(summaryText(summary)).not.toContain(`${often} never came about.`);
  expect(summaryJson(summary)).toMatchObject({
    situations: { [often]: 2, [seldom]: 0 },
    neverSeen: neverSeen(tally),
  });
});

test('progress: how many, how fast, how long still', () => {
  const state = { tally: { seeds: 1_000, faults: 12_345 }, violations: 0, seconds: 10 };
  const forever = Number.POSITIVE_INFINITY;
  expect(progressText(state, { seeds: 20_000, seconds: forever })).toBe(
    '1,000 of 20,000 seeds, 100 a second, 3 min 10 s left, 12,345 faults, 0 violations',
  );
  expect(progressText(state, { seeds: forever, seconds: 3600 })).toContain('59 min 50 s left');
});
