import { describeEntry } from './describe-entry.ts';
import { guarded, type Simulator } from './seed-result.ts';
import { replayCommand, type Selection, selectPlan } from './selection.ts';
import { reportViolation } from './violation-report.ts';

/** Runs one seed, or a part of its plan, and prints its trace, what was violated, and the trace's hash. Returns the exit code. */
export async function replay(
  { seed, selection, json }: { readonly seed: number; readonly selection: Selection; readonly json: boolean },
  simulator: Simulator,
  print: (line: string) => void,
): Promise<number> {
  const { planOf, simulate } = guarded(simulator);
  const plan = selectPlan(planOf(seed), selection);
  const outcome = await simulate(plan, { keepTrace: true });
  const { steps, trace, traceHash, fired, violations, history } = outcome;
  if (!json) {
    for (const line of trace) print(line);
    print('');
    print('The history:');
    for (const entry of history) print(`  ${describeEntry(entry)}`);
    print('');
    print('Actions of its plan:');
    for (const { number, after, name, choice } of plan.actions)
      print(`  ${number}  after ${Math.round(after / 1000)} s  ${name} ${JSON.stringify(choice)}`);
    print(`Kinds of faults: ${[...plan.faults].join(', ') || 'none'}`);
    print('');
    const [first] = violations;
    if (first === undefined) print(`Seed ${seed}: ${steps} steps, nothing violated, trace ${traceHash}`);
    else for (const line of reportViolation(outcome, first, replayCommand(seed, selection))) print(line);
  }
  const faults = [...fired.values()].reduce((sum, times) => sum + times, 0);
  print(JSON.stringify({ seed, steps, faults, traceHash, violations }));
  return violations.length > 0 ? 1 : 0;
}
