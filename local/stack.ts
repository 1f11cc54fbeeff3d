import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { EVENT_FUNCTIONS, STATE_FUNCTIONS } from '../functions/index.ts';
import type { Handler } from '../functions/lambda.ts';
import { systemClock } from '../shared/clock/system.ts';
import type { LoadedConfig } from '../shared/config/load.ts';
import { type ComposedDeps, compose } from '../shared/deps/compose.ts';
import { STATE_MACHINES } from '../shared/executions/executions.ts';
import { createLedgerTable } from '../shared/ledger/table.ts';
import type { Log } from '../shared/log/log.ts';
import { startDynamoDb } from './dynamodb.ts';
import { type EmbeddedPostgres, startPostgres } from './postgres.ts';
import { createQueues, startPoller, startSqs } from './sqs.ts';
import { createLocalClients, embeddedUrl, localResourceNames, type StackInfo } from './stack-info.ts';
import { type StateHandlers, startStepFunctions } from './step-functions.ts';

/**
 * The embedded stack: the functions and state machines that run in AWS, on engines from npm, in one process (and
 * PostgreSQL beside it), on the loopback address. Its data stay in one folder between runs.
 */

export interface StackOptions {
  readonly dir: string;
  readonly loaded: LoadedConfig;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly log: Log;
  /** Time between two runs of the sweep function, which AWS runs daily. */
  readonly sweepSeconds?: number;
  /** Pollers that hand the queue's messages to the worker side by side. */
  readonly pollers?: number;
  /** How long a message that a worker took stays invisible. Default: six times the worker's time. */
  readonly visibilitySeconds?: number;
  /** Puts something between the functions and their ports: faults, counters. For tests and benchmarks. */
  readonly decorate?: (deps: ComposedDeps) => ComposedDeps;
  /** Server settings of the embedded PostgreSQL. */
  readonly postgresSettings?: Readonly<Record<string, string>>;
}

export interface Stack {
  readonly info: StackInfo;
  readonly deps: ComposedDeps;
  readonly postgres: EmbeddedPostgres | null;
  /** Runs the sweep function now. */
  sweep(): Promise<void>;
  stop(): Promise<void>;
}

const LEDGER_TABLE = 'keyturn-ledger';
/** As in AWS: the longest time a Lambda may run. */
const FUNCTION_TIMEOUT_MS = 900_000;
/** Six times a worker's time until another gets its messages, as Lambda asks for. */
const WORKER_TIMEOUT_MS = 10_000;
const VISIBILITY_SECONDS = 60;

export async function startStack(options: StackOptions): Promise<Stack> {
  await mkdir(options.dir, { recursive: true, mode: 0o755 });
  const { log } = options;
  // Ended in the reverse order of their start, also when a later one fails to start.
  const started: (() => Promise<unknown>)[] = [];
  const stop = async () => {
    for (const end of started.splice(0).reverse()) await end();
  };
  try {
    const dynamodb = await startDynamoDb({ dir: join(options.dir, 'dynamodb') });
    started.push(dynamodb.stop);
    const postgres = await startEmbeddedPostgres(options);
    if (postgres !== null) started.push(postgres.stop);
    const sqs = await startSqs();
    started.push(sqs.stop);

    const handlers: { [state: string]: StateHandlers[string] } = {};
    const stepFunctions = await startStepFunctions({
      machines: STATE_MACHINES,
      handlers,
      now: systemClock.now,
      onFailed: (executionName, code) => log.error('execution failed', { executionName, code }),
    });
    started.push(stepFunctions.stop);

    const endpoints = {
      dynamodb: dynamodb.endpoint,
      sqs: sqs.endpoint,
      stepFunctions: stepFunctions.endpoint,
    };
    const clients = createLocalClients(endpoints);
    await createLedgerTable(clients.dynamodb, LEDGER_TABLE);
    const queues = await createQueues(clients.sqs, options.visibilitySeconds ?? VISIBILITY_SECONDS);
    const info: StackInfo = {
      pid: process.pid,
      startedAt: new Date(systemClock.now()).toISOString(),
      config: options.loaded.path,
      endpoints,
      ledgerTable: LEDGER_TABLE,
      ...queues,
      stateMachineArns: stepFunctions.arns,
      postgresUrl: postgres === null ? null : postgres.adminUrl,
    };
    const composed = await composeLocal(info, options);
    started.push(composed.close);
    const deps = options.decorate?.(composed) ?? composed;
    Object.assign(handlers, stateHandlers(deps));

    for (let i = 0; i < (options.pollers ?? 2); i++) {
      const poller = startPoller({
        client: clients.sqs,
        queueUrl: queues.queueUrl,
        handler: EVENT_FUNCTIONS['process-chunk'](deps),
        timeoutMs: WORKER_TIMEOUT_MS,
        now: systemClock.now,
        onError: (error) => log.error('poller', { code: error.name }),
      });
      started.push(poller.stop);
    }
    const schedule = startSchedule(deps, (options.sweepSeconds ?? 60) * 1000);
    started.push(schedule.stop);
    return { info, deps, postgres, sweep: schedule.runNow, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The command line's way to a running stack: the same composition, from another process. */
export async function composeLocal(
  info: StackInfo,
  options: Pick<StackOptions, 'loaded' | 'environment' | 'log'>,
): Promise<ComposedDeps> {
  const url = embeddedUrl(info.postgresUrl);
  return compose({
    config: options.loaded.config,
    clients: createLocalClients(info.endpoints),
    names: localResourceNames(info),
    log: options.log,
    environment: options.environment,
    ...(url !== undefined && { embeddedUrl: url }),
  });
}

async function startEmbeddedPostgres(options: StackOptions): Promise<EmbeddedPostgres | null> {
  const databases = Object.values(options.loaded.config.stores).flatMap(({ embedded }) => embedded ?? []);
  if (databases.length === 0) return null;
  const postgres = await startPostgres({
    dir: join(options.dir, 'postgres'),
    ...(options.postgresSettings && { settings: options.postgresSettings }),
  });
  for (const database of new Set(databases)) await postgres.createDatabase(database);
  return postgres;
}

/** Calls the handlers as Step Functions does: JSON in, JSON out. */
function stateHandlers(deps: ComposedDeps): StateHandlers {
  const call =
    (handler: Handler<unknown>): StateHandlers[string] =>
    async (input) => {
      const deadline = systemClock.now() + FUNCTION_TIMEOUT_MS;
      const context = { getRemainingTimeInMillis: () => Math.max(0, deadline - systemClock.now()) };
      return z.json().parse(structuredClone(await handler(input, context)));
    };
  return Object.fromEntries(
    Object.entries(STATE_FUNCTIONS).map(([state, create]) => [state, call(create(deps))]),
  );
}

function startSchedule(
  deps: ComposedDeps,
  everyMs: number,
): { runNow(): Promise<void>; stop(): Promise<void> } {
  const handler = EVENT_FUNCTIONS.sweep(deps);
  const abort = new AbortController();
  const runNow = async () => {
    try {
      await handler({}, { getRemainingTimeInMillis: () => FUNCTION_TIMEOUT_MS });
    } catch (error) {
      deps.log.error('sweep failed', { code: error instanceof Error ? error.name : 'UNKNOWN' });
    }
  };
  const loop = (async () => {
    while (!abort.signal.aborted) {
      await runNow();
      await systemClock.sleep(everyMs, abort.signal).catch(() => undefined);
    }
  })();
  return {
    runNow,
    stop: async () => {
      abort.abort();
      await loop;
    },
  };
}
