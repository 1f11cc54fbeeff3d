import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import type pg from 'pg';
import { type Stack, startStack } from '../../local/stack.ts';
import { loadConfig } from '../../shared/config/load.ts';
import { type ComposedDeps, createConfiguredKeyring } from '../../shared/deps/compose.ts';
import { createKek, rewrapBatch, seal } from '../../shared/envelope/index.ts';
import { fillRandom } from '../../shared/envelope/seed.ts';
import { silentLog } from '../../shared/log/log.ts';
import { initKeystore } from '../../shared/providers/local/keystore.ts';
import { initKeyFile } from '../../shared/providers/local/secret.ts';
import { createPostgresPool } from '../../shared/records/postgres/pool.ts';
import { byteaArray, identifierArray } from '../../shared/records/postgres/values.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import { requestRotation } from '../../shared/rotation/request-job.ts';
import type { BenchFigure } from './figure.ts';

/**
 * Targets 4, 5 and 6: the whole pipeline on the embedded stack, in one process: lists, SQS, workers, progress. The
 * bound is the bare bulk UPDATE of the same rows on the same server, in the same run.
 */

const RECORD_SET = 'people';
const PLAINTEXT = Buffer.alloc(185, 'x');
const FILL = 10_000;
const BULK = 500;

interface Sweep {
  readonly rows: number;
  readonly seconds: number;
  readonly messages: number;
  readonly chunks: number;
  readonly progressWrites: number;
  readonly providerCalls: number;
  readonly peakRss: number;
}

export async function benchPipeline(options: { readonly short: boolean }): Promise<BenchFigure[]> {
  const rows = options.short ? 20_000 : 200_000;
  const runs = options.short ? 1 : 3;
  const counters = createCounters();
  const bench = await startBench(counters);
  try {
    const bulk: number[] = [];
    const sweeps: Sweep[] = [];
    for (let run = 0; run < runs; run++) {
      bulk.push(rows / (await bulkUpdateSeconds(bench, rows)));
      sweeps.push(await sweep(bench, rows));
    }
    const small = await sweep(bench, 10_000);
    const large = await sweep(bench, options.short ? 50_000 : 1_000_000);
    return [...speed(bulk, sweeps), ...requests(large), ...growth(small, large)];
  } finally {
    await bench.stop();
  }
}

function speed(bulk: readonly number[], sweeps: readonly Sweep[]): BenchFigure[] {
  const bound = median(bulk);
  const value = median(sweeps.map(({ rows, seconds }) => rows / seconds));
  const ratio = value / bound;
  return [
    { target: 4, name: 'pipeline: bare bulk UPDATE', value: Math.round(bound), unit: 'records/s' },
    {
      target: 4,
      name: 'pipeline: list, SQS, worker, progress',
      value: Math.round(value),
      unit: 'records/s',
      ratio,
      bound: 'bare bulk UPDATE',
      atLeast: 0.5,
      met: ratio >= 0.5,
    },
  ];
}

function requests({ rows, messages, chunks, progressWrites, providerCalls }: Sweep): BenchFigure[] {
  const perMillion = (messages * 1_000_000) / rows;
  const perChunk = progressWrites / chunks;
  const most = (name: string, value: number, unit: string, atMost: number): BenchFigure => ({
    target: 5,
    name,
    value: Math.round(value * 1000) / 1000,
    unit,
    atMost,
    met: value <= atMost,
  });
  return [
    most('requests: SQS messages sent', perMillion, 'per 1 M records', 2_000),
    // One unwrap of each of the two versions; the proof of the new one is a step's, not a worker's.
    most('requests: KMS calls of the sweep', providerCalls, 'in all', 2),
    most('requests: progress writes', perChunk, 'per chunk', 2),
  ];
}

function growth(small: Sweep, large: Sweep): BenchFigure[] {
  const memory = large.peakRss / small.peakRss;
  const cost = (s: Sweep) => (s.messages + s.progressWrites) / s.rows;
  const linear = cost(large) / cost(small);
  const figure = (name: string, ratio: number, atMost: number): BenchFigure => ({
    target: 6,
    name: `${name}, ${large.rows} to ${small.rows} records`,
    value: Math.round(ratio * 1000) / 1000,
    unit: 'times',
    atMost,
    met: ratio <= atMost,
  });
  return [figure('growth: peak memory', memory, 1.25), figure('growth: requests per record', linear, 1.05)];
}

interface Counters {
  messages: number;
  chunks: number;
  progressWrites: number;
  providerCalls: number;
}

function createCounters(): Counters {
  return { messages: 0, chunks: 0, progressWrites: 0, providerCalls: 0 };
}

/** Counts what a sweep asks of queue, ledger and provider; everything else passes. */
function counting(counters: Counters): (deps: ComposedDeps) => ComposedDeps {
  return (deps) => ({
    ...deps,
    queue: {
      send: (messages) => {
        counters.messages += messages.length;
        return deps.queue.send(messages);
      },
    },
    ledger: {
      ...deps.ledger,
      createPage: (plan, at) => {
        counters.progressWrites += 1;
        counters.chunks += plan.chunks.length;
        return deps.ledger.createPage(plan, at);
      },
      reportChunks: (...report) => {
        counters.progressWrites += 1;
        return deps.ledger.reportChunks(...report);
      },
      advanceSegment: (...advance) => {
        counters.progressWrites += 1;
        return deps.ledger.advanceSegment(...advance);
      },
    },
  });
}

interface Bench {
  readonly stack: Stack;
  readonly pool: pg.Pool;
  readonly counters: Counters;
  stop(): Promise<void>;
}

async function startBench(counters: Counters): Promise<Bench> {
  const dir = await mkdtemp(join(tmpdir(), 'keyturn-bench-'));
  await chmod(dir, 0o711);
  const keyFilePath = join(dir, 'keystore.key');
  await writeFile(join(dir, 'keyturn.json'), JSON.stringify(benchConfig()));
  await initKeyFile(keyFilePath, fillRandom);
  await initKeystore({
    keystorePath: join(dir, 'keystore.json'),
    secret: { keyFilePath },
    random: fillRandom,
  });
  const stack = await startStack({
    dir: join(dir, 'stack'),
    loaded: await loadConfig(join(dir, 'keyturn.json')),
    environment: {},
    log: silentLog,
    // The sweep function would start purges in the middle of a measurement.
    sweepSeconds: 86_400,
    postgresSettings: { max_wal_size: '4GB', shared_buffers: '512MB' },
    decorate: (deps) => {
      const provider = countingProvider(deps, counters);
      return counting(counters)({
        ...deps,
        provider,
        keyring: createConfiguredKeyring({ ...deps, provider }),
      });
    },
  });
  const pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, stack.postgres?.url('bench') ?? '', {
    store: 'bench',
    statementTimeoutMs: 600_000,
  });
  return {
    stack,
    pool,
    counters,
    async stop() {
      await pool.end();
      await stack.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

function countingProvider({ provider }: ComposedDeps, counters: Counters): ComposedDeps['provider'] {
  return {
    ...provider,
    unwrapKek: (wrapped, context) => {
      counters.providerCalls += 1;
      return provider.unwrapKek(wrapped, context);
    },
  };
}

function benchConfig(): object {
  return {
    provider: { type: 'local', keystore: 'keystore.json', keyFile: 'keystore.key' },
    stores: { main: { type: 'postgres', embedded: 'bench', tls: 'off' } },
    recordSets: {
      [RECORD_SET]: {
        store: 'main',
        table: 'people',
        key: ['id'],
        tenant: { column: 'tenant' },
        fields: [{ name: 'secret', column: 'secret' }],
      },
    },
    // A barrier of a day: each measurement is a rotation of its own, and ends with its sweep.
    rotation: { maxTransactionSeconds: 86_400 },
  };
}

/**
 * One rotation's sweep, of a tenant of its own, from the moment that its records are being listed until the last
 * chunk was reported.
 */
async function sweep(bench: Bench, rows: number): Promise<Sweep> {
  const { stack, counters } = bench;
  const tenant = await fillTable(bench, rows);
  let peakRss = process.memoryUsage().rss;
  const sampler = setInterval(() => {
    peakRss = Math.max(peakRss, process.memoryUsage().rss);
  }, 50);
  try {
    const { job } = await requestRotation(stack.deps, { tenant, purpose: 'default', requestedBy: 'bench' });
    await until(bench, job.jobId, (status) => status === 'SWEEPING');
    Object.assign(counters, createCounters());
    const began = performance.now();
    await until(bench, job.jobId, (status) => status !== 'SWEEPING');
    const seconds = (performance.now() - began) / 1000;
    return { rows, seconds, ...counters, peakRss };
  } finally {
    clearInterval(sampler);
  }
}

async function until(bench: Bench, jobId: string, done: (status: string) => boolean): Promise<void> {
  for (;;) {
    const job = await bench.stack.deps.ledger.getJob(jobId);
    if (job === null || job.status === 'BLOCKED')
      throw new Error(`The rotation stopped: ${job?.blocker?.message}`);
    if (done(job.status)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

let tenants = 0;

/** A fresh table of one new tenant's rows, sealed and vacuumed. Nothing of it is kept in memory. */
async function fillTable({ pool, stack }: Bench, rows: number): Promise<string> {
  const tenant = `bench-${++tenants}`;
  await createKey(stack.deps, tenant, 'default');
  const kek = await stack.deps.keyring.active(tenant, 'default');
  await pool.query('DROP TABLE IF EXISTS people');
  await pool.query('CREATE TABLE people (id int8 PRIMARY KEY, tenant text NOT NULL, secret bytea)');
  for (let start = 0; start < rows; start += FILL) {
    const sealed = Array.from({ length: Math.min(FILL, rows - start) }, (_, i) =>
      seal(PLAINTEXT, kek, {
        tenant,
        recordSet: RECORD_SET,
        recordId: [String(start + i + 1)],
        field: 'secret',
      }),
    );
    await pool.query(
      'INSERT INTO people SELECT $1 + i, $2, v FROM unnest($3::bytea[]) WITH ORDINALITY AS c(v, i)',
      [start, tenant, byteaArray(sealed)],
    );
  }
  await pool.query('VACUUM (ANALYZE, FREEZE) people');
  return tenant;
}

/** The bound: the same rows by one UPDATE … FROM unnest a chunk, everything prepared beforehand, one connection. */
async function bulkUpdateSeconds(bench: Bench, rows: number): Promise<number> {
  const { pool, stack } = bench;
  const tenant = await fillTable(bench, rows);
  const from = await stack.deps.keyring.active(tenant, 'default');
  const to = createKek({ keyId: from.keyId, version: from.version + 1, key: from.key });
  const client = await pool.connect();
  try {
    let seconds = 0;
    for (let start = 0; start < rows; start += FILL) {
      const result = await client.query(
        'SELECT id, secret FROM people WHERE id > $1 AND id <= $2 ORDER BY id',
        [start, start + FILL],
      );
      const before = result.rows.map(({ secret }) => new Uint8Array(secret));
      const after = rewrapBatch(before, [from], to).map((outcome) => {
        if (outcome.status !== 'rewrapped') throw new Error('A record of the bound was not rewrapped');
        return outcome.envelope;
      });
      const began = performance.now();
      for (let i = 0; i < before.length; i += BULK) {
        const ids = result.rows.slice(i, i + BULK).map(({ id }) => String(id));
        const { rowCount } = await client.query(
          `UPDATE people AS t SET secret = c.after
           FROM unnest((SELECT $1::int8[]), (SELECT $2::bytea[]), (SELECT $3::bytea[])) AS c(id, before, after)
           WHERE t.id = c.id AND t.secret = c.before`,
          [
            identifierArray('int8', ids),
            byteaArray(before.slice(i, i + BULK)),
            byteaArray(after.slice(i, i + BULK)),
          ],
        );
        if (rowCount !== ids.length) throw new Error('The bulk UPDATE missed rows');
      }
      seconds += (performance.now() - began) / 1000;
    }
    return seconds;
  } finally {
    client.release();
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.table(await benchPipeline({ short: process.argv.includes('--short') }));
}
