import { readFile } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { StateMachine } from 'aws-local-stepfunctions';
import { vi } from 'vitest';
import { z } from 'zod';
import { createScheduler, type Scheduler } from '../../../simulation/scheduler.ts';
import type { Machine } from '../../../simulation/states-language/definition.ts';
import { type Ended, run } from '../../../simulation/states-language/run.ts';
import { type Behaviour, createPlayer, JOB } from './behaviour.ts';

/** One behaviour on each of the two engines, in a virtual time that both wait in: hours pass at once. */

export interface Entered {
  readonly state: string;
  readonly input: unknown;
  readonly at: number;
  /** Of a Map's inner state: the number of its item. */
  readonly item: number | null;
}

export interface Trace {
  readonly entered: readonly Entered[];
  readonly calls: readonly { readonly state: string; readonly input: unknown; readonly at: number }[];
  readonly ended: Ended;
}

/** Handlers by the state's name, and what they were called with. */
function play(behaviour: Behaviour, scheduler: Scheduler) {
  const next = createPlayer(behaviour);
  const calls: Trace['calls'][number][] = [];
  return {
    calls,
    task: (state: string, input: unknown) =>
      new Promise<unknown>((resolve, reject) => {
        calls.push({ state, input, at: scheduler.now() });
        const { after, act } = next(state, input);
        if (act === 'hang') return;
        scheduler.after(after, () => {
          if ('output' in act) return resolve(act.output);
          reject(Object.assign(new Error(`${state} did not work`), { name: act.error }));
        });
      }),
  };
}

const luckOf =
  ({ luck }: Behaviour) =>
  (low: number, high: number) =>
    Math.floor(luck * (high - low + 1)) + low;

export async function runOurs(machine: Machine, behaviour: Behaviour): Promise<Trace> {
  const scheduler = createScheduler(0, setImmediate);
  const { task, calls } = play(behaviour, scheduler);
  const entered: Entered[] = [];
  const { ended } = run(
    machine,
    { jobId: JOB },
    {
      task: ({ state }, input) => task(state, input),
      after: scheduler.after,
      dice: { between: luckOf(behaviour) },
      onState: (state, input, item) => entered.push({ state, input, item, at: scheduler.now() }),
    },
  );
  return { calls, entered, ended: await outcome(scheduler, ended) };
}

const eventSchema = z.looseObject({
  type: z.string(),
  timestamp: z.number(),
  index: z.number().optional(),
  state: z.object({ name: z.string(), input: z.unknown() }).optional(),
  Error: z.string().optional(),
  Cause: z.string().optional(),
});

/** npm `aws-local-stepfunctions`, with its timers, its time and its chance taken from the behaviour. */
export async function runTheirs(machine: StateMachine, behaviour: Behaviour): Promise<Trace> {
  const scheduler = createScheduler(0, setImmediate);
  const { task, calls } = play(behaviour, scheduler);
  vi.stubGlobal('setTimeout', (what: () => void, milliseconds: number) =>
    scheduler.after(milliseconds, what),
  );
  vi.stubGlobal('clearTimeout', (takeBack?: () => void) => takeBack?.());
  vi.spyOn(Date, 'now').mockImplementation(scheduler.now);
  vi.spyOn(Math, 'random').mockReturnValue(behaviour.luck);
  try {
    const handlers = Object.fromEntries(
      [...behaviour.acts.keys()].map((state) => [
        state,
        async (input: unknown) => z.json().parse(await task(state, input)),
      ]),
    );
    const execution = machine.run({ jobId: JOB }, { overrides: { taskResourceLocalHandlers: handlers } });
    const entered: Entered[] = [];
    let failure = { error: '', cause: '' };
    const reading = (async () => {
      for await (const raw of execution.eventLogs) {
        const { type, state, timestamp, index, Error: error, Cause: cause } = eventSchema.parse(raw);
        if (type === 'ExecutionFailed') failure = { error: error ?? '', cause: cause ?? '' };
        if (type === 'StateEntered' && state !== undefined)
          entered.push({ state: state.name, input: state.input, item: index ?? null, at: timestamp });
      }
    })();
    const ended = execution.result.then(
      async (output: unknown): Promise<Ended> => ({ status: 'SUCCEEDED', output }),
      async (): Promise<Ended> => {
        await reading;
        return { status: 'FAILED', ...failure };
      },
    );
    const how = await outcome(scheduler, ended);
    await reading;
    return { calls, entered, ended: how };
  } finally {
    vi.unstubAllGlobals();
    vi.restoreAllMocks();
  }
}

async function outcome(scheduler: Scheduler, ended: Promise<Ended>): Promise<Ended> {
  let over = false;
  const watched = ended.finally(() => {
    over = true;
  });
  await setImmediate();
  while (!over && (await scheduler.step(Number.POSITIVE_INFINITY)));

  if (!over) throw new Error('It waits for ever');
  return watched;
}

export async function loadTheirs(name: string): Promise<StateMachine> {
  const text = await readFile(new URL(`../../../state-machines/${name}.asl.json`, import.meta.url), 'utf8');
  const arn = 'arn:aws:lambda:us-east-1:000000000000:function:$1';
  return new StateMachine(JSON.parse(text.replaceAll(/\$\{(\w+)FunctionArn\}/g, arn)));
}
