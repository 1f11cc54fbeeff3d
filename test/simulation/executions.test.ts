import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createDice } from '../../simulation/dice.ts';
import { folderOf } from '../../simulation/environments.ts';
import type { FaultKind, Faults } from '../../simulation/faults.ts';
import type { HappenedEvent } from '../../simulation/history.ts';
import { createExecutionsModel } from '../../simulation/models/executions.ts';
import { createScheduler } from '../../simulation/scheduler.ts';
import { describeExecutions, type StateFunctions } from '../contracts/executions.ts';

const HOUR = 3_600_000;
const STEP_MS = 20_000;

/** Faults of these kinds happen at every opportunity. `stopped`: they stop before what those bring about later. */
function surely(kinds: readonly FaultKind[], seed: number, stopped: boolean): Faults {
  return {
    dice: createDice(seed, 'faults'),
    fired: new Map(),
    fires: (kind) => kinds.includes(kind),
    stopped,
    stop: () => {},
  };
}

function createEngine(
  functions: StateFunctions,
  kinds: readonly FaultKind[] = [],
  seed = 1,
  stopped = false,
) {
  const scheduler = createScheduler(0, setImmediate);
  const history: HappenedEvent[] = [];
  const byFolder = new Map(Object.entries(functions).map(([state, run]) => [folderOf(state), run]));
  const model = createExecutionsModel({
    scheduler,
    faults: surely(kinds, seed, stopped),
    dice: createDice(seed, 'executions'),
    history: { add: (event) => history.push(event) },
    invoke: async (name, event) => byFolder.get(name)?.(event),
  });
  return {
    ...{ scheduler, history, model },
    async until(so: () => boolean | Promise<boolean>) {
      while (!(await so())) if (!(await scheduler.step(Number.POSITIVE_INFINITY))) throw new Error('Never');
    },
    async rest(until = scheduler.now() + 24 * HOUR) {
      await setImmediate();
      while (await scheduler.step(until));
    },
  };
}

describeExecutions('the model', async (functions) => {
  const { model, until, rest } = createEngine(functions);
  const unreachable = createEngine({}, ['executions-unavailable']).model.port;
  return { executions: model.port, unreachable, until, rest: () => rest(), stop: async () => {} };
});

/** A purge from its start to its end, and what it called. */
async function purge(kinds: readonly FaultKind[], seed = 1, functions: StateFunctions = {}, stopped = false) {
  const calls: string[] = [];
  const answers: StateFunctions = {
    BeginPurge: () => ({ round: 1, segments: [{ segment: 0 }, { segment: 1 }] }),
    CheckBarrier: () => ({
      passed: calls.filter((name) => name === 'CheckBarrier').length > 2,
      waitSeconds: 600,
    }),
    TakeCensus: () => undefined,
    DestroyVersion: () => ({ destroyed: true }),
    StopJob: () => null,
    ...functions,
  };
  const engine = createEngine(
    Object.fromEntries(
      Object.entries(answers).map(([state, answer]) => [
        state,
        async (input: unknown) => {
          calls.push(state);
          const given = await answer(input);
          await new Promise<void>((resolve) => engine.scheduler.after(STEP_MS, resolve));
          return given;
        },
      ]),
    ),
    kinds,
    seed,
    stopped,
  );
  await engine.model.port.start('purge-version', 'x', { jobId: 'x' });
  await engine.rest();
  const ends = engine.history.flatMap((event) => (event.kind === 'execution' ? [event.state] : []));
  return { ...engine, calls, ends };
}

const PURGE = [
  'BeginPurge',
  'CheckBarrier',
  'CheckBarrier',
  'CheckBarrier',
  'TakeCensus',
  'TakeCensus',
  'DestroyVersion',
];

describe('the model of executions', () => {
  it('waits in virtual time, and says what happened', async () => {
    const { calls, ends, model, scheduler } = await purge([]);
    expect(calls).toEqual(PURGE);
    expect(ends).toEqual(['STARTED', 'SUCCEEDED']);
    expect(model.running()).toEqual([]);
    // Two waits, and nothing that was left behind: no alarm of a step that had answered.
    const least = 1_200_000 + 6 * STEP_MS;
    expect(scheduler.now()).toBeGreaterThanOrEqual(least);
    expect(scheduler.now()).toBeLessThan(least + 1_000);
  });

  it('lists what runs', async () => {
    const { model } = createEngine({ BeginPurge: () => new Promise(() => {}) });
    await model.port.start('purge-version', 'b', {});
    await model.port.start('adopt-records', 'a', {});
    expect(model.running()).toMatchObject([
      { machine: 'purge-version', name: 'b' },
      { machine: 'adopt-records', name: 'a' },
    ]);
    await model.port.stop('purge-version', 'b');
    expect(model.running()).toMatchObject([{ machine: 'adopt-records', name: 'a' }]);
  });

  it('makes a step twice at the same time: what is answered first counts', async () => {
    const answers = [{ destroyed: false }, { destroyed: true }];
    const { calls, ends } = await purge(['step-twice'], 1, {
      DestroyVersion: () => answers.pop(),
    });
    // CheckBarrier passes with its third call.
    const doubled = ['BeginPurge', 'CheckBarrier', 'CheckBarrier', 'TakeCensus', 'DestroyVersion'];
    expect(new Set(calls)).toEqual(new Set(doubled));
    expect(calls.filter((name) => name === 'DestroyVersion')).toHaveLength(2);
    expect(ends).toEqual(['STARTED', 'SUCCEEDED']);
  });

  it('loses the answer of a step that succeeded: it is retried, as often as its Retry says', async () => {
    const errors: unknown[] = [];
    const { calls, ends } = await purge(['step-answer-lost'], 1, {
      StopJob: (input) => {
        errors.push(input);
        return { paused: true };
      },
    });
    expect(calls.filter((name) => name === 'BeginPurge')).toHaveLength(9);
    expect(errors[0]).toMatchObject({ jobId: 'x', error: { Error: 'Lambda.Unknown' } });
    expect(ends).toEqual(['STARTED', 'FAILED']);
  });

  it('does not lose the answer of one that failed', async () => {
    const { calls } = await purge(['step-answer-lost'], 1, {
      BeginPurge: () => {
        throw Object.assign(new Error('no'), { name: 'JobPaused' });
      },
    });
    expect(calls).toEqual(['BeginPurge']);
  });

  it('aborts executions at any moment: nothing comes after it', async () => {
    const stoodAt = new Set<number>();
    for (let seed = 0; seed < 60; seed++) {
      const { calls, ends, model } = await purge(['execution-aborted'], seed);
      expect(PURGE.slice(0, calls.length)).toEqual(calls);
      expect(ends).toHaveLength(2);
      if (ends[1] === 'ABORTED') stoodAt.add(calls.length);
      expect(model.running()).toEqual([]);
    }
    expect(stoodAt.size).toBeGreaterThan(3);
  });

  it('aborts none when faults have stopped', async () => {
    for (let seed = 0; seed < 10; seed++) {
      const { calls } = await purge(['execution-aborted'], seed, {}, true);
      expect(calls).toEqual(PURGE);
    }
  });

  it('hands on what functions answer as JSON', async () => {
    const inputs: unknown[] = [];
    await purge([], 1, {
      BeginPurge: () => ({ round: 1, segments: [{ segment: 0, none: undefined, at: new Date(0) }] }),
      TakeCensus: (input) => inputs.push(input),
    });
    expect(inputs).toStrictEqual([{ segment: 0, at: '1970-01-01T00:00:00.000Z' }]);
  });

  it('refuses a request before or after its effect', async () => {
    const effects = new Set<number>();
    for (let seed = 0; seed < 20; seed++) {
      const { model } = createEngine({}, ['executions-unavailable'], seed);
      await expect(model.port.start('purge-version', 'x', {})).rejects.toMatchObject({
        code: 'EXECUTIONS_UNAVAILABLE',
      });
      effects.add(model.running().length);
    }
    expect(effects).toEqual(new Set([0, 1]));
  });
});
