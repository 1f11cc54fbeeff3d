import { CommanderError } from 'commander';
import { expect, test, vi } from 'vitest';
import { parseOptions } from '../../simulation/run/options.ts';

test('a thousand seeds from 0 on, where nothing is said', () => {
  expect(parseOptions([])).toMatchObject({
    does: 'run',
    firstSeed: 0,
    seeds: 1000,
    keepGoing: false,
    json: false,
  });
});

test('hours without a number of seeds: as many as there is time for', () => {
  expect(parseOptions(['--hours', '0.5', '--first-seed', '77', '--workers', '3'])).toMatchObject({
    ...{ does: 'run', firstSeed: 77, seeds: Number.POSITIVE_INFINITY, hours: 0.5, workers: 3 },
  });
  expect(parseOptions(['--hours', '1', '--seeds', '20'])).toMatchObject({ seeds: 20, hours: 1 });
});

test('one seed is a replay; of mutants all, or those that are named', () => {
  expect(parseOptions(['--seed', '5'])).toMatchObject({ does: 'replay', seed: 5 });
  expect(parseOptions(['--mutants'])).toMatchObject({ does: 'mutants', only: null, seeds: null });
  expect(parseOptions(['--mutants', 'skip-barrier,none', '--seeds', '9'])).toMatchObject({
    only: ['skip-barrier', 'none'],
    seeds: 9,
  });
});

const WRONG = [
  [['--seeds', '0'], 'whole number from 1'],
  [['--seeds', 'many'], 'no whole number'],
  [['--hours', '-1'], 'number of hours'],
  [['--seed', '1', '--faults', 'rain'], 'There is no fault "rain"'],
  [['--seed', '1', '--only', 'kill-after-call:x'], '"x" is no whole number'],
  [['--actions', '1'], 'need --seed'],
  [['--unknown'], 'unknown option'],
  [['12'], 'too many arguments'],
] as const;

for (const [argv, message] of WRONG) {
  test(`wrong: ${argv.join(' ')}`, () => {
    const written = vi.spyOn(process.stderr, 'write').mockReturnValue(true);
    try {
      expect(() => parseOptions(argv)).toThrow(CommanderError);
      expect(written.mock.calls.flat().join('')).toContain(message);
    } finally {
      written.mockRestore();
    }
  });
}
