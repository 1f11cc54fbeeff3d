import { z } from 'zod';
import { APPROVAL_ACTIONS } from '../approvals/approval.ts';
import { HOLD_REASONS } from '../keyring/key.ts';
import { type CensusResult, EXCLUSION_REASONS, JOB_GOALS, ROTATION_MODES } from '../rotation/rotation.ts';
import { DESTROYED_HOW, KEPT_AS } from './destroyed-means.ts';

/**
 * What a retirement certificate says. Ids, states, counts and times only: no key byte, no value of a record. A field is
 * never removed or changed without a new certificateVersion; docs/certificate.v1.schema.json is made from this.
 */

/** `typ` of the JWS, so that no other signed statement passes for a certificate. */
export const CERTIFICATE_TYPE = 'keyturn-retirement-certificate+jws';

const count = z.int().min(0);
const text = z.string();
const time = z.iso.datetime();

const recordCounts = z
  .strictObject({
    planned: count.describe('Records that were listed'),
    rewrapped: count.describe('Brought to the new version'),
    skipped: count.describe('Found on it already, or changed by the application in the meantime'),
    quarantined: count.describe('Set aside, with a reason'),
    remaining: count.describe('Not reported on'),
  })
  .describe('planned = rewrapped + skipped + quarantined + remaining');

const rotation = z.strictObject({
  jobId: z.uuid().describe('The job'),
  goal: z.enum(JOB_GOALS).describe('A new version, a rollback, or a sweep to the active one'),
  mode: z.enum(ROTATION_MODES).describe('Whether the data keys were wrapped anew, or made anew'),
  from: count.describe('The version that it left'),
  to: count.describe('The version that it activated; 0: none'),
  requestedBy: text.describe('Who asked for it'),
  requestedAt: time.describe('When'),
  completedAt: time.describe('When a census had found nothing left'),
  rounds: z
    .array(z.strictObject({ round: z.int().min(1).describe('From 1 on'), ...recordCounts.shape }))
    .describe('Each sweep. What one left is listed again by the next'),
  records: recordCounts.describe('All sweeps together: rewrapped and skipped of all, the rest of the last'),
});

const coverage = z
  .strictObject({
    store: text.describe('The store, as the configuration names it'),
    table: text.describe('The table'),
    columns: z.array(text).describe('Its envelope columns that were read'),
    rows: count.describe('Rows that were read'),
    values: count.describe('Values in them that are not NULL'),
    versions: z.record(text, count).describe('Envelopes of this key, by version'),
    foreign: count.describe("Envelopes of another key in the tenant's rows"),
    malformed: count.describe("Values of the tenant's rows that are no envelopes"),
    tombstones: count.describe('Values that were given up, and need no version'),
    others: count.describe("Values that are none of the key's business: other tenants', other purposes'"),
    onVersionBySearch: z
      .exactOptional(count.nullable())
      .describe(
        'Values on the version by a second count, which the search made (in PostgreSQL of the whole table in one snapshot, which a row that changes its key does not escape); null: the table was too large for it; left out: by an earlier release',
      ),
  })
  .describe('values = the sum of versions + foreign + malformed + tombstones + others');

const census = z.strictObject({
  takenAt: time.describe('When it was counted'),
  takenBy: text.describe('Who or what asked for it'),
  reach: z.enum(['tenant', 'everywhere']).describe("The tenant's rows, or every row of the tables"),
  coverage: z.record(text, coverage).describe('What was read, by record set'),
  excluded: z
    .array(
      z.strictObject({
        store: text.describe('The store'),
        table: text.describe('The table; empty: what the reason says of the whole store'),
        columns: z.array(text).describe('The columns; empty: all'),
        why: z.enum(EXCLUSION_REASONS).describe('Why it was not read'),
        more: z.exactOptional(count).describe('It stands for so many more tables, whose names are left out'),
      }),
    )
    .describe('What was not read, and why'),
  undeclared: z
    .array(
      z.strictObject({
        store: text.describe('The store'),
        table: text.describe('The table'),
        column: text.describe('The column'),
        materialized: z.boolean().describe('A copy that can be refreshed, never written'),
        envelopes: count.describe('Values that begin as an envelope does'),
        more: z.exactOptional(count).describe('It stands for so many more columns, whose names are left out'),
        ofKey: count.describe('Of them, those of this key'),
        onVersion: count.describe('Of them, those on this version'),
      }),
    )
    .nullable()
    .describe('Columns with envelopes that no record set declares; null: they were not looked for'),
  onVersion: count.describe('Values on the version'),
  stale: count.describe('Values not on the active version'),
  malformed: count.describe('Values that are no envelopes'),
  foreign: count.describe('Values of another key'),
}) satisfies z.ZodType<CensusResult>;

const approvalRequest = z.strictObject({
  requestId: text.describe(
    'SHA-256, base64url, of the canonical JSON (RFC 8785) of the nine fields that follow',
  ),
  action: z.enum(APPROVAL_ACTIONS).describe('What was to be done'),
  tenant: text.describe('The tenant'),
  purpose: text.describe('The purpose'),
  keyId: text.describe('The key'),
  version: count.describe('The version'),
  restoreEpoch: count.describe('How often a store had been restored'),
  subject: text.describe('SHA-256, base64url, of the canonical JSON of `evidence`'),
  expiresAt: time.describe('No approval of it counts from then on'),
  requestedBy: text.describe('Who asked; not among the approvers'),
  requestedAt: time.describe('When'),
  summary: text.describe('What the approvers were told'),
  evidence: z.record(text, z.unknown()).describe('What exactly was approved: the census'),
});

const approval = z.strictObject({
  approver: text.describe('By the name in the configuration'),
  breakGlass: z.boolean().describe('An approver for emergencies'),
  at: time.describe('When'),
  jws: text.describe("The approver's own signature, `typ` keyturn-approval+jws"),
});

export const certificateSchema = z
  .strictObject({
    certificateVersion: z.literal(1).describe('Of this form; higher when a field changes its meaning'),
    issuedAt: time.describe('When it was made'),
    tenant: text.min(1).describe('The tenant'),
    purpose: text.min(1).describe("Which of the tenant's keys"),
    keyId: z.uuid().describe("The key's id, as in every envelope of it"),
    version: z.int().min(1).describe('The version that was retired'),
    kept: z
      .strictObject({
        as: z.enum(KEPT_AS).describe('How the version was kept'),
        provider: text.describe('What held its root key'),
        rootKeyOf: z.enum(['STAGE', 'TENANT']).describe("Shared by tenants, or the tenant's own (BYOK)"),
        wrappings: z
          .array(
            z.strictObject({
              rootKeyId: text.describe('The full name of the root key'),
              materialId: text
                .nullable()
                .describe('Which material of it; null: it has one, or it is not told'),
            }),
          )
          .describe('What the KEK was wrapped by when it was erased'),
      })
      .describe('How the version was kept until then'),
    times: z
      .strictObject({
        createdAt: time.describe('Made, not yet in use'),
        provedAt: time.nullable().describe('Unwrapped again by a second step'),
        activatedAt: time.nullable().describe('Began to encrypt'),
        retiringAt: time.nullable().describe('Ended to encrypt'),
        censusCleanAt: time.nullable().describe('The census that ended the rotation away from it'),
        retiredAt: time.nullable().describe('That rotation was complete; the grace began'),
        graceEndedAt: time.nullable().describe('No purge before this'),
        destroyPendingAt: time
          .nullable()
          .describe('Fenced: an attempt to use it would have called the purge off'),
        destroyAuthorizedAt: time.nullable().describe('The write after which there was no way back'),
        destroyedAt: time.describe('Erased'),
      })
      .describe('The life of the version, UTC'),
    rotations: z.array(rotation).describe('The rotations that brought the records away from it'),
    purge: z
      .strictObject({
        jobId: z.uuid().describe('The job'),
        requestedBy: text.describe('Who or what asked for it'),
        requestedAt: time.describe('When'),
        attempts: z.int().min(1).describe('How often it was taken up'),
      })
      .describe('The job that destroyed it'),
    soakSeconds: count
      .nullable()
      .describe('How long it was fenced and nothing asked for it, before the destruction was authorized'),
    census: census.describe('The last census before the destruction: what was read, and what was not'),
    restoreEpoch: count.describe('How often a store had been restored; not since the purge began'),
    holds: z
      .array(
        z.strictObject({
          holdId: text.describe('Its id'),
          reason: z.enum(HOLD_REASONS).describe('A backup, a restore, or a person'),
          store: text.nullable().describe('The store; null for a person'),
          by: text.describe('Who placed it'),
          at: time.describe('When'),
          until: time.nullable().describe('When it ended; null: it was released by its restore'),
        }),
      )
      .describe('Holds on the version that had ended by then, as the ledger still knew them'),
    approvals: z
      .strictObject({
        required: count.describe('So many distinct approvers were required'),
        request: approvalRequest.nullable().describe('What they approved; null: no approval was required'),
        given: z.array(approval).describe('Their approvals'),
      })
      .describe('Who agreed'),
    destroyed: z
      .strictObject({
        how: z.enum(DESTROYED_HOW).describe('What became of it'),
        effectiveAt: time.nullable().describe('From when on nobody can bring it back; null: never'),
        statement: text.describe('The same in words'),
      })
      .describe('What "destroyed" honestly means for this version'),
  })
  .describe('A version of a key was retired and destroyed; what was counted, who agreed, and what it means');

export type Certificate = Readonly<z.output<typeof certificateSchema>>;
export type CertificateCounts = Readonly<z.output<typeof recordCounts>>;

/** One item of the ledger, create-only. */
export interface StoredCertificate {
  readonly tenant: string;
  readonly purpose: string;
  readonly keyId: string;
  readonly version: number;
  readonly issuedAt: string;
  /** Compact JWS over the certificate. */
  readonly jws: string;
}
