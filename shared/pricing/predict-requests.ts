import type { PriceName } from './public-prices.ts';

/**
 * What a rotation will ask of each service, by the number of its records. The figures of a chunk, a page and a rotation are
 * counted ones (scripts/bench/requests.ts); a test rotates and compares. Pure.
 */

export interface RecordSetLoad {
  readonly recordSet: string;
  readonly type: 'postgres' | 'dynamodb';
  /** Rows that the census reads. */
  readonly rows: number;
  /** Records with a value to rewrap. */
  readonly records: number;
  /** Parts that are swept side by side. */
  readonly segments: number;
}

export interface PredictionSettings {
  readonly chunkSize: number;
  /** Messages that one call of a worker takes. */
  readonly messagesPerCall: number;
  /** Worker processes at one time, at most. */
  readonly workers: number;
  /** How long the sweep will take; null: nobody knows. What waits for it looks now and then. */
  readonly sweepSeconds: number | null;
}

export interface PredictedRequests {
  readonly chunks: number;
  readonly sqs: {
    readonly sendBatches: number;
    readonly messages: number;
    readonly receivesAndDeletes: number;
  };
  readonly ledger: { readonly writes: number; readonly reads: number };
  readonly kms: { readonly generate: number; readonly decrypt: number };
  readonly stepFunctions: { readonly executions: number; readonly transitions: number };
  readonly lambda: { readonly calls: number; readonly gbSeconds: number };
  readonly events: number;
  readonly postgres: { readonly rowsUpdated: number; readonly statements: number };
  readonly dynamodb: {
    readonly queriesAndScans: number;
    readonly batchGets: number;
    readonly updates: number;
    readonly readUnits: number;
    readonly writeUnits: number;
  };
  readonly waitingLooks: number;
}

/** A page of a sweep's plan, and so a batch of messages. */
const CHUNKS_A_PAGE = 10;
/** Writes to the ledger of a rotation without any record: key, job, their audit entries, the round. */
const LEDGER_WRITES = 26;
const LEDGER_WRITES_A_PAGE = 2;
const LEDGER_READS = 50;
const LEDGER_READS_A_CALL = 3;
const LEDGER_READS_A_SEGMENT = 5;
/** A look at a sweep that goes on: four times within one call, and the job. */
const LEDGER_READS_A_LOOK = 13;
/** States that a rotation of one round enters besides those of its segments, with one wait for the barrier. */
const TRANSITIONS = 18;
const TRANSITIONS_A_SEGMENT = 4;
const TRANSITIONS_A_LOOK = 3;
/** Functions that the state machine calls, besides those of its segments. */
const STEP_CALLS = 9;
const STEP_CALLS_A_SEGMENT = 2;
/** Of the functions that only decide. */
const STEP_GB_SECONDS = 0.5 * 0.25;
/** A worker of 1,769 MB, seconds a record: docs/cost-and-scale.md. */
const WORKER_GB = 1769 / 1024;
const WORKER_SECONDS = { postgres: 25 / 1_000_000, dynamodb: 850 / 1_000_000 } as const;
/** Items of DynamoDB whose size nobody told: docs/decisions/0017. */
export const ASSUMED_ITEM_BYTES = 560;
const SCAN_BYTES = 1024 * 1024;
const KEYS_A_BATCH_GET = 100;

export function predictRequests(
  loads: readonly RecordSetLoad[],
  settings: PredictionSettings,
): PredictedRequests {
  const parts = loads.map((load) => ({ load, ...sweepOf(load, settings.chunkSize) }));
  const sum = (pick: (part: (typeof parts)[number]) => number) =>
    parts.reduce((total, part) => total + pick(part), 0);
  const chunks = sum((part) => part.chunks);
  const pages = sum((part) => part.pages);
  const segments = sum(({ load }) => load.segments);
  const calls = Math.ceil(chunks / settings.messagesPerCall);
  const looks = waitingLooks(settings);
  const steps = STEP_CALLS + STEP_CALLS_A_SEGMENT * segments + looks;
  const of = (type: RecordSetLoad['type']) => parts.filter(({ load }) => load.type === type);
  const total = (type: RecordSetLoad['type'], pick: (part: (typeof parts)[number]) => number) =>
    of(type).reduce((all, part) => all + pick(part), 0);
  const workerSeconds =
    total('postgres', ({ load }) => load.records) * WORKER_SECONDS.postgres +
    total('dynamodb', ({ load }) => load.records) * WORKER_SECONDS.dynamodb;
  return {
    chunks,
    sqs: { sendBatches: pages, messages: chunks, receivesAndDeletes: 2 * calls },
    ledger: {
      writes: LEDGER_WRITES + segments + LEDGER_WRITES_A_PAGE * pages + calls,
      reads:
        LEDGER_READS +
        LEDGER_READS_A_CALL * calls +
        LEDGER_READS_A_SEGMENT * segments +
        LEDGER_READS_A_LOOK * looks,
    },
    kms: { generate: 1, decrypt: 1 + 2 * Math.max(1, Math.min(settings.workers, calls)) },
    stepFunctions: {
      executions: 1,
      transitions: TRANSITIONS + TRANSITIONS_A_SEGMENT * segments + TRANSITIONS_A_LOOK * looks,
    },
    lambda: { calls: steps + calls, gbSeconds: steps * STEP_GB_SECONDS + workerSeconds * WORKER_GB },
    events: 1,
    postgres: {
      rowsUpdated: total('postgres', ({ load }) => load.records),
      // Listing, reading and writing of chunks, and the census.
      statements: total('postgres', (part) => part.pages + 2 * part.chunks + 4 * part.load.segments),
    },
    dynamodb: {
      queriesAndScans: total('dynamodb', ({ load }) => 2 * Math.max(load.segments, scanPages(load.rows))),
      batchGets: total('dynamodb', (part) => part.batchGets),
      updates: total('dynamodb', ({ load }) => load.records),
      readUnits: total('dynamodb', ({ load }) => readUnits(load)),
      writeUnits: total('dynamodb', ({ load }) => load.records * Math.ceil(ASSUMED_ITEM_BYTES / 1024)),
    },
    waitingLooks: looks,
  };
}

/** Records share out to the segments, and each segment is cut into chunks and pages by itself. */
function sweepOf({ records, segments }: RecordSetLoad, chunkSize: number) {
  const sizes = Array.from(
    { length: segments },
    (_, i) => Math.floor((records * (i + 1)) / segments) - Math.floor((records * i) / segments),
  );
  const chunksOf = sizes.map((size) => Math.ceil(size / chunkSize));
  const whole = (chunks: number, size: number) =>
    Math.max(0, chunks - 1) * Math.ceil(chunkSize / KEYS_A_BATCH_GET) +
    Math.ceil((size - Math.max(0, chunks - 1) * chunkSize) / KEYS_A_BATCH_GET);
  return {
    chunks: chunksOf.reduce((a, b) => a + b, 0),
    // The last page of a segment may be empty: it says that the segment is listed to its end.
    pages: chunksOf.reduce((total, chunks) => total + Math.max(1, Math.ceil(chunks / CHUNKS_A_PAGE)), 0),
    batchGets: chunksOf.reduce((total, chunks, i) => total + whole(chunks, sizes[i] ?? 0), 0),
  };
}

function scanPages(rows: number): number {
  return Math.ceil((rows * ASSUMED_ITEM_BYTES) / SCAN_BYTES);
}

/** Listing, eventually consistent; reading, one unit a record; counting, strongly consistent. */
function readUnits({ rows, records }: RecordSetLoad): number {
  const bytes = rows * ASSUMED_ITEM_BYTES;
  return Math.ceil(bytes / 8192) + records + Math.ceil(bytes / 4096);
}

/** As check-sweep waits: a twentieth of the time so far, at least 1 s and at most 5 minutes. */
function waitingLooks({ sweepSeconds }: PredictionSettings): number {
  let looks = 0;
  for (let at = 0; at < (sweepSeconds ?? 0); looks++) {
    at += Math.min(300, Math.max(1, Math.round(at * 0.05)));
  }
  return looks;
}

/** What it is billed by. */
export function billedUnits(requests: PredictedRequests): Readonly<Partial<Record<PriceName, number>>> {
  const { sqs, ledger, kms, stepFunctions, lambda, dynamodb } = requests;
  return {
    'sqs-request': sqs.sendBatches + sqs.receivesAndDeletes,
    // Items of the ledger have some kilobytes: a few units a write.
    'dynamodb-write-unit': dynamodb.writeUnits + 3 * ledger.writes,
    'dynamodb-read-unit': dynamodb.readUnits + 2 * ledger.reads,
    'step-functions-transition': stepFunctions.transitions,
    'kms-request': kms.generate + kms.decrypt,
    'lambda-request': lambda.calls,
    'lambda-gb-second': lambda.gbSeconds,
  };
}
