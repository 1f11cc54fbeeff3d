import { z } from 'zod';
import { BLOCKER_CODES } from '../rotation/rotation.ts';

/**
 * What Keyturn publishes when a job ends, by detail-type. Ids, versions and times only: no value, no name of a person.
 * A field is never removed or changed without a new schemaVersion; docs/events/ has the JSON Schemas.
 */

const about = {
  schemaVersion: z.literal(1).describe('Of this detail-type; higher when a field changes its meaning'),
  tenant: z.string().min(1).describe('The tenant, as the ledger names it'),
  purpose: z.string().min(1).describe("Which of the tenant's keys"),
  keyId: z.uuid().describe("The key's id, as in every envelope of it"),
  jobId: z.uuid().describe('The job, as `keyturn status` shows it'),
};
const version = z.int().min(1);
const time = z.iso.datetime();
const blocked = {
  attempt: z.int().min(1).describe('Executions that the job has had'),
  blocker: z.enum(BLOCKER_CODES).describe('Why it stopped; `keyturn status` shows the rest'),
  blockedAt: time.describe('When it stopped'),
};

export const PUBLISHED_EVENTS = {
  KeyRotationCompleted: z
    .object({
      ...about,
      from: version.describe('The version that no record needs any more; decrypts on until its purge'),
      to: version.describe('The active version when the rotation ended'),
      completedAt: time.describe('When the census had proved it'),
      purgeNotBefore: time.describe('End of the grace of the version that was left'),
    })
    .describe('A rotation ended: a census found no record on the old version'),
  KeyRotationBlocked: z
    .object({ ...about, from: version.describe('The version that the rotation leaves'), ...blocked })
    .describe('A rotation stopped with a named blocker; a repeated request takes it up again'),
  KeyVersionPurged: z
    .object({
      ...about,
      version: version.describe('The version that is destroyed'),
      completedAt: time.describe('When the purge ended'),
    })
    .describe('A version was destroyed, as far as SECURITY.md says'),
  KeyVersionPurgeBlocked: z
    .object({ ...about, version: version.describe('The version that stays'), ...blocked })
    .describe('A purge stopped with a named blocker and destroyed nothing'),
} as const satisfies Record<string, z.ZodObject>;

export type PublishedEventType = keyof typeof PUBLISHED_EVENTS;

/** One of them with its detail. */
export type KeyturnEvent = {
  readonly [Type in PublishedEventType]: {
    readonly detailType: Type;
    readonly detail: Readonly<z.infer<(typeof PUBLISHED_EVENTS)[Type]>>;
  };
}[PublishedEventType];
