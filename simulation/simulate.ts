import { ACTIONS, begin } from './actors/actions.ts';
import { startSchedules } from './actors/schedules.ts';
import { createChecker } from './checker/create-checker.ts';
import { createWorld } from './create-world.ts';
import { createDice } from './dice.ts';
import { createFaults, type FaultKind } from './faults.ts';
import type { History, HistoryEntry } from './history.ts';
import { createInvariants } from './invariants.ts';
import type { Action, Plan } from './plan.ts';
import { createRecorder } from './recorder.ts';
import { createKeeper } from './releases/kept.ts';
import { createScheduler } from './scheduler.ts';
import { settled } from './settled.ts';
import type { World } from './world.ts';

/** Runs one plan to its end, or to the first violation. */

export interface Violation {
  /** The invariant's number in docs/protocol.md, or a word. */
  readonly rule: string;
  readonly what: string;
  /** Of the scheduler, when it was seen. */
  readonly step: number;
  /** The last entry of the history then. */
  readonly seq: number;
}

export interface Outcome {
  readonly seed: number;
  readonly steps: number;
  /** SHA-256 of everything that happened, in order. */
  readonly traceHash: string;
  readonly fired: ReadonlyMap<FaultKind, number>;
  readonly violations: readonly Violation[];
  readonly history: readonly HistoryEntry[];
  /** Empty unless it was asked for. */
  readonly trace: readonly string[];
}

const MINUTE = 60_000;
const START = Date.UTC(2026, 0, 1);
/** A simulation that takes longer never ends: that is a violation, too. */
const MOST_STEPS = 100_000;

/** A day is about two hours. */
const SCHEDULES = {
  sweep: 150 * MINUTE,
  monitor: 300 * MINUTE,
  rootKeys: 200 * MINUTE,
  exportAudit: 230 * MINUTE,
};

export async function simulate(plan: Plan, { keepTrace = false } = {}): Promise<Outcome> {
  const scheduler = createScheduler(START, settled);
  const recorder = createRecorder(scheduler.now, keepTrace);
  const violations: Violation[] = [];
  const violated = (rule: string, what: string) => {
    violations.push({ rule, what, step: scheduler.steps, seq: recorder.entries.length - 1 });
  };
  const invariants = createInvariants(violated);
  const checker = createChecker(({ rule, what }) => violated(rule, what));
  const keeper = plan.faults.has('mixed-code') ? createKeeper(violated) : null;
  const history: History = {
    entries: recorder.entries,
    add(event) {
      const entry = recorder.add(event);
      invariants.see(event);
      keeper?.see(event);
      checker.see(entry);
    },
  };
  const faults = createFaults(
    { seed: plan.seed, kinds: plan.faults, ...(plan.only && { only: plan.only }) },
    createDice(plan.seed, 'faults'),
    (fault, where) => history.add({ kind: 'fault', fault, where }),
  );
  const world = createWorld(plan, { scheduler, faults, history, violated, trace: recorder.trace });
  announce(world);
  begin(world);
  startSchedules(world, SCHEDULES);
  for (const action of plan.actions) scheduler.after(action.after, () => act(world, action));
  scheduler.after(plan.quietAfter, () => {
    faults.stop();
    history.add({ kind: 'quiet' });
  });
  const end = START + plan.endsAfter;
  while (violations.length === 0 && (await scheduler.step(end))) {
    if (scheduler.steps > MOST_STEPS) violated('liveness', `it goes on after ${MOST_STEPS} steps`);
  }
  history.add({ kind: 'end' });
  const last = history.entries.at(-1);
  if (violations.length === 0 && last !== undefined) checker.end(last);
  return {
    seed: plan.seed,
    steps: scheduler.steps,
    traceHash: recorder.hash(),
    fired: faults.fired,
    violations,
    history: history.entries,
    trace: recorder.lines,
  };
}

function act(world: World, action: Action): void {
  const run = ACTIONS[action.name];
  if (run === undefined) throw new Error(`There is no action ${action.name}`);
  run(world, action);
}

/** What the checker has to know of the configuration. */
function announce({ plan, config, history }: World): void {
  const sets = Object.entries(config.recordSets).map(([name, { store, purpose, fields }]) => [
    name,
    { store, purpose, fields: fields.map((field) => field.name) },
  ]);
  history.add({
    kind: 'config',
    tenants: plan.tenants,
    recordSets: Object.fromEntries(sets),
    rotation: config.rotation,
    approvalsRequired: config.approvals.required,
  });
}
