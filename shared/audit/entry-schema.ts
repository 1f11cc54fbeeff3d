import { z } from 'zod';
import type { AuditEntry } from './entry.ts';

/** What an event and an entry must look like when they are read, from the ledger or from the archive. */

const text = z.string();

export const auditEventShape = {
  eventId: text,
  at: z.iso.datetime(),
  actor: text,
  type: text,
  detail: z.record(
    text,
    z.union([text, z.number(), z.boolean(), z.null(), z.array(text), z.array(z.number())]),
  ),
};

export const auditEntrySchema = z.strictObject({
  tenant: text,
  sequence: z.int().min(1),
  ...auditEventShape,
  previous: text.nullable(),
  hash: text,
}) satisfies z.ZodType<AuditEntry>;
