import { z } from 'zod';
import { STATE_CONTEXT } from '../ledger/authentication/state-context.ts';
import { KMS_KEY_ARN } from '../providers/aws-kms/key-arn.ts';
import { deploymentSchema } from './deployment.ts';
import { approvalsSchema, auditSchema, signingSchema } from './people.ts';
import { dynamodbProblems, postgresProblems } from './record-set-rules.ts';

/**
 * The one configuration file: what is stored where, and by which rules keys rotate. The JSON Schema that editors
 * use (docs/keyturn.schema.json) is generated from this.
 */

const DAY = 86_400;
/** SQS keeps a message at most 14 days, and as long again after a redrive. */
const SQS_RETENTION_AND_REDRIVE = 28 * DAY;

const name = z
  .string()
  .regex(/^[a-z][a-z0-9_-]{0,62}$/, 'use 1 to 63 of a-z, 0-9, _ and -, beginning with a letter');

/** The state key is never under a customer's key. */
const tenantName = z
  .string()
  .min(1)
  .max(256)
  .refine((tenant) => tenant !== STATE_CONTEXT.tenant, 'is a name that Keyturn keeps for itself');

const identifier = z.string().min(1).max(63);

/** A column of PostgreSQL (at most 63 characters) or an attribute of DynamoDB. */
const columnName = z.string().min(1).max(255);

const environmentVariable = z
  .string()
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is not a name of an environment variable');

/** NIST-style sensitivity of what a field holds. It selects nothing by itself; it is shown and reported. */
export const SENSITIVITIES = ['low', 'moderate', 'high'] as const;

const backupRetentionSeconds = z
  .int()
  .min(0)
  .max(3650 * DAY)
  .describe(
    "How long this store's oldest backup is kept, counted from when it began: tools count from its end, so add the time that taking one lasts. Left out: rotation.backupRetentionSeconds",
  )
  .optional();

export const postgresStoreSchema = z.strictObject({
  type: z.literal('postgres').describe('PostgreSQL 13 or later'),
  backupRetentionSeconds,
  /** Name of the environment variable that holds a postgres:// URL. Never the URL itself: it holds a password. */
  urlFrom: environmentVariable
    .describe(
      'Name of the environment variable with the postgres:// URL; a password never stands in this file',
    )
    .optional(),
  /** With RDS: the secret that it manages, and rotates. */
  secret: z
    .string()
    .min(1)
    .max(2048)
    .describe(
      'ARN or name of the Secrets Manager secret with user and password, as RDS writes it; read again for new connections, so it may rotate',
    )
    .optional(),
  host: z
    .string()
    .min(1)
    .max(255)
    .describe("With secret: the server's host, if the secret does not name it")
    .optional(),
  port: z
    .int()
    .min(1)
    .max(65_535)
    .describe("With secret: the server's port, if the secret does not name it; 5432 if neither does")
    .optional(),
  database: identifier.describe('With secret: the database, if the secret does not name it').optional(),
  /** The PostgreSQL of the embedded stack, and the database in it. */
  embedded: identifier.describe("Name of a database in the embedded stack's PostgreSQL").optional(),
  tls: z
    .union([
      z.enum(['verify-full', 'off']),
      z.strictObject({
        ca: z.string().min(1).describe('Path of a PEM file with the certificate authorities'),
      }),
    ])
    .default('verify-full')
    .describe(
      'How the server is authenticated. "off" is for a server on this machine only; an embedded one needs nothing here',
    ),
  maxConnections: z
    .int()
    .min(1)
    .max(100)
    .default(8)
    .describe('Largest number of connections a process opens'),
});

export const dynamodbStoreSchema = z.strictObject({
  type: z.literal('dynamodb').describe('Amazon DynamoDB'),
  backupRetentionSeconds,
  region: z
    .string()
    .regex(/^[a-z]{2}(-[a-z]+)+-[0-9]+$/, 'is not a name of an AWS region')
    .describe("Region of the tables. Left out: the environment's, AWS_REGION")
    .optional(),
  requestsInFlight: z
    .int()
    .min(1)
    .max(500)
    .default(32)
    .describe('Most requests that a process has in flight at one time: each record is written by its own'),
});

export const storeSchema = z.discriminatedUnion('type', [postgresStoreSchema, dynamodbStoreSchema]);

const tenantSource = z.union([
  z
    .strictObject({ column: columnName.describe('Column or attribute with the tenant of each row') })
    .describe('The column that says whose row it is'),
  z
    .strictObject({ fixed: z.string().min(1).max(256).describe('The one tenant of every row') })
    .describe('Every row belongs to this tenant'),
]);

export const fieldSchema = z.strictObject({
  name: name.describe('Bound into every envelope: renaming it makes the stored envelopes unreadable'),
  column: columnName.describe(
    'Column (PostgreSQL) or attribute (DynamoDB) with the envelope: bytea or binary, or text or string (base64url)',
  ),
  plaintextColumn: columnName
    .describe('For `keyturn adopt`, on PostgreSQL: the plaintext column it takes over')
    .optional(),
  sensitivity: z
    .enum(SENSITIVITIES)
    .default('high')
    .describe('How much its disclosure would harm. It is shown and reported; it selects nothing'),
});

export const recordSetSchema = z.strictObject({
  store: name.describe('One of the stores'),
  table: z
    .string()
    .min(1)
    .max(255)
    .describe('The table as the database spells it, without quotes; on PostgreSQL also schema.table'),
  key: z
    .array(columnName)
    .min(1)
    .max(8)
    .describe(
      'Columns that identify one row, in order. On DynamoDB the partition key and, where there is one, the sort key',
    ),
  tenant: tenantSource,
  index: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{3,255}$/, 'is no name of a DynamoDB index')
    .describe(
      "DynamoDB: a global secondary index (keys only) whose partition key is the tenant attribute, so that a tenant's sweep lists its own records",
    )
    .optional(),
  purpose: name.default('default').describe("Which of the tenant's keys encrypts these fields"),
  fields: z
    .array(fieldSchema)
    .min(1)
    .max(64)
    .superRefine((fields, ctx) => {
      for (const part of ['name', 'column'] as const) {
        const seen = new Set<string>();
        for (const [i, field] of fields.entries()) {
          if (seen.has(field[part])) {
            ctx.addIssue({ code: 'custom', path: [i, part], message: `"${field[part]}" stands twice` });
          }
          seen.add(field[part]);
        }
      }
    }),
});

export const rotationSchema = z
  .strictObject({
    everyDays: z
      .int()
      .min(1)
      .max(3650)
      .nullable()
      .default(90)
      .describe(
        'Oldest that an active version may get: the daily sweep rotates a key before (of 1 or 2 days, some hours late). null: only on request',
      ),
    spreadDays: z
      .int()
      .min(0)
      .max(365)
      .default(7)
      .describe(
        'Keys become due spread over so many days before everyDays, each on a day of its own by its id, so that many do not rotate at once',
      ),
    mode: z
      .enum(['rewrap', 're-encrypt'])
      .default('rewrap')
      .describe('rewrap: the data key is wrapped anew, the ciphertext stays. re-encrypt: a new data key'),

    chunkSize: z.int().min(1).max(1000).default(512).describe('Records in one message of the queue'),
    segments: z.int().min(1).max(40).default(4).describe('Parts of a record set that are swept side by side'),
    maxRounds: z
      .int()
      .min(1)
      .max(20)
      .default(5)
      .describe('Sweeps before a rotation stops with a named blocker'),
    cacheMaxAgeSeconds: z
      .int()
      .min(1)
      .max(DAY)
      .default(300)
      .describe('Longest time an application caches a key'),
    cacheMaxUses: z
      .int()
      .min(1)
      .max(2 ** 32)
      .default(1_000_000)
      .describe('Most values an application seals before it reads the key again'),
    cacheCeilingSeconds: z
      .int()
      .min(1)
      .max(7 * DAY)
      .default(3600)
      .describe(
        'In an outage of ledger or KMS, how long cached keys go on opening values; while the ledger is out of reach nothing is sealed after cacheMaxAgeSeconds',
      ),
    clockSkewSeconds: z
      .int()
      .min(0)
      .max(DAY)
      .default(60)
      .describe('Largest difference between the clocks of all machines'),
    maxTransactionSeconds: z
      .int()
      .min(1)
      .max(DAY)
      .default(60)
      .describe('Longest time between sealing a value and the start of the write that stores it'),
    backupRetentionSeconds: z
      .int()
      .min(0)
      .max(3650 * DAY)
      .default(35 * DAY)
      .describe(
        'How long the oldest backup of a store is kept, where the store says nothing itself; counted from when it began: tools count from its end, so add the time that taking one lasts. Until then no version is destroyed that a backup contains',
      ),
    graceSeconds: z
      .int()
      .min(0)
      .max(3650 * DAY)
      .default(35 * DAY)
      .describe('Decrypt-only time before a purge'),
    soakSeconds: z
      .int()
      .min(0)
      .max(365 * DAY)
      .default(7 * DAY)
      .describe(
        'Rehearsal of a purge: how long the version is fenced before it is destroyed. Whatever asks for it meanwhile is served, raises an alarm and cancels the purge',
      ),
    recordsPerSecond: z
      .int()
      .min(1)
      .max(1_000_000)
      .nullable()
      .default(null)
      .describe(
        'Most records that a rotation works on a second; null: no limit. `keyturn limit` changes a running one',
      ),
    acceptShortGrace: z
      .boolean()
      .default(false)
      .describe(
        'Allows a grace shorter than the backups and queues live. For trying it out, never for real data',
      ),
    stallSeconds: z
      .int()
      .min(1)
      .max(DAY)
      .default(900)
      .describe('A sweep without any progress for this long goes on to its next round'),
    materialWarningDays: z
      .int()
      .min(1)
      .max(365)
      .default(14)
      .describe("How many days before a root key's imported material expires it is reported every day"),
  })
  .superRefine((r, ctx) => {
    if (r.cacheCeilingSeconds < r.cacheMaxAgeSeconds) {
      ctx.addIssue({
        code: 'custom',
        path: ['cacheCeilingSeconds'],
        message: `is ${r.cacheCeilingSeconds}, shorter than cacheMaxAgeSeconds (${r.cacheMaxAgeSeconds})`,
      });
    }
    if (r.everyDays !== null && r.spreadDays >= r.everyDays) {
      ctx.addIssue({
        code: 'custom',
        path: ['spreadDays'],
        message: `is ${r.spreadDays}; it must be shorter than everyDays (${r.everyDays})`,
      });
    }
    const floor = Math.max(
      r.cacheMaxAgeSeconds + r.clockSkewSeconds + r.maxTransactionSeconds,
      SQS_RETENTION_AND_REDRIVE,
      r.backupRetentionSeconds,
    );
    if (r.graceSeconds < floor && !r.acceptShortGrace) {
      ctx.addIssue({
        code: 'custom',
        path: ['graceSeconds'],
        message: `is ${r.graceSeconds}, shorter than ${floor}: the longest of cache age + skew + transaction, SQS retention and redrive (28 days), and backupRetentionSeconds. Raise it, or set acceptShortGrace for a trial`,
      });
    }
  });

/** Key ARNs only: an alias can be moved to another key, and then old data breaks. Multi-Region keys have ids mrk-…. */
const kmsKeyArn = z
  .string()
  .regex(
    KMS_KEY_ARN,
    'must be the ARN of a KMS key (arn:aws:kms:region:account:key/id), never an alias or a bare id',
  );

export const providerSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('aws-kms').describe('AWS Key Management Service'),
    rootKey: kmsKeyArn
      .describe(
        'The key that wraps new KEKs. Left out: the one that the deployment makes (KEYTURN_ROOT_KEY_ARN)',
      )
      .optional(),
    tenantRootKeys: z
      .record(tenantName, kmsKeyArn)
      .default({})
      .describe("Tenants whose KEKs are wrapped by a key of their own, such as the customer's (BYOK)"),
    formerRootKeys: z
      .array(kmsKeyArn)
      .max(100)
      .default([])
      .describe(
        'Keys that wrapped KEKs before. They are still opened, and the daily sweep wraps those KEKs anew under the current key',
      ),
    requestsPerSecond: z
      .int()
      .min(1)
      .max(100_000)
      .default(100)
      .describe(
        'Most calls a second that one process makes to one root key, besides retries: the others wait. KMS quotas are shared by the account',
      ),
  }),
  z.strictObject({
    type: z.literal('local').describe('A keystore file, for one machine'),
    keystore: z.string().min(1).describe('Path of the keystore file (mode 0600), for one machine only'),
    passphraseFrom: environmentVariable.describe('Environment variable with the passphrase').optional(),
    keyFile: z
      .string()
      .min(1)
      .describe('Path of a 32-byte key file (mode 0600), instead of a passphrase')
      .optional(),
  }),
]);

export const retiredSchema = z.strictObject({
  store: z.string().min(1).describe('The store, by its name under stores, now or then'),
  table: z.string().min(1).describe('The table, as the record set named it'),
  columns: z.array(columnName).min(1).optional().describe('Only these columns; left out: the whole table'),
});

export const configSchema = z
  .strictObject({
    $schema: z.string().describe('For editors: the JSON Schema of this file').optional(),
    provider: providerSchema.describe("What wraps the tenants' keys"),
    stores: z.record(name, storeSchema).describe('The databases, by a name of your own'),
    recordSets: z
      .record(name, recordSetSchema)
      .describe('The tables with encrypted fields, by a name of your own'),
    retired: z
      .array(retiredSchema)
      .default([])
      .describe(
        'Tables and columns that keys once served and that hold no envelopes any more. While one that a key remembers is neither declared nor listed here, no rotation of it ends clean, and no purge begins',
      ),
    rotation: rotationSchema.prefault({}).describe('How keys rotate'),
    approvals: approvalsSchema.prefault({}).describe('Whose word a destruction needs'),
    signing: signingSchema.describe('What signs certificates and the anchors of the audit chain').optional(),
    audit: auditSchema.describe('Where the audit chain is exported to').optional(),
    deployment: deploymentSchema.describe('For `npm run deploy` only: the stack in AWS').optional(),
  })
  .superRefine((config, ctx) => {
    for (const [id, store] of Object.entries(config.stores)) {
      if (store.type !== 'postgres') continue;
      const sources = [store.urlFrom, store.secret, store.embedded].filter((source) => source !== undefined);
      if (sources.length !== 1) {
        ctx.addIssue({
          code: 'custom',
          path: ['stores', id],
          message: 'needs exactly one of urlFrom, secret and embedded',
        });
      }
      for (const part of ['host', 'port', 'database'] as const) {
        if (store[part] !== undefined && store.secret === undefined) {
          ctx.addIssue({
            code: 'custom',
            path: ['stores', id, part],
            message: 'goes with secret only; a URL or the embedded server names it already',
          });
        }
      }
    }
    for (const [id, set] of Object.entries(config.recordSets)) {
      const type = Object.hasOwn(config.stores, set.store) ? config.stores[set.store]?.type : undefined;
      const problemsOf = type === 'dynamodb' ? dynamodbProblems : postgresProblems;
      for (const { path, message } of type === undefined ? [] : problemsOf(set)) {
        ctx.addIssue({ code: 'custom', path: ['recordSets', id, ...path], message });
      }
      if (type === undefined) {
        ctx.addIssue({
          code: 'custom',
          path: ['recordSets', id, 'store'],
          message: `"${set.store}" is not one of the stores: ${Object.keys(config.stores).join(', ') || 'none is declared'}`,
        });
      }
    }
    for (const [id, { backupRetentionSeconds = 0 }] of Object.entries(config.stores)) {
      const { graceSeconds, acceptShortGrace } = config.rotation;
      if (graceSeconds < backupRetentionSeconds && !acceptShortGrace) {
        ctx.addIssue({
          code: 'custom',
          path: ['rotation', 'graceSeconds'],
          message: `is ${graceSeconds}, shorter than the backups of store "${id}" are kept (${backupRetentionSeconds}). Raise it, or set acceptShortGrace for a trial`,
        });
      }
    }
    const { approvals, rotation } = config;
    if (approvals.required > 0 && approvals.expirySeconds <= rotation.clockSkewSeconds) {
      ctx.addIssue({
        code: 'custom',
        path: ['approvals', 'expirySeconds'],
        message: `is ${approvals.expirySeconds}; it must be longer than rotation.clockSkewSeconds (${rotation.clockSkewSeconds}), by which a clock may be ahead`,
      });
    }
    if (config.provider.type === 'local') {
      const { passphraseFrom, keyFile } = config.provider;
      if ((passphraseFrom === undefined) === (keyFile === undefined)) {
        ctx.addIssue({
          code: 'custom',
          path: ['provider'],
          message: 'needs exactly one of passphraseFrom and keyFile',
        });
      }
    }
  });

export type Config = z.output<typeof configSchema>;
export type PostgresStoreConfig = z.output<typeof postgresStoreSchema>;
export type DynamoDbStoreConfig = z.output<typeof dynamodbStoreSchema>;
export type RecordSetConfig = z.output<typeof recordSetSchema>;
export type ProviderConfig = z.output<typeof providerSchema>;
export type LocalProviderConfig = Extract<ProviderConfig, { type: 'local' }>;
export type AwsKmsProviderConfig = Extract<ProviderConfig, { type: 'aws-kms' }>;
