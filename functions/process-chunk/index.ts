import { z } from 'zod';
import type { Deps } from '../../shared/deps/deps.ts';
import { KeyturnError } from '../../shared/errors/errors.ts';
import type { ChunkCounts } from '../../shared/ledger/ledger.ts';
import { readBody } from '../../shared/queue/message-body.ts';
import {
  type ChunkOutcome,
  createJobCache,
  type JobCache,
  processChunk,
  reportOutcomes,
} from '../../shared/rotation/process-chunk.ts';
import { type CreateHandler, lambda } from '../lambda.ts';

const sqsEvent = z.object({ Records: z.array(z.object({ messageId: z.string(), body: z.string() })) });

/** D/lambda/latest/dg/services-sqs-errorhandling.html: only the named messages become visible again. */
export interface BatchResponse {
  readonly batchItemFailures: { readonly itemIdentifier: string }[];
}

/** Chunks in work at one time: while some are being written, others are read and rewrapped. */
const LANES = 4;

interface Done {
  readonly messageId: string;
  readonly outcome: ChunkOutcome | null;
}

export const create: CreateHandler<BatchResponse> = (deps) => {
  const jobs = createJobCache(deps);
  return async (event) => {
    const { Records } = sqsEvent.parse(event);
    const failed: string[] = [];
    const done: Done[] = [];
    const waiting = Records.values();
    const lane = async () => {
      for (const { messageId, body } of waiting) {
        const outcome = await attempt(deps, 'process', () => work(deps, jobs, body));
        if (outcome === FAILED) failed.push(messageId);
        else done.push({ messageId, outcome });
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    failed.push(...(await report(deps, done)));
    deps.metrics.add('ChunksFailed', failed.length);
    return { batchItemFailures: failed.map((itemIdentifier) => ({ itemIdentifier })) };
  };
};
export const needs = [
  'ledger',
  'provider:unwrap',
  'provider:inspect',
  'stores:read',
  'stores:write',
] as const;
export const handler = lambda(create, needs);

async function work(deps: Deps, jobs: JobCache, body: string): Promise<ChunkOutcome | null> {
  const onForged = () => deps.metrics.add('StateForged', 1);
  return patiently(deps, async () => processChunk(deps, await readBody(deps.state, body, onForged), jobs));
}

/** Counts what was done, page by page. A chunk that could not be counted is delivered, and done, again. */
async function report(deps: Deps, done: readonly Done[]): Promise<string[]> {
  const failed: string[] = [];
  const pages = Map.groupBy(done, ({ outcome }) => (outcome === null ? '' : JSON.stringify(outcome.page)));
  for (const chunks of pages.values()) {
    const outcomes = chunks.flatMap(({ outcome }) => outcome ?? []);
    const reported = await attempt(deps, 'report', () =>
      patiently(deps, () => reportOutcomes(deps, outcomes)),
    );
    if (reported === FAILED) failed.push(...chunks.map(({ messageId }) => messageId));
    else measure(deps, outcomes);
  }
  return failed;
}

function measure({ metrics }: Deps, outcomes: readonly ChunkOutcome[]): void {
  const sum = (part: keyof ChunkCounts) =>
    outcomes.reduce((total, { report: { counts } }) => total + counts[part], 0);
  metrics.add('RecordsRewrapped', sum('rewrapped'));
  metrics.add('RecordsSkipped', sum('skipped'));
  metrics.add('RecordsQuarantined', sum('quarantined'));
}

/** A passing fault is waited out within the call: a message that goes back is invisible for minutes. */
const PAUSES_MS = [200, 1_000, 3_000];

async function patiently<T>(deps: Deps, run: () => Promise<T>): Promise<T> {
  for (const pause of PAUSES_MS) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof KeyturnError && error.retryable)) throw error;
    }
    await deps.clock.sleep(pause);
  }
  return run();
}

const FAILED = Symbol('failed');

/** FAILED: the message is delivered again, and goes to the dead-letter queue in the end. */
async function attempt<T>(deps: Deps, part: string, run: () => Promise<T>): Promise<T | typeof FAILED> {
  try {
    return await run();
  } catch (error) {
    const code = error instanceof KeyturnError ? error.code : error instanceof Error ? error.name : 'UNKNOWN';
    deps.log.error('chunk failed', { code, step: `process-chunk: ${part}` });
    return FAILED;
  }
}
