import { readFile } from 'node:fs/promises';
import { StateMachine } from 'aws-local-stepfunctions';
import { z } from 'zod';
import { STATE_FUNCTIONS } from '../../functions/index.ts';
import { STATE_MACHINES, type StateMachineName } from '../../shared/executions/executions.ts';
import { deliver, type Work } from './memory-machine.ts';
import type { World } from './memory-world.ts';

/** The deployed state machines and functions themselves, on a world. Waits pass at once, and move its clock on. */

const machines = new Map(
  await Promise.all(
    STATE_MACHINES.map(async (name): Promise<[StateMachineName, StateMachine]> => {
      const text = await readFile(new URL(`../../state-machines/${name}.asl.json`, import.meta.url), 'utf8');
      const arn = 'arn:aws:lambda:us-east-1:000000000000:function:$1';
      return [name, new StateMachine(JSON.parse(text.replaceAll(/\$\{(\w+)FunctionArn\}/g, arn)))];
    }),
  ),
);

const WAITS = ['WaitForWorkers', 'WaitForBarrier', 'WaitToList'];
const waiting = z.object({ waitSeconds: z.number() });
const json = z.json();

export interface Ended {
  readonly name: string;
  readonly ended: 'SUCCEEDED' | 'FAILED' | 'STOPPED';
}

/** Runs every execution that was started and has not run yet, also those that are started meanwhile. */
export async function runExecutions(
  world: World,
  {
    work = deliver,
    before = () => {},
  }: { work?: Work; before?: (state: string) => void | Promise<void> } = {},
): Promise<readonly Ended[]> {
  const ended: Ended[] = [];
  const seen = new Set<string>();
  for (;;) {
    const next = [...world.executions].find(([name, { running }]) => running && !seen.has(name));
    if (next === undefined) return ended;
    const [name, execution] = next;
    seen.add(name);
    ended.push({ name, ended: await runOne(world, name, execution, work, before) });
    execution.running = false;
  }
}

async function runOne(
  world: World,
  name: string,
  execution: { readonly machine: StateMachineName; readonly running: boolean },
  work: Work,
  before: (state: string) => void | Promise<void>,
): Promise<Ended['ended']> {
  const machine = machines.get(execution.machine);
  if (machine === undefined) throw new Error('no machine');
  const jobId = name.slice(0, name.lastIndexOf('-'));
  const states = Object.entries(STATE_FUNCTIONS);
  const handlers = states.map(([state, create]) => [
    state,
    async (input: unknown) => {
      await before(state);
      if (!execution.running) {
        running.abort();
        throw new Error('stopped');
      }
      const output = await create(world.deps)(structuredClone(input), {
        getRemainingTimeInMillis: () => 60_000,
      });
      // What is queued is worked on while the machine looks at it, or waits.
      if (state === 'ListSegment' || state === 'CheckSweep') await work(world);
      const { success, data } = waiting.safeParse(output);
      if (success) world.pass(data.waitSeconds);
      return json.parse(output ?? null);
    },
  ]);
  const running = machine.run(
    { jobId },
    {
      overrides: {
        taskResourceLocalHandlers: Object.fromEntries(handlers),
        waitTimeOverrides: Object.fromEntries(WAITS.map((state) => [state, 0])),
        retryIntervalOverrides: Object.fromEntries(states.map(([state]) => [state, 0])),
      },
    },
  );
  const reading = (async () => {
    for await (const _ of running.eventLogs);
  })();
  const result = await running.result.then(
    () => 'SUCCEEDED' as const,
    () => 'FAILED' as const,
  );
  await reading;
  return execution.running ? result : 'STOPPED';
}
