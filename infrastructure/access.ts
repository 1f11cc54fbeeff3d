import type { Need } from '../shared/deps/needs.ts';
import { readArchive } from './archive.ts';
import { getAtt, type Resource, type Resources } from './cloudformation.ts';
import { roleName, signingKeyArn } from './names.ts';
import { makeStateKey, operatorLedger, type Statement, statementsFor } from './rights.ts';
import type { Stage } from './stage.ts';

/**
 * Managed policies for those outside the stack: the applications that seal and open values, and the people who use the
 * command line. Attach them to roles; the root key lets in only roles that the stage's file names.
 */
export function accessPolicies(stage: Stage): Resources {
  return {
    ApplicationPolicy: policy(stage, 'application', 'Seal and open values', [
      // All that it writes is that it asked for a version that is about to be destroyed.
      ...statementsFor(stage, ['provider:unwrap'], ['readKeys', 'markUse']),
    ]),
    // Two, because one managed policy is too short for all of it.
    OperatorPolicy: policy(stage, 'operator', 'Use the keyturn command line, with operator-keys', [
      ...statementsFor(stage, ['executions', 'queue'], []),
      ...operatorLedger(),
      // To verify certificates and the audit chain; people sign with keys of their own.
      {
        Sid: 'ShowSigningKey',
        Effect: 'Allow',
        Action: 'kms:GetPublicKey',
        Resource: signingKeyArn(stage),
      },
      ...readArchive(stage),
      {
        Sid: 'LookAtLedgerAndQueue',
        Effect: 'Allow',
        Action: ['dynamodb:DescribeTable', 'sqs:GetQueueAttributes'],
        Resource: [getAtt('LedgerTable'), getAtt('WorkQueue'), getAtt('WorkDeadLetters')],
      },
    ]),
    OperatorKeysPolicy: policy(stage, 'operator-keys', 'Keys and records, for the keyturn command line', [
      ...statementsFor(stage, OPERATOR_KEYS_AND_RECORDS, []),
      makeStateKey(stage),
    ]),
  };
}

const OPERATOR_KEYS_AND_RECORDS: readonly Need[] = [
  // The state key, which authenticates what is in it.
  'ledger',
  'provider:generate',
  'provider:unwrap',
  'provider:inspect',
  'stores:read',
  'stores:write',
];

function policy(
  stage: Stage,
  owner: string,
  description: string,
  statements: readonly Statement[],
): Resource {
  return {
    Type: 'AWS::IAM::ManagedPolicy',
    Properties: {
      ManagedPolicyName: roleName(stage, owner),
      Description: description,
      PolicyDocument: { Version: '2012-10-17', Statement: statements },
    },
  };
}
