import { FUNCTION_NEEDS } from '../functions/needs.ts';
import type { Need } from '../shared/deps/needs.ts';
import { arn, type Resource, type Resources } from './cloudformation.ts';
import { FUNCTION_NAMES, type FunctionName } from './functions.ts';
import { KEY_TAG, makesRootKey, roleArn } from './names.ts';
import { DELETION_WINDOW, IN_CONTEXT } from './rights.ts';
import type { Stage } from './stage.ts';

/** The KMS keys of the stack: the root key that wraps KEKs, and one that encrypts alarms on their way. */
export function keys(stage: Stage): Resources {
  return { ...(makesRootKey(stage) && { RootKey: rootKey(stage) }), AlarmKey: alarmKey(stage) };
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

function rootKey(stage: Stage): Resource {
  const { applicationRoles, operatorRoles } = stage.deployment;
  const rolesWith = (need: Need) =>
    FUNCTION_NAMES.filter((name) => needsOf(name).includes(need)).map((name) => roleArn(stage, name));
  const root = key({
    description: `${stage.service}: wraps the KEKs of tenants`,
    rotationPeriodDays: stage.deployment.rootKey.rotationPeriodDays,
    tag: 'root',
    statements: [
      use(
        'WrapKeks',
        ['kms:GenerateDataKeyWithoutPlaintext'],
        [...rolesWith('provider:generate'), ...operatorRoles],
      ),
      use(
        'UnwrapKeks',
        ['kms:Decrypt'],
        [...rolesWith('provider:unwrap'), ...applicationRoles, ...operatorRoles],
      ),
      use('RewrapKeks', ['kms:ReEncryptFrom', 'kms:ReEncryptTo'], rolesWith('provider:rewrap')),
      {
        // A KEK that is wrapped by a deleted key is lost. Nobody deletes this one before its policy was changed.
        Sid: 'NobodyDeletes',
        Effect: 'Deny',
        Principal: '*',
        Action: 'kms:ScheduleKeyDeletion',
        Resource: '*', // In a key's policy: this key.
      },
    ],
  });
  // It outlives the stack: without it, no KEK can be unwrapped and every value is lost.
  return { ...root, DeletionPolicy: 'Retain', UpdateReplacePolicy: 'Retain' };
}

const needsOf = (name: FunctionName): readonly Need[] => FUNCTION_NEEDS[name];

/** Allows nothing by itself: the role's own policy has to allow it too. */
function use(sid: string, actions: readonly string[], roles: readonly unknown[]) {
  return {
    Sid: sid,
    Effect: 'Allow',
    Principal: ACCOUNT,
    Action: actions,
    Resource: '*', // In a key's policy: this key.
    Condition: { ArnEquals: { 'aws:PrincipalArn': roles }, ...IN_CONTEXT },
  };
}

function alarmKey(stage: Stage): Resource {
  return key({
    description: `${stage.service}: encrypts the alarms`,
    rotationPeriodDays: 365,
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
  readonly rotationPeriodDays: number;
  readonly tag: string;
  readonly statements: readonly unknown[];
}): Resource {
  return {
    Type: 'AWS::KMS::Key',
    Properties: {
      Description: options.description,
      EnableKeyRotation: true,
      RotationPeriodInDays: options.rotationPeriodDays,
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
