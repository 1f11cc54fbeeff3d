import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type pg from 'pg';
import { startPostgres } from '../../local/postgres.ts';
import { systemClock } from '../../shared/clock/system.ts';
import { configSchema, type RecordSetConfig } from '../../shared/config/schema.ts';
import {
  createKek,
  fillRandom,
  type Kek,
  type RewrapOutcome,
  rewrapBatch,
  seal,
} from '../../shared/envelope/index.ts';
import { createPostgresPool } from '../../shared/records/postgres/pool.ts';
import { createPostgresRecordStore } from '../../shared/records/postgres/store.ts';
import { byteaArray, identifierArray } from '../../shared/records/postgres/values.ts';
import { createRecordSets } from '../../shared/records/record-sets.ts';
import type {
  AdoptableStore,
  RecordChange,
  RecordKey,
  StoredRecord,
} from '../../shared/records/record-store.ts';
import { type RewrapDeps, rewrapRecords } from '../../shared/rotation/rewrap-records.ts';
import type { RotationMode } from '../../shared/rotation/rotation.ts';
import { createMemoryLedger } from '../../simulation/models/ledger.ts';
import { type CpuTime, cpuSince, cpuTime } from './cpu.ts';
import type { BenchFigure } from './figure.ts';

/**
 * Target 3: a worker on PostgreSQL against the bare bulk UPDATE of the same rows. They take turns on slices of one table,
 * each row is written once, and each ratio is of neighbours in time: a slow spell of the machine meets all of them.
 */

const CHUNK = 500;
const PLAINTEXT_BYTES = 185; // An envelope of about 300 bytes.
const KEY_ID = '01890000-0000-7000-8000-000000000001';
const TENANT = 'bench';
const RECORD_SET = 'people';
/** Chunks that each part begins with, unmeasured. */
const RUN_UP = 4;
/** Ways to write that are measured. */
const MODES = 5;
const FILL = 5_000;

const config: RecordSetConfig = {
  store: 'bench',
  table: 'people',
  key: ['id'],
  tenant: { column: 'tenant' },
  purpose: 'default',
  fields: [{ name: 'secret', column: 'secret', sensitivity: 'high' }],
};

export async function benchPostgres(options: {
  readonly short: boolean;
  readonly url?: string;
}): Promise<BenchFigure[]> {
  const server = options.url === undefined ? await throwAwayServer() : undefined;
  const pool = createPostgresPool({ tls: 'off', maxConnections: 4 }, options.url ?? server?.url ?? '', {
    store: 'bench',
  });
  try {
    return await measure(pool, options.short ? 1 : 9, (options.short ? 8 : 28) * CHUNK, server?.pid);
  } finally {
    await pool.end();
    await server?.stop();
  }
}

async function throwAwayServer() {
  const dir = await mkdtemp(path.join(tmpdir(), 'keyturn-bench-'));
  // No checkpoint and no vacuum that falls into one slice and not the other. Everything else is the default.
  const server = await startPostgres({
    dir,
    settings: { max_wal_size: '4GB', shared_buffers: '512MB', autovacuum: 'off' },
  });
  await server.createDatabase('bench');
  return {
    url: server.url('bench'),
    pid: server.pid,
    async stop() {
      await server.stop();
      await rm(dir, { recursive: true, force: true });
    },
  };
}

/** `slice`: the records of each part of a round. */
async function measure(
  pool: pg.Pool,
  rounds: number,
  slice: number,
  serverPid: number | undefined,
): Promise<BenchFigure[]> {
  const store = createPostgresRecordStore({ recordSet: RECORD_SET, config, pool });
  const keks = { from: kek(1), to: kek(2) };
  const work = createWorker(store, keks);
  const rewrap = (records: readonly StoredRecord[]) => rewrapBatch(values(records), [keks.from], keks.to);
  // A round more than is counted: it warms everything up.
  await fill(pool, (rounds + 1) * MODES * slice, keks.from);

  const slices: Slices = { bulk: [], read: [], replace: [], worker: [], fenced: [], reencrypt: [] };
  const timed = async <T>(
    into: Slice[],
    items: readonly T[],
    work: (items: readonly T[]) => Promise<unknown>,
  ) => {
    // What the part before it left to be collected is not its own.
    await work(items.slice(0, RUN_UP * CHUNK));
    const measured = items.slice(RUN_UP * CHUNK);
    const cpu = cpuTime(serverPid);
    const start = performance.now();
    await work(measured);
    const rate = (measured.length * 1000) / (performance.now() - start);
    const { node, server } = cpuSince(cpu, serverPid);
    into.push({ rate, node: node / measured.length, server: server / measured.length });
  };
  let done = 0;
  // Only a slice's records are held at a time: a large heap slows everything in Node, a worker's is small.
  const nextKeys = () => {
    const keys = Array.from({ length: slice }, (_, i): RecordKey => [String(done + i + 1)]);
    done += slice;
    return keys;
  };
  const nextChanges = async () => {
    const records = (await store.read(nextKeys())).filter((record) => record !== null);
    return rewrapped(records, rewrap(records));
  };
  for (let round = 0; round <= rounds; round++) {
    // Let go before the next part begins.
    let changes = await nextChanges();
    await timed(slices.bulk, changes, (part) => bulkUpdate(pool, part));
    changes = [];
    let keys = nextKeys();
    await timed(slices.worker, keys, (part) => inLanes(part, (chunk) => work(chunk, 'rewrap')));
    keys = nextKeys();
    await store.fence?.install();
    await store.setMinimum({ keyId: KEY_ID, version: keks.from.version, revision: 1 });
    await timed(slices.fenced, keys, (part) => inLanes(part, (chunk) => work(chunk, 'rewrap')));
    await store.fence?.remove();
    keys = nextKeys();
    await timed(slices.reencrypt, keys, (part) => inLanes(part, (chunk) => work(chunk, 're-encrypt')));
    await timed(slices.read, keys, (part) => inTurn(part, (chunk) => store.readFrames(chunk)));
    changes = await nextChanges();
    await timed(slices.replace, changes, (part) =>
      inTurn(part, async (chunk) => assertReplaced(await store.replace(chunk))),
    );
  }
  for (const list of Object.values(slices)) list.shift();
  return figures(slices);
}

interface Keks {
  readonly from: Kek;
  readonly to: Kek;
}

/** Records in a second of wall time, and microseconds of CPU time a record. */
interface Slice extends CpuTime {
  readonly rate: number;
}

type Slices = Record<'bulk' | 'read' | 'replace' | 'worker' | 'fenced' | 'reencrypt', Slice[]>;

async function inTurn<T>(
  items: readonly T[],
  work: (chunk: readonly T[]) => Promise<unknown>,
): Promise<void> {
  for (const chunk of chunks(items)) await work(chunk);
}

function figures(slices: Slices): BenchFigure[] {
  const figure = (name: string, list: readonly Slice[], atLeast?: number): BenchFigure => {
    const ratio = median(list.map(({ rate }, i) => rate / (slices.bulk[i]?.rate ?? rate)));
    return {
      target: 3,
      name: `postgres: ${name}`,
      value: Math.round(median(list.map(({ rate }) => rate))),
      unit: 'records/s',
      ratio,
      bound: 'postgres: bare bulk UPDATE',
      ...(atLeast === undefined ? {} : { atLeast, met: ratio >= atLeast }),
    };
  };
  /** Of both programs' time on the cores, whatever else runs beside them. */
  const cpu = (name: string, list: readonly Slice[]): BenchFigure => {
    const total = (slice: Slice | undefined) =>
      slice === undefined ? Number.NaN : slice.node + slice.server;
    const part = (of: (slice: Slice) => number) => median(list.map(of)).toFixed(1);
    return {
      target: 3,
      name: `postgres: CPU of ${name}`,
      value: Math.round(10 * median(list.map(total))) / 10,
      unit: `µs a record (Node ${part(({ node }) => node)}, PostgreSQL ${part(({ server }) => server)})`,
      ratio: median(list.map((slice, i) => total(slice) / total(slices.bulk[i]))),
      bound: 'bare bulk UPDATE',
    };
  };
  return [
    figure('bare bulk UPDATE', slices.bulk),
    figure('read alone', slices.read),
    figure('replace alone', slices.replace),
    figure('worker, rewrap', slices.worker, 0.9),
    figure("worker, rewrap, with the writers' fence", slices.fenced),
    figure('worker, re-encrypt', slices.reencrypt, 0.4),
    cpu('bare bulk UPDATE', slices.bulk),
    cpu('read alone', slices.read),
    cpu('replace alone', slices.replace),
    cpu('worker, rewrap', slices.worker),
    cpu("worker, rewrap, with the writers' fence", slices.fenced),
    cpu('worker, re-encrypt', slices.reencrypt),
  ];
}

/** As many chunks at one time as the worker of functions/process-chunk has lanes. */
const LANES = 4;

async function inLanes(
  keys: readonly RecordKey[],
  work: (chunk: readonly RecordKey[]) => Promise<void>,
): Promise<void> {
  const waiting = chunks(keys);
  const lane = async () => {
    for (const chunk of waiting) await work(chunk);
  };
  await Promise.all(Array.from({ length: LANES }, lane));
}

/** The worker's own work on a chunk; only the key and the job are not read from a ledger. */
function createWorker(store: AdoptableStore, { from, to }: Keks) {
  const deps: RewrapDeps = {
    config: configSchema.parse({
      provider: { type: 'local', keystore: 'keystore.json', keyFile: 'keystore.key' },
      stores: { bench: { type: 'postgres', embedded: 'bench', tls: 'off' } },
      recordSets: { [RECORD_SET]: config },
    }),
    clock: systemClock,
    random: fillRandom,
    ledger: createMemoryLedger(),
    keyring: {
      active: async () => to,
      version: async () => from,
      clear: () => {},
    },
    recordSets: createRecordSets({ [RECORD_SET]: config }, () => store, {
      stores: [],
      open: () => {
        throw new Error('No store is searched.');
      },
    }),
  };
  return async (keys: readonly RecordKey[], mode: RotationMode): Promise<void> => {
    const job = {
      ...{ jobId: 'bench', tenant: TENANT, purpose: config.purpose, mode },
      ...{ from: from.version, to: to.version, status: 'SWEEPING' as const },
    };
    const { changed } = await rewrapRecords(deps, job, RECORD_SET, keys);
    if (changed !== keys.length) throw new Error('The worker left records as they were.');
  };
}

/** The bound: one statement a chunk, one connection, everything there beforehand but the arrays. */
async function bulkUpdate(pool: pg.Pool, changes: readonly RecordChange[]): Promise<void> {
  const client = await pool.connect();
  try {
    for (const chunk of chunks(changes)) {
      const { rowCount } = await client.query(
        `UPDATE people AS t SET secret = c.after
         FROM unnest((SELECT $1::int8[]), (SELECT $2::bytea[]), (SELECT $3::bytea[])) AS c(id, before, after)
         WHERE t.id = c.id AND t.secret = c.before`,
        [
          identifierArray(
            'int8',
            chunk.map(({ key: [id] }) => id ?? ''),
          ),
          byteaArray(chunk.map(({ changes: [only] }) => only?.before ?? null)),
          byteaArray(chunk.map(({ changes: [only] }) => only?.after ?? null)),
        ],
      );
      if (rowCount !== chunk.length) throw new Error('The bulk UPDATE missed rows.');
    }
  } finally {
    client.release();
  }
}

async function fill(pool: pg.Pool, rows: number, to: Kek): Promise<void> {
  await pool.query('DROP TABLE IF EXISTS people');
  await pool.query('CREATE TABLE people (id int8 PRIMARY KEY, tenant text NOT NULL, secret bytea)');
  for (let start = 0; start < rows; start += FILL) {
    const sealed = Array.from({ length: Math.min(FILL, rows - start) }, (_, i) => {
      const recordId = [String(start + i + 1)];
      return seal(randomBytes(PLAINTEXT_BYTES), to, {
        tenant: TENANT,
        recordSet: RECORD_SET,
        recordId,
        field: 'secret',
      });
    });
    await pool.query(
      'INSERT INTO people SELECT $1::int8 + i, $2, v FROM unnest($3::bytea[]) WITH ORDINALITY AS c(v, i)',
      [start, TENANT, byteaArray(sealed)],
    );
  }
  await pool.query('VACUUM (ANALYZE, FREEZE) people');
  await pool.query('CHECKPOINT');
}

function rewrapped(records: readonly StoredRecord[], outcomes: readonly RewrapOutcome[]): RecordChange[] {
  return records.flatMap(({ key, tenant, values: [before] }, i) => {
    const outcome = outcomes[i];
    if (outcome?.status !== 'rewrapped' || !before) throw new Error('A rewrap failed.');
    return [{ key, tenant, changes: [{ field: 0, before, after: outcome.envelope }] }];
  });
}

function* chunks<T>(items: readonly T[]): Generator<readonly T[]> {
  for (let start = 0; start < items.length; start += CHUNK) yield items.slice(start, start + CHUNK);
}

function kek(version: number): Kek {
  return createKek({ keyId: KEY_ID, version, key: randomBytes(32) });
}

function values(records: readonly StoredRecord[]): Uint8Array[] {
  return records.map(({ values: [value] }) => value ?? new Uint8Array());
}

function assertReplaced(outcomes: readonly string[]): void {
  if (outcomes.some((outcome) => outcome !== 'replaced')) throw new Error('A replace missed rows.');
}

function median(list: readonly number[]): number {
  return [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)] ?? 0;
}
