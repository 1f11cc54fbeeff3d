import { z } from 'zod';
import { stackInfoSchema } from '../../local/stack-info.ts';

/** What chaos and the stack's process say to each other. */

/** File in the stack's folder with the moment at which it was last ordered to die. */
export const LAST_MOMENT = 'last-moment';

export const orderSchema = z.discriminatedUnion('do', [
  z.object({
    do: z.literal('queue'),
    faults: z.object({ doubled: z.number(), delayed: z.number(), longestSeconds: z.number() }),
  }),
  /** That share of the connections to the stack's servers. */
  z.object({ do: z.literal('cut'), share: z.number() }),
  z.object({ do: z.literal('start postgres') }),
  /** By SIGKILL, at the so manieth moment from now; see moments.ts. */
  z.object({ do: z.literal('die'), moments: z.number() }),
]);
export type Order = z.infer<typeof orderSchema>;

const counts = z.object({ doubled: z.number(), delayed: z.number(), reordered: z.number() });

export const stackNewsSchema = z.discriminatedUnion('type', [
  z.object({ type: z.literal('ready'), info: stackInfoSchema, postgresPid: z.number().nullable() }),
  z.object({ type: z.literal('done'), count: z.number(), postgresPid: z.number().nullable() }),
  z.object({ type: z.literal('queue'), counts }),
  /** A worker, between its read and its write. */
  z.object({ type: z.literal('held') }),
]);
export type StackNews = z.infer<typeof stackNewsSchema>;
