import { z } from 'zod';

/** What the audit is told of an event: by which name it can be found in CloudTrail. Nothing in it is believed. */

const short = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[\w .:/-]+$/);
const eventSchema = z.object({
  id: short,
  'detail-type': short.catch('unknown'),
  detail: z.object({ eventName: short.optional() }).catch({}),
});

export interface EventSummary {
  readonly id: string;
  /** `DisableKey`, `KMS Imported Key Material Expiration`. */
  readonly name: string;
}

/** null: it has no id, so it is not told twice from once. */
export function summarize(event: unknown): EventSummary | null {
  const { data } = eventSchema.safeParse(event);
  return data === undefined ? null : { id: data.id, name: data.detail.eventName ?? data['detail-type'] };
}
