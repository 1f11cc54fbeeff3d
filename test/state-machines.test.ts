import { readFile } from 'node:fs/promises';
import { StateMachine } from 'aws-local-stepfunctions';
import { beforeEach, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { JobPaused, PermanentError, TransientError, translate } from '../functions/lambda.ts';
import { UnreadableItemError } from '../shared/errors/errors.ts';
import { STATE_MACHINES, type StateMachineName } from '../shared/executions/executions.ts';

/** The deployed state machines themselves, with a stub for each function: order, loops, waits, errors, ends. */

const JOB = '6f1a1f0e-5d5b-5c1c-9a53-0f0a3d1d7c11';
const SEGMENTS = [0, 1, 2].map((segment) => ({ jobId: JOB, round: 1, segment }));

type Stub = (input: unknown, call: number) => unknown;

interface Run {
  readonly ended: 'SUCCEEDED' | 'FAILED';
  /** Name of the error that the execution ended with. */
  readonly error: string | null;
  /** Names of the Task states in the order of their calls. */
  readonly calls: readonly string[];
  /** What each state got and gave. */
  readonly data: readonly { readonly name: string; readonly input: unknown; readonly output: unknown }[];
  readonly retries: readonly string[];
}

const stateSchema = z.looseObject({ Type: z.string(), SecondsPath: z.string().optional() });
const nestedSchema = z.object({ ItemProcessor: z.object({ States: z.record(z.string(), stateSchema) }) });
const machineSchema = z.looseObject({ States: z.record(z.string(), stateSchema) });
const eventSchema = z.looseObject({
  type: z.string(),
  Error: z.string().optional(),
  state: z.object({ name: z.string(), input: z.unknown(), output: z.unknown() }).partial().optional(),
});

const loaded = new Map(
  await Promise.all(STATE_MACHINES.map(async (name) => [name, await load(name)] as const)),
);

function machineOf(name: StateMachineName) {
  const found = loaded.get(name);
  if (found === undefined) throw new Error(`no machine ${name}`);
  return found;
}

async function load(name: StateMachineName) {
  const text = await readFile(new URL(`../state-machines/${name}.asl.json`, import.meta.url), 'utf8');
  const arn = 'arn:aws:lambda:us-east-1:000000000000:function:$1';
  const deployed = text.replaceAll(/\$\{(\w+)FunctionArn\}/g, arn);
  return {
    engine: new StateMachine(JSON.parse(deployed)),
    machine: machineSchema.parse(JSON.parse(deployed)),
  };
}

function allStates(machine: z.infer<typeof machineSchema>): [string, z.infer<typeof stateSchema>][] {
  return Object.entries(machine.States).flatMap(([name, state]) => {
    const nested = nestedSchema.safeParse(state);
    return [[name, state], ...(nested.success ? Object.entries(nested.data.ItemProcessor.States) : [])];
  });
}

/** What the functions answer in a run without trouble. */
const ANSWERS: Readonly<Record<string, Stub>> = {
  PlanSweep: () => ({ round: 1, segments: SEGMENTS }),
  BeginPurge: () => ({ round: 1, segments: SEGMENTS }),
  ListSegment: (input) => ({ ...z.looseObject({}).parse(input), queued: 1, done: true, waitSeconds: 0 }),
  CheckSweep: () => ({ swept: true, waitSeconds: 0 }),
  CheckBarrier: () => ({ passed: true, waitSeconds: 0 }),
  ConcludeRound: () => ({ outcome: 'CLEAN' }),
  ConcludeAdoption: () => ({ outcome: 'CLEAN' }),
  DestroyVersion: () => ({ destroyed: true }),
  StopJob: () => ({ paused: false }),
};

let waits: { name: string; seconds: number }[];
beforeEach(() => {
  waits = [];
});

async function run(name: StateMachineName, stubs: Readonly<Record<string, Stub>> = {}): Promise<Run> {
  const { engine, machine } = machineOf(name);
  const calls: string[] = [];
  const counts = new Map<string, number>();
  const handlers = Object.fromEntries(
    allStates(machine)
      .filter(([, { Type }]) => Type === 'Task')
      .map(([state]) => [
        state,
        async (input: unknown) => {
          calls.push(state);
          const call = (counts.get(state) ?? 0) + 1;
          counts.set(state, call);
          const stub = stubs[state] ?? ANSWERS[state] ?? (() => null);
          return z.json().parse((await stub(input, call)) ?? null);
        },
      ]),
  );
  // No waiting in earnest: waits and pauses before a retry last no time.
  const secondsPaths = new Map(
    allStates(machine).flatMap(([state, { SecondsPath }]) =>
      SecondsPath === undefined ? [] : [[state, SecondsPath] as const],
    ),
  );
  const retrying = allStates(machine).filter(([, { Type }]) => Type === 'Task');
  const execution = engine.run(
    { jobId: JOB },
    {
      overrides: {
        taskResourceLocalHandlers: handlers,
        waitTimeOverrides: Object.fromEntries([...secondsPaths.keys()].map((state) => [state, 0])),
        retryIntervalOverrides: Object.fromEntries(retrying.map(([state]) => [state, 0])),
      },
    },
  );
  const data: Run['data'][number][] = [];
  const retries: string[] = [];
  let error: string | null = null;
  const reading = (async () => {
    for await (const raw of execution.eventLogs) {
      const { type, state, Error: failure } = eventSchema.parse(raw);
      if (type === 'ExecutionFailed') error = failure ?? null;
      if (state?.name === undefined) continue;
      if (type === 'StateRetried') retries.push(state.name);
      if (type === 'StateExited') data.push({ name: state.name, input: state.input, output: state.output });
      const path = secondsPaths.get(state.name);
      if (type === 'StateEntered' && path !== undefined)
        waits.push({ name: state.name, seconds: z.number().parse(at(state.input, path)) });
    }
  })();
  const ended = await execution.result.then(
    () => 'SUCCEEDED' as const,
    () => 'FAILED' as const,
  );
  await reading;
  return { ended, error, calls, data, retries };
}

/** `$.check.waitSeconds` */
function at(input: unknown, path: string): unknown {
  return path
    .split('.')
    .slice(1)
    .reduce<unknown>((value, part) => z.looseObject({}).parse(value)[part], input);
}

const without = (calls: readonly string[], ...names: readonly string[]) =>
  calls.filter((name) => !names.includes(name));

describe('rotate-key', () => {
  it('goes from the new version to the retired one', async () => {
    const { ended, calls } = await run('rotate-key');
    expect(ended).toBe('SUCCEEDED');
    expect(calls).toEqual([
      'CreateVersion',
      'ProveVersion',
      'ActivateVersion',
      'PlanSweep',
      'ListSegment',
      'ListSegment',
      'ListSegment',
      'CheckSweep',
      'CheckBarrier',
      'TakeCensus',
      'TakeCensus',
      'TakeCensus',
      'ConcludeRound',
      'RetireVersion',
    ]);
  });

  it('gives each step what it parses, and waits as long as it is told', async () => {
    const inputs: Record<string, unknown[]> = {};
    const keep =
      (name: string, answer: Stub): Stub =>
      (input, call) => {
        inputs[name] = [...(inputs[name] ?? []), input];
        return answer(input, call);
      };
    const { ended } = await run('rotate-key', {
      CheckSweep: keep('CheckSweep', (_, call) => ({ swept: call === 3, waitSeconds: call * 7 })),
      CheckBarrier: keep('CheckBarrier', (_, call) => ({ passed: call === 2, waitSeconds: 420 })),
      ConcludeRound: keep('ConcludeRound', () => ({ outcome: 'CLEAN' })),
      TakeCensus: keep('TakeCensus', () => null),
      ListSegment: keep('ListSegment', (input, call) => ({
        ...z.looseObject({}).parse(input),
        queued: call,
        done: call > 3,
        waitSeconds: 5,
      })),
    });
    expect(ended).toBe('SUCCEEDED');
    expect(inputs['CheckSweep']).toEqual([1, 2, 3].map(() => ({ jobId: JOB, round: 1 })));
    expect(inputs['CheckBarrier']).toEqual([1, 2].map(() => ({ jobId: JOB })));
    expect(inputs['ConcludeRound']).toEqual([{ jobId: JOB, round: 1 }]);
    expect(inputs['TakeCensus']).toEqual(SEGMENTS);
    expect(inputs['ListSegment']?.slice(0, 3)).toEqual(SEGMENTS);
    // A lister that was not done is called with its own last answer.
    for (const again of inputs['ListSegment']?.slice(3) ?? [])
      expect(again).toMatchObject({ queued: expect.any(Number), done: false });
    expect(waits.filter(({ name }) => name === 'WaitForWorkers')).toEqual([
      { name: 'WaitForWorkers', seconds: 7 },
      { name: 'WaitForWorkers', seconds: 14 },
    ]);
    expect(waits.filter(({ name }) => name === 'WaitForBarrier')).toEqual([
      { name: 'WaitForBarrier', seconds: 420 },
    ]);
  });

  it('sweeps again until a round is clean', async () => {
    const { ended, calls } = await run('rotate-key', {
      PlanSweep: (_, call) => ({ round: call, segments: SEGMENTS.map((task) => ({ ...task, round: call })) }),
      ConcludeRound: (input, call) => {
        expect(input).toEqual({ jobId: JOB, round: call });
        return { outcome: call < 3 ? 'SWEEP_AGAIN' : 'CLEAN' };
      },
    });
    expect(ended).toBe('SUCCEEDED');
    const round = ['PlanSweep', 'CheckSweep', 'CheckBarrier', 'ConcludeRound'];
    expect(without(calls, 'ListSegment', 'TakeCensus')).toEqual([
      'CreateVersion',
      'ProveVersion',
      'ActivateVersion',
      ...round,
      ...round,
      ...round,
      'RetireVersion',
    ]);
  });

  it('ends in a failure when it is blocked, and retires nothing', async () => {
    const { ended, error, calls } = await run('rotate-key', {
      ConcludeRound: () => ({ outcome: 'BLOCKED' }),
    });
    expect({ ended, error }).toEqual({ ended: 'FAILED', error: 'Blocked' });
    expect(calls).not.toContain('RetireVersion');
    expect(calls).not.toContain('StopJob');
  });
});

describe('purge-version', () => {
  it('fences, waits, counts, destroys', async () => {
    const { ended, calls } = await run('purge-version', {
      CheckBarrier: (_, call) => ({ passed: call === 2, waitSeconds: 300 }),
    });
    expect(ended).toBe('SUCCEEDED');
    expect(without(calls, 'TakeCensus')).toEqual([
      'BeginPurge',
      'CheckBarrier',
      'CheckBarrier',
      'DestroyVersion',
    ]);
    expect(calls.filter((name) => name === 'TakeCensus')).toHaveLength(3);
    expect(waits).toEqual([{ name: 'WaitForBarrier', seconds: 300 }]);
  });

  it('ends in a failure when the version is kept', async () => {
    const { ended, error } = await run('purge-version', { DestroyVersion: () => ({ destroyed: false }) });
    expect({ ended, error }).toEqual({ ended: 'FAILED', error: 'Blocked' });
  });
});

describe('adopt-records', () => {
  it('sweeps until nothing is left, or is blocked', async () => {
    const { ended, calls } = await run('adopt-records', {
      ConcludeAdoption: (_, call) => ({ outcome: call === 1 ? 'SWEEP_AGAIN' : 'CLEAN' }),
    });
    expect(ended).toBe('SUCCEEDED');
    const round = ['PlanSweep', 'CheckSweep', 'CheckBarrier', 'ConcludeAdoption'];
    expect(without(calls, 'ListSegment')).toEqual([...round, ...round]);
    const blocked = await run('adopt-records', { ConcludeAdoption: () => ({ outcome: 'BLOCKED' }) });
    expect(blocked).toMatchObject({ ended: 'FAILED', error: 'Blocked' });
  });
});

const allSteps = STATE_MACHINES.flatMap((machine) =>
  allStates(machineOf(machine).machine)
    .filter(([, { Type }]) => Type === 'Task')
    .map(([name]) => [machine, name] as const),
);
const steps = allSteps.filter(([, name]) => name !== 'StopJob');

describe('a step that fails', () => {
  it.each(steps)('%s, %s: for a passing reason, is tried again', async (machine, step) => {
    const answer = ANSWERS[step] ?? (() => null);
    const { ended, retries, calls } = await run(machine, {
      [step]: (input, call) => {
        if (call <= 2) throw new TransientError('LEDGER_UNAVAILABLE: throttled', null);
        return answer(input, call);
      },
    });
    expect(ended).toBe('SUCCEEDED');
    expect(retries).toEqual([step, step]);
    expect(calls).not.toContain('StopJob');
  });

  it.each(steps)('%s, %s: for good, stops the job and fails with its reason', async (machine, step) => {
    let stopped: unknown;
    const { ended, error, calls } = await run(machine, {
      [step]: () => {
        throw new PermanentError('VERSION_STATE: not now', null);
      },
      StopJob: (input) => {
        stopped = input;
        return { paused: false };
      },
    });
    expect({ ended, error }).toEqual({ ended: 'FAILED', error: 'PermanentError' });
    expect(stopped).toMatchObject({
      jobId: JOB,
      error: { Error: 'PermanentError', Cause: expect.stringContaining('VERSION_STATE: not now') },
    });
    expect(calls.at(-1)).toBe('StopJob');
    expect(calls.filter((name) => name === 'StopJob')).toHaveLength(1);
  });

  it.each(steps)('%s, %s: because the job rests, ends without a failure', async (machine, step) => {
    const { ended, calls, retries } = await run(machine, {
      [step]: () => {
        throw new JobPaused('JOB_PAUSED: it rests', null);
      },
    });
    expect(ended).toBe('SUCCEEDED');
    expect(calls.at(-1)).toBe(step);
    expect({ retries, stopped: calls.includes('StopJob') }).toEqual({ retries: [], stopped: false });
  });

  it.each(STATE_MACHINES)(
    '%s: for good, and StopJob pauses the job: ends without a failure',
    async (machine) => {
      const fail = () => {
        throw new PermanentError('ROOT_KEY_DISABLED: not now', null);
      };
      const { ended, calls } = await run(machine, {
        ...{ CreateVersion: fail, BeginPurge: fail, PlanSweep: fail },
        StopJob: () => ({ paused: true }),
      });
      expect({ ended, last: calls.at(-1) }).toEqual({ ended: 'SUCCEEDED', last: 'StopJob' });
    },
  );

  it('stops with its error also where StopJob says nothing, as that of an earlier release does', async () => {
    const { ended, error } = await run('rotate-key', {
      CreateVersion: () => {
        throw new PermanentError('VERSION_STATE: not now', null);
      },
      StopJob: () => null,
    });
    expect({ ended, error }).toEqual({ ended: 'FAILED', error: 'PermanentError' });
  });

  it('too often for a passing reason stops the job as well', async () => {
    const { ended, retries, calls } = await run('rotate-key', {
      ProveVersion: () => {
        throw new TransientError('PROVIDER_UNAVAILABLE: down', null);
      },
    });
    expect(ended).toBe('FAILED');
    expect(retries).toHaveLength(8);
    expect(calls.at(-1)).toBe('StopJob');
  });
});

describe('a step that meets an item of a newer release', () => {
  const unreadable = new UnreadableItemError(
    'An item of the ledger (job) has what this release does not know: x',
  );

  it.each(steps)('%s, %s: is tried again until its function was replaced', async (machine, name) => {
    const answer = ANSWERS[name] ?? (() => null);
    const { ended, retries, calls } = await run(machine, {
      [name]: (input, call) => {
        if (call <= 12) throw translate(unreadable);
        return answer(input, call);
      },
    });
    expect(ended).toBe('SUCCEEDED');
    expect(retries).toHaveLength(12);
    expect(calls).not.toContain('StopJob');
  });

  it.each(allSteps)('%s, %s: for an hour at least, and then stops the job', (machine, name) => {
    const [, state] = allStates(machineOf(machine).machine).find(([each]) => each === name) ?? [];
    const rule = retrySchema
      .parse(state?.['Retry'])
      .find((each) => each.ErrorEquals.includes('UnreadableItem'));
    const { IntervalSeconds = 0, MaxAttempts = 0, BackoffRate = 1, MaxDelaySeconds = 0 } = rule ?? {};
    const waits = Array.from({ length: MaxAttempts }, (_, i) =>
      Math.min(IntervalSeconds * BackoffRate ** i, MaxDelaySeconds),
    );
    expect(waits.reduce((sum, seconds) => sum + seconds, 0)).toBeGreaterThan(3600);
    // 40 listers that are tried again at one time stay far below the 25,000 events of an execution.
    expect(40 * 3 * MaxAttempts).toBeLessThan(5000);
  });
});

const retrySchema = z.array(
  z.object({
    ErrorEquals: z.array(z.string()),
    IntervalSeconds: z.number(),
    MaxAttempts: z.number(),
    BackoffRate: z.number().optional(),
    MaxDelaySeconds: z.number().optional(),
  }),
);

describe('the data of a machine', () => {
  /** Ids, numbers, booleans and the outcome's name: nothing of what a record holds. */
  const dataSchema: z.ZodType<unknown> = z.lazy(() =>
    z.union([
      z.number(),
      z.boolean(),
      z.null(),
      z.uuid(),
      z.enum(['CLEAN', 'SWEEP_AGAIN', 'BLOCKED']),
      z.array(dataSchema),
      z.record(z.string(), dataSchema),
    ]),
  );

  it.each(STATE_MACHINES)('%s: only ids, numbers and booleans, in every state', async (machine) => {
    const { data } = await run(machine);
    expect(data.length).toBeGreaterThan(8);
    for (const { name, input, output } of data) {
      expect(dataSchema.safeParse(input ?? null).success, `into ${name}: ${JSON.stringify(input)}`).toBe(
        true,
      );
      expect(dataSchema.safeParse(output ?? null).success, `out of ${name}: ${JSON.stringify(output)}`).toBe(
        true,
      );
    }
  });
});
