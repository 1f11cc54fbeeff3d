import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { type Stack, type StackOptions, startStack } from '../../local/stack.ts';
import { type LoadedConfig, loadConfig } from '../../shared/config/load.ts';
import { fillRandom } from '../../shared/envelope/seed.ts';
import { silentLog } from '../../shared/log/log.ts';
import { initKeystore } from '../../shared/providers/local/keystore.ts';
import { initKeyFile } from '../../shared/providers/local/secret.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { createTestPool } from './postgres.ts';
import { copyTemplate, DATABASE } from './postgres-template.ts';

/** A throw-away embedded stack: its own folder, keystore, database. */

export interface TestStack extends Stack {
  readonly dir: string;
  readonly loaded: LoadedConfig;
  readonly pool: pg.Pool;
  /** Stops everything and removes the folder. */
  remove(): Promise<void>;
}

export { DATABASE };

/** Short times, so that a test sees barrier, grace and purge within seconds. */
export const SHORT_TIMES = {
  cacheMaxAgeSeconds: 1,
  cacheCeilingSeconds: 60,
  clockSkewSeconds: 0,
  maxTransactionSeconds: 2,
  graceSeconds: 1,
  backupRetentionSeconds: 0,
  acceptShortGrace: true,
  stallSeconds: 30,
  soakSeconds: 0,
} as const;

export interface TestConfig {
  /** Default: `main`, the embedded PostgreSQL. */
  readonly stores?: object;
  readonly recordSets: object;
  readonly rotation?: object;
  /** Default: none are needed. */
  readonly approvals?: object;
}

/** Makes the folder with configuration, keystore and key file. */
export async function makeStackFolder(config: TestConfig): Promise<{ dir: string; configPath: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'keyturn-test-'));
  // PostgreSQL does not run as root; its account must be able to pass through.
  await chmod(dir, 0o711);
  const configPath = join(dir, 'keyturn.json');
  const keyFilePath = join(dir, 'keystore.key');
  await writeFile(
    configPath,
    JSON.stringify({
      provider: { type: 'local', keystore: 'keystore.json', keyFile: 'keystore.key' },
      stores: config.stores ?? { main: { type: 'postgres', embedded: DATABASE, tls: 'off' } },
      recordSets: config.recordSets,
      rotation: { ...SHORT_TIMES, ...config.rotation },
      approvals: config.approvals ?? { required: 0, acceptNoApprovals: true },
    }),
  );
  await initKeyFile(keyFilePath, fillRandom);
  await initKeystore({
    keystorePath: join(dir, 'keystore.json'),
    secret: { keyFilePath },
    random: fillRandom,
  });
  return { dir, configPath };
}

export async function startTestStack(
  config: TestConfig,
  options: Partial<
    Pick<StackOptions, 'decorate' | 'log' | 'sweepSeconds' | 'pollers' | 'visibilitySeconds'>
  > = {},
): Promise<TestStack> {
  const { dir, configPath } = await makeStackFolder(config);
  const loaded = await loadConfig(configPath);
  await copyTemplate(join(dir, 'stack', 'postgres'));
  const stack = await startStack({
    dir: join(dir, 'stack'),
    loaded,
    environment: {},
    log: silentLog,
    sweepSeconds: 1,
    postgresSettings: { fsync: 'off' },
    ...options,
  });
  if (stack.postgres === null) throw new Error('The test stack has no PostgreSQL');
  const pool = createTestPool(stack.postgres.url(DATABASE), 8);
  return {
    ...stack,
    dir,
    loaded,
    pool,
    async remove() {
      await pool.end();
      await stack.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** Looks until it holds; fails after a time that only a hang reaches. */
export async function eventually<T>(
  look: () => Promise<T | null | undefined | false>,
  what: string,
  timeoutMs = 150_000,
): Promise<T> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const found = await look();
    if (found !== null && found !== undefined && found !== false) return found;
    if (Date.now() > end) throw new Error(`It did not happen in time: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

export function jobEnded(stack: Pick<Stack, 'deps'>, jobId: string): Promise<Job> {
  return eventually(async () => {
    const job = await stack.deps.ledger.getJob(jobId);
    return job?.status === 'COMPLETED' || job?.status === 'BLOCKED' ? job : null;
  }, `the end of job ${jobId}`);
}
