import { z } from 'zod';
import { EVENT_FUNCTIONS, type EventFunctionName, STATE_FUNCTIONS } from '../functions/index.ts';
import type { Handler } from '../functions/lambda.ts';
import { FUNCTION_NEEDS, folderOf, needsOfState } from '../functions/needs.ts';
import { actingAs } from '../shared/audit/actor.ts';
import { systemClock } from '../shared/clock/system.ts';
import type { Deps } from '../shared/deps/deps.ts';
import { limitDeps } from '../shared/deps/needs.ts';
import type { StateHandlers } from './step-functions.ts';

/** Lambda, in this process: each function reaches what it declares, and nothing else. */

/** As in AWS: the longest time a Lambda may run. */
const FUNCTION_TIMEOUT_MS = 900_000;

export type Invoke = (event: object) => Promise<unknown>;

/** Calls a handler as Lambda does: JSON in, JSON out, a deadline. */
function invocation(
  name: string,
  handler: Handler<unknown>,
): (event: unknown) => Promise<z.core.util.JSONType> {
  return async (event) => {
    const deadline = systemClock.now() + FUNCTION_TIMEOUT_MS;
    const context = { getRemainingTimeInMillis: () => Math.max(0, deadline - systemClock.now()) };
    const run = () => handler(event, context);
    return z.json().parse(structuredClone(await actingAs(`function:${name}`, run)));
  };
}

export function stateHandlers(deps: Deps): StateHandlers {
  return Object.fromEntries(
    Object.entries(STATE_FUNCTIONS).map(([state, create]) => [
      state,
      invocation(folderOf(state), create(limitDeps(deps, needsOfState(state)))),
    ]),
  );
}

export function eventFunctions(deps: Deps): Readonly<Record<EventFunctionName, Invoke>> {
  const make = (name: EventFunctionName) =>
    invocation(name, EVENT_FUNCTIONS[name](limitDeps(deps, FUNCTION_NEEDS[name])));
  return {
    'export-audit': make('export-audit'),
    'kms-event': make('kms-event'),
    monitor: make('monitor'),
    'process-chunk': make('process-chunk'),
    'rotation-request': make('rotation-request'),
    sweep: make('sweep'),
  };
}
