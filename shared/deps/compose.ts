import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SFNClient } from '@aws-sdk/client-sfn';
import { SQSClient } from '@aws-sdk/client-sqs';
import { z } from 'zod';
import type { Clock, NewId } from '../clock/clock.ts';
import { newUuidV7, systemClock } from '../clock/system.ts';
import { loadConfig } from '../config/load.ts';
import type { Config, LocalProviderConfig, PostgresStoreConfig, ProviderConfig } from '../config/schema.ts';
import { fillRandom } from '../envelope/seed.ts';
import type { RandomFill } from '../envelope/types.ts';
import { ConfigError } from '../errors/errors.ts';
import { createStepFunctions, type StateMachineArns } from '../executions/step-functions.ts';
import { createKeyring } from '../keyring/cached-keyring.ts';
import type { Keyring } from '../keyring/keyring.ts';
import { createDynamoDbLedger } from '../ledger/dynamodb-ledger.ts';
import type { Log } from '../log/log.ts';
import { createPinoLog } from '../log/pino-log.ts';
import { type Metrics, silentMetrics } from '../metrics/metrics.ts';
import { createLocalProvider } from '../providers/local/local-provider.ts';
import type { RootKeyProvider } from '../providers/root-key-provider.ts';
import { createSqsWorkQueue } from '../queue/sqs-work-queue.ts';
import { type Credentials, readCredentials } from '../records/postgres/credentials.ts';
import { createPostgresPool } from '../records/postgres/pool.ts';
import { createPostgresRecordStore } from '../records/postgres/store.ts';
import { createRecordSets } from '../records/record-sets.ts';
import type { Secrets } from '../secrets/secrets.ts';
import { createSecretsManager } from '../secrets/secrets-manager.ts';
import type { Deps } from './deps.ts';

/**
 * The composition root: the one place where clients, clock, randomness and adapters are made. AWS and the embedded
 * stack differ only in the endpoints and names that are given here.
 */

export interface Clients {
  readonly dynamodb: DynamoDBClient;
  readonly sqs: SQSClient;
  readonly stepFunctions: SFNClient;
}

export interface ResourceNames {
  readonly ledgerTable: string;
  readonly queueUrl: string;
  readonly stateMachineArns: StateMachineArns;
}

export interface Composition {
  readonly config: Config;
  readonly clients: Clients;
  readonly names: ResourceNames;
  readonly log: Log;
  /** Left out: nobody reads them, as on one machine. */
  readonly metrics?: Metrics;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where passwords of stores are kept. Default: AWS Secrets Manager. */
  readonly secrets?: Secrets;
  /** URL of a database in the embedded stack's PostgreSQL; absent in AWS. */
  readonly embeddedUrl?: (database: string) => string;
  readonly clock?: Clock;
  readonly newId?: NewId;
  readonly random?: RandomFill;
}

export interface ComposedDeps extends Deps {
  /** Ends every connection. */
  close(): Promise<void>;
}

export async function compose(composition: Composition): Promise<ComposedDeps> {
  const { config, clients, names, log } = composition;
  const clock = composition.clock ?? systemClock;
  const random = composition.random ?? fillRandom;
  const ledger = createDynamoDbLedger({ client: clients.dynamodb, tableName: names.ledgerTable });
  const provider = await openProvider(config.provider, composition.environment, random);
  const { recordSets, close } = openRecordSets(composition, await readSecretStores(composition));
  return {
    config,
    clock,
    newId: composition.newId ?? newUuidV7,
    random,
    log,
    metrics: composition.metrics ?? silentMetrics,
    ledger,
    provider,
    keyring: createConfiguredKeyring({ config, ledger, provider, clock, log }),
    recordSets,
    queue: createSqsWorkQueue(clients.sqs, names.queueUrl),
    executions: createStepFunctions(clients.stepFunctions, names.stateMachineArns),
    async close() {
      await close();
      for (const client of Object.values(clients)) client.destroy();
    },
  };
}

/** A caching keyring by the configured limits: the workers' here, and the one that applications use. */
export function createConfiguredKeyring({
  config,
  ledger,
  provider,
  clock,
  log,
}: Pick<Deps, 'config' | 'ledger' | 'provider' | 'clock' | 'log'>): Keyring {
  return createKeyring({
    ledger,
    provider,
    clock,
    maxAgeSeconds: config.rotation.cacheMaxAgeSeconds,
    maxUses: config.rotation.cacheMaxUses,
    hardCeilingSeconds: config.rotation.cacheCeilingSeconds,
    onEvent: (event) => {
      if (event.type === 'refresh-failed') log.warn('key refresh failed', { code: event.code });
      else log.error('a version that waits for its purge was asked for', { ...pickEvent(event) });
    },
  });
}

function pickEvent(event: { readonly tenant: string; readonly purpose: string; readonly version: number }) {
  return {
    tenant: event.tenant,
    purpose: event.purpose,
    version: event.version,
    code: 'DESTROY_PENDING_USED',
  };
}

export async function openProvider(
  config: ProviderConfig,
  environment: Readonly<Record<string, string | undefined>>,
  random: RandomFill,
): Promise<RootKeyProvider> {
  if (config.type === 'aws-kms') throw new ConfigError('CONFIG_INVALID', 'aws-kms is not wired yet');
  return createLocalProvider({
    keystorePath: config.keystore,
    secret: providerSecret(config, environment),
    random,
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
async function readSecretStores({ config, secrets }: Composition): Promise<Map<string, Credentials>> {
  const found = new Map<string, Credentials>();
  let reader = secrets;
  for (const [name, store] of Object.entries(config.stores)) {
    if (store.secret === undefined) continue;
    reader ??= createSecretsManager(new SecretsManagerClient());
    found.set(name, await readCredentials(reader, name, { ...store, secret: store.secret }));
  }
  return found;
}

function openRecordSets(
  { config, environment, embeddedUrl, log }: Composition,
  credentials: ReadonlyMap<string, Credentials>,
) {
  const pools = new Map<string, ReturnType<typeof createPostgresPool>>();
  const poolOf = (name: string) => {
    let pool = pools.get(name);
    if (pool === undefined) {
      const store = Object.hasOwn(config.stores, name) ? config.stores[name] : undefined;
      if (store === undefined) throw new ConfigError('CONFIG_INVALID', `There is no store "${name}"`);
      // The embedded server listens on the loopback address only, and has no TLS.
      const tls = store.embedded === undefined ? store.tls : 'off';
      const secret = credentials.get(name);
      const url = secret?.url ?? storeUrl(name, store, environment, embeddedUrl);
      pool = createPostgresPool({ ...store, tls }, url, {
        store: name,
        ...(secret !== undefined && { password: secret.password }),
        onConnectionLost: () => log.warn('database connection lost', { code: 'STORE_UNAVAILABLE' }),
      });
      pools.set(name, pool);
    }
    return pool;
  };
  const recordSets = createRecordSets(config.recordSets, (recordSet, setConfig) =>
    createPostgresRecordStore({ recordSet, config: setConfig, pool: poolOf(setConfig.store) }),
  );
  const close = async () => {
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

const environmentSchema = z.object({
  KEYTURN_CONFIG: z.string().min(1),
  KEYTURN_LEDGER_TABLE: z.string().min(1),
  KEYTURN_QUEUE_URL: z.url(),
  KEYTURN_ROTATE_KEY_ARN: z.string().min(1),
  KEYTURN_PURGE_VERSION_ARN: z.string().min(1),
  KEYTURN_ADOPT_RECORDS_ARN: z.string().min(1),
});

/** For Lambda, and for the command line against AWS. Region, credentials and endpoints are the SDK's own variables. */
export async function composeFromEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  log: Log = createPinoLog(process.stdout),
): Promise<ComposedDeps> {
  const parsed = environmentSchema.safeParse(environment);
  if (!parsed.success) {
    const missing = parsed.error.issues.map((issue) => issue.path.join('.')).join(', ');
    throw new ConfigError('ENVIRONMENT_INVALID', `Environment variables are missing or invalid: ${missing}`, {
      remedy:
        'docs/configuration.md lists them. On one machine, start the embedded stack: `keyturn local start`.',
    });
  }
  const names = parsed.data;
  const { config } = await loadConfig(names.KEYTURN_CONFIG);
  return compose({
    config,
    clients: { dynamodb: new DynamoDBClient(), sqs: new SQSClient(), stepFunctions: new SFNClient() },
    names: {
      ledgerTable: names.KEYTURN_LEDGER_TABLE,
      queueUrl: names.KEYTURN_QUEUE_URL,
      stateMachineArns: {
        'rotate-key': names.KEYTURN_ROTATE_KEY_ARN,
        'purge-version': names.KEYTURN_PURGE_VERSION_ARN,
        'adopt-records': names.KEYTURN_ADOPT_RECORDS_ARN,
      },
    },
    log,
    environment,
  });
}
