import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { DynamoDBClient } from '@aws-sdk/client-dynamodb';
import { type Stack, startStack } from '../../local/stack.ts';
import { embeddedDynamoDb } from '../../local/stack-info.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { type ComposedDeps, createConfiguredKeyring } from '../../shared/deps/compose.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { fillRandom } from '../../shared/envelope/seed.ts';
import { silentLog } from '../../shared/log/log.ts';
import { initKeystore } from '../../shared/providers/local/keystore.ts';
import { initKeyFile } from '../../shared/providers/local/secret.ts';
import { createPostgresPool } from '../../shared/records/postgres/pool.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { createRequestCounter, type RequestCounter, type RequestCounts, since } from './count-requests.ts';
import type { BenchFigure } from './figure.ts';
import { COUNTED_SETS, type CountedStore, dynamoDbRecords, postgresRecords } from './request-records.ts';

/**
 * Targets 5 and 6: what whole rotations of growing size ask of AWS, from the request to the end, counted at the SDK
 * clients of the embedded stack. What grows with the records is the slope between sizes; the rest is once a rotation.
 */

const CHUNK = 500;
const MILLION = 1_000_000;
/** Records of the smallest rotation; the others have twice and four times as many. dynalite writes 1,000 a second. */
const UNITS = { PostgreSQL: 10_000, DynamoDB: 2_000 } as const;
/** Stands for a request to KMS: the embedded stack's keys are in a file. */
const KMS = 'KMS ';

export async function benchRequests(options: { readonly short: boolean }): Promise<BenchFigure[]> {
  const counter = createRequestCounter();
  const stack = await startCountedStack(counter);
  const pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, stack.postgres?.url('bench') ?? '', {
    store: 'bench',
  });
  const dynamodb = new DynamoDBClient(embeddedDynamoDb(stack.info.endpoints));
  try {
    const figures: BenchFigure[] = [];
    for (const store of [postgresRecords(pool), dynamoDbRecords(dynamodb)]) {
      const unit = UNITS[store.name] * (options.short ? 1 : 5);
      const run = (records: number) => rotate(stack, counter, store, records);
      const runs = [await run(unit), await run(2 * unit), await run(4 * unit)] as const;
      figures.push(...requestFigures(store.name, runs));
    }
    return figures;
  } finally {
    dynamodb.destroy();
    await pool.end();
    await stack.stop();
  }
}

interface Run {
  readonly records: number;
  readonly counts: RequestCounts;
}

/** One rotation of a tenant of its own. */
async function rotate(
  { deps }: Stack,
  counter: RequestCounter,
  store: CountedStore,
  records: number,
): Promise<Run> {
  const tenant = `bench-${records}`;
  await createKey(deps, tenant, store.purpose);
  await store.fill(tenant, records, await deps.keyring.active(tenant, store.purpose));
  deps.keyring.clear();
  const before = counter.counts();
  await rotateToEnd(deps, tenant, store.purpose);
  return { records, counts: since(before, counter.counts()) };
}

/** Its own looks are counted too: one read of the ledger each half second. */
export async function rotateToEnd(deps: Deps, tenant: string, purpose: string): Promise<Job> {
  const { job } = await requestRotation(deps, { tenant, purpose, requestedBy: 'bench' });
  for (;;) {
    const found = await deps.ledger.getJob(job.jobId);
    if (found?.status === 'BLOCKED') throw new Error(`The rotation stopped: ${found.blocker?.message}`);
    if (found?.status === 'COMPLETED') return found;
    await new Promise((resolve) => setTimeout(resolve, 500));
  }
}

/** Two stores, keys in a file; everything that leaves a client, or would go to KMS, is counted. */
export async function startCountedStack(counter: RequestCounter): Promise<Stack> {
  const dir = await mkdtemp(join(tmpdir(), 'keyturn-bench-'));
  // PostgreSQL does not run as root; its account must be able to pass through.
  await chmod(dir, 0o711);
  const configPath = join(dir, 'keyturn.json');
  const keyFilePath = join(dir, 'keystore.key');
  await writeFile(configPath, JSON.stringify(CONFIG));
  await initKeyFile(keyFilePath, fillRandom);
  await initKeystore({
    keystorePath: join(dir, 'keystore.json'),
    secret: { keyFilePath },
    random: fillRandom,
  });
  const stack = await startStack({
    dir: join(dir, 'stack'),
    loaded: await loadConfig(configPath),
    environment: {},
    log: silentLog,
    // The sweep function would start purges in between.
    sweepSeconds: 86_400,
    // On a busy machine a batch takes a minute: delivered again, its requests would count twice. One that failed is
    // waited for as long.
    visibilitySeconds: 150,
    postgresSettings: { fsync: 'off' },
    instrument: counter.instrument,
    decorate: (deps) => {
      const provider = countCalls(deps.provider, counter);
      // Cached as long as in use, which the barrier here does not wait for.
      const rotation = { ...deps.config.rotation, cacheMaxAgeSeconds: 300 };
      const config = { ...deps.config, rotation };
      return { ...deps, provider, keyring: createConfiguredKeyring({ ...deps, config, provider }) };
    },
  });
  return { ...stack, stop: () => stack.stop().then(() => rm(dir, { recursive: true, force: true })) };
}

const CONFIG = {
  provider: { type: 'local', keystore: 'keystore.json', keyFile: 'keystore.key' },
  stores: { sql: { type: 'postgres', embedded: 'bench', tls: 'off' }, nosql: { type: 'dynamodb' } },
  recordSets: COUNTED_SETS,
  rotation: {
    ...{ everyDays: null, chunkSize: CHUNK, segments: 1 },
    // A short barrier: a rotation is counted from its request to its end.
    ...{ cacheMaxAgeSeconds: 1, clockSkewSeconds: 0, maxTransactionSeconds: 1 },
    ...{ graceSeconds: 0, backupRetentionSeconds: 0, acceptShortGrace: true },
  },
};

function countCalls(provider: ComposedDeps['provider'], counter: RequestCounter): ComposedDeps['provider'] {
  return {
    ...provider,
    generateKek: (context) => {
      counter.add(`${KMS}GenerateDataKeyWithoutPlaintext`);
      return provider.generateKek(context);
    },
    unwrapKek: (wrapped, context) => {
      counter.add(`${KMS}Decrypt`);
      return provider.unwrapKek(wrapped, context);
    },
    rewrapKek: (wrapped, context) => {
      counter.add(`${KMS}ReEncrypt`);
      return provider.rewrapKek(wrapped, context);
    },
    inspectRootKey: (rootKeyId) => {
      counter.add(`${KMS}DescribeKey`);
      return provider.inspectRootKey(rootKeyId);
    },
  };
}

/** Answers nobody's question about records: how often it is asked depends on how long the rotation takes. */
const POLLS = ['SQS ReceiveMessage', 'DynamoDB GetItem keyturn-ledger', 'DynamoDB Query keyturn-ledger'];
const MESSAGES = 'SQS SendMessageBatch';
const PROGRESS = ['DynamoDB PutItem keyturn-ledger', 'DynamoDB UpdateItem keyturn-ledger'];

function requestFigures(store: string, [small, middle, large]: readonly [Run, Run, Run]): BenchFigure[] {
  const perMillion = slope(small, large);
  const operations = [...large.counts.keys()].filter((name) => !POLLS.includes(name)).sort();
  const chunks = perMillion([MESSAGES], 'items');
  const kms = operations.filter((name) => name.startsWith(KMS));
  const growing = operations.filter((name) => !name.startsWith(KMS));
  const bend = slope(middle, large)(growing, 'items') / slope(small, middle)(growing, 'items');
  const figure = (
    target: 5 | 6,
    name: string,
    value: number,
    unit: string,
    atMost?: number,
  ): BenchFigure => ({
    ...{ target, name: `${store}: ${name}`, value: Math.round(value * 1_000) / 1_000, unit, counted: true },
    ...(atMost !== undefined && { atMost, met: value <= atMost }),
  });
  return [
    ...operations
      .filter((name) => perMillion([name], 'requests') > 0)
      .map((name) => figure(5, name, perMillion([name], 'requests'), 'requests per 1 M records')),
    figure(5, 'SQS messages sent', chunks, 'per 1 M records', 2_000),
    figure(5, 'KMS calls', perMillion(kms, 'requests'), 'per 1 M records', 0),
    figure(5, 'progress writes', perMillion(PROGRESS, 'requests') / chunks, 'per chunk', 2),
    figure(6, `requests, ${large.records} to ${middle.records} records`, bend, 'times the slope before', 1.1),
  ];
}

/** How much more of these a million more records ask for. */
function slope(from: Run, to: Run) {
  return (names: readonly string[], what: 'requests' | 'items') => {
    const total = ({ counts }: Run) => names.reduce((sum, name) => sum + (counts.get(name)?.[what] ?? 0), 0);
    return ((total(to) - total(from)) * MILLION) / (to.records - from.records);
  };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.table(await benchRequests({ short: process.argv.includes('--short') }));
}
