import { z } from 'zod';

/** The port to the queue of chunks. Delivery is at least once, in any order; a worker repeats nothing harmful. */

/** A chunk of a planned page. Ids, cursors and record keys only: nothing of what the records hold. */
export const chunkMessageSchema = z.strictObject({
  v: z.literal(1),
  jobId: z.uuid(),
  tenant: z.string().min(1),
  recordSet: z.string().min(1),
  /** Where it is counted; null for a retry of quarantined records, which is not counted. */
  progress: z
    .strictObject({
      round: z.int().min(1),
      segment: z.int().min(0),
      page: z.int().min(0),
      chunk: z.int().min(0),
      /** Records that the plan has for this chunk; the message may hold fewer. */
      planned: z.int().min(0),
    })
    .nullable(),
  keys: z.array(z.array(z.string()).min(1).max(8)).max(1000),
});

export type ChunkMessage = z.infer<typeof chunkMessageSchema>;

export interface WorkQueue {
  /** Sends them all or throws QUEUE_UNAVAILABLE, or a LedgerError of the state key; some may then have been sent. */
  send(messages: readonly ChunkMessage[]): Promise<void>;
}
