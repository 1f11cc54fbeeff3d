import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openAudit } from '../../shared/audit/open-audit.ts';
import type { LedgerStore } from '../../shared/audit/outbox.ts';
import type { KeyturnEvent } from '../../shared/bus/events.ts';
import type { PartResult } from '../../shared/census/search-results.ts';
import type { Clock } from '../../shared/clock/clock.ts';
import type { Config } from '../../shared/config/schema.ts';
import { configSchema } from '../../shared/config/schema.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { createKek, type EnvelopeContext, inspect, open, seal } from '../../shared/envelope/index.ts';
import type { StateMachineName } from '../../shared/executions/executions.ts';
import { createKeyring } from '../../shared/keyring/cached-keyring.ts';
import { versionOf } from '../../shared/keyring/change-version.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';
import type { Keyring } from '../../shared/keyring/keyring.ts';
import { type Log, silentLog } from '../../shared/log/log.ts';
import { type Metrics, silentMetrics } from '../../shared/metrics/metrics.ts';
import { initKeystore } from '../../shared/providers/local/keystore.ts';
import { createLocalProvider } from '../../shared/providers/local/local-provider.ts';
import { initKeyFile } from '../../shared/providers/local/secret.ts';
import type { RootKeyProvider } from '../../shared/providers/root-key-provider.ts';
import { type ChunkMessage, chunkMessageSchema } from '../../shared/queue/work-queue.ts';
import { createRecordSets } from '../../shared/records/record-sets.ts';
import type { StoreSearch } from '../../shared/records/store-search.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { createLocalSigner } from '../../shared/signing/local-signer.ts';
import type { Signer } from '../../shared/signing/signer.ts';
import { createMemoryArchive, type MemoryArchive } from '../../simulation/models/archive.ts';
import { frozen } from '../../simulation/models/items.ts';
import { createMemoryRecordStore, type MemoryRecordStore } from '../../simulation/models/record-store.ts';
import { testState } from '../../simulation/models/state-key.ts';
import { createMemorySearch, type SearchedTable } from '../../simulation/models/store-search.ts';
import { createFakeClock, type FakeClock } from './clock.ts';

/**
 * The rotation domain with everything around it in one process: the real keyring and local provider, a ledger, and
 * record stores, queue and executions in memory. Time stands still but for what sleeps. Every call that leaves the
 * domain passes `faults`, which may throw before or after it: a crash at that instant.
 */

export const TENANT = 'acme';
export const PURPOSE = 'default';
export const KEY = { tenant: TENANT, purpose: PURPOSE, requestedBy: 'test' };
/** What a trial says. */
export const NO_APPROVALS = { required: 0, acceptNoApprovals: true };
export const FIELDS = ['email', 'phone'] as const;

export interface Faults {
  before: (call: string) => void | Promise<void>;
  after: (call: string) => void | Promise<void>;
}

/** Thrown by a fault: the process is gone, and no call of it gets through any more. */
export class Crash extends Error {}

interface Process {
  dead: boolean;
}

export interface World {
  /** What the running process has; a new one after `restart`. */
  readonly deps: Deps;
  readonly clock: FakeClock;
  readonly ledger: LedgerStore;
  readonly provider: RootKeyProvider;
  readonly faults: Faults;
  /** Where what the domain measures goes. */
  readonly meter: { metrics: Metrics };
  readonly people: MemoryRecordStore;
  readonly notes: MemoryRecordStore;
  /** What the database holds besides, as a search finds it. */
  readonly elsewhere: { found: PartResult };
  /** Messages that were sent and not yet deleted. */
  readonly queue: ChunkMessage[];
  /** Where the audit is exported to. */
  readonly archive: MemoryArchive;
  /** What went to the bus. */
  readonly published: KeyturnEvent[];
  /** By name. */
  readonly executions: Map<string, { readonly machine: StateMachineName; running: boolean }>;
  /** A fault killed the process. */
  readonly crashed: boolean;
  /** A new process: everything in memory is forgotten. */
  restart(): void;
  /** The keyring of an application: another process. */
  makeKeyring(): Keyring;
  write(store: MemoryRecordStore, id: number, text: string, version?: number): Promise<void>;
  open(store: MemoryRecordStore, id: number): Promise<readonly (string | null)[]>;
  /** Versions that the values of all rows name. */
  versions(store: MemoryRecordStore): readonly number[];
  key(): Promise<TenantKey>;
  job(jobId: string): Promise<Job>;
  changeKey(change: (key: TenantKey) => TenantKey): Promise<TenantKey>;
  pass(seconds: number): void;
  /** As long as a retired version must wait for its purge. */
  passGrace(): void;
}

export interface WorldMaker {
  /** Left out: the local provider, and nobody reads the log. */
  makeWorld(
    ledger: LedgerStore,
    rotation?: object,
    other?: { readonly provider?: RootKeyProvider; readonly log?: Log; readonly approvals?: object },
  ): Promise<World>;
  remove(): Promise<void>;
}

/** One keystore for a whole test file. */
export async function prepareWorlds(): Promise<WorldMaker> {
  const dir = await mkdtemp(join(tmpdir(), 'keyturn-world-'));
  const options = {
    keystorePath: join(dir, 'keystore.json'),
    secret: { keyFilePath: join(dir, 'key') },
    random: seededRandom('keystore'),
  };
  await initKeyFile(options.secret.keyFilePath, options.random);
  await initKeystore(options);
  const provider = await createLocalProvider(options);
  const signer = createLocalSigner({ keyFile: join(dir, 'signing'), random: options.random });
  return {
    makeWorld: async (ledger, rotation, other) => makeWorld(ledger, { provider, signer, ...other }, rotation),
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}

async function makeWorld(
  ledger: LedgerStore,
  {
    provider,
    signer,
    log = silentLog,
    approvals = NO_APPROVALS,
  }: {
    readonly provider: RootKeyProvider;
    readonly signer: Signer;
    readonly log?: Log;
    readonly approvals?: object;
  },
  rotation: object = {},
): Promise<World> {
  const fake = createFakeClock();
  // What sleeps moves the time on: nothing waits in earnest.
  const clock: Clock = {
    now: fake.now,
    monotonic: fake.monotonic,
    sleep: async (milliseconds) => fake.jumpTo(fake.now() + milliseconds),
  };
  const people = createMemoryRecordStore('people', FIELDS);
  const notes = createMemoryRecordStore('notes', FIELDS);
  const stores: Readonly<Record<string, MemoryRecordStore>> = { people, notes };
  const elsewhere: World['elsewhere'] = { found: { found: [], unsearched: [] } };
  const queue: ChunkMessage[] = [];
  const published: KeyturnEvent[] = [];
  const archive = createMemoryArchive();
  const executions: World['executions'] = new Map();
  const faults: Faults = { before: () => {}, after: () => {} };
  const meter: World['meter'] = { metrics: silentMetrics };
  const recordSet = (table: string) => ({
    store: 'main',
    table,
    key: ['id'],
    tenant: { column: 'tenant' },
    fields: FIELDS.map((name) => ({ name, column: name })),
  });
  const config = configSchema.parse({
    provider: { type: 'local', keystore: 'k', keyFile: 'f' },
    stores: { main: { type: 'postgres', urlFrom: 'URL' } },
    recordSets: { people: recordSet('people'), notes: recordSet('notes') },
    rotation: { chunkSize: 2, segments: 2, maxRounds: 3, soakSeconds: 0, ...rotation },
    approvals,
  });

  const ports = {
    ledger,
    provider,
    signer,
    queue: {
      async send(messages: readonly ChunkMessage[]) {
        for (const message of messages)
          queue.push(chunkMessageSchema.parse(JSON.parse(JSON.stringify(message))));
      },
    },
    executions: {
      async start(machine: StateMachineName, name: string): Promise<'started' | 'exists'> {
        if (executions.has(name)) return 'exists';
        executions.set(name, { machine, running: true });
        return 'started';
      },
      isRunning: async (_: StateMachineName, name: string) => executions.get(name)?.running ?? false,
      async stop(_: StateMachineName, name: string) {
        const execution = executions.get(name);
        if (execution !== undefined) execution.running = false;
      },
    },
    archive,
    bus: {
      async publish(events: readonly KeyturnEvent[]) {
        published.push(...frozen(events));
      },
    },
  };
  const makeKeyring = (on: Pick<Deps, 'ledger' | 'provider'>) =>
    createKeyring({
      ledger: on.ledger,
      provider: on.provider,
      clock: fake,
      monotonic: fake.now,
      maxAgeSeconds: config.rotation.cacheMaxAgeSeconds,
      maxUses: config.rotation.cacheMaxUses,
      refreshAheadSeconds: 0,
      hardCeilingSeconds: config.rotation.cacheCeilingSeconds,
    });
  let ids = 0;
  const newId = () => `01900000-0000-7000-8000-${String(++ids).padStart(12, '0')}`;
  const common = {
    config,
    ledgerBackupSeconds: 0,
    clock,
    newId,
    random: seededRandom('records'),
    log,
    metrics: { add: (name, value) => meter.metrics.add(name, value) } satisfies Metrics,
  };
  let running: Process = { dead: false };
  const makeDeps = (): Deps => {
    const process = running;
    const gated = {
      ...openAudit(gate('ledger', ports.ledger, faults, process), clock, 'function:test'),
      provider: gate('provider', ports.provider, faults, process),
      queue: gate('queue', ports.queue, faults, process),
      executions: gate('executions', ports.executions, faults, process),
      bus: gate('bus', ports.bus, faults, process),
      signer: gate('signer', ports.signer, faults, process),
      archive: gate('archive', ports.archive, faults, process),
    };
    const recordSets = createRecordSets(
      config.recordSets,
      (name) => {
        const store = stores[name];
        if (store === undefined) throw new Error(`no store ${name}`);
        return gate('store', store, faults, process);
      },
      {
        stores: ['main'],
        open: (name) =>
          gate(
            'search',
            searchWith(createMemorySearch(name, tablesOf(config, stores), clock.now), () => elsewhere.found),
            faults,
            process,
          ),
      },
    );
    return { ...common, ...gated, state: testState, recordSets, keyring: makeKeyring(gated) };
  };
  let deps = makeDeps();
  await createKey(deps, TENANT, PURPOSE);

  const key = async () => {
    const found = await ledger.getKey(TENANT, PURPOSE);
    if (found === null) throw new Error('no key');
    return found;
  };
  const kekOf = async (number: number) => {
    const { keyId, versions } = await key();
    const { wrapped } = versions[String(number)] ?? { wrapped: null };
    if (wrapped === null) throw new Error(`version ${number} is gone`);
    const context = { tenant: TENANT, purpose: PURPOSE, keyId, version: number };
    return createKek({ keyId, version: number, key: await provider.unwrapKek(wrapped, context) });
  };
  const contextOf = (
    store: MemoryRecordStore,
    recordId: readonly string[],
    field: string,
  ): EnvelopeContext => ({
    tenant: TENANT,
    recordSet: store.recordSet,
    recordId,
    field,
  });

  return {
    get deps() {
      return deps;
    },
    clock: fake,
    ledger,
    provider,
    faults,
    meter,
    people,
    notes,
    elsewhere,
    queue,
    published,
    archive,
    executions,
    get crashed() {
      return running.dead;
    },
    restart: () => {
      running = { dead: false };
      deps = makeDeps();
    },
    makeKeyring: () => makeKeyring(ports),
    async write(store, id, text, version) {
      const kek = await kekOf(version ?? (await key()).active);
      const recordId = [String(id)];
      const values = FIELDS.map((field) =>
        seal(Buffer.from(`${text} ${field}`), kek, contextOf(store, recordId, field), common.random),
      );
      store.rows.set(JSON.stringify(recordId), { key: recordId, tenant: TENANT, values, plaintext: [] });
    },
    async open(store, id) {
      const recordId = [String(id)];
      const row = store.rows.get(JSON.stringify(recordId));
      const texts: (string | null)[] = [];
      for (const [i, value] of (row?.values ?? []).entries()) {
        if (value === null) texts.push(null);
        else {
          const kek = await kekOf(inspect(value).version);
          texts.push(Buffer.from(open(value, kek, contextOf(store, recordId, FIELDS[i] ?? ''))).toString());
        }
      }
      return texts;
    },
    versions: (store) => {
      const found = [...store.rows.values()].flatMap(({ values }) =>
        values.flatMap((value) => (value === null ? [] : [inspect(value).version])),
      );
      return [...new Set(found)].sort((a, b) => a - b);
    },
    key,
    async job(jobId) {
      const job = await ledger.getJob(jobId);
      if (job === null) throw new Error('no job');
      return job;
    },
    async changeKey(change) {
      const before = await key();
      const next = change(before);
      if (next !== before) await ledger.replaceKey(next);
      return next;
    },
    pass: (seconds) => fake.jumpTo(fake.now() + seconds * 1000),
    passGrace: () => {
      const { graceSeconds, backupRetentionSeconds, clockSkewSeconds } = config.rotation;
      // The end of a hold is written by one clock and read by another.
      const longest = Math.max(graceSeconds, backupRetentionSeconds + clockSkewSeconds);
      fake.jumpTo(fake.now() + (longest + clockSkewSeconds) * 1000);
    },
  };
}

/** `count` records of two fields in each record set, sealed under the active version. */
export async function fill(world: World, count: number): Promise<void> {
  for (let id = 1; id <= count; id++) {
    await world.write(world.people, id, `person ${id}`);
    if (id <= count / 2) await world.write(world.notes, id, `note ${id}`);
  }
}

export async function stateOf(world: World, version: number): Promise<string> {
  return versionOf(await world.key(), version).state;
}

/** Everything durable, to see that nothing changed. Revisions are in it, so an idle write shows, too. */
export async function snapshot(world: World): Promise<object> {
  const { ledger } = world;
  const key = await world.key();
  const jobs = await ledger.listJobs();
  const progress = [];
  for (const { jobId, round } of jobs) {
    for (let r = 1; r <= round; r++) {
      const plan = await ledger.getRound(jobId, r);
      progress.push(plan);
      for (const { index } of plan?.segments ?? []) {
        // Not the roll-up of the finished ones: whoever looks at the progress moves it.
        progress.push(await ledger.listPages(jobId, r, index, 0, 1000));
      }
    }
  }
  const records = [world.people, world.notes].map(({ rows }) =>
    [...rows].map(([id, { values }]) => [
      id,
      values.map((value) => value && Buffer.from(value).toString('hex')),
    ]),
  );
  return structuredClone({
    key,
    jobs,
    progress,
    records,
    quarantined: await ledger.listQuarantined(key.keyId),
  });
}

/** Deterministic bytes: AES keys and IVs of a test need not be secret, but the same in every run. */
function seededRandom(seed: string): (buffer: Uint8Array) => void {
  let calls = 0;
  return (buffer) => {
    calls += 1;
    buffer.set(createHash('shake256', { outputLength: buffer.length }).update(`${seed}/${calls}`).digest());
  };
}

/** Of the declared record sets. */
function tablesOf(
  { recordSets }: Config,
  stores: Readonly<Record<string, MemoryRecordStore>>,
): SearchedTable[] {
  return Object.entries(recordSets).flatMap(([name, { table, fields }]) => {
    const columns = fields.map(({ column }) => column);
    const store = stores[name];
    return store === undefined ? [] : [{ table, columns, declared: columns, store }];
  });
}

/** And what a test says. */
function searchWith(search: StoreSearch, found: () => PartResult): StoreSearch {
  return {
    ...search,
    search: async (...args) => ({ ...(await search.search(...args)), ...structuredClone(found()) }),
  };
}

/** Synchronous methods: they leave the process not at all. */
const LOCAL = new Set(['cursorAfter', 'close', 'rootKeyFor']);

function gate<T extends object>(port: string, target: T, faults: Faults, process: Process): T {
  const pass = async (fault: Faults['before'], call: string) => {
    if (process.dead) throw new Crash(call);
    try {
      await fault(call);
    } catch (error) {
      if (error instanceof Crash) process.dead = true;
      throw error;
    }
  };
  return new Proxy(target, {
    get(of, property) {
      const value: unknown = Reflect.get(of, property);
      if (typeof value !== 'function' || typeof property === 'symbol' || LOCAL.has(property)) return value;
      if (property === 'leaving') {
        return (...args: unknown[]) => gate(port, Reflect.apply(value, of, args) as object, faults, process);
      }
      const call = `${port}.${property}`;
      return async (...args: unknown[]) => {
        await pass(faults.before, call);
        const answer: unknown = await Reflect.apply(value, of, args);
        await pass(faults.after, call);
        return answer;
      };
    },
  });
}
