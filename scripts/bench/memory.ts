import { pathToFileURL } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { create as createWorker } from '../../functions/process-chunk/index.ts';
import type { Deps } from '../../shared/deps/deps.ts';
import { writeBody } from '../../shared/queue/message-body.ts';
import { createPostgresPool } from '../../shared/records/postgres/pool.ts';
import type { AdoptableStore, FramedRecord, RecordKey } from '../../shared/records/record-store.ts';
import { createKey } from '../../shared/rotation/create-key.ts';
import type { Job } from '../../shared/rotation/rotation.ts';
import { createRequestCounter } from './count-requests.ts';
import type { BenchFigure } from './figure.ts';
import { COUNTED_SETS, postgresRecords } from './request-records.ts';
import { rotateToEnd, startCountedStack } from './requests.ts';

/**
 * Target 6: what a worker keeps of the records that it has worked on: nothing. One worker goes through up to 10 M of
 * them, on records that were read once and are never written, so that the store does not set the pace.
 */

const RECORD_SET = 'people';
const TENANT = 'bench-memory';
const CHUNK = 500;
/** Messages that a worker gets at one time. */
const BATCH = 10;
const MEGABYTE = 2 ** 20;
/** A byte kept of each of 10 M records would be more. */
const MOST_GROWTH_MB = 5;

export async function benchMemory(options: { readonly short: boolean }): Promise<BenchFigure[]> {
  const sizes = options.short ? [10_000, 100_000] : [10_000, 100_000, 1_000_000, 10_000_000];
  const stack = await startCountedStack(createRequestCounter());
  try {
    const { deps } = stack;
    const keys = await fill(deps, stack.postgres?.url('bench') ?? '');
    const old = await deps.recordSets.store(RECORD_SET).readFrames(keys);
    const job = await rotateToEnd(deps, TENANT, COUNTED_SETS.people.purpose);
    let rewrapped = 0;
    const count = (records: number) => {
      rewrapped += records;
    };
    const work = createWorker({ ...deps, ...withoutWrites(deps, old, count) });
    // Everything that is kept once is there before the first look.
    for (let i = 0; i < 20; i++) await work(await sqsEvent(deps, job, keys), CONTEXT);
    rewrapped = 0;
    const figures: BenchFigure[] = [];
    let first: number | null = null;
    for (const size of sizes) {
      while (rewrapped < size) {
        const before = rewrapped;
        await work(await sqsEvent(deps, job, keys), CONTEXT);
        if (rewrapped !== before + BATCH * CHUNK) throw new Error('The worker left records as they were');
      }
      const heap = heapAfterCollection();
      first ??= heap;
      figures.push(heapFigure(size, heap, heap - first));
    }
    return figures;
  } finally {
    await stack.stop();
  }
}

function heapFigure(records: number, heap: number, growth: number): BenchFigure {
  const name = `worker's heap after ${records.toLocaleString('en-US')} records`;
  const value = Math.round(heap * 10) / 10;
  if (growth === 0) return { target: 6, name, value, unit: 'MB' };
  return {
    ...{ target: 6, name: `${name}: growth`, value: Math.round(growth * 10) / 10, unit: 'MB', counted: true },
    ...{ atMost: MOST_GROWTH_MB, met: growth <= MOST_GROWTH_MB },
  };
}

async function fill(deps: Deps, url: string): Promise<RecordKey[]> {
  const { purpose } = COUNTED_SETS.people;
  const pool = createPostgresPool({ tls: 'off', maxConnections: 1 }, url, { store: 'bench' });
  await createKey(deps, TENANT, purpose);
  await postgresRecords(pool).fill(TENANT, CHUNK, await deps.keyring.active(TENANT, purpose));
  await pool.end();
  return Array.from({ length: CHUNK }, (_, i) => [String(i)]);
}

/** The records are always as they were before the rotation; what was done with them is not counted. */
function withoutWrites(
  deps: Deps,
  old: readonly (FramedRecord | null)[],
  count: (records: number) => void,
): Pick<Deps, 'recordSets' | 'ledger'> {
  const store: AdoptableStore = {
    ...deps.recordSets.store(RECORD_SET),
    readFrames: async () => old,
    replaceFrames: async (changes) => {
      count(changes.length);
      return changes.map(() => 'replaced');
    },
  };
  return {
    recordSets: { ...deps.recordSets, store: () => store },
    ledger: { ...deps.ledger, reportChunks: async () => [] },
  };
}

const CONTEXT = { getRemainingTimeInMillis: () => 60_000 };

/** A full batch, each message of a page of its own. */
let page = 0;
async function sqsEvent({ state }: Deps, { jobId }: Job, keys: readonly RecordKey[]): Promise<object> {
  const Records: object[] = [];
  for (let i = 0; i < BATCH; i++) {
    const progress = { round: 1, segment: 0, page: page++, chunk: 0, planned: CHUNK };
    const message = {
      v: 1 as const,
      jobId,
      tenant: TENANT,
      recordSet: RECORD_SET,
      keys: keys.map((key) => [...key]),
      progress,
    };
    Records.push({ messageId: String(i), body: await writeBody(state, message) });
  }
  return { Records };
}

/** MB. */
function heapAfterCollection(): number {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  collect();
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return (heapUsed + arrayBuffers) / MEGABYTE;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  console.table(await benchMemory({ short: process.argv.includes('--short') }));
}
