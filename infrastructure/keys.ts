import { FUNCTION_NEEDS } from '../functions/needs.ts';
import type { Need } from '../shared/deps/needs.ts';
import { arn, type Resource, type Resources } from './cloudformation.ts';
import { FUNCTION_NAMES, type FunctionName } from './functions.ts';
import { KEY_TAG, makesRootKey, makesSigningKey, roleArn } from './names.ts';
import { DELETION_WINDOW, IN_CONTEXT, OF_STATE_KEY, OF_TENANTS, type Statement } from './rights.ts';
import type { Stage } from './stage.ts';

/** The KMS keys of the stack: one wraps KEKs, one signs, one encrypts alarms on their way. */
export function keys(stage: Stage): Resources {
  return {
    ...(makesRootKey(stage) && { RootKey: rootKey(stage) }),
    ...(makesSigningKey(stage) && { SigningKey: signingKey(stage) }),
    AlarmKey: alarmKey(stage),
  };
}

const ACCOUNT = { AWS: arn('iam', 'root', null) };

/** What administrators of the account may do with the keys: all but use them, and make grants that would let others. */
const ADMINISTRATION = [
  'kms:CancelKeyDeletion',
  'kms:DescribeKey',
  'kms:DisableKey',
  'kms:EnableKey',
  'kms:EnableKeyRotation',
  'kms:GetKeyPolicy',
  'kms:GetKeyRotationStatus',
  'kms:ListGrants',
  'kms:ListKeyPolicies',
  'kms:ListKeyRotations',
  'kms:ListResourceTags',
  'kms:PutKeyPolicy',
  'kms:RotateKeyOnDemand',
  'kms:TagResource',
  'kms:UntagResource',
  'kms:UpdateKeyDescription',
];

/** Nobody deletes the key before its policy was changed. */
const NOBODY_DELETES = {
  Sid: 'NobodyDeletes',
  Effect: 'Deny',
  Principal: '*',
  Action: 'kms:ScheduleKeyDeletion',
  Resource: '*', // In a key's policy: this key.
};

function rootKey(stage: Stage): Resource {
  const { applicationRoles, operatorRoles } = stage.deployment;
  const root = key({
    description: `${stage.service}: wraps the KEKs of tenants`,
    material: {
      EnableKeyRotation: true,
      RotationPeriodInDays: stage.deployment.rootKey.rotationPeriodDays,
    },
    tag: 'root',
    statements: [
      use(
        'WrapKeks',
        ['kms:GenerateDataKeyWithoutPlaintext'],
        [...rolesWith(stage, 'provider:generate'), ...operatorRoles],
        OF_TENANTS,
      ),
      use(
        'UnwrapKeks',
        ['kms:Decrypt'],
        [...rolesWith(stage, 'provider:unwrap'), ...applicationRoles, ...operatorRoles],
        OF_TENANTS,
      ),
      use(
        'RewrapKeks',
        ['kms:ReEncryptFrom', 'kms:ReEncryptTo'],
        rolesWith(stage, 'provider:rewrap'),
        IN_CONTEXT,
      ),
      use('MakeStateKey', ['kms:GenerateDataKeyWithoutPlaintext'], operatorRoles, OF_STATE_KEY),
      use('UnwrapStateKey', ['kms:Decrypt'], [...rolesWith(stage, 'ledger'), ...operatorRoles], OF_STATE_KEY),
      // A KEK that is wrapped by a deleted key is lost.
      NOBODY_DELETES,
    ],
  });
  // It outlives the stack: without it, no KEK can be unwrapped and every value is lost.
  return { ...root, DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' };
}

/** Roles of the functions that declare a need. */
function rolesWith(stage: Stage, need: Need): unknown[] {
  const needsOf = (name: FunctionName): readonly Need[] => FUNCTION_NEEDS[name];
  return FUNCTION_NAMES.filter((name) => needsOf(name).includes(need)).map((name) => roleArn(stage, name));
}

/**
 * Signs certificates and the anchors of the audit chain. KMS does not rotate asymmetric keys, and each statement names
 * the key that signed it: another key takes over by `signing.key`, and verifiers are given both.
 */
function signingKey(stage: Stage): Resource {
  const signing = key({
    description: `${stage.service}: signs certificates and audit anchors`,
    material: { KeySpec: 'RSA_3072', KeyUsage: 'SIGN_VERIFY' },
    tag: 'signing',
    statements: [
      {
        Sid: 'Sign',
        Effect: 'Allow',
        Principal: ACCOUNT,
        Action: 'kms:Sign',
        Resource: '*', // In a key's policy: this key.
        Condition: {
          ArnEquals: { 'aws:PrincipalArn': rolesWith(stage, 'sign') },
          StringEquals: { 'kms:SigningAlgorithm': 'RSASSA_PSS_SHA_256' },
        },
      },
      {
        // It is public: whoever verifies needs it.
        Sid: 'ShowPublicKey',
        Effect: 'Allow',
        Principal: ACCOUNT,
        Action: 'kms:GetPublicKey',
        Resource: '*', // In a key's policy: this key.
      },
      NOBODY_DELETES,
    ],
  });
  // What it signed stays evidence for as long as its public key can be had from KMS.
  return { ...signing, DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' };
}

/** Allows nothing by itself: the role's own policy has to allow it too. */
function use(
  sid: string,
  actions: readonly string[],
  roles: readonly unknown[],
  context: NonNullable<Statement['Condition']>,
) {
  return {
    Sid: sid,
    Effect: 'Allow',
    Principal: ACCOUNT,
    Action: actions,
    Resource: '*', // In a key's policy: this key.
    Condition: { ArnEquals: { 'aws:PrincipalArn': roles }, ...context },
  };
}

function alarmKey(stage: Stage): Resource {
  return key({
    description: `${stage.service}: encrypts the alarms`,
    material: { EnableKeyRotation: true, RotationPeriodInDays: 365 },
    tag: 'alarms',
    statements: [
      {
        // CloudWatch cannot publish to a topic under the AWS managed key.
        Sid: 'AlarmsToTopic',
        Effect: 'Allow',
        Principal: { Service: 'cloudwatch.amazonaws.com' },
        Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
        Resource: '*', // In a key's policy: this key.
        Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
      },
      {
        // Nothing is lost with this key but alarms on their way, and the stack must be able to take it back.
        Sid: 'Deletion',
        Effect: 'Allow',
        Principal: ACCOUNT,
        Action: 'kms:ScheduleKeyDeletion',
        Resource: '*', // In a key's policy: this key.
        Condition: DELETION_WINDOW,
      },
    ],
  });
}

function key(options: {
  readonly description: string;
  /** What kind of material it has, and whether KMS rotates it. */
  readonly material: Readonly<Record<string, unknown>>;
  readonly tag: string;
  readonly statements: readonly unknown[];
}): Resource {
  return {
    Type: 'AWS::KMS::Key',
    Properties: {
      Description: options.description,
      ...options.material,
      PendingWindowInDays: 30,
      Tags: [{ Key: KEY_TAG, Value: options.tag }],
      KeyPolicy: {
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'Administration',
            Effect: 'Allow',
            Principal: ACCOUNT,
            Action: ADMINISTRATION,
            Resource: '*', // In a key's policy: this key.
          },
          ...options.statements,
        ],
      },
    },
  };
}
