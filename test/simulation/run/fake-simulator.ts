import { createHash } from 'node:crypto';
import { setTimeout } from 'node:timers/promises';
import { createDice } from '../../../simulation/dice.ts';
import { createFaults, type FaultKind } from '../../../simulation/faults.ts';
import type { HistoryEntry } from '../../../simulation/history.ts';
import type { Plan } from '../../../simulation/plan.ts';
import type { Simulator } from '../../../simulation/run/seed-result.ts';
import type { Outcome } from '../../../simulation/simulate.ts';

/**
 * Instead of a simulation: seed 13 violates rule 10 where action 3 is taken, and the second answer that is lost is lost. Seeds
 * below 5 are clean; seed 7 does never the same, 8 throws, 9 never ends, and 11 takes its process with it. From
 * `FIRST_SLOW_SEED` on each takes 10 ms.
 */

const KINDS: readonly FaultKind[] = ['store-reply-lost', 'kms-error', 'queue-duplicate', 'event-late'];
export const FIRST_SLOW_SEED = 1_000_000;

const OPPORTUNITIES = 100;
let runs = 0;

export const FAKE: Simulator = { planOf, simulate };

function planOf(seed: number): Plan {
  const actions = Array.from({ length: 12 }, (_, number) => ({
    number,
    after: number,
    name: 'rotate',
    choice: {},
  }));
  return {
    ...{ seed, faults: new Set(KINDS), config: {}, tenants: ['acme'], records: 1, applications: 1 },
    ...{ actions, quietAfter: 1, endsAfter: 2 },
  };
}

async function simulate(plan: Plan): Promise<Outcome> {
  runs += 1;
  const { seed, faults: kinds, only, actions } = plan;
  if (seed === 8) throw new Error('cannot be simulated');
  if (seed === 9) await new Promise(() => setInterval(() => {}, 1000));
  if (seed === 11) process.exit(9);
  if (seed >= FIRST_SLOW_SEED) await setTimeout(10);
  const faults = createFaults({ seed, kinds, ...(only && { only }) }, createDice(seed, 'faults'), () => {});
  const lost: number[] = [];
  for (let at = 0; at < OPPORTUNITIES; at++) {
    for (const kind of KINDS) {
      if (faults.fires(kind, `${at}`) && kind === 'store-reply-lost') lost.push(at);
    }
  }
  const second = secondLost(seed);
  const violated = seed === 13 && actions.some(({ number }) => number === 3) && lost.includes(second);
  const lines = [...actions.map(({ number }) => `action ${number}`), ...lost.map((at) => `lost ${at}`)];
  const trace = lines.map((line) => `1970-01-01T00:00:00.003Z ${line}`);
  const text = seed === 7 ? String(runs) : trace.join();
  return {
    seed,
    steps: 100,
    traceHash: createHash('sha256').update(text).digest('hex'),
    fired: faults.fired,
    violations: violated ? [{ rule: '10', what: 'a write is lost', step: 50, seq: 1 }] : [],
    history: HISTORY,
    trace,
  };
}

/** The opportunity at which the answer is lost for the second time when everything is on. */
function secondLost(seed: number): number {
  const all = createFaults({ seed, kinds: new Set(KINDS) }, createDice(seed, 'faults'), () => {});
  let found = 0;
  for (let at = 0; at < OPPORTUNITIES; at++) {
    if (all.fires('store-reply-lost', '') && ++found === 2) return at;
  }
  return -1;
}

const HISTORY: readonly HistoryEntry[] = [
  { seq: 0, at: 0, kind: 'quiet' },
  { seq: 1, at: 5, kind: 'end' },
];
