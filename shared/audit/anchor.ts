import { z } from 'zod';
import type { Timestamp } from '../keyring/key.ts';

/** A signed statement, kept in the archive, that a tenant's chain has come so far. Who cuts the chain cannot unsay it. */
export interface Anchor {
  readonly tenant: string;
  readonly sequence: number;
  /** Of the entry with that sequence. */
  readonly hash: string;
  readonly at: Timestamp;
}

/** `typ` of its JWS. */
export const ANCHOR_TYPE = 'keyturn-audit-anchor+jws';

export const anchorSchema = z.strictObject({
  tenant: z.string(),
  sequence: z.int().min(1),
  hash: z.string(),
  at: z.iso.datetime(),
}) satisfies z.ZodType<Anchor>;
