import { getAtt, type Resources, ref, sub } from './cloudformation.ts';
import type { Statement } from './rights.ts';
import type { Stage } from './stage.ts';

/**
 * The bucket that the audit chain is exported to: what was put there can be neither changed nor deleted before its time
 * is over, by nobody. It outlives the stack.
 */
export function archive(stage: Stage): Resources {
  if (!makesAuditBucket(stage)) return {};
  return {
    AuditBucket: {
      Type: 'AWS::S3::Bucket',
      DeletionPolicy: 'Retain',
      UpdateReplacePolicy: 'Retain',
      // Without a name: nobody can take it first in another account.
      Properties: {
        ObjectLockEnabled: true,
        ObjectLockConfiguration: {
          ObjectLockEnabled: 'Enabled',
          // COMPLIANCE: under GOVERNANCE an administrator deletes with one right more, and against administrators it is kept.
          Rule: {
            DefaultRetention: { Mode: 'COMPLIANCE', Days: stage.deployment.auditRetentionDays },
          },
        },
        VersioningConfiguration: { Status: 'Enabled' },
        PublicAccessBlockConfiguration: {
          BlockPublicAcls: true,
          BlockPublicPolicy: true,
          IgnorePublicAcls: true,
          RestrictPublicBuckets: true,
        },
        OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
        // Not under a KMS key: whoever disabled that key would have destroyed the evidence. Nothing secret is in it.
        BucketEncryption: {
          ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
        },
      },
    },
    AuditBucketPolicy: {
      Type: 'AWS::S3::BucketPolicy',
      Properties: {
        Bucket: ref('AuditBucket'),
        PolicyDocument: {
          Version: '2012-10-17',
          Statement: [
            {
              Sid: 'EncryptedConnectionsOnly',
              Effect: 'Deny',
              Principal: '*',
              Action: 's3:*',
              Resource: [getAtt('AuditBucket'), objectsOf(getAtt('AuditBucket'))],
              Condition: { Bool: { 'aws:SecureTransport': 'false' } },
            },
            {
              // Object Lock keeps the older version; this keeps a newer one from standing before it.
              // D/AmazonS3/latest/userguide/conditional-writes-enforce.html
              Sid: 'NothingIsOverwritten',
              Effect: 'Deny',
              Principal: '*',
              Action: 's3:PutObject',
              Resource: objectsOf(getAtt('AuditBucket')),
              Condition: { Null: { 's3:if-none-match': 'true' } },
            },
            {
              // A delete marker would hide what it cannot delete.
              Sid: 'NothingIsDeleted',
              Effect: 'Deny',
              Principal: '*',
              Action: ['s3:DeleteObject', 's3:PutLifecycleConfiguration'],
              Resource: [getAtt('AuditBucket'), objectsOf(getAtt('AuditBucket'))],
            },
          ],
        },
      },
    },
  };
}

/** The rights of the need `archive`. Nothing is deleted, and no retention changed. */
export function archiveStatements(stage: Stage): readonly Statement[] {
  return [
    {
      Sid: 'KeepInArchive',
      Effect: 'Allow',
      Action: 's3:PutObject',
      Resource: objectsOf(auditBucketArn(stage)),
    },
    ...readArchive(stage),
  ];
}

/** For people who verify the chain, too. */
export function readArchive(stage: Stage): readonly Statement[] {
  const bucket = auditBucketArn(stage);
  return [
    { Sid: 'ReadArchive', Effect: 'Allow', Action: 's3:GetObject', Resource: objectsOf(bucket) },
    // Also tells an object that is not there from one that must not be read.
    { Sid: 'ListArchive', Effect: 'Allow', Action: 's3:ListBucket', Resource: bucket },
  ];
}

export function makesAuditBucket({ config: { audit } }: Stage): boolean {
  return audit?.archive.type !== 's3' || audit.archive.bucket === undefined;
}

function auditBucketArn({ config: { audit } }: Stage): unknown {
  const named = audit?.archive.type === 's3' ? audit.archive.bucket : undefined;
  return named === undefined ? getAtt('AuditBucket') : sub(`arn:\${AWS::Partition}:s3:::${named}`);
}

function objectsOf(bucket: unknown) {
  return { 'Fn::Join': ['/', [bucket, '*']] };
}
