import type { AuditArchive } from '../shared/audit/archive.ts';
import { openAudit } from '../shared/audit/open-audit.ts';
import type { LedgerStore } from '../shared/audit/outbox.ts';
import type { EventBus } from '../shared/bus/event-bus.ts';
import type { Clock, NewId } from '../shared/clock/clock.ts';
import type { Config } from '../shared/config/schema.ts';
import type { Deps } from '../shared/deps/deps.ts';
import type { RandomFill } from '../shared/envelope/types.ts';
import type { Executions } from '../shared/executions/executions.ts';
import { createKeyring } from '../shared/keyring/cached-keyring.ts';
import type { Keyring } from '../shared/keyring/keyring.ts';
import type { State } from '../shared/ledger/authentication/state-key.ts';
import { silentLog } from '../shared/log/log.ts';
import { silentMetrics } from '../shared/metrics/metrics.ts';
import type { RootKeyProvider } from '../shared/providers/root-key-provider.ts';
import type { WorkQueue } from '../shared/queue/work-queue.ts';
import { createRecordSets } from '../shared/records/record-sets.ts';
import type { AdoptableStore } from '../shared/records/record-store.ts';
import type { Signer } from '../shared/signing/signer.ts';
import { createMemorySearch, type SearchedTable } from './models/store-search.ts';
import type { Process } from './process.ts';

/** What a process reaches the world through: the composition root of the simulation. */

export interface Ports {
  readonly ledger: LedgerStore;
  readonly archive: AuditArchive;
  readonly provider: RootKeyProvider;
  readonly queue: WorkQueue;
  readonly executions: Executions;
  readonly bus: EventBus;
  readonly signer: Signer;
  readonly state: State;
  /** By record set. */
  readonly stores: Readonly<Record<string, AdoptableStore>>;
  /** By store: what its search reads. Nothing is undeclared here: what is then found is tested, not simulated. */
  readonly tables: Readonly<Record<string, readonly SearchedTable[]>>;
  readonly newId: NewId;
  readonly random: RandomFill;
}

export function depsOf(
  process: Process,
  ports: Ports,
  config: Config,
  actor: string,
  now: () => number,
): Deps {
  const gated = {
    ...openAudit(process.wholePort('ledger', ports.ledger), process.clock, actor),
    archive: process.port('archive', ports.archive),
    provider: process.port('provider', ports.provider),
    queue: process.port('queue', ports.queue),
    executions: process.port('executions', ports.executions),
    bus: process.port('bus', ports.bus),
    signer: process.port('signer', ports.signer),
  };
  const recordSets = createRecordSets(
    config.recordSets,
    (name) => {
      const store = ports.stores[name];
      if (store === undefined) throw new Error(`There is no record set ${name}`);
      return process.port('store', store);
    },
    {
      stores: Object.keys(config.stores),
      // Nothing is undeclared here: what such a search finds is tested, not simulated.
      open: (store) =>
        process.port('search', createMemorySearch(store, ports.tables[store] ?? [], process.clock.now)),
    },
  );
  return {
    config,
    clock: process.clock,
    newId: ports.newId,
    random: ports.random,
    log: silentLog,
    metrics: silentMetrics,
    ledgerBackupSeconds: 0,
    ...gated,
    state: ports.state,
    recordSets,
    keyring: keyringOn(gated, process.clock, config, now),
  };
}

export function keyringOn(
  { ledger, provider }: Pick<Deps, 'ledger' | 'provider'>,
  clock: Clock,
  config: Config,
  monotonic: () => number,
): Keyring {
  const { cacheMaxAgeSeconds, cacheMaxUses, cacheCeilingSeconds } = config.rotation;
  return createKeyring({
    ledger,
    provider,
    clock,
    monotonic,
    maxAgeSeconds: cacheMaxAgeSeconds,
    maxUses: cacheMaxUses,
    hardCeilingSeconds: cacheCeilingSeconds,
  });
}
