import { FAULT_KINDS, type FaultKind } from '../faults.ts';
import type { Plan } from '../plan.ts';

/** A part of a seed's plan: what is left of it when it is shrunk, and what a replay is given. null: all. */
export interface Selection {
  /** By their numbers in the seed's plan. */
  readonly actions: readonly number[] | null;
  readonly faults: readonly FaultKind[] | null;
  /** Of a kind, only these firings, from 0; a kind that is not in it fires as it comes. */
  readonly only: ReadonlyMap<FaultKind, readonly number[]>;
}

export const ALL: Selection = { actions: null, faults: null, only: new Map() };

const NONE = 'none';

export function selectPlan(plan: Plan, { actions, faults, only }: Selection): Plan {
  const selected = {
    ...plan,
    actions: actions === null ? plan.actions : plan.actions.filter(({ number }) => actions.includes(number)),
    faults: faults === null ? plan.faults : new Set(faults),
  };
  if (only.size === 0) return selected;
  return { ...selected, only: new Map([...only].map(([kind, firings]) => [kind, new Set(firings)])) };
}

/** Numbers that none of the plan's actions has: a replay without them would be of nothing, and find nothing. */
export function unknownActions(plan: Pick<Plan, 'actions'>, { actions }: Selection): number[] {
  return (actions ?? []).filter((wanted) => !plan.actions.some(({ number }) => number === wanted));
}

/** The one command that does the same again. */
export function replayCommand(seed: number, { actions, faults, only }: Selection): string {
  const firings = [...only].flatMap(([kind, numbers]) => numbers.map((number) => `${kind}:${number}`));
  return [
    `npm run simulate -- --seed ${seed}`,
    ...(actions === null ? [] : [`--actions ${actions.join() || NONE}`]),
    ...(faults === null ? [] : [`--faults ${faults.join() || NONE}`]),
    ...(firings.length === 0 ? [] : [`--only ${firings.join()}`]),
  ].join(' ');
}

/** The three that follow read an option's text, and throw what is wrong with it as text. */
export function parseActions(text: string): number[] {
  return listOf(text).map((part) => wholeNumber(part));
}

export function parseFaults(text: string): FaultKind[] {
  return listOf(text).map(faultKind);
}

export function parseOnly(text: string): Map<FaultKind, number[]> {
  const only = new Map<FaultKind, number[]>();
  for (const part of listOf(text)) {
    const [name = '', firing = ''] = part.split(':');
    const kind = faultKind(name);
    only.set(kind, [...(only.get(kind) ?? []), wholeNumber(firing)]);
  }
  return only;
}

export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^[0-9]{1,15}$/.test(text)) throw new Error(`"${text}" is no whole number.`);
  return value;
}

function listOf(text: string): string[] {
  return text === NONE ? [] : text.split(',');
}

function faultKind(text: string): FaultKind {
  const kind = FAULT_KINDS.find((known) => known === text);
  if (kind === undefined)
    throw new Error(`There is no fault "${text}": there are ${FAULT_KINDS.join(', ')}.`);
  return kind;
}
