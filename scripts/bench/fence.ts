import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type pg from 'pg';
import { startPostgres } from '../../local/postgres.ts';
import type { RecordSetConfig } from '../../shared/config/schema.ts';
import { createKek, seal } from '../../shared/envelope/index.ts';
import { createPostgresPool } from '../../shared/records/postgres/pool.ts';
import { createPostgresRecordStore } from '../../shared/records/postgres/store.ts';
import { byteaArray, int4Array } from '../../shared/records/postgres/values.ts';
import type { BenchFigure } from './figure.ts';

/**
 * What the writers' fence costs an application: the same writes to two tables that differ in the trigger alone. They take
 * turns in short slices. Every write passes: its version is the minimum.
 */

const KEY_ID = '01890000-0000-7000-8000-000000000001';
const PLAINTEXT_BYTES = 185; // An envelope of about 300 bytes.
const BATCH = 512;
const KEYS = 10_000;
const TABLES = ['fenced', 'bare'] as const;
type Table = (typeof TABLES)[number];

export async function benchFence({ short }: { readonly short: boolean }): Promise<BenchFigure[]> {
  const dir = await mkdtemp(path.join(tmpdir(), 'keyturn-bench-'));
  // No checkpoint and no vacuum that falls into one slice and not the other, and no commit that waits for the disk, which
  // takes a hundred times as long as the trigger: in the ratio it would make the trigger look cheaper than it is.
  const settings = {
    max_wal_size: '4GB',
    shared_buffers: '512MB',
    autovacuum: 'off',
    synchronous_commit: 'off',
  };
  const server = await startPostgres({ dir, settings });
  await server.createDatabase('bench');
  const pool = createPostgresPool({ tls: 'off', maxConnections: 2 }, server.url('bench'), { store: 'bench' });
  try {
    await prepare(pool);
    return await measure(pool, short ? 3 : 25);
  } finally {
    await pool.end();
    await server.stop();
    await rm(dir, { recursive: true, force: true });
  }
}

async function prepare(pool: pg.Pool): Promise<void> {
  for (const table of TABLES)
    await pool.query(`CREATE TABLE ${table} (id int4 PRIMARY KEY, secret bytea NOT NULL)`);
  const config: RecordSetConfig = {
    store: 'bench',
    table: 'fenced',
    key: ['id'],
    tenant: { fixed: 'bench' },
    purpose: 'default',
    fields: [{ name: 'secret', column: 'secret', sensitivity: 'high' }],
  };
  const store = createPostgresRecordStore({ recordSet: 'fenced', config, pool });
  await store.fence?.install();
  // As many keys as a large service has: the index of the minimums has its usual depth.
  await pool.query(
    `INSERT INTO keyturn_fence.minimum_version (key_id, minimum, revision)
     SELECT decode(lpad(to_hex(i), 32, '0'), 'hex'), 1, 1 FROM generate_series(1, ${KEYS}) AS i`,
  );
  await store.setMinimum({ keyId: KEY_ID, version: 2, revision: 2 });
}

const PARTS = {
  'INSERT of one row': 200,
  'UPDATE of one row': 200,
  [`INSERT of ${BATCH} rows`]: 6 * BATCH,
  [`UPDATE of ${BATCH} rows`]: 6 * BATCH,
} as const;

async function measure(pool: pg.Pool, rounds: number): Promise<BenchFigure[]> {
  const client = await pool.connect();
  const envelopes = makeEnvelopes(BATCH);
  const next: Record<Table, number> = { fenced: 1, bare: 1 };
  const rates = new Map<string, Record<Table, number[]>>();
  try {
    for (let round = 0; round <= rounds; round++) {
      for (const [part, rows] of Object.entries(PARTS)) {
        const list = rates.get(part) ?? { fenced: [], bare: [] };
        rates.set(part, list);
        // Whoever comes first in a round comes second in the next.
        for (const table of round % 2 === 0 ? TABLES : [...TABLES].reverse()) {
          const [what] = part.split(' ');
          // Updates are of the rows that the part before them wrote.
          if (what === 'INSERT') next[table] += rows;
          const from = next[table] - rows;
          const start = performance.now();
          await write(
            client,
            table,
            what === 'INSERT',
            part.endsWith('one row') ? 1 : BATCH,
            from,
            rows,
            envelopes,
          );
          // The first round warms everything up.
          if (round > 0) list[table].push((rows * 1000) / (performance.now() - start));
        }
      }
    }
  } finally {
    client.release();
  }
  return [...rates].map(([part, { fenced, bare }]) => {
    // The best slice of each: whatever else the machine does can only slow one.
    const [withFence, withoutFence] = [Math.max(...fenced), Math.max(...bare)];
    return {
      target: 3,
      name: `fence: ${part}`,
      value: Math.round(10 * (1e6 / withFence - 1e6 / withoutFence)) / 10,
      unit: 'µs more a row',
      ratio: withFence / withoutFence,
      bound: 'the same without the trigger',
    };
  });
}

async function write(
  client: pg.PoolClient,
  table: Table,
  insert: boolean,
  size: number,
  from: number,
  rows: number,
  envelopes: readonly Buffer[],
): Promise<void> {
  for (let id = from; id < from + rows; id += size) {
    if (size === 1) {
      const text = insert
        ? `INSERT INTO ${table} VALUES ($1, $2)`
        : `UPDATE ${table} SET secret = $2 WHERE id = $1`;
      const name = `${table}-${insert}`;
      await client.query({ name, text, values: [id, envelopes[(id + Number(insert)) % BATCH]] });
      continue;
    }
    const ids = int4Array(Array.from({ length: size }, (_, i) => id + i));
    const values = byteaArray(envelopes.map((_, i) => envelopes[(i + Number(insert)) % BATCH] ?? null));
    const text = insert
      ? `INSERT INTO ${table} SELECT * FROM unnest((SELECT $1::int4[]), (SELECT $2::bytea[]))`
      : `UPDATE ${table} AS t SET secret = c.v FROM unnest((SELECT $1::int4[]), (SELECT $2::bytea[])) AS c(id, v) WHERE t.id = c.id`;
    const { rowCount } = await client.query(text, [ids, values]);
    if (rowCount !== size) throw new Error(`${text} missed rows.`);
  }
}

function makeEnvelopes(count: number): readonly Buffer[] {
  const kek = createKek({ keyId: KEY_ID, version: 2, key: randomBytes(32) });
  return Array.from({ length: count }, (_, i) => {
    const context = { tenant: 'bench', recordSet: 'fenced', recordId: [String(i)], field: 'secret' };
    return Buffer.from(seal(randomBytes(PLAINTEXT_BYTES), kek, context));
  });
}
