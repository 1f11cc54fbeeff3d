import type { AuditArchive } from '../audit/archive.ts';
import type { Audit } from '../audit/audit.ts';
import type { EventBus } from '../bus/event-bus.ts';
import { ConfigError } from '../errors/errors.ts';
import type { Executions } from '../executions/executions.ts';
import type { Keyring } from '../keyring/keyring.ts';
import type { State } from '../ledger/authentication/state-key.ts';
import type { RootKeyProvider } from '../providers/root-key-provider.ts';
import type { WorkQueue } from '../queue/work-queue.ts';
import type { AdoptableStore } from '../records/record-store.ts';
import type { StoreSearch } from '../records/store-search.ts';
import type { Signer } from '../signing/signer.ts';
import type { Deps } from './deps.ts';

/**
 * What a function may reach. Each functions/<name>/index.ts declares its needs; they decide which clients are made, which
 * environment variables must be there, and which rights its IAM role has. Whatever was not declared fails closed.
 */
const NEEDS = {
  ledger: 'the ledger table, and the state key that authenticates it',
  queue: 'sends chunks to the work queue',
  executions: 'starts and stops executions of the state machines, and looks whether one runs',
  bus: 'publishes on the event bus',
  'provider:generate': 'has KEKs made under a root key, without their plaintext',
  'provider:unwrap': 'unwraps KEKs',
  'provider:rewrap': 'has KEKs wrapped anew inside the provider',
  'provider:inspect': 'asks for the state of root keys',
  'provider:destroy': 'destroys what only the provider holds of a version',
  'stores:read': 'reads records, and tells their database the lowest version of a key that it may take',
  'stores:write': 'writes records',
  archive: 'reads and adds to the archive of the audit',
  sign: 'signs statements, and shows the public key they are verified with',
} as const satisfies Record<string, string>;

export type Need = keyof typeof NEEDS;

/** What the command line and the embedded stack have. */
export const ALL_NEEDS: readonly Need[] = Object.freeze(Object.keys(NEEDS) as Need[]);

/** By method, all that it needs. A method that is forgotten here does not compile. */
type MethodNeeds<Port> = Readonly<Record<keyof Port, readonly Need[]>>;

const QUEUE: MethodNeeds<WorkQueue> = { send: ['queue'] };

const BUS: MethodNeeds<EventBus> = { publish: ['bus'] };

const SIGNER: MethodNeeds<Signer> = { publicKey: ['sign'], sign: ['sign'] };

const ARCHIVE: MethodNeeds<AuditArchive> = {
  place: [],
  put: ['archive'],
  get: ['archive'],
  list: ['archive'],
};

const AUDIT: MethodNeeds<Audit> = {
  createAuditEntry: ['ledger'],
  listAuditEntries: ['ledger'],
  lastAuditEntry: ['ledger'],
  createAuditEvent: ['ledger'],
  listOpenOutboxes: ['ledger'],
  closeOutbox: ['ledger'],
  getExportMark: ['ledger'],
  listExportMarks: ['ledger'],
  putExportMark: ['ledger'],
  readKey: ['ledger'],
  readJob: ['ledger'],
  readRestore: ['ledger'],
  record: ['ledger'],
  settle: ['ledger'],
};

const STATE: MethodNeeds<State> = {
  mac: ['ledger'],
  verify: ['ledger'],
  check: ['ledger'],
  rewrap: ['ledger', 'provider:inspect', 'provider:rewrap'],
};

const EXECUTIONS: MethodNeeds<Executions> = {
  start: ['executions'],
  isRunning: ['executions'],
  stop: ['executions'],
};

const PROVIDER: MethodNeeds<RootKeyProvider> = {
  name: [],
  rootKeyFor: [],
  generateKek: ['provider:generate'],
  unwrapKek: ['provider:unwrap'],
  rewrapKek: ['provider:rewrap'],
  inspectRootKey: ['provider:inspect'],
  destroyKek: ['provider:destroy'],
  check: ['provider:inspect'],
};

const KEYRING: MethodNeeds<Keyring> = {
  active: ['ledger', 'provider:unwrap'],
  version: ['ledger', 'provider:unwrap'],
  clear: [],
};

const STORE: MethodNeeds<AdoptableStore> = {
  recordSet: [],
  fields: [],
  cursorAfter: [],
  close: [],
  check: ['stores:read'],
  segments: ['stores:read'],
  segmentsEverywhere: ['stores:read'],
  listStale: ['stores:read'],
  read: ['stores:read'],
  readFrames: ['stores:read'],
  census: ['stores:read'],
  hasPlaintext: ['stores:read'],
  tenants: ['stores:read'],
  listPlaintext: ['stores:read'],
  readPlaintext: ['stores:read'],
  replace: ['stores:read', 'stores:write'],
  replaceFrames: ['stores:read', 'stores:write'],
  // No record is written by it, and on DynamoDB nothing at all.
  setMinimum: ['stores:read'],
  fence: ['stores:read', 'stores:write'],
  fill: ['stores:read', 'stores:write'],
  prepareAdoption: ['stores:read', 'stores:write'],
  dropPlaintext: ['stores:read', 'stores:write'],
};

const SEARCH: MethodNeeds<StoreSearch> = {
  store: [],
  parts: ['stores:read'],
  search: ['stores:read'],
};

const METHODS = {
  archive: ARCHIVE,
  audit: AUDIT,
  queue: QUEUE,
  bus: BUS,
  executions: EXECUTIONS,
  signer: SIGNER,
  state: STATE,
  provider: PROVIDER,
  keyring: KEYRING,
  store: STORE,
  search: SEARCH,
} as const;

export type GuardedPort = keyof typeof METHODS | 'ledger';

/** Every method of the ledger needs the ledger. */
export function needsOf(port: GuardedPort, method: string): readonly Need[] {
  if (port === 'ledger') return ['ledger'];
  const methods: Readonly<Record<string, readonly Need[]>> = METHODS[port];
  return Object.hasOwn(methods, method) ? (methods[method] ?? []) : [];
}

/** The same dependencies, of which only the declared parts answer. Everything else throws NEED_NOT_DECLARED. */
export function limitDeps<Given extends Deps>(deps: Given, declared: readonly Need[]): Given {
  const limit = <Port extends object>(name: GuardedPort, port: Port): Port => guard(name, port, declared);
  const { recordSets } = deps;
  return {
    ...deps,
    ledger: limit('ledger', deps.ledger),
    audit: limit('audit', deps.audit),
    archive: limit('archive', deps.archive),
    state: limit('state', deps.state),
    queue: limit('queue', deps.queue),
    bus: limit('bus', deps.bus),
    signer: limit('signer', deps.signer),
    executions: limit('executions', deps.executions),
    provider: limit('provider', deps.provider),
    keyring: limit('keyring', deps.keyring),
    recordSets: {
      ...recordSets,
      store: (name) => limit('store', recordSets.store(name)),
      search: (name) => limit('search', recordSets.search(name)),
    },
  };
}

/** A port that no declared need asks for, and for which no client was made. */
export function absent<Port extends object>(need: Need, declared: readonly Need[]): Port {
  return new Proxy({} as Port, {
    get(_, name) {
      if (isMember(name)) throw notDeclared(need, declared);
      return undefined;
    },
  });
}

function guard<Port extends object>(port: GuardedPort, target: Port, declared: readonly Need[]): Port {
  /** Methods that it may call, bound. */
  const allowed = new Map<string | symbol, unknown>();
  return new Proxy(target, {
    get(of, name) {
      const known = allowed.get(name);
      if (known !== undefined) return known;
      if (isMember(name)) {
        const missing = needsOf(port, name).find((need) => !declared.includes(need));
        if (missing !== undefined) throw notDeclared(missing, declared);
      }
      const value: unknown = Reflect.get(of, name, of);
      if (typeof value !== 'function') return value;
      const bound: unknown = value.bind(of);
      allowed.set(name, bound);
      return bound;
    },
  });
}

/** A promise that resolves to a port looks for `then`. */
function isMember(name: string | symbol): name is string {
  return typeof name === 'string' && name !== 'then';
}

function notDeclared(need: Need, declared: readonly Need[]): ConfigError {
  return new ConfigError(
    'NEED_NOT_DECLARED',
    `The function uses "${need}" (${NEEDS[need]}), but declares only: ${declared.join(', ') || 'nothing'}`,
    { remedy: 'Add it to the needs in functions/<name>/index.ts, and the right to its IAM role.' },
  );
}
