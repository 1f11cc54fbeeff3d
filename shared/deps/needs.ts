import type { EventBus } from '../bus/event-bus.ts';
import { ConfigError } from '../errors/errors.ts';
import type { Executions } from '../executions/executions.ts';
import type { Keyring } from '../keyring/keyring.ts';
import type { RootKeyProvider } from '../providers/root-key-provider.ts';
import type { WorkQueue } from '../queue/work-queue.ts';
import type { AdoptableStore } from '../records/record-store.ts';
import type { Deps } from './deps.ts';

/**
 * What a function may reach. Each functions/<name>/index.ts declares its needs; they decide which clients are made, which
 * environment variables must be there, and which rights its IAM role has. Whatever was not declared fails closed.
 */
export const NEEDS = {
  ledger: 'the ledger table',
  queue: 'sends chunks to the work queue',
  executions: 'starts executions of the state machines and looks whether one runs',
  bus: 'publishes on the event bus',
  'provider:generate': 'has KEKs made under a root key, without their plaintext',
  'provider:unwrap': 'unwraps KEKs',
  'provider:rewrap': 'has KEKs wrapped anew inside the provider',
  'provider:inspect': 'asks for the state of root keys',
  'provider:destroy': 'destroys what only the provider holds of a version',
  'stores:read': 'reads records',
  'stores:write': 'writes records',
} as const satisfies Record<string, string>;

export type Need = keyof typeof NEEDS;

/** What the command line and the embedded stack have. */
export const ALL_NEEDS: readonly Need[] = Object.freeze(Object.keys(NEEDS) as Need[]);

/** By method, all that it needs. A method that is forgotten here does not compile. */
type MethodNeeds<Port> = Readonly<Record<keyof Port, readonly Need[]>>;

const QUEUE: MethodNeeds<WorkQueue> = { send: ['queue'] };

const BUS: MethodNeeds<EventBus> = { publish: ['bus'] };

const EXECUTIONS: MethodNeeds<Executions> = { start: ['executions'], isRunning: ['executions'] };

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
  fill: ['stores:read', 'stores:write'],
  prepareAdoption: ['stores:read', 'stores:write'],
  dropPlaintext: ['stores:read', 'stores:write'],
};

/** The same dependencies, of which only the declared parts answer. Everything else throws NEED_NOT_DECLARED. */
export function limitDeps<Given extends Deps>(deps: Given, declared: readonly Need[]): Given {
  const { recordSets } = deps;
  return {
    ...deps,
    ledger: guard(deps.ledger, () => ['ledger'], declared),
    queue: guard(deps.queue, byMethod(QUEUE), declared),
    bus: guard(deps.bus, byMethod(BUS), declared),
    executions: guard(deps.executions, byMethod(EXECUTIONS), declared),
    provider: guard(deps.provider, byMethod(PROVIDER), declared),
    keyring: guard(deps.keyring, byMethod(KEYRING), declared),
    recordSets: { ...recordSets, store: (name) => guard(recordSets.store(name), byMethod(STORE), declared) },
  };
}

/** A port that no declared need asks for, and for which no client was made. `limitDeps` refuses its every method. */
export function absent<Port extends object>(): Port {
  return {} as Port;
}

function byMethod<Port>(table: MethodNeeds<Port>): (method: string) => readonly Need[] | undefined {
  const needs = new Map<string, readonly Need[]>(Object.entries(table));
  return (method) => needs.get(method);
}

function guard<Port extends object>(
  port: Port,
  needsOf: (method: string) => readonly Need[] | undefined,
  declared: readonly Need[],
): Port {
  return new Proxy(port, {
    get(target, name) {
      // A promise that resolves to the port looks for this.
      if (typeof name === 'string' && name !== 'then') {
        for (const need of needsOf(name) ?? [])
          if (!declared.includes(need)) throw notDeclared(need, declared);
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function notDeclared(need: Need, declared: readonly Need[]): ConfigError {
  return new ConfigError(
    'NEED_NOT_DECLARED',
    `The function uses "${need}" (${NEEDS[need]}), but declares only: ${declared.join(', ') || 'nothing'}`,
    { remedy: 'Add it to the needs in functions/<name>/index.ts, and the right to its IAM role.' },
  );
}
