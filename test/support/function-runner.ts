import { EVENT_FUNCTIONS, STATE_FUNCTIONS } from '../../functions/index.ts';
import type { CreateHandler } from '../../functions/lambda.ts';
import { FUNCTION_NEEDS } from '../../functions/needs.ts';
import { type GuardedPort, limitDeps, type Need, needsOf } from '../../shared/deps/needs.ts';
import type { World } from './memory-world.ts';

/** Calls the functions themselves on a world, each with what it declares and nothing else, and notes what it uses. */

export type FunctionName = keyof typeof FUNCTION_NEEDS;

export function kebab(state: string): string {
  return state.replaceAll(/(?<=[a-z])[A-Z]/g, '-$&').toLowerCase();
}

/** Every function by its folder's name. */
export const FUNCTIONS: ReadonlyMap<string, CreateHandler<unknown>> = new Map<string, CreateHandler<unknown>>(
  [
    ...Object.entries(STATE_FUNCTIONS).map(([state, create]) => [kebab(state), create] as const),
    ...Object.entries(EVENT_FUNCTIONS),
  ],
);

const PORTS: readonly string[] = [
  'ledger',
  'queue',
  'bus',
  'executions',
  'provider',
  'store',
  'signer',
  'archive',
] satisfies GuardedPort[];

function isPort(name: string): name is GuardedPort {
  return PORTS.includes(name);
}

export function createRunner() {
  /** Needs that were used, by function. */
  const used = new Map<FunctionName, Set<Need>>();
  /** Functions do not run side by side here. */
  let running: FunctionName | null = null;
  return {
    used,
    /** Notes what the functions do on this world from now on. */
    watch(world: World): void {
      const { before } = world.faults;
      world.faults.before = (call) => {
        const [port = '', method = ''] = call.split('.');
        if (running !== null && isPort(port)) {
          const needs = used.get(running) ?? new Set();
          for (const need of needsOf(port, method)) needs.add(need);
          used.set(running, needs);
        }
        return before(call);
      };
    },
    async call(world: World, name: FunctionName, event: unknown): Promise<unknown> {
      const create = FUNCTIONS.get(name);
      if (create === undefined) throw new Error(`no function ${name}`);
      running = name;
      try {
        const deps = limitDeps(world.deps, FUNCTION_NEEDS[name]);
        return await create(deps)(event, { getRemainingTimeInMillis: () => 60_000 });
      } finally {
        running = null;
      }
    },
  };
}
