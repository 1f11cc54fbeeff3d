import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { PROJECT } from '../../../scripts/emulators/cache.ts';
import { dynamoDbLocalJars } from '../../../scripts/emulators/dynamodb-local.ts';
import { programsOf } from '../../../scripts/emulators/python.ts';
import { type Emulator, freePort, startEmulator } from './server.ts';

/** The emulators that the suites start, each on a free port of the loopback address. */

export const REGION = 'us-east-1';
/** None of the emulators checks them. */
export const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' } as const;

/** What an SDK client needs to reach an emulator. */
export function clientOf({ endpoint }: Pick<Emulator, 'endpoint'>) {
  return { endpoint, region: REGION, credentials: CREDENTIALS };
}

/** KMS with ListKeyRotations; it does not check a key's state. */
export async function startMoto(): Promise<Emulator> {
  const port = await freePort();
  const program = join(await programsOf('emulators'), 'moto_server');
  return startEmulator({
    name: 'moto',
    program,
    args: ['-H', '127.0.0.1', '-p', String(port)],
    readyPath: '/moto-api/',
    port,
  });
}

/** KMS with real cryptography, encryption context and key states. Its settings are environment variables. */
export async function startLocalEmu(settings: Readonly<Record<string, string>> = {}): Promise<Emulator> {
  const port = await freePort();
  const files = await mkdtemp(join(tmpdir(), 'keyturn-localemu-'));
  const emulator = await startEmulator({
    name: 'localemu',
    program: join(await programsOf('localemu'), 'python'),
    args: [join(PROJECT, 'test/emulator/start_localemu.py')],
    env: {
      // Its other server listens on every address.
      GATEWAY_SERVER: 'hypercorn',
      GATEWAY_LISTEN: `127.0.0.1:${port}`,
      LOCALEMU_HOST: `127.0.0.1:${port}`,
      // Not /etc and /var/lib.
      OVERRIDE_IN_DOCKER: '0',
      FILESYSTEM_ROOT: files,
      TMPDIR: files,
      // What the suites use is loaded before it is ready: at first use that takes seconds, on a busy machine more than
      // a client waits for an answer.
      EAGER_SERVICE_LOADING: '1',
      SERVICES: 'events,iam,kms,s3,sts',
      ...settings,
    },
    readyPath: '/_localemu/health',
    port,
  });
  return {
    ...emulator,
    async stop() {
      await emulator.stop();
      await rm(files, { recursive: true, force: true });
    },
  };
}

/**
 * CloudFormation, Lambda, Step Functions, SQS, EventBridge, DynamoDB and so on; its KMS is none. Lambda functions
 * inherit `settings`: the endpoint of a real KMS, for example.
 */
export async function startMinistack(settings: Readonly<Record<string, string>> = {}): Promise<Emulator> {
  const port = await freePort();
  const files = await mkdtemp(join(tmpdir(), 'keyturn-ministack-'));
  const emulator = await startEmulator({
    name: 'ministack',
    program: join(await programsOf('emulators'), 'python'),
    args: [join(PROJECT, 'test/emulator/start_ministack.py')],
    env: {
      GATEWAY_PORT: String(port),
      BIND_HOST: '127.0.0.1',
      MINISTACK_HOST: '127.0.0.1',
      IOT_MTLS_ENABLED: '0',
      SFTP_ENABLED: '0',
      LAMBDA_EXECUTOR: 'local',
      TMPDIR: files,
      AWS_ENDPOINT_URL: `http://127.0.0.1:${port}`,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      // The `node` that it starts functions with is the project's, which is Lambda's.
      PATH: [join(PROJECT, 'node_modules/.bin'), process.env['PATH']].join(delimiter),
      ...settings,
    },
    readyPath: '/_ministack/health',
    port,
  });
  return {
    ...emulator,
    async stop() {
      await emulator.stop();
      await rm(files, { recursive: true, force: true });
    },
  };
}

/** DynamoDB as AWS publishes it for tests; null where there is no Java for it. */
export async function startDynamoDbLocal(): Promise<Emulator | null> {
  const jars = await dynamoDbLocalJars();
  if (jars === null) return null;
  const port = await freePort();
  const options = ['-port', String(port), '-inMemory', '-sharedDb', '-disableTelemetry'];
  const launcher = join(PROJECT, 'test/emulator/DynamoDbLocal.java');
  return startEmulator({
    name: 'dynamodb-local',
    program: 'java',
    args: [`-Djava.library.path=${jars}`, '-cp', join(jars, '*'), launcher, ...options],
    readyPath: '/',
    port,
  });
}
