import { type Config, configSchema } from '../shared/config/schema.ts';
import type { Deps } from '../shared/deps/deps.ts';
import { KeyturnError } from '../shared/errors/errors.ts';
import type { TenantKey } from '../shared/keyring/key.ts';
import { APPROVER_SIGNERS, SERVICE_SIGNER } from './actors/approvers.ts';
import { createMoments } from './actors/moments.ts';
import { createMachineClock } from './clocks.ts';
import { createDice } from './dice.ts';
import { createEnvironments } from './environments.ts';
import type { Faults } from './faults.ts';
import type { History } from './history.ts';
import { createMemoryArchive } from './models/archive.ts';
import { createBackups } from './models/backups.ts';
import { createBusModel } from './models/bus.ts';
import { createExecutionsModel } from './models/executions.ts';
import { lagging, withFrozenIndex } from './models/lagging.ts';
import { createMemoryLedger } from './models/ledger.ts';
import { createQueueModel } from './models/queue.ts';
import { createMemoryRecordStore, type MemoryRecordStore, type RowChange } from './models/record-store.ts';
import { createTestRootKeys, versionsThatFail } from './models/root-keys.ts';
import { testState } from './models/state-key.ts';
import type { SearchedTable } from './models/store-search.ts';
import type { Plan } from './plan.ts';
import { createProcess, type Process, type ProcessKind, type ProcessWorld } from './process.ts';
import { depsOf, keyringOn, type Ports } from './process-deps.ts';
import { ledgerTelling, storeTelling } from './refusals.ts';
import { type DeploymentPhase, NO_DEPLOYMENT, type Release, startDeployment } from './releases/deployment.ts';
import { asNextRelease, queueOfNextRelease, readingNextMessages } from './releases/next-release.ts';
import { asThisRelease } from './releases/this-release.ts';
import type { Scheduler } from './scheduler.ts';
import { createStoredKeks } from './stored-keks.ts';
import { createTrouble } from './trouble.ts';
import type { World } from './world.ts';

/** Puts the models together, and makes the processes that run on them. */

export interface WorldParts {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly history: History;
  readonly trace: (line: string) => void;
  readonly violated: (rule: string, what: string) => void;
}

/** Scaled down as the configuration's times are: messages live for hours. */
const QUEUE = {
  visibilitySeconds: 360,
  retentionSeconds: 3600,
  maxReceives: 4,
  batchSize: 10,
  concurrency: 2,
};

const CAUSES = { rewrap: 'pipeline', adoption: 'pipeline', tombstone: 'give-up' } as const;

export function createWorld(plan: Plan, parts: WorldParts): World {
  const { scheduler, faults, history, violated } = parts;
  const config = configSchema.parse(plan.config);
  const configsOf = { this: config, next: configOfNextRelease(config) };
  const dice = createDice(plan.seed, 'world');
  const acting = { by: '' };
  const processes: ProcessWorld = {
    scheduler,
    faults,
    acting,
    members: new Map(),
    trace: parts.trace,
    trouble: createTrouble({ faults, dice: createDice(plan.seed, 'trouble'), now: scheduler.now }),
  };
  const random = createDice(plan.seed, 'random').fill;
  const stores = makeStores(config, (recordSet, change, row) => {
    if (change === 'put' || change === 'remove') return;
    const { key: id, tenant, values } = row;
    const cause = CAUSES[change];
    history.add({ kind: 'record', recordSet, id, tenant, values, cause, plaintexts: null, by: acting.by });
  });
  const backups = createBackups({ scheduler, history, stores: byStore(config, stores) });
  const keks = createStoredKeks(history);
  const moments = createMoments(scheduler);
  const rootKeys = createTestRootKeys({
    random,
    onKek: keks.made,
    fails: versionsThatFail(faults, scheduler.now),
  });
  const ledger = createMemoryLedger({
    onCommit: (item, id, value) => {
      if (item === 'keys' && value !== null) keks.stored(value as TenantKey);
      history.add({ kind: 'item', item, id, value, by: acting.by });
      moments.see(item, value);
    },
  });
  let ids = 0;
  const newId = () => `01900000-0000-7000-8000-${String(++ids).padStart(12, '0')}`;
  const invoke: World['invoke'] = (name, event, options) => environments.invoke(name, event, options);
  const queue = createQueueModel({
    ...{ scheduler, faults, invoke, state: testState },
    dice: createDice(plan.seed, 'queue'),
    settings: QUEUE,
  });
  const executions = createExecutionsModel({
    ...{ scheduler, faults, history, invoke },
    dice: createDice(plan.seed, 'executions'),
  });
  const bus = createBusModel({
    ...{ scheduler, faults, history, invoke },
    dice: createDice(plan.seed, 'bus'),
    known: { tenants: plan.tenants, rootKeys: () => [...rootKeys.keys.keys()] },
  });
  const common: Ports = {
    ledger: ledgerTelling(lagging(ledger, faults), { history, acting }),
    archive: createMemoryArchive({ onPut: (name, bytes) => history.add({ kind: 'archived', name, bytes }) }),
    provider: rootKeys.provider,
    queue: queue.port,
    executions: executions.port,
    bus: bus.port,
    signer: SERVICE_SIGNER,
    state: testState,
    stores: Object.fromEntries(
      Object.entries(stores).map(([name, store]) => [
        name,
        storeTelling(withFrozenIndex(store, faults), { history, acting }),
      ]),
    ),
    tables: tablesOf(config, stores),
    newId,
    random,
  };
  const applications = new Set<Process>();
  const deployment = !plan.faults.has('mixed-code')
    ? NO_DEPLOYMENT
    : startDeployment({
        ...{ scheduler, faults, quietAfter: plan.quietAfter },
        dice: createDice(plan.seed, 'deployment'),
        onPhase: (phase) => {
          history.add({ kind: 'deployment', phase });
          environments.replace();
          for (const process of applications) replaceApplication(process, phase);
        },
      });
  /** While it goes on each is restarted once; then those that are not of the release that all are to be of. */
  const replaceApplication = (process: Process, phase: DeploymentPhase): void => {
    if (phase === 'rolling') scheduler.after(dice.below(20 * 60_000), () => process.kill());
    else if ((deployment.releaseOf(process) === 'next') !== (phase === 'done')) process.kill();
  };
  const portsOf = portsByRelease(common, plan.faults.has('mixed-code'));
  let processesMade = 0;
  const makeProcess = (kind: ProcessKind, name: string): Process => {
    const unique = `${name}#${++processesMade}`;
    return createProcess(
      processes,
      unique,
      kind,
      createMachineClock({ scheduler, faults }, unique, config.rotation.clockSkewSeconds),
    );
  };
  const makeDeps = (process: Process, actor: string): Deps =>
    depsOf(
      process,
      portsOf[deployment.releaseOf(process)],
      configsOf[deployment.releaseOf(process)],
      actor,
      scheduler.now,
    );
  const environments = createEnvironments({
    ...{ scheduler, faults, makeDeps },
    dice: createDice(plan.seed, 'environments'),
    makeProcess: (name) => makeProcess('function', name),
    handlerIn: (process, handler) =>
      deployment.releaseOf(process) === 'next' ? readingNextMessages(handler, testState) : handler,
    onBug: (where, error) => violated('bug', `${where}: ${String(error)} ${causeOf(error)}`),
  });
  return {
    ...{
      plan,
      config,
      scheduler,
      faults,
      history,
      dice,
      moments,
      stores,
      backups,
      rootKeys,
      queue,
      bus,
      invoke,
      violated,
    },
    signers: APPROVER_SIGNERS,
    start(kind, name, main) {
      const process = makeProcess(kind, name);
      if (kind === 'application') {
        applications.add(process);
        process.onKilled(() => applications.delete(process));
      }
      main(process, makeDeps(process, `${kind}:${name}`)).catch((error: unknown) => {
        if (error instanceof KeyturnError) parts.trace(`${process.name} ended: ${error.code}`);
        else violated('bug', `${process.name}: ${String(error)} ${causeOf(error)}`);
      });
      return process;
    },
    keyringOf: (process) =>
      keyringOn(
        {
          ledger: process.port('ledger', portsOf[deployment.releaseOf(process)].ledger),
          provider: process.port('provider', common.provider),
        },
        process.clock,
        config,
        scheduler.now,
      ),
  };
}

/** What the processes of each release reach the world through; `mixed`: there are both. */
function portsByRelease(ports: Ports, mixed: boolean): Readonly<Record<Release, Ports>> {
  if (!mixed) return { this: ports, next: ports };
  return {
    this: { ...ports, ledger: asThisRelease(ports.ledger) },
    next: { ...ports, ledger: asNextRelease(ports.ledger), queue: queueOfNextRelease(ports.queue) },
  };
}

/** The next release comes with other settings. */
function configOfNextRelease(config: Config): Config {
  const { chunkSize, segments, maxRounds, mode, ...rotation } = config.rotation;
  return {
    ...config,
    rotation: {
      ...rotation,
      chunkSize: chunkSize + 1,
      segments: segments + 1,
      maxRounds: maxRounds + 1,
      mode: mode === 'rewrap' ? 're-encrypt' : 'rewrap',
    },
  };
}

function makeStores(
  config: Config,
  onCommit: (recordSet: string, change: RowChange, row: Parameters<MemoryRecordStore['put']>[0]) => void,
): Record<string, MemoryRecordStore> {
  return Object.fromEntries(
    Object.entries(config.recordSets).map(([recordSet, { fields }]) => [
      recordSet,
      createMemoryRecordStore(
        recordSet,
        fields.map(({ name }) => name),
        { onCommit: (change, row) => onCommit(recordSet, change, row) },
      ),
    ]),
  );
}

/** The record sets of each store. */
function tablesOf(config: Config, stores: Readonly<Record<string, MemoryRecordStore>>) {
  const tablesIn = (store: string): SearchedTable[] =>
    Object.entries(config.recordSets)
      .filter(([, set]) => set.store === store)
      .flatMap(([name, { table, fields }]) => {
        const columns = fields.map(({ column }) => column);
        const rows = stores[name];
        return rows === undefined ? [] : [{ table, columns, declared: columns, store: rows }];
      });
  return Object.fromEntries(Object.keys(config.stores).map((store) => [store, tablesIn(store)]));
}

function byStore(config: Config, stores: Readonly<Record<string, MemoryRecordStore>>) {
  const names = [...new Set(Object.values(config.recordSets).map(({ store }) => store))];
  return Object.fromEntries(
    names.map((name) => [
      name,
      Object.values(stores).filter(({ recordSet }) => config.recordSets[recordSet]?.store === name),
    ]),
  );
}

function causeOf(error: unknown): string {
  if (!(error instanceof Error)) return '';
  const { cause } = error;
  return cause instanceof Error ? (cause.stack ?? '') : (error.stack ?? '');
}
