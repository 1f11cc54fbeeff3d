import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { STATE_MACHINES } from '../../../shared/executions/executions.ts';
import type { Machine } from '../../../simulation/states-language/definition.ts';
import { MACHINES } from '../../../simulation/states-language/machines.ts';
import { behaviourOf } from './behaviour.ts';
import { loadTheirs, runOurs, runTheirs, type Trace } from './engines.ts';

/**
 * Our interpreter does what npm `aws-local-stepfunctions` does, which the embedded stack runs: on every behaviour the
 * same states with the same inputs at the same times, the same calls, the same end. Where that engine is not as AWS
 * is, ours is as AWS, and the difference is left out of the comparison:
 * - It gives a step that ran out of time the cause `States.Timeout`; in AWS the cause is empty.
 * - When a Map fails, AWS ends all iterations ("If any iteration fails, the entire Map state fails, and all iterations
 *   are terminated"). There, those that wait for their next try make all that they have left at once, and those that
 *   wait for their turn still have it. An execution that is stopped while it waits for a next try does so, too.
 * - Without TimeoutSeconds a step has 60 s there, and no limit in AWS: our definitions have to say it.
 * - `IsPresent: false` is never true there.
 */

function tasksOf({ states }: Machine): string[] {
  return [...states].flatMap(([name, state]) => {
    if (state.type === 'Map')
      return [...state.processor.states].filter(([, { type }]) => type === 'Task').map(([inner]) => inner);
    return state.type === 'Task' ? [name] : [];
  });
}

function statesOf({ states }: Machine): string[] {
  return [...states].flatMap(([name, state]) => [
    name,
    ...(state.type === 'Map' ? state.processor.states.keys() : []),
  ]);
}

/** What is compared: items of a Map each by themselves, and nothing of a Map after it failed. */
function comparable(machine: Machine, { entered, calls, ended }: Trace) {
  const outer = entered.filter(({ item }) => item === null);
  const failed = outer.findIndex(({ state }, i) => {
    const of = machine.states.get(state);
    return of?.type === 'Map' && outer[i + 1] !== undefined && outer[i + 1]?.state !== of.next;
  });
  const map = machine.states.get(outer[failed]?.state ?? '');
  const inner = map?.type === 'Map' ? map.processor.states : new Map();
  const failedAt = outer[failed + 1]?.at ?? 0;
  const counts = ({ state, at }: { state: string; at: number }) => !inner.has(state) || at < failedAt;
  const kept = entered.filter(counts);
  const items = [...new Set(kept.map(({ item }) => item))].sort((a, b) => (a ?? -1) - (b ?? -1));
  return withoutCauses({
    entered: items.map((of) => kept.filter(({ item }) => item === of)),
    calls: calls.filter(counts).sort((a, b) => a.at - b.at),
    ended,
  });
}

function withoutCauses(value: unknown): unknown {
  const text = JSON.stringify(value);
  return JSON.parse(text.replaceAll(/"([Cc]ause)":"States\.Timeout"/g, '"$1":""'));
}

describe.each(STATE_MACHINES)('%s', (name) => {
  const machine = MACHINES[name];

  it('runs as on the embedded engine', async () => {
    const theirs = await loadTheirs(name);
    await fc.assert(
      fc.asyncProperty(behaviourOf(tasksOf(machine)), async (behaviour) => {
        const ours = await runOurs(machine, behaviour);
        expect(comparable(machine, ours)).toEqual(comparable(machine, await runTheirs(theirs, behaviour)));
      }),
      { numRuns: 100 },
    );
  });

  it('is led by such behaviours through all of it, and to every kind of end', async () => {
    const seen = new Set<string>();
    for (const behaviour of fc.sample(behaviourOf(tasksOf(machine)), { numRuns: 500, seed: 1 })) {
      const { entered, ended } = await runOurs(machine, behaviour);
      for (const { state } of entered) seen.add(state);
      seen.add(ended.status === 'FAILED' ? ended.error : ended.status);
    }
    const ends = ['SUCCEEDED', 'Blocked', 'PermanentError', 'TransientError', 'States.Timeout'];
    expect([...seen]).toEqual(expect.arrayContaining([...statesOf(machine), ...ends]));
  });
});
