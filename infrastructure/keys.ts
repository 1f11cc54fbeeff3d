import type { Need } from '../shared/deps/needs.ts';
import { arn, type Resources, sub } from './cloudformation.ts';
import { FUNCTION_NAMES, type Needs } from './functions.ts';
import { KEY_TAG, makesRootKey, roleArn } from './names.ts';
import { CONTEXT_KEYS } from './rights.ts';
import type { Stage } from './stage.ts';

/**
 * The KMS keys of the stack: the root key that wraps KEKs, and the store key that encrypts what the stack itself keeps
 * (ledger, alarms). Both outlive the stack.
 */
export function keys(stage: Stage, needs: Needs): Resources {
  return { ...(makesRootKey(stage) && { RootKey: rootKey(stage, needs) }), StoreKey: storeKey(stage) };
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

function rootKey(stage: Stage, needs: Needs) {
  const { applicationRoles, operatorRoles } = stage.deployment;
  const rolesWith = (need: Need) =>
    FUNCTION_NAMES.filter((name) => needs[name].includes(need)).map((name) => roleArn(stage, name));
  return key({
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
        Resource: '*',
      },
    ],
  });
}

/** Allows nothing by itself: the role's own policy has to allow it too. */
function use(sid: string, actions: readonly string[], roles: readonly unknown[]) {
  return {
    Sid: sid,
    Effect: 'Allow',
    Principal: ACCOUNT,
    Action: actions,
    Resource: '*',
    Condition: {
      ArnEquals: { 'aws:PrincipalArn': roles },
      'ForAllValues:StringEquals': { 'kms:EncryptionContextKeys': CONTEXT_KEYS },
      Null: { 'kms:EncryptionContextKeys': 'false' },
    },
  };
}

function storeKey(stage: Stage) {
  return key({
    description: `${stage.service}: encrypts the ledger and the alarms`,
    rotationPeriodDays: 365,
    tag: 'store',
    statements: [
      {
        Sid: 'LedgerThroughDynamoDb',
        Effect: 'Allow',
        Principal: ACCOUNT,
        Action: [
          'kms:CreateGrant',
          'kms:Decrypt',
          'kms:DescribeKey',
          'kms:Encrypt',
          'kms:GenerateDataKey',
          'kms:GenerateDataKeyWithoutPlaintext',
          'kms:ReEncryptFrom',
          'kms:ReEncryptTo',
        ],
        Resource: '*',
        Condition: { StringEquals: { 'kms:ViaService': sub(`dynamodb.\${AWS::Region}.\${AWS::URLSuffix}`) } },
      },
      {
        Sid: 'AlarmsToTopic',
        Effect: 'Allow',
        Principal: { Service: 'cloudwatch.amazonaws.com' },
        Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
        Resource: '*',
        Condition: { StringEquals: { 'aws:SourceAccount': { Ref: 'AWS::AccountId' } } },
      },
    ],
  });
}

function key(options: {
  readonly description: string;
  readonly rotationPeriodDays: number;
  readonly tag: string;
  readonly statements: readonly unknown[];
}) {
  return {
    Type: 'AWS::KMS::Key',
    DeletionPolicy: 'Retain',
    UpdateReplacePolicy: 'Retain',
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
            Resource: '*',
          },
          ...options.statements,
        ],
      },
    },
  } as const;
}
