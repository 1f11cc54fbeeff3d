import { z } from 'zod';
import { KMS_KEY_ARN } from '../providers/aws-kms/key-arn.ts';

/** The settings of what people decide, and of how it is proved afterwards: approvals, signatures, audit. */

const DAY = 86_400;

const kmsSigningKey = z
  .string()
  .regex(KMS_KEY_ARN, 'must be the ARN of a KMS key (arn:aws:kms:region:account:key/id), never an alias');

/** A public JSON Web Key (RFC 7517): Ed25519 (RFC 8037), or RSA for a KMS key. `keyturn approvers create` prints it. */
const publicKey = z.discriminatedUnion('kty', [
  z.strictObject({
    kty: z.literal('OKP').describe('An Ed25519 key (RFC 8037)'),
    crv: z.literal('Ed25519').describe('Its curve'),
    x: z.base64url().length(43).describe('Its 32 bytes, base64url'),
  }),
  z.strictObject({
    kty: z.literal('RSA').describe('An RSA key of 3072 bits or more, used with PS256'),
    n: z.base64url().min(512).max(700).describe('Its modulus, base64url'),
    e: z.literal('AQAB').describe('Its exponent, 65537'),
  }),
]);

export const approverName = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._@+-]{0,63}$/, 'is no name of an approver');

const approver = z.strictObject({
  publicKey: publicKey.describe(
    'What their approvals are verified with. Pinned here: no approval can bring its own key',
  ),
  kmsKey: kmsSigningKey
    .describe(
      'In AWS: the asymmetric KMS key that signs for them. Its key policy says whose IAM identity may',
    )
    .optional(),
  breakGlass: z
    .boolean()
    .default(false)
    .describe('For emergencies: their approvals count as any other, and raise an alarm of their own'),
});

export const approvalsSchema = z
  .strictObject({
    required: z
      .int()
      .min(0)
      .max(10)
      .default(2)
      .describe('How many distinct approvers a destructive action needs, the requester not among them'),
    expirySeconds: z
      .int()
      .min(1)
      .max(90 * DAY)
      .default(7 * DAY)
      .describe('How long after its request an action may be approved and executed'),
    acceptNoApprovals: z
      .boolean()
      .default(false)
      .describe('Allows required: 0. For trying it out, never for real data'),
    approvers: z.record(approverName, approver).default({}).describe('Who may approve, by name'),
  })
  .superRefine(({ required, acceptNoApprovals, approvers }, ctx) => {
    if (required === 0 && !acceptNoApprovals) {
      ctx.addIssue({
        code: 'custom',
        path: ['required'],
        message:
          'is 0. Nothing is destroyed on one word alone: raise it, or set acceptNoApprovals for a trial',
      });
    }
    const keys = new Map<string, string>();
    for (const [name, { publicKey: key }] of Object.entries(approvers)) {
      const text = key.kty === 'OKP' ? key.x : key.n;
      const other = keys.get(text);
      if (other !== undefined) {
        ctx.addIssue({ code: 'custom', path: ['approvers', name], message: `has the key of "${other}"` });
      }
      keys.set(text, name);
    }
    const count = Object.keys(approvers).length;
    if (count > 0 && count < required) {
      ctx.addIssue({
        code: 'custom',
        path: ['approvers'],
        message: `are ${count}, fewer than required (${required})`,
      });
    }
  });

export const signingSchema = z.discriminatedUnion('type', [
  z.strictObject({
    type: z.literal('local').describe('An Ed25519 key in a file, for one machine'),
    keyFile: z.string().min(1).describe('Path of the key file (mode 0600)'),
  }),
  z.strictObject({
    type: z.literal('aws-kms').describe('An asymmetric KMS key (RSA_3072 or ECC_NIST_EDWARDS25519)'),
    key: kmsSigningKey
      .describe('Left out: the one that the deployment makes (KEYTURN_SIGNING_KEY_ARN)')
      .optional(),
  }),
]);

export const auditSchema = z.strictObject({
  archive: z
    .discriminatedUnion('type', [
      z.strictObject({
        type: z.literal('file').describe('A folder, for one machine'),
        folder: z.string().min(1).describe('Path of the folder'),
      }),
      z.strictObject({
        type: z.literal('s3').describe('Amazon S3, with Object Lock'),
        bucket: z
          .string()
          .min(3)
          .max(63)
          .describe('Left out: the one that the deployment makes (KEYTURN_AUDIT_BUCKET)')
          .optional(),
        prefix: z.string().max(200).default('').describe('Put before the name of every object'),
      }),
    ])
    .describe('Kept outside the ledger, so that a chain that was cut or rewritten is found out'),
});

export type ApprovalsConfig = z.output<typeof approvalsSchema>;
export type SigningConfig = z.output<typeof signingSchema>;
export type AuditConfig = z.output<typeof auditSchema>;
