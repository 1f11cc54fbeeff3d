import type { FaultKind } from '../faults.ts';
import type { Plan } from '../plan.ts';
import type { Outcome } from '../simulate.ts';
import { ALL, type Selection, selectPlan } from './selection.ts';

/**
 * The smallest part of a plan that still breaks the same rule, as far as time allows: without actions, kinds of faults and
 * single firings that it does not take.
 */
export interface Shrunk {
  readonly selection: Selection;
  readonly runs: number;
}

export interface ShrinkParts {
  readonly plan: Plan;
  readonly rule: string;
  readonly simulate: (plan: Plan) => Promise<Pick<Outcome, 'violations' | 'fired'>>;
  /** True: no further try. */
  readonly isOver: () => boolean;
}

export async function shrink({ plan, rule, simulate, isOver }: ShrinkParts): Promise<Shrunk> {
  let runs = 0;
  /** Of the last run that broke the rule. */
  let fired: ReadonlyMap<FaultKind, number> = new Map();
  const breaks = async (selection: Selection): Promise<boolean> => {
    runs += 1;
    const outcome = await simulate(selectPlan(plan, selection));
    const same = outcome.violations.some((violation) => violation.rule === rule);
    if (same) fired = outcome.fired;
    return same;
  };

  let kept = ALL;
  const reduced = async <T>(
    parts: readonly T[],
    select: (left: readonly T[]) => Selection,
  ): Promise<void> => {
    const left = await reduce(parts, (some) => breaks(select(some)), isOver);
    kept = select(left);
  };

  // It breaks the rule once more, or what follows means nothing.
  if (!(await breaks(ALL))) return { selection: ALL, runs };
  // Of the kinds at once those that never fired, and then one by one; there are fewer of them than of actions.
  const happened = [...plan.faults].filter((kind) => fired.has(kind));
  if (await breaks({ ...kept, faults: happened })) kept = { ...kept, faults: happened };
  await reduced(kept.faults ?? [...plan.faults], (faults) => ({ ...kept, faults }));
  await reduced(
    plan.actions.map(({ number }) => number),
    (actions) => ({ ...kept, actions }),
  );
  const firings = [...fired].flatMap(([kind, count]) =>
    Array.from({ length: count }, (_, n) => [kind, n] as const),
  );
  const { faults } = kept;
  await reduced(firings, (left) => withFirings({ ...kept, faults }, left));
  return { selection: kept, runs };
}

/** A kind of which no firing is left is switched off. */
function withFirings(selection: Selection, firings: readonly (readonly [FaultKind, number])[]): Selection {
  const kinds = [...new Set(firings.map(([kind]) => kind))];
  const faults = selection.faults ?? [];
  return {
    ...selection,
    faults: faults.filter((kind) => kinds.includes(kind)),
    only: new Map(
      kinds.map((kind) => [kind, firings.filter(([of]) => of === kind).map(([, number]) => number)]),
    ),
  };
}

/** Delta debugging: without halves, quarters, … and then without each one, for as long as `holds`. */
export async function reduce<T>(
  parts: readonly T[],
  holds: (some: readonly T[]) => Promise<boolean>,
  isOver: () => boolean,
): Promise<readonly T[]> {
  let kept = parts;
  for (let size = kept.length; size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < kept.length; ) {
      if (isOver()) return kept;
      const without = kept.toSpliced(at, size);
      if (await holds(without)) kept = without;
      else at += size;
    }
  }
  return kept;
}
