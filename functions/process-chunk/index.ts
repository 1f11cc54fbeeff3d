import { z } from 'zod';
import type { Deps } from '../../shared/deps/deps.ts';
import { KeyturnError } from '../../shared/errors/errors.ts';
import { type ChunkMessage, chunkMessageSchema } from '../../shared/queue/work-queue.ts';
import { createJobCache, type JobCache, processChunk } from '../../shared/rotation/process-chunk.ts';
import { type CreateHandler, lambda } from '../lambda.ts';

const sqsEvent = z.object({ Records: z.array(z.object({ messageId: z.string(), body: z.string() })) });

/** D/lambda/latest/dg/services-sqs-errorhandling.html: only the named messages become visible again. */
export interface BatchResponse {
  readonly batchItemFailures: { readonly itemIdentifier: string }[];
}

/** Chunks in work at one time: one is read and rewrapped while the other is being written. */
const LANES = 2;

export const create: CreateHandler<BatchResponse> = (deps) => {
  const jobs = createJobCache(deps);
  return async (event) => {
    const { Records } = sqsEvent.parse(event);
    const failures: { itemIdentifier: string }[] = [];
    const waiting = Records.values();
    const lane = async () => {
      for (const { messageId, body } of waiting) {
        if (!(await work(deps, jobs, body))) failures.push({ itemIdentifier: messageId });
      }
    };
    await Promise.all(Array.from({ length: LANES }, lane));
    return { batchItemFailures: failures };
  };
};
export const handler = lambda(create);

/** A passing fault is waited out within the call: a message that goes back is invisible for minutes. */
const PAUSES_MS = [200, 1_000, 3_000];

async function processPatiently(deps: Deps, jobs: JobCache, message: ChunkMessage): Promise<void> {
  for (const pause of PAUSES_MS) {
    try {
      return await processChunk(deps, message, jobs);
    } catch (error) {
      if (!(error instanceof KeyturnError && error.retryable)) throw error;
    }
    await deps.clock.sleep(pause);
  }
  await processChunk(deps, message, jobs);
}

/** False: the message is delivered again, and goes to the dead-letter queue in the end. */
async function work(deps: Deps, jobs: JobCache, body: string): Promise<boolean> {
  let jobId: string | undefined;
  try {
    const message = chunkMessageSchema.parse(JSON.parse(body));
    jobId = message.jobId;
    await processPatiently(deps, jobs, message);
    return true;
  } catch (error) {
    const code = error instanceof KeyturnError ? error.code : error instanceof Error ? error.name : 'UNKNOWN';
    deps.log.error('chunk failed', { ...(jobId !== undefined && { jobId }), code, step: 'process-chunk' });
    return false;
  }
}
