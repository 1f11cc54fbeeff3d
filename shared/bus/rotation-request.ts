import { z } from 'zod';
import { ROTATION_MODES } from '../rotation/rotation.ts';

/**
 * What an application puts on the custom bus to have a key rotated. Strict: a misspelt field is refused, so that no
 * wish is overlooked in silence.
 */

export const ROTATION_REQUESTED = 'TenantKeyRotationRequested';

/** An id or a word: no blank, no @, so that neither an address nor a name fits by mistake. */
const id = (longest: number) =>
  z
    .string()
    .max(longest)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._:/-]*$/);

export const rotationRequestSchema = z
  .strictObject({
    schemaVersion: z.literal(1).describe('Version of this schema: 1'),
    tenant: z.string().min(1).max(256).describe('The tenant whose key is to be rotated'),
    purpose: z.string().min(1).max(128).default('default').describe("Which of the tenant's keys"),
    mode: z
      .enum(ROTATION_MODES)
      .optional()
      .describe('rewrap or re-encrypt; left out: rotation.mode of the configuration'),
    reason: id(64).optional().describe('Why, as a word of your own: suspected-leak, offboarding'),
    requestId: id(128).describe('Names the request in the audit; the same when it is sent again'),
    requestedBy: id(128).describe('Who asks, as an id of your system; never a name or an e-mail address'),
  })
  .describe('Asks for a rotation of one key; while one runs, the answer is the running one');

/** The part of an EventBridge event that is used. D/eventbridge/latest/ref/overiew-event-structure.html */
export const rotationRequestEventSchema = z.object({
  'detail-type': z.literal(ROTATION_REQUESTED),
  source: z.string().min(1),
  /** When it was sent. */
  time: z.iso.datetime(),
  detail: rotationRequestSchema,
});
export type RotationRequestEvent = z.infer<typeof rotationRequestEventSchema>;
