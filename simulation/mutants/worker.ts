import { enableCompileCache } from 'node:module';
import type { Finding, Hunt } from './finding.ts';
import { MUTANTS } from './list.ts';
import type { Mutant } from './mutant.ts';
import { mutate } from './mutate.ts';

/**
 * A process of its own for one mutant, or for none: `node worker.ts <hunts>`, where `hunts` is JSON. Prints its findings as
 * one line of JSON. A mutant is put in before the simulation is loaded, and cannot be taken out again: hunts for a mutant
 * come alone, those in the unbroken code in any number.
 */

async function hunt({ mutant: name, broken, firstSeed, seeds }: Hunt): Promise<Finding> {
  const mutant = mutantOf(name);
  if (broken) mutate(mutant);
  // Only now: these modules are the mutant's.
  const { simulate } = await import('../simulate.ts');
  const { planOf } = await import('../plan-of.ts');
  const { bend } = await import('./profiles.ts');
  let steps = 0;
  for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
    const outcome = await simulate(bend(planOf(seed, mutant.needs, true), mutant.profile));
    steps += outcome.steps;
    const [violation] = outcome.violations;
    if (violation !== undefined) {
      const { rule, what } = violation;
      return { mutant: name, seeds: seed - firstSeed + 1, steps, found: { seed, rule, what } };
    }
  }
  return { mutant: name, seeds, steps, found: null };
}

function mutantOf(name: string): Mutant {
  const mutant = MUTANTS.find((one) => one.name === name);
  if (mutant === undefined) throw new Error(`There is no mutant ${name}`);
  return mutant;
}

// Most modules are as they always are: half of the time that a process needs to begin.
enableCompileCache();
const hunts: readonly Hunt[] = JSON.parse(process.argv[2] ?? '[]');
const findings: Finding[] = [];
for (const one of hunts) findings.push(await hunt(one));
console.log(JSON.stringify(findings));
