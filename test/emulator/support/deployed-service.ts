import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { CreateKeyCommand, KMSClient } from '@aws-sdk/client-kms';
import { CreateSecretCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import type pg from 'pg';
import { stringify } from 'yaml';
import { z } from 'zod';
import { startPostgres } from '../../../local/postgres.ts';
import { serverAccount } from '../../../local/postgres-account.ts';
import { PROJECT } from '../../../scripts/emulators/cache.ts';
import { type ComposedDeps, composeFromEnvironment } from '../../../shared/deps/compose.ts';
import { ALL_NEEDS } from '../../../shared/deps/needs.ts';
import { createFieldCipher, type FieldCipher } from '../../../shared/keyring/field-cipher.ts';
import { silentLog } from '../../../shared/log/log.ts';
import { selfSignedCertificate } from '../../support/certificate.ts';
import { createTestPool } from '../../support/postgres.ts';
import { SHORT_TIMES } from '../../support/stack.ts';
import { deploy, type Package, packageStage, type StackResources } from './deployment.ts';
import { CREDENTIALS, clientOf, REGION, startLocalEmu, startMinistack } from './emulators.ts';
import { createCustomers, createInvoices, RECORD_SETS } from './records.ts';
import type { Emulator } from './server.ts';

/**
 * The packaged service on ministack, with real cryptography from localemu's KMS, and its records in DynamoDB
 * (ministack) and PostgreSQL (a real one, by TLS, its password in a secret). One at a time: its stage's file lies in the
 * project's folder, where `npm run package` looks for it.
 */
export interface DeployedService {
  readonly ministack: Emulator;
  readonly kms: KMSClient;
  /** The root key of `OWN_ROOT_KEY_TENANT`, in another's hands: it can be disabled. */
  readonly customerRootKey: string;
  readonly packaged: Package;
  readonly resources: StackResources;
  /** As an application has them: the ledger, the keyring and so on, by the same endpoints. */
  readonly deps: ComposedDeps;
  readonly cipher: FieldCipher;
  readonly dynamodb: DynamoDBClient;
  readonly database: pg.Pool;
  /** The name of a deployed function. */
  functionName(name: string): string;
  stop(): Promise<void>;
}

export const OWN_ROOT_KEY_TENANT = 'globex';

const STAGE = 'emulator';
const SERVICE = `keyturn-${STAGE}`;
const STAGE_FILE = `keyturn.${STAGE}.yaml`;
const CA_FILE = `keyturn.${STAGE}.pem`;
const SECRET = 'keyturn-emulator-database';
const DATABASE = 'app';

export async function startDeployedService(): Promise<DeployedService> {
  const stops: (() => Promise<void>)[] = [];
  const stop = async () => {
    for (const end of stops.reverse()) await end();
    stops.length = 0;
  };
  try {
    const kmsServer = await startLocalEmu();
    stops.push(kmsServer.stop);
    const ministack = await startMinistack({ AWS_ENDPOINT_URL_KMS: kmsServer.endpoint });
    stops.push(ministack.stop);
    const kms = new KMSClient(clientOf(kmsServer));
    stops.push(async () => kms.destroy());
    const rootKey = await createRootKey(kms, 'of the service');
    const customerRootKey = await createRootKey(kms, 'of a tenant');
    const signingKey = await createSigningKey(kms);
    const server = await startDatabase();
    stops.push(server.stop);
    await putSecret(ministack, server);
    stops.push(() => removeStageFiles());
    await writeStageFiles({ rootKey, customerRootKey, signingKey }, server);

    const packaged = await packageStage(STAGE);
    const resources = await deploy(ministack, SERVICE, packaged);
    const dynamodb = new DynamoDBClient(clientOf(ministack));
    stops.push(async () => dynamodb.destroy());
    await createCustomers(dynamodb);
    const database = createTestPool(server.url.href, 2);
    stops.push(() => database.end());
    await createInvoices(database);
    const deps = await composeDeps(ministack, kmsServer, resources);
    stops.push(() => deps.close());
    return {
      ...{ ministack, kms, customerRootKey, packaged, resources, deps, dynamodb, database, stop },
      cipher: createFieldCipher({
        keyring: deps.keyring,
        purposes: (recordSet) => deps.recordSets.config(recordSet).purpose,
      }),
      functionName: (name) => `${SERVICE}-${name}`,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

async function createRootKey(kms: KMSClient, description: string): Promise<string> {
  const { KeyMetadata } = await kms.send(new CreateKeyCommand({ Description: description }));
  return z.string().parse(KeyMetadata?.Arn);
}

/** As the stack makes it, but where KMS is: the stack is on another emulator. */
async function createSigningKey(kms: KMSClient): Promise<string> {
  const { KeyMetadata } = await kms.send(
    new CreateKeyCommand({ KeySpec: 'RSA_3072', KeyUsage: 'SIGN_VERIFY' }),
  );
  return z.string().parse(KeyMetadata?.Arn);
}

interface Keys {
  readonly rootKey: string;
  readonly customerRootKey: string;
  readonly signingKey: string;
}

/** With TLS, as a deployed store must have it. */
async function startDatabase(): Promise<Database> {
  const dir = await mkdtemp(join(tmpdir(), 'keyturn-emulator-'));
  // PostgreSQL does not run as root; its account must be able to pass through.
  await chmod(dir, 0o711);
  const { cert, key } = selfSignedCertificate([127, 0, 0, 1]);
  const certFile = join(dir, 'server.pem');
  const keyFile = join(dir, 'server.key');
  await writeFile(certFile, cert);
  await writeFile(keyFile, key, { mode: 0o600 });
  const account = await serverAccount();
  if (account !== undefined) await chown(keyFile, account.uid, account.gid);
  const postgres = await startPostgres({
    dir: join(dir, 'data'),
    settings: { fsync: 'off', ssl: 'on', ssl_cert_file: certFile, ssl_key_file: keyFile },
  });
  await postgres.createDatabase(DATABASE);
  return {
    url: new URL(postgres.url(DATABASE)),
    certificate: cert,
    async stop() {
      await postgres.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

interface Database {
  readonly url: URL;
  /** PEM of the server's certificate, which signed itself. */
  readonly certificate: string;
  stop(): Promise<void>;
}

/** As RDS writes it. */
async function putSecret(ministack: Emulator, { url }: Database): Promise<void> {
  const client = new SecretsManagerClient(clientOf(ministack));
  const value = {
    ...{ username: url.username, password: decodeURIComponent(url.password) },
    ...{ host: url.hostname, port: Number(url.port), dbname: DATABASE },
  };
  await client.send(new CreateSecretCommand({ Name: SECRET, SecretString: JSON.stringify(value) }));
  client.destroy();
}

async function writeStageFiles(
  { rootKey, customerRootKey, signingKey }: Keys,
  { certificate }: Database,
): Promise<void> {
  const every = { expression: 'rate(1 minute)', flexibleWindowMinutes: 0 };
  const stage = {
    provider: { type: 'aws-kms', rootKey, tenantRootKeys: { [OWN_ROOT_KEY_TENANT]: customerRootKey } },
    signing: { type: 'aws-kms', key: signingKey },
    stores: {
      main: { type: 'dynamodb' },
      billing: { type: 'postgres', secret: SECRET, tls: { ca: CA_FILE } },
    },
    recordSets: RECORD_SETS,
    rotation: { ...SHORT_TIMES, everyDays: null, chunkSize: 40, segments: 2 },
    approvals: { required: 0, acceptNoApprovals: true },
    deployment: {
      region: REGION,
      // The example's, so that the template is made as for a user.
      alarmEmail: 'security@example.com',
      schedules: { sweep: every, monitor: every },
    },
  };
  await writeFile(join(PROJECT, CA_FILE), certificate);
  await writeFile(join(PROJECT, STAGE_FILE), stringify(stage));
}

async function removeStageFiles(): Promise<void> {
  for (const file of [CA_FILE, STAGE_FILE]) await rm(join(PROJECT, file), { force: true });
}

/** The environment of an application and of the command line, whose SDK finds endpoints in it too. */
async function composeDeps(
  ministack: Emulator,
  kms: Emulator,
  resources: StackResources,
): Promise<ComposedDeps> {
  Object.assign(process.env, {
    AWS_REGION: REGION,
    AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
    AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
    AWS_ENDPOINT_URL: ministack.endpoint,
    AWS_ENDPOINT_URL_KMS: kms.endpoint,
  });
  const environment = {
    KEYTURN_CONFIG: join(PROJECT, STAGE_FILE),
    KEYTURN_LEDGER_TABLE: resources.get('LedgerTable'),
    KEYTURN_QUEUE_URL: resources.get('WorkQueue'),
    KEYTURN_BUS_NAME: resources.get('EventBus'),
    KEYTURN_ROTATE_KEY_ARN: resources.get('RotateKeyStateMachine'),
    KEYTURN_PURGE_VERSION_ARN: resources.get('PurgeVersionStateMachine'),
    KEYTURN_ADOPT_RECORDS_ARN: resources.get('AdoptRecordsStateMachine'),
  };
  return composeFromEnvironment(environment, ALL_NEEDS, { log: silentLog, actor: 'person:test' });
}
