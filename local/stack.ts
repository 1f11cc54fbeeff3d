import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { EVENT_FUNCTIONS, STATE_FUNCTIONS } from '../functions/index.ts';
import { FUNCTION_NEEDS } from '../functions/needs.ts';
import { actingAs } from '../shared/audit/actor.ts';
import { openArchive } from '../shared/audit/open-archive.ts';
import { newUuidV7, systemClock } from '../shared/clock/system.ts';
import type { LoadedConfig } from '../shared/config/load.ts';
import {
  type Clients,
  type ComposedDeps,
  type Composition,
  compose,
  type Instrument,
} from '../shared/deps/compose.ts';
import { limitDeps } from '../shared/deps/needs.ts';
import { STATE_MACHINES } from '../shared/executions/executions.ts';
import { createLedgerTable } from '../shared/ledger/table.ts';
import type { Log } from '../shared/log/log.ts';
import { startDynamoDb } from './dynamodb.ts';
import { BUS_NAME, type DeadLetter, type LocalEventBus, startEventBus } from './event-bus.ts';
import { RULES, SCHEDULES, type ScheduleName } from './event-parts.ts';
import { eventFunctions, stateHandlers } from './functions.ts';
import { type EmbeddedPostgres, startPostgres } from './postgres.ts';
import { INTERVAL_SECONDS, type Schedule, startSchedule } from './schedules.ts';
import { createQueues, MAX_RECEIVES, putDeadLetter, QUEUES, startPoller, startSqs } from './sqs.ts';
import {
  createLocalClients,
  embeddedDynamoDb,
  embeddedUrl,
  localResourceNames,
  type StackInfo,
} from './stack-info.ts';
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
  /** Gets every client that is made, the pollers' too: to count requests. */
  readonly instrument?: Instrument;
  /** Server settings of the embedded PostgreSQL. */
  readonly postgresSettings?: Readonly<Record<string, string>>;
}

export interface Stack {
  readonly info: StackInfo;
  readonly deps: ComposedDeps;
  readonly postgres: EmbeddedPostgres | null;
  readonly bus: LocalEventBus;
  /** Runs the sweep function now. */
  sweep(): Promise<void>;
  stop(): Promise<void>;
}

/** What the stack consists of, from the very data that it is started from: the deployment has the same. */
export const STACK_PARTS = {
  states: Object.keys(STATE_FUNCTIONS),
  eventFunctions: Object.keys(EVENT_FUNCTIONS),
  stateMachines: [...STATE_MACHINES],
  bus: BUS_NAME,
  rules: Object.keys(RULES),
  schedules: Object.keys(SCHEDULES),
  queues: Object.values(QUEUES),
  maxReceives: MAX_RECEIVES,
} as const satisfies Record<string, string | number | readonly string[]>;

const LEDGER_TABLE = 'keyturn-ledger';
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

    const onDeadLetter = async (letter: DeadLetter) => {
      const code = letter.error instanceof Error ? letter.error.name : 'UNKNOWN';
      log.error('event not handled', { code, step: letter.function });
      await putDeadLetter(clients.sqs, queues.eventDeadLetterQueueUrl, letter);
    };
    // Its functions are made below, from what is reached through it; no event comes before.
    const bus = await startEventBus({
      rules: RULES,
      invoke: (name, event) => functions[name](event),
      onDeadLetter,
      now: systemClock.now,
      newId: newUuidV7,
    });
    started.push(bus.stop);

    const endpoints = {
      dynamodb: dynamodb.endpoint,
      sqs: sqs.endpoint,
      stepFunctions: stepFunctions.endpoint,
      eventBridge: bus.endpoint,
    };
    const clients = instrumentAll(createLocalClients(endpoints), options.instrument);
    await createLedgerTable(clients.dynamodb, LEDGER_TABLE);
    const queues = await createQueues(clients.sqs, options.visibilitySeconds ?? VISIBILITY_SECONDS);
    const info: StackInfo = {
      pid: process.pid,
      startedAt: new Date(systemClock.now()).toISOString(),
      config: options.loaded.path,
      endpoints,
      ledgerTable: LEDGER_TABLE,
      ...queues,
      busName: bus.busName,
      stateMachineArns: stepFunctions.arns,
      postgresUrl: postgres === null ? null : postgres.adminUrl,
    };
    const composed = await composeLocal(info, { ...options, actor: 'stack' });
    // The bus again: what its functions use is closed only after them.
    started.push(composed.close, bus.stop);
    const deps = options.decorate?.(composed) ?? composed;
    Object.assign(handlers, stateHandlers(deps));
    const functions = eventFunctions(deps);

    for (let i = 0; i < (options.pollers ?? 2); i++) {
      const worker = EVENT_FUNCTIONS['process-chunk'](limitDeps(deps, FUNCTION_NEEDS['process-chunk']));
      const poller = startPoller({
        client: clients.sqs,
        queueUrl: queues.queueUrl,
        handler: (event, context) => actingAs('function:process-chunk', () => worker(event, context)),
        timeoutMs: WORKER_TIMEOUT_MS,
        now: systemClock.now,
        onError: (error) => log.error('poller', { code: error.name }),
      });
      started.push(poller.stop);
    }
    const schedules = startSchedules(functions, onDeadLetter, options.sweepSeconds);
    started.push(...Object.values(schedules).map((schedule) => schedule.stop));
    return { info, deps, postgres, bus, sweep: schedules.sweep.runNow, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The command line's way to a running stack: the same composition, from another process. */
export async function composeLocal(
  info: StackInfo,
  options: Pick<StackOptions, 'loaded' | 'environment' | 'log' | 'instrument'> & Pick<Composition, 'actor'>,
): Promise<ComposedDeps> {
  const url = embeddedUrl(info.postgresUrl);
  return compose({
    config: options.loaded.config,
    clients: instrumentAll(createLocalClients(info.endpoints), options.instrument),
    ...(options.instrument && { instrument: options.instrument }),
    names: localResourceNames(info),
    actor: options.actor,
    openArchive,
    log: options.log,
    environment: options.environment,
    ...(url !== undefined && { embeddedUrl: url }),
    embeddedDynamoDb: embeddedDynamoDb(info.endpoints),
    // A file on this machine. Whoever copies it makes a backup that nobody can count.
    ledgerBackupSeconds: 0,
  });
}

function startSchedules(
  functions: ReturnType<typeof eventFunctions>,
  onDeadLetter: (letter: DeadLetter) => Promise<void>,
  sweepSeconds: number = INTERVAL_SECONDS.sweep,
): Readonly<Record<ScheduleName, Schedule>> {
  const start = (origin: ScheduleName, everySeconds: number) => {
    const { function: name, input: event = {} } = SCHEDULES[origin];
    return startSchedule({
      run: () => functions[name](event),
      onFailed: (error) => onDeadLetter({ origin, function: name, event, error }),
      everySeconds,
      sleep: systemClock.sleep,
    });
  };
  return {
    monitor: start('monitor', INTERVAL_SECONDS.monitor),
    'root-keys': start('root-keys', INTERVAL_SECONDS['root-keys']),
    'export-audit': start('export-audit', INTERVAL_SECONDS['export-audit']),
    sweep: start('sweep', sweepSeconds),
  };
}

function instrumentAll(clients: Clients, instrument: Instrument = (client) => client): Clients {
  for (const client of Object.values(clients)) instrument(client);
  return clients;
}

async function startEmbeddedPostgres(options: StackOptions): Promise<EmbeddedPostgres | null> {
  const databases = Object.values(options.loaded.config.stores).flatMap((store) =>
    store.type === 'postgres' ? (store.embedded ?? []) : [],
  );
  if (databases.length === 0) return null;
  const postgres = await startPostgres({
    dir: join(options.dir, 'postgres'),
    ...(options.postgresSettings && { settings: options.postgresSettings }),
  });
  for (const database of new Set(databases)) await postgres.createDatabase(database);
  return postgres;
}
