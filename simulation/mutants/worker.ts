import { enableCompileCache } from 'node:module';
import { MUTANTS } from './list.ts';
import { mutate } from './mutate.ts';

/**
 * One mutant in a process of its own: `node worker.ts <name> <first seed> <seeds>`. Prints what it found as one line of
 * JSON: see `Finding`.
 */
export interface Finding {
  readonly name: string;
  /** Seeds that were run. */
  readonly seeds: number;
  readonly steps: number;
  /** The first violation; null: none of the seeds had one. */
  readonly caught: { readonly seed: number; readonly rule: string; readonly what: string } | null;
}

async function hunt(name: string, first: number, seeds: number): Promise<Finding> {
  const mutant = MUTANTS.find((one) => one.name === name);
  if (mutant === undefined) throw new Error(`There is no mutant ${name}`);
  mutate(mutant);
  // Only now: these modules are the mutant's.
  const { simulate } = await import('../simulate.ts');
  const { planOf } = await import('../plan-of.ts');
  const { bend } = await import('./profiles.ts');
  let steps = 0;
  for (let seed = first; seed < first + seeds; seed++) {
    const outcome = await simulate(bend(planOf(seed, mutant.needs), mutant.profile));
    steps += outcome.steps;
    const [violation] = outcome.violations;
    if (violation !== undefined) {
      const { rule, what } = violation;
      return { name, seeds: seed - first + 1, steps, caught: { seed, rule, what } };
    }
  }
  return { name, seeds, steps, caught: null };
}

// Most modules are as they always are: half of the time that a process needs to begin.
enableCompileCache();
const [name = '', first = '', seeds = ''] = process.argv.slice(2);
console.log(JSON.stringify(await hunt(name, Number(first), Number(seeds))));
