import { CommanderError } from 'commander';
import { type Options, parseOptions } from './run/options.ts';
import { replay } from './run/replay.ts';
import { run } from './run/run.ts';
import { unknownActions } from './run/selection.ts';

/** `npm run simulate`: docs/simulation.md has what it does, and `--help` its options. */

/** Most of them are found by far fewer. */
const SEEDS_A_MUTANT = 200;

process.exitCode = await main(process.argv.slice(2));

async function main(argv: readonly string[]): Promise<number> {
  try {
    return await execute(parseOptions(argv));
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    throw error;
  }
}

async function execute(options: Options): Promise<number> {
  const print = (line: string) => {
    process.stdout.write(`${line}\n`);
  };
  if (options.does === 'run') {
    const abort = new AbortController();
    // A second Ctrl-C ends it without a word.
    process.once('SIGINT', () => abort.abort());
    return run(options, { print, progress: process.stderr, signal: abort.signal });
  }
  if (options.does === 'replay') {
    const { planOf } = await import('./plan-of.ts');
    const { simulate } = await import('./simulate.ts');
    const { seed, selection } = options;
    const unknown = unknownActions(planOf(seed), selection);
    if (unknown.length > 0) {
      process.stderr.write(
        `error: --actions: the plan of seed ${seed} has no action ${unknown.join(', ')}\n`,
      );
      return 2;
    }
    return replay(options, { planOf, simulate }, print);
  }
  const { runMutants } = await import('./mutants/main.ts');
  const { workers, firstSeed, seeds, only } = options;
  const survivors = await runMutants({
    ...{ workers, firstSeed, seeds: seeds ?? SEEDS_A_MUTANT, print },
    ...(only === null ? {} : { only }),
  });
  return survivors > 0 ? 1 : 0;
}
