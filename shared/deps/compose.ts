import { DynamoDBClient, type DynamoDBClientConfig } from '@aws-sdk/client-dynamodb';
import { EventBridgeClient } from '@aws-sdk/client-eventbridge';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SQSClient } from '@aws-sdk/client-sqs';
import type { AuditArchive } from '../audit/archive.ts';
import type { OpenArchive } from '../audit/open-archive.ts';
import { openAudit } from '../audit/open-audit.ts';
import { createEventBridgeBus } from '../bus/eventbridge-bus.ts';
import type { Clock, NewId } from '../clock/clock.ts';
import { newUuidV7, systemClock } from '../clock/system.ts';
import { loadConfig } from '../config/load.ts';
import type {
  Config,
  DynamoDbStoreConfig,
  LocalProviderConfig,
  PostgresStoreConfig,
  ProviderConfig,
} from '../config/schema.ts';
import { fillRandom } from '../envelope/seed.ts';
import type { RandomFill } from '../envelope/types.ts';
import { ConfigError } from '../errors/errors.ts';
import { createStepFunctions, type StateMachineArns } from '../executions/step-functions.ts';
import { createKeyring } from '../keyring/cached-keyring.ts';
import type { Keyring } from '../keyring/keyring.ts';
import { createState } from '../ledger/authentication/state-key.ts';
import { createDynamoDbLedger } from '../ledger/dynamodb-ledger.ts';
import type { Ledger } from '../ledger/ledger.ts';
import { LEDGER_BACKUP_SECONDS } from '../ledger/table.ts';
import type { Log } from '../log/log.ts';
import { type Metrics, silentMetrics } from '../metrics/metrics.ts';
import { createAwsKmsProvider } from '../providers/aws-kms/aws-kms-provider.ts';
import { createKmsClients, type KmsClients } from '../providers/aws-kms/client.ts';
import { isKeyArn } from '../providers/aws-kms/key-arn.ts';
import { createLocalProvider } from '../providers/local/local-provider.ts';
import type { RootKeyProvider } from '../providers/root-key-provider.ts';
import { createSqsWorkQueue } from '../queue/sqs-work-queue.ts';
import { createStoreClient } from '../records/dynamodb/client.ts';
import { createDynamoDbSearch } from '../records/dynamodb/envelope-attributes.ts';
import { createSlots, type Slots } from '../records/dynamodb/slots.ts';
import { createDynamoDbRecordStore } from '../records/dynamodb/store.ts';
import { type Credentials, readCredentials } from '../records/postgres/credentials.ts';
import { createPostgresSearch } from '../records/postgres/envelope-columns.ts';
import { createPostgresPool } from '../records/postgres/pool.ts';
import { createPostgresRecordStore } from '../records/postgres/store.ts';
import { createRecordSets, declaredIn, searchedStores } from '../records/record-sets.ts';
import type { Secrets } from '../secrets/secrets.ts';
import { createSecretsManager } from '../secrets/secrets-manager.ts';
import type { Signer } from '../signing/signer.ts';
import type { Deps } from './deps.ts';
import { type FunctionEnvironment, readEnvironment } from './environment.ts';
import { ALL_NEEDS, absent, limitDeps, type Need } from './needs.ts';
import { openSigner } from './signer.ts';

/**
 * The composition root: the one place where clients, clock, randomness and adapters are made. AWS and the embedded
 * stack differ only in the endpoints and names that are given here.
 */

/** Gives the same client. */
export type Instrument = <Client>(client: Client) => Client;

export interface Clients {
  readonly dynamodb: DynamoDBClient;
  readonly sqs: SQSClient;
  readonly stepFunctions: SFNClient;
  readonly eventBridge: EventBridgeClient;
}

export interface ResourceNames {
  readonly ledgerTable: string;
  readonly queueUrl: string;
  readonly busName: string;
  readonly stateMachineArns: StateMachineArns;
}

/** null: no declared need asks for it. */
type AsDeclared<T> = { readonly [Name in keyof T]: T[Name] | null };

export interface Composition {
  readonly config: Config;
  readonly clients: AsDeclared<Clients>;
  readonly names: AsDeclared<ResourceNames>;
  /** Everything where left out. */
  readonly needs?: readonly Need[];
  /** For the audit: `person:<name>`, `function:<name>`. Functions that share a process each say theirs: see actingAs. */
  readonly actor: string;
  /** For the need `archive`: the SDK of S3 is loaded only by those that have it. */
  readonly openArchive?: OpenArchive;
  /** Put around every SDK client that is made: tracing. */
  readonly instrument?: Instrument;
  readonly log: Log;
  /** Left out: nobody reads them, as on one machine. */
  readonly metrics?: Metrics;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where passwords of stores are kept. Default: AWS Secrets Manager. */
  readonly secrets?: Secrets;
  /** URL of a database in the embedded stack's PostgreSQL; absent in AWS. */
  readonly embeddedUrl?: (database: string) => string;
  /** Endpoint and credentials of dynamodb stores in the embedded stack; absent in AWS. */
  readonly embeddedDynamoDb?: DynamoDBClientConfig;
  /** How long backups of the ledger are kept. Left out: as the deployment makes its table. */
  readonly ledgerBackupSeconds?: number;
  readonly clock?: Clock;
  readonly newId?: NewId;
  readonly random?: RandomFill;
}

export interface ComposedDeps extends Deps {
  /** Ends every connection. */
  close(): Promise<void>;
}

export async function compose(composition: Composition): Promise<ComposedDeps> {
  const { config, clients, names, log, needs = ALL_NEEDS } = composition;
  const clock = composition.clock ?? systemClock;
  const random = composition.random ?? fillRandom;
  const port = <Client, Name, Port extends object>(
    need: Need,
    client: Client | null,
    name: Name | null,
    make: (client: Client, name: Name) => Port,
  ): Port => (client === null || name === null ? absent<Port>(need, needs) : make(client, name));
  const metrics = composition.metrics ?? silentMetrics;
  const kmsClients = createKmsClients({}, composition.instrument);
  // The ledger's state key is wrapped by the default root key.
  const provider = asksFor(needs, 'provider:', 'ledger')
    ? await openProvider(config.provider, { ...composition, random, clock, kmsClients })
    : absent<RootKeyProvider>('provider:unwrap', needs);
  const newId = composition.newId ?? newUuidV7;
  const mayMake = needs.includes('provider:generate');
  const state = port('ledger', clients.dynamodb, names.ledgerTable, (client, tableName) =>
    createState({ client, tableName, provider, clock, mayMake }),
  );
  const store = port('ledger', clients.dynamodb, names.ledgerTable, (client, tableName) =>
    createDynamoDbLedger({
      client,
      tableName,
      newId,
      authenticator: state,
      onForged: (what) => {
        metrics.add('StateForged', 1);
        log.error(`${what} was not written by Keyturn, or not like this`, { code: 'STATE_FORGED' });
      },
      onUnreadable: (what) =>
        log.warn(`${what} was written by another release, and is left out`, { code: 'LEDGER_ITEM_INVALID' }),
    }),
  );
  const { ledger, audit } = openAudit(store, clock, composition.actor);
  const credentials = asksFor(needs, 'stores:') ? await readSecretStores(composition) : new Map();
  const { recordSets, close } = openRecordSets(composition, credentials);
  const deps: ComposedDeps = {
    config,
    clock,
    newId,
    random,
    log,
    metrics,
    ledger,
    ledgerBackupSeconds: composition.ledgerBackupSeconds ?? LEDGER_BACKUP_SECONDS,
    audit,
    archive:
      needs.includes('archive') && composition.openArchive !== undefined
        ? composition.openArchive(config, composition)
        : absent<AuditArchive>('archive', needs),
    state,
    provider,
    keyring: createConfiguredKeyring({ config, ledger, provider, clock, log, metrics }),
    recordSets,
    queue: port('queue', clients.sqs, names.queueUrl, (client, queueUrl) =>
      createSqsWorkQueue(client, queueUrl, state),
    ),
    executions: port('executions', clients.stepFunctions, names.stateMachineArns, createStepFunctions),
    bus: port('bus', clients.eventBridge, names.busName, createEventBridgeBus),
    signer: needs.includes('sign')
      ? openSigner(config, { ...composition, random, kmsClients })
      : absent<Signer>('sign', needs),
    async close() {
      await close();
      for (const client of [...Object.values(clients), kmsClients]) client?.destroy();
    },
  };
  return composition.needs === undefined ? deps : limitDeps(deps, needs);
}

function asksFor(needs: readonly Need[], ...kinds: readonly ('provider:' | 'stores:' | 'ledger')[]): boolean {
  return needs.some((need) => kinds.some((kind) => need.startsWith(kind)));
}

/** A caching keyring by the configured limits: the workers' here, and the one that applications use. */
export function createConfiguredKeyring({
  config,
  ledger,
  provider,
  clock,
  log,
  metrics = silentMetrics,
}: Pick<Deps, 'config' | 'provider' | 'clock' | 'log'> &
  Partial<Pick<Deps, 'metrics'>> & {
    readonly ledger: Pick<Ledger, 'getKey' | 'markUsed'>;
  }): Keyring {
  return createKeyring({
    ledger,
    provider,
    clock,
    maxAgeSeconds: config.rotation.cacheMaxAgeSeconds,
    maxUses: config.rotation.cacheMaxUses,
    hardCeilingSeconds: config.rotation.cacheCeilingSeconds,
    onEvent: (event) => {
      if (event.type === 'refresh-failed') {
        log.warn('key refresh failed', { code: event.code });
        return;
      }
      const { tenant, purpose, version } = event;
      if (event.type === 'former-wrapping-used') {
        const { code } = event;
        const message = 'a KEK that was wrapped anew does not unwrap: its former wrapping did';
        log.error(message, { tenant, purpose, version, code });
      } else {
        const code = 'DESTROY_PENDING_USED';
        const recordSet = event.recordSet === null ? {} : { recordSet: event.recordSet };
        const fields = { tenant, purpose, version, code, ...recordSet };
        log.error('a version that waits for its purge was asked for', fields);
        metrics.add('PendingVersionsUsed', 1);
      }
    },
  });
}

export interface ProviderParts extends Pick<Composition, 'environment' | 'metrics'> {
  readonly random: RandomFill;
  readonly clock: Clock;
  /** For aws-kms. Nothing is asked of them yet. */
  readonly kmsClients: KmsClients;
}

export async function openProvider(
  config: ProviderConfig,
  { environment, random, clock, kmsClients, metrics = silentMetrics }: ProviderParts,
): Promise<RootKeyProvider> {
  if (config.type === 'aws-kms') {
    const rootKey = config.rootKey ?? deployedRootKey(environment);
    return createAwsKmsProvider({ ...config, rootKey, clients: kmsClients, clock, metrics });
  }
  return createLocalProvider({
    keystorePath: config.keystore,
    secret: providerSecret(config, environment),
    random,
  });
}

/** The root key that the deployment made, for a configuration that names none. */
export function deployedRootKey(environment: Readonly<Record<string, string | undefined>>): string {
  const rootKey = environment['KEYTURN_ROOT_KEY_ARN'] ?? '';
  if (isKeyArn(rootKey)) return rootKey;
  const is = rootKey === '' ? 'is not set' : 'is not the ARN of a KMS key';
  throw new ConfigError('ENVIRONMENT_INVALID', `The environment variable KEYTURN_ROOT_KEY_ARN ${is}`, {
    remedy: 'It holds the ARN of the root key that the deployment made; or name one as provider.rootKey.',
  });
}

export function providerSecret(
  config: LocalProviderConfig,
  environment: Readonly<Record<string, string | undefined>>,
): { readonly keyFilePath: string } | { readonly passphrase: string } {
  if (config.keyFile !== undefined) return { keyFilePath: config.keyFile };
  const variable = config.passphraseFrom ?? '';
  const passphrase = environment[variable];
  if (passphrase === undefined || passphrase === '') {
    throw new ConfigError('ENVIRONMENT_INVALID', `The environment variable ${variable} is not set`, {
      remedy: "It holds the keystore's passphrase (provider.passphraseFrom in the configuration).",
    });
  }
  return { passphrase };
}

/** Users and passwords of the stores that keep them in Secrets Manager, by the store's name. */
async function readSecretStores({
  config,
  secrets,
  instrument = (client) => client,
}: Composition): Promise<Map<string, Credentials>> {
  const found = new Map<string, Credentials>();
  let reader = secrets;
  for (const [name, store] of Object.entries(config.stores)) {
    if (store.type !== 'postgres' || store.secret === undefined) continue;
    reader ??= createSecretsManager(instrument(new SecretsManagerClient()));
    found.set(name, await readCredentials(reader, name, { ...store, secret: store.secret }));
  }
  return found;
}

function openRecordSets(
  {
    config,
    environment,
    embeddedUrl,
    embeddedDynamoDb,
    instrument = (client) => client,
    log,
    clock,
  }: Composition,
  credentials: ReadonlyMap<string, Credentials>,
) {
  const pools = new Map<string, ReturnType<typeof createPostgresPool>>();
  const poolOf = (name: string) => {
    let pool = pools.get(name);
    if (pool === undefined) {
      const store = Object.hasOwn(config.stores, name) ? config.stores[name] : undefined;
      if (store?.type !== 'postgres') throw new ConfigError('CONFIG_INVALID', `There is no store "${name}"`);
      // The embedded server listens on the loopback address only, and has no TLS.
      const tls = store.embedded === undefined ? store.tls : 'off';
      const secret = credentials.get(name);
      const url = secret?.url ?? storeUrl(name, store, environment, embeddedUrl);
      pool = createPostgresPool({ ...store, tls }, url, {
        store: name,
        ...(secret !== undefined && { login: secret.login }),
        onConnectionLost: () => log.warn('database connection lost', { code: 'STORE_UNAVAILABLE' }),
      });
      pools.set(name, pool);
    }
    return pool;
  };
  const tableClients = new Map<string, { readonly client: DynamoDBClient; readonly slots: Slots }>();
  const tableClientOf = (name: string, store: DynamoDbStoreConfig) => {
    const known = tableClients.get(name);
    if (known !== undefined) return known;
    const client = instrument(createStoreClient(store, embeddedDynamoDb));
    const made = { client, slots: createSlots(store.requestsInFlight) };
    tableClients.set(name, made);
    return made;
  };
  const searches = {
    stores: searchedStores(config),
    open(name: string) {
      const store = config.stores[name];
      const parts = { store: name, declared: declaredIn(config, name), ...(clock && { clock }) };
      return store?.type === 'dynamodb'
        ? createDynamoDbSearch({ ...parts, ...tableClientOf(name, store) })
        : createPostgresSearch({ ...parts, pool: poolOf(name) });
    },
  };
  const recordSets = createRecordSets(
    config.recordSets,
    (recordSet, setConfig) => {
      const store = config.stores[setConfig.store];
      return store?.type === 'dynamodb'
        ? createDynamoDbRecordStore({
            recordSet,
            config: setConfig,
            ...tableClientOf(setConfig.store, store),
          })
        : createPostgresRecordStore({ recordSet, config: setConfig, pool: poolOf(setConfig.store) });
    },
    searches,
  );
  const close = async () => {
    for (const { client } of tableClients.values()) client.destroy();
    for (const pool of pools.values()) await pool.end();
  };
  return { recordSets, close };
}

export function storeUrl(
  name: string,
  store: PostgresStoreConfig,
  environment: Readonly<Record<string, string | undefined>>,
  embeddedUrl: ((database: string) => string) | undefined,
): string {
  if (store.embedded !== undefined) {
    if (embeddedUrl !== undefined) return embeddedUrl(store.embedded);
    throw new ConfigError(
      'CONFIG_INVALID',
      `Store "${name}" is the embedded PostgreSQL, which is not running here`,
      {
        remedy: 'Start it with `keyturn local start`, or give the store a urlFrom.',
      },
    );
  }
  const variable = store.urlFrom ?? '';
  const url = environment[variable];
  if (url === undefined || url === '') {
    throw new ConfigError('ENVIRONMENT_INVALID', `The environment variable ${variable} is not set`, {
      remedy: `It holds the postgres:// URL of store "${name}" (stores.${name}.urlFrom in the configuration).`,
    });
  }
  return url;
}

/**
 * For Lambda, and for the command line against AWS: only the clients that the needs ask for. Region, credentials and
 * endpoints are the SDK's own variables.
 */
export async function composeFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  needs: readonly Need[],
  options: Pick<Composition, 'actor' | 'openArchive' | 'log' | 'metrics' | 'instrument'>,
): Promise<ComposedDeps> {
  const names = readEnvironment(environment, needs);
  const { config } = await loadConfig(names.KEYTURN_CONFIG);
  const { instrument = (client) => client } = options;
  const makeFor = <Client>(need: Need, make: () => Client) =>
    needs.includes(need) ? instrument(make()) : null;
  return compose({
    ...options,
    config,
    needs,
    clients: {
      dynamodb: makeFor('ledger', () => new DynamoDBClient()),
      sqs: makeFor('queue', () => new SQSClient()),
      stepFunctions: makeFor('executions', () => new SFNClient()),
      eventBridge: makeFor('bus', () => new EventBridgeClient()),
    },
    names: {
      ledgerTable: names.KEYTURN_LEDGER_TABLE,
      queueUrl: names.KEYTURN_QUEUE_URL,
      busName: names.KEYTURN_BUS_NAME,
      stateMachineArns: stateMachineArns(names),
    },
    environment,
  });
}

function stateMachineArns(names: FunctionEnvironment): StateMachineArns | null {
  const rotateKey = names.KEYTURN_ROTATE_KEY_ARN;
  const purgeVersion = names.KEYTURN_PURGE_VERSION_ARN;
  const adoptRecords = names.KEYTURN_ADOPT_RECORDS_ARN;
  if (rotateKey === null || purgeVersion === null || adoptRecords === null) return null;
  return { 'rotate-key': rotateKey, 'purge-version': purgeVersion, 'adopt-records': adoptRecords };
}
