import { createHash } from 'node:crypto';
import type { FaultKind } from '../faults.ts';
import type { Plan } from '../plan.ts';
import type { Outcome, Violation } from '../simulate.ts';
import { situationsIn } from '../situations/situations-in.ts';
import { replayCommand, type Selection, selectPlan } from './selection.ts';
import { shrink } from './shrink.ts';
import { reportViolation } from './violation-report.ts';

/** What one seed came to, as it is sent from a worker. */
export interface SeedResult {
  readonly seed: number;
  readonly steps: number;
  readonly fired: readonly (readonly [FaultKind, number])[];
  /** Names of simulation/situations/list.ts that came about in it. */
  readonly situations: readonly string[];
  /** The first; null: none. */
  readonly violation: Violation | null;
}

export interface Shrinking {
  readonly report: readonly string[];
  readonly command: string;
}

export interface Simulator {
  planOf(seed: number): Plan;
  simulate(plan: Plan, options?: { readonly keepTrace?: boolean }): Promise<Outcome>;
}

/** A simulation that throws is wrong itself, and that is found as any violation is. */
export function guarded({ planOf, simulate }: Simulator): Simulator {
  return {
    planOf,
    async simulate(plan, options) {
      try {
        return await simulate(plan, options);
      } catch (error) {
        const what = error instanceof Error ? (error.stack ?? error.message) : String(error);
        const nothing = { steps: 0, traceHash: '', fired: new Map(), history: [], trace: [] };
        return { seed: plan.seed, violations: [{ rule: 'simulation', what, step: 0, seq: 0 }], ...nothing };
      }
    },
  };
}

/** `twice`: the second run must be the same in everything. */
export async function runSeed(
  { planOf, simulate }: Simulator,
  seed: number,
  twice: boolean,
): Promise<SeedResult> {
  const outcome = await simulate(planOf(seed));
  const { steps, fired } = outcome;
  const [violation = twice ? await differs({ planOf, simulate }, seed, outcome) : null] = outcome.violations;
  return { seed, steps, fired: [...fired], situations: situationsIn(outcome.history), violation };
}

async function differs(
  { planOf, simulate }: Simulator,
  seed: number,
  { traceHash, history }: Outcome,
): Promise<Violation | null> {
  const again = await simulate(planOf(seed));
  const rule = 'determinism';
  const seen = { step: again.steps, seq: again.history.length - 1 };
  if (again.traceHash !== traceHash)
    return {
      ...{ rule, ...seen },
      what: `the same seed ran another way: its trace is ${traceHash}, and then ${again.traceHash}`,
    };
  if (digestOf(again.history) === digestOf(history)) return null;
  return { rule, ...seen, what: 'the same seed wrote other bytes: something in it is drawn beside its dice' };
}

/** Of everything in it to the last byte, which the trace only names. */
function digestOf(history: Outcome['history']): string {
  const hash = createHash('sha256');
  for (const entry of history) hash.update(JSON.stringify(entry));
  return hash.digest('hex');
}

/** `milliseconds`: how long shrinking may take. */
export async function shrinkSeed(
  simulator: Simulator,
  seed: number,
  violation: Violation,
  milliseconds: number,
): Promise<Shrinking> {
  const { rule } = violation;
  const plan = simulator.planOf(seed);
  const until = performance.now() + milliseconds;
  const { simulate } = simulator;
  const { selection } = await shrink({ plan, rule, simulate, isOver: () => performance.now() >= until });
  return reportSelection(simulator, seed, selection, violation);
}

/** Runs a part of a seed's plan, and reports the violation of that rule; where there is none any more, the one that was. */
async function reportSelection(
  { planOf, simulate }: Simulator,
  seed: number,
  selection: Selection,
  violation: Violation,
): Promise<Shrinking> {
  const outcome = await simulate(selectPlan(planOf(seed), selection), { keepTrace: true });
  const command = replayCommand(seed, selection);
  const found = outcome.violations.find(({ rule }) => rule === violation.rule) ?? violation;
  return { report: reportViolation(outcome, found, command), command };
}
