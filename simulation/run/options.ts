import { availableParallelism } from 'node:os';
import { Command, InvalidArgumentError, Option } from 'commander';
import { MUTANTS } from '../mutants/list.ts';
import { parseActions, parseFaults, parseOnly, type Selection, wholeNumber } from './selection.ts';

/** The command line of `npm run simulate`. */

export type Options =
  | {
      readonly does: 'run';
      readonly firstSeed: number;
      /** Infinity: for as long as `hours` says. */
      readonly seeds: number;
      /** Infinity: as many as `seeds` says. */
      readonly hours: number;
      readonly workers: number;
      /** Every seed twice. */
      readonly replayCheck: boolean;
      readonly keepGoing: boolean;
      readonly json: boolean;
    }
  | { readonly does: 'replay'; readonly seed: number; readonly selection: Selection; readonly json: boolean }
  | {
      readonly does: 'mutants';
      /** null: all. */
      readonly only: readonly string[] | null;
      readonly firstSeed: number;
      /** null: as many as a mutant is given. */
      readonly seeds: number | null;
      readonly workers: number;
    };

const DEFAULT_SEEDS = 1_000;

/** Throws a CommanderError for wrong usage, and for --help. */
export function parseOptions(argv: readonly string[]): Options {
  const program = createProgram();
  program.parse([...argv], { from: 'user' });
  const given = program.opts<Given>();
  const { seed, actions = null, faults = null, only = new Map(), firstSeed, workers, json } = given;
  const ofReplay = actions !== null || faults !== null || only.size > 0;
  if (ofReplay && seed === undefined) program.error('error: --actions, --faults and --only need --seed');
  if (given.mutants !== undefined) {
    const names = given.mutants === true ? null : given.mutants.split(',');
    if (seed !== undefined) program.error('error: --mutants runs seeds of its own: not with --seed');
    const unknown = (names ?? []).filter(
      (name) => name !== 'none' && !MUTANTS.some((mutant) => mutant.name === name),
    );
    if (unknown.length > 0) program.error(`error: there is no mutant ${unknown.join(', ')}`);
    return { does: 'mutants', only: names, firstSeed, seeds: given.seeds ?? null, workers };
  }
  if (seed !== undefined) return { does: 'replay', seed, selection: { actions, faults, only }, json };
  const hours = given.hours ?? Number.POSITIVE_INFINITY;
  const seeds = given.seeds ?? (given.hours === undefined ? DEFAULT_SEEDS : Number.POSITIVE_INFINITY);
  const { replayCheck, keepGoing } = given;
  return { does: 'run', firstSeed, seeds, hours, workers, replayCheck, keepGoing, json };
}

interface Given {
  readonly seeds?: number;
  readonly firstSeed: number;
  readonly hours?: number;
  readonly workers: number;
  readonly json: boolean;
  readonly replayCheck: boolean;
  readonly keepGoing: boolean;
  readonly seed?: number;
  readonly actions?: Selection['actions'];
  readonly faults?: Selection['faults'];
  readonly only?: Selection['only'];
  readonly mutants?: string | true;
}

function createProgram(): Command {
  return new Command('simulate')
    .description(
      'Runs the pipeline on simulated stores, keys, queues and clocks, with faults, and looks for what must never happen.',
    )
    .option('--seeds <number>', `how many seeds (default: ${DEFAULT_SEEDS})`, read(positive))
    .option('--first-seed <number>', 'the first of them', read(wholeNumber), 0)
    .option('--hours <number>', 'as long as that, or as many as --seeds', read(positiveNumber))
    .addOption(
      new Option('--workers <number>', 'processes')
        .argParser(read(positive))
        .default(availableParallelism(), 'one a processor'),
    )
    .option('--replay-check', 'run every seed twice, and compare; always done for the first few', false)
    .option('--keep-going', 'go on after a violation; the first one of each invariant is shrunk', false)
    .option('--json', 'print nothing but the last line: one JSON object', false)
    .option('--seed <number>', 'run this one seed, and print its trace', read(wholeNumber))
    .option('--actions <numbers>', 'of --seed: only these of its actions, or none', read(parseActions))
    .option('--faults <kinds>', 'of --seed: only these kinds of faults, or none', read(parseFaults))
    .option('--only <firings>', 'of --seed: of a kind only these firings, as kind:0,kind:2', read(parseOnly))
    .option(
      '--mutants [names]',
      'break the code in small ways, and see that each is found; none: the unbroken code, on the same plans',
    )
    .addHelpText('after', EXIT_CODES)
    .allowExcessArguments(false)
    .exitOverride();
}

const EXIT_CODES = `
Exit codes: 0 nothing was violated, 1 something was, or a kind of fault never fired, or a situation never came about, in seeds
enough for it (2,000 or more), 2 wrong usage, 130 Ctrl-C. The last line is one JSON object.`;

/** A parser's word on what is wrong, as commander says it. */
function read<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  };
}

function positive(text: string): number {
  const value = wholeNumber(text);
  if (value < 1) throw new Error('It is a whole number from 1 on.');
  return value;
}

function positiveNumber(text: string): number {
  const value = Number(text);
  if (!/^[0-9]+(\.[0-9]+)?$/.test(text) || value <= 0) throw new Error('It is a number of hours.');
  return value;
}
