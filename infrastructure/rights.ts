import { STATE_MACHINES } from '../shared/executions/executions.ts';
import { getAtt, sub } from './cloudformation.ts';
import { KEY_TAG, rootKeyArns, stateMachineArn } from './names.ts';
import type { Stage } from './stage.ts';

/**
 * What a role may do, by the words of the domain: the rights are what functions.ts and applications name, the
 * statements what IAM reads. Each right is the least that its calls need.
 */

export interface Statement {
  readonly Sid: string;
  readonly Effect: 'Allow' | 'Deny';
  readonly Action: string | readonly string[];
  readonly Resource: unknown;
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
}

/** Wildcards that stand as an action or a whole resource, and why. A test lists every one. */
export const WILDCARD_REASONS = {
  Traces: 'X-Ray segments have no resource to name',
  NetworkInterfaces: 'Lambda makes the interfaces, so their ids are not known before',
  DestroyVersionKeys: 'keys of single versions are made later; the tag and the window bind it',
} as const satisfies Record<string, string>;

/** Items of the ledger, by what their partition key begins with (shared/ledger/attributes.ts). */
export const LEDGER_ITEMS = { keys: 'KEY#*', jobs: 'JOB#*', quarantine: 'QUARANTINE#*' } as const;
type LedgerItems = keyof typeof LEDGER_ITEMS;

function ledger(sid: string, actions: readonly string[], items: LedgerItems): Statement {
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: actions.map((action) => `dynamodb:${action}`),
    Resource: getAtt('LedgerTable'),
    Condition: { 'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [LEDGER_ITEMS[items]] } },
  };
}

/** Every use of a root key names tenant, purpose, key and version, so that CloudTrail shows them and no other use is allowed. */
function rootKey(stage: Stage, sid: string, actions: readonly string[]): Statement {
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: actions.map((action) => `kms:${action}`),
    Resource: rootKeyArns(stage),
    Condition: {
      'ForAllValues:StringEquals': { 'kms:EncryptionContextKeys': CONTEXT_KEYS },
      Null: { 'kms:EncryptionContextKeys': 'false' },
    },
  };
}

/** The names in the encryption context of a wrapped KEK. */
export const CONTEXT_KEYS = ['tenant', 'purpose', 'keyId', 'version'];

export const RIGHTS = {
  readKeys: () => [ledger('ReadKeys', ['GetItem'], 'keys')],
  changeKeys: () => [ledger('ChangeKeys', ['GetItem', 'PutItem'], 'keys')],
  readJobs: () => [ledger('ReadJobs', ['GetItem', 'Query'], 'jobs')],
  changeJobs: () => [ledger('ChangeJobs', ['GetItem', 'Query', 'PutItem'], 'jobs')],
  /** Counts on a page that is there; it makes no job and changes none. */
  reportChunks: () => [ledger('ReportChunks', ['UpdateItem'], 'jobs')],
  readQuarantine: () => [ledger('ReadQuarantine', ['Query'], 'quarantine')],
  addQuarantined: () => [ledger('AddQuarantined', ['PutItem'], 'quarantine')],
  settleQuarantine: () => [ledger('SettleQuarantine', ['Query', 'DeleteItem'], 'quarantine')],
  /** Lists of keys and of jobs, from the index. */
  listLedger: () => [
    {
      Sid: 'ListLedger',
      Effect: 'Allow',
      Action: 'dynamodb:Query',
      Resource: { 'Fn::Join': ['/', [getAtt('LedgerTable'), 'index', 'list']] },
    },
  ],

  /** A new KEK, wrapped: its plaintext is never asked for. */
  wrapKeks: (stage) => [rootKey(stage, 'WrapKeks', ['GenerateDataKeyWithoutPlaintext'])],
  unwrapKeks: (stage) => [rootKey(stage, 'UnwrapKeks', ['Decrypt'])],
  rewrapKeks: (stage) => [rootKey(stage, 'RewrapKeks', ['ReEncryptFrom', 'ReEncryptTo'])],
  inspectRootKeys: (stage) => [
    {
      Sid: 'InspectRootKeys',
      Effect: 'Allow',
      Action: ['kms:DescribeKey', 'kms:ListKeyRotations', 'kms:GetKeyRotationStatus'],
      Resource: rootKeyArns(stage),
    },
  ],
  /** The only right to destroy in the whole stack: keys made for one version each, never a shared root key. */
  destroyVersionKeys: () => [
    {
      Sid: 'DestroyVersionKeys',
      Effect: 'Allow',
      Action: 'kms:ScheduleKeyDeletion',
      Resource: sub('arn:${AWS::Partition}:kms:${AWS::Region}:${AWS::AccountId}:key/*'),
      Condition: {
        StringEquals: { [`aws:ResourceTag/${KEY_TAG}`]: 'version' },
        NumericGreaterThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '7' },
        NumericLessThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '30' },
      },
    },
  ],

  sendChunks: () => [
    { Sid: 'SendChunks', Effect: 'Allow', Action: 'sqs:SendMessage', Resource: getAtt('WorkQueue') },
  ],
  /** Lambda polls with the function's role. */
  receiveChunks: () => [
    {
      Sid: 'ReceiveChunks',
      Effect: 'Allow',
      Action: ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'],
      Resource: getAtt('WorkQueue'),
    },
  ],
  readQueueDepth: () => [
    {
      Sid: 'ReadQueueDepth',
      Effect: 'Allow',
      Action: 'sqs:GetQueueAttributes',
      Resource: getAtt('WorkQueue'),
    },
  ],
  startJobs: (stage) => [
    {
      Sid: 'StartJobs',
      Effect: 'Allow',
      Action: 'states:StartExecution',
      Resource: STATE_MACHINES.map((machine) => stateMachineArn(stage, machine)),
    },
    {
      Sid: 'LookAtJobs',
      Effect: 'Allow',
      Action: 'states:DescribeExecution',
      Resource: STATE_MACHINES.map((machine) => stateMachineArn(stage, machine, 'execution', ':*')),
    },
  ],
  publishEvents: () => [
    { Sid: 'PublishEvents', Effect: 'Allow', Action: 'events:PutEvents', Resource: getAtt('EventBus') },
  ],
  /** Events that a function could not handle after all tries. */
  giveUpEvents: () => [
    { Sid: 'GiveUpEvents', Effect: 'Allow', Action: 'sqs:SendMessage', Resource: getAtt('EventDeadLetters') },
  ],
} as const satisfies Record<string, (stage: Stage) => readonly Statement[]>;

export type Right = keyof typeof RIGHTS;

export function statementsFor(stage: Stage, rights: readonly Right[]): Statement[] {
  return rights.flatMap((right): readonly Statement[] => RIGHTS[right](stage));
}
