import { inLanes } from '../../shared/concurrency/in-lanes.ts';
import { type Finding, type Hunt, runHunts } from './finding.ts';
import { MUTANTS } from './list.ts';
import type { Mutant } from './mutant.ts';

type Run = (hunts: readonly Hunt[]) => Promise<readonly Finding[]>;

/**
 * Runs every mutant until a seed finds it, each in a process of its own, and shows the table. A mutant is found when the
 * rule is one that it breaks, and when the unbroken code passes on the very plan that found it.
 */
export interface MutantsOptions {
  readonly workers: number;
  readonly firstSeed: number;
  /** Most seeds for one mutant. */
  readonly seeds: number;
  /** Left out: all. `none`: the unbroken code, on all of those seeds and on all plans of all mutants. */
  readonly only?: readonly string[];
  readonly print: (line: string) => void;
  /** Left out: in processes of their own. */
  readonly run?: Run;
}

const NONE = 'none';

/** Returns how many were not found, or not as they should be. */
export async function runMutants(options: MutantsOptions): Promise<number> {
  const { workers, only, print } = options;
  if (only?.includes(NONE) === true) return runUnbroken(options);
  const mutants = MUTANTS.filter(({ name }) => only === undefined || only.includes(name));
  const unknown = (only ?? []).filter((wanted) => !mutants.some(({ name }) => name === wanted));
  if (unknown.length > 0) throw new Error(`There is no mutant ${unknown.join(', ')}`);
  const began = performance.now();
  const width = Math.max(...mutants.map(({ name }) => name.length));
  print(`${'mutant'.padEnd(width)}  rule       seeds  seconds  what it breaks`);
  const results = await inLanes(mutants, workers, async (mutant) => {
    const result = await runMutant(mutant, options);
    print(rowOf(result, width));
    return result;
  });
  const caught = results.filter(({ trouble }) => trouble === null);
  const falseAlarms = await findFalseAlarms(caught, options);
  const wrong = results.filter(({ trouble }) => trouble !== null);
  for (const { mutant, trouble } of wrong) print(`${mutant.name}: ${trouble}`);
  for (const { mutant, found } of falseAlarms)
    print(
      `${mutant}: the unbroken code does it too, seed ${found?.seed}, rule ${found?.rule}: ${found?.what}`,
    );
  const seconds = secondsSince(began);
  const seeds = results.reduce((sum, result) => sum + result.seeds, 0);
  const good = caught.length - falseAlarms.length;
  print(
    `${good} of ${results.length} mutants found, and not without them: ${seeds} seeds, ${Math.round(seconds)} s.`,
  );
  print(
    JSON.stringify({
      mutants: results.length,
      found: good,
      seeds,
      seconds,
      wrong: wrong.map(({ mutant, trouble }) => ({ mutant: mutant.name, trouble })),
      falseAlarms,
      results: results.map((result) => ({ ...result, mutant: result.mutant.name })),
    }),
  );
  return results.length - good;
}

interface Result {
  readonly mutant: Mutant;
  readonly seeds: number;
  readonly seconds: number;
  readonly found: Finding['found'];
  /** null: it was found, by a rule that it breaks. */
  readonly trouble: string | null;
}

async function runMutant(mutant: Mutant, options: MutantsOptions): Promise<Result> {
  const { firstSeed, seeds, run = runHunts } = options;
  const began = performance.now();
  try {
    const [finding] = await run([{ mutant: mutant.name, broken: true, firstSeed, seeds }]);
    const found = finding?.found ?? null;
    const isMeant = found !== null && mutant.rules.includes(found.rule);
    const trouble =
      found === null
        ? `not found in ${seeds} seeds`
        : isMeant
          ? null
          : `found by rule ${found.rule}, not by ${mutant.rules.join(' or ')}: ${found.what}`;
    return { mutant, seeds: finding?.seeds ?? 0, seconds: secondsSince(began), found, trouble };
  } catch (error) {
    const trouble = `its process failed: ${error instanceof Error ? error.message : String(error)}`;
    return { mutant, seeds: 0, seconds: secondsSince(began), found: null, trouble };
  }
}

function rowOf({ mutant, seeds, seconds, found, trouble }: Result, width: number): string {
  const rule = found === null ? 'SURVIVED' : `${found.rule}${trouble === null ? '' : ' (!)'}`;
  const cells = [mutant.name.padEnd(width), rule.padEnd(9), String(seeds).padStart(6)];
  return [...cells, seconds.toFixed(1).padStart(7), mutant.breaks].join('  ');
}

/** The plans that found a mutant, in the code as it is. */
async function findFalseAlarms(
  caught: readonly Result[],
  { workers, run = runHunts }: MutantsOptions,
): Promise<readonly Finding[]> {
  const hunts = caught.flatMap(({ mutant, found }) =>
    found === null ? [] : [{ mutant: mutant.name, broken: false, firstSeed: found.seed, seeds: 1 }],
  );
  const shares = Array.from({ length: workers }, (_, lane) => hunts.filter((__, i) => i % workers === lane));
  const findings = await inLanes(shares, workers, run);
  return findings.flat().filter(({ found }) => found !== null);
}

/** Each way in which plans are bent, once. */
async function runUnbroken(options: MutantsOptions): Promise<number> {
  const { workers, firstSeed, seeds, print, run = runHunts } = options;
  const began = performance.now();
  const ways = new Map(MUTANTS.map((mutant) => [JSON.stringify([mutant.needs, mutant.profile]), mutant]));
  const findings = await inLanes(
    ways.values(),
    workers,
    async ({ name, needs = [], profile = 'as drawn' }) => {
      const [finding] = await run([{ mutant: name, broken: false, firstSeed, seeds }]);
      const { found = null } = finding ?? {};
      const result = found === null ? 'clean' : `seed ${found.seed}, rule ${found.rule}: ${found.what}`;
      print(`${profile.padEnd(14)}  ${needs.join(', ').padEnd(56)}  ${result}`);
      return found;
    },
  );
  const violations = findings.filter((found) => found !== null);
  print(JSON.stringify({ ways: ways.size, seedsEach: seeds, violations, seconds: secondsSince(began) }));
  return violations.length;
}

function secondsSince(began: number): number {
  return Math.round((performance.now() - began) / 100) / 10;
}
