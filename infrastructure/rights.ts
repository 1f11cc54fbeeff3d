import type { Need } from '../shared/deps/needs.ts';
import { STATE_MACHINES } from '../shared/executions/executions.ts';
import { LIST_INDEX } from '../shared/ledger/attributes.ts';
import { CONTEXT_NAMES } from '../shared/providers/aws-kms/encryption-context.ts';
import { arn, getAtt } from './cloudformation.ts';
import { KEY_TAG, namedKeys, rootKeyArns, signingKeyArn, stateMachineArn, wrappingKeyArns } from './names.ts';
import { readRecords, writeRecords } from './record-rights.ts';
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

/** D/kms/latest/developerguide/conditions-kms.html#conditions-kms-schedule-key-deletion-pending-window-in-days */
export const DELETION_WINDOW = {
  NumericGreaterThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '7' },
  NumericLessThanEquals: { 'kms:ScheduleKeyDeletionPendingWindowInDays': '30' },
};

const CONTEXT = Object.values(CONTEXT_NAMES);

/**
 * Every use of a root key names tenant, purpose, key and version, and nothing else: CloudTrail shows them, and no other
 * use is allowed.
 */
export const IN_CONTEXT = {
  'ForAllValues:StringEquals': { 'kms:EncryptionContextKeys': CONTEXT },
  // None of them may be left out.
  Null: Object.fromEntries(CONTEXT.map((name) => [`kms:EncryptionContext:${name}`, 'false'])),
};

function useOf(keys: readonly unknown[], sid: string, ...actions: readonly string[]): Statement {
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: actions.map((action) => `kms:${action}`),
    Resource: namedKeys(keys),
    Condition: IN_CONTEXT,
  };
}

/** What a function may do in the ledger; functions.ts names these. */
export const LEDGER_RIGHTS = {
  readKeys: [ledger('ReadKeys', ['GetItem'], 'keys')],
  changeKeys: [ledger('ChangeKeys', ['GetItem', 'PutItem'], 'keys')],
  readJobs: [ledger('ReadJobs', ['GetItem', 'Query'], 'jobs')],
  changeJobs: [ledger('ChangeJobs', ['GetItem', 'Query', 'PutItem'], 'jobs')],
  /** Counts on a page that is there; it makes no job and changes none. */
  reportChunks: [ledger('ReportChunks', ['UpdateItem'], 'jobs')],
  readQuarantine: [ledger('ReadQuarantine', ['Query'], 'quarantine')],
  addQuarantined: [ledger('AddQuarantined', ['PutItem'], 'quarantine')],
  settleQuarantine: [ledger('SettleQuarantine', ['Query', 'DeleteItem'], 'quarantine')],
  /** All keys, or all jobs, from the index. */
  listLedger: [
    {
      Sid: 'ListLedger',
      Effect: 'Allow',
      Action: 'dynamodb:Query',
      Resource: { 'Fn::Join': ['/', [getAtt('LedgerTable'), 'index', LIST_INDEX]] },
    },
  ],
} as const satisfies Record<string, readonly Statement[]>;

export type LedgerRight = keyof typeof LEDGER_RIGHTS;

/** What a declared need gives. The ledger's is split up further, by LEDGER_RIGHTS. */
const NEED_RIGHTS: Readonly<Record<Need, (stage: Stage) => readonly Statement[]>> = {
  ledger: () => [],
  queue: () => [
    { Sid: 'SendChunks', Effect: 'Allow', Action: 'sqs:SendMessage', Resource: getAtt('WorkQueue') },
  ],
  executions: (stage) => [
    {
      Sid: 'StartJobs',
      Effect: 'Allow',
      Action: 'states:StartExecution',
      Resource: STATE_MACHINES.map((machine) => stateMachineArn(stage, machine)),
    },
    {
      Sid: 'LookAtAndStopJobs',
      Effect: 'Allow',
      // Any execution of the three: each is named after its job.
      Action: ['states:DescribeExecution', 'states:StopExecution'],
      Resource: STATE_MACHINES.map((machine) => stateMachineArn(stage, machine, 'execution', ':*')),
    },
  ],
  bus: () => [
    { Sid: 'PublishEvents', Effect: 'Allow', Action: 'events:PutEvents', Resource: getAtt('EventBus') },
  ],
  /** A new KEK, wrapped: its plaintext is never asked for. */
  'provider:generate': (stage) => [
    useOf(wrappingKeyArns(stage), 'WrapKeks', 'GenerateDataKeyWithoutPlaintext'),
  ],
  'provider:unwrap': (stage) => [useOf(rootKeyArns(stage), 'UnwrapKeks', 'Decrypt')],
  'provider:rewrap': (stage) => [
    useOf(rootKeyArns(stage), 'RewrapKeksFrom', 'ReEncryptFrom'),
    useOf(wrappingKeyArns(stage), 'RewrapKeksTo', 'ReEncryptTo'),
  ],
  'provider:inspect': (stage) => [
    {
      Sid: 'InspectRootKeys',
      Effect: 'Allow',
      Action: ['kms:DescribeKey', 'kms:GetKeyRotationStatus', 'kms:ListKeyRotations'],
      Resource: namedKeys(rootKeyArns(stage)),
    },
  ],
  /**
   * The only right to destroy in the whole stack: keys that were made for one version each, never a shared root key. No
   * provider makes such keys yet; the right is bound before there is one.
   */
  'provider:destroy': () => [
    {
      Sid: 'DestroyVersionKeys',
      Effect: 'Allow',
      Action: 'kms:ScheduleKeyDeletion',
      // Any key: which one is known at its making only. The tag and the window below bind it.
      Resource: arn('kms', 'key/*'),
      Condition: {
        StringEquals: { [`aws:ResourceTag/${KEY_TAG}`]: 'version' },
        ...DELETION_WINDOW,
      },
    },
  ],
  'stores:read': readRecords,
  'stores:write': writeRecords,
  sign: (stage) => [
    {
      Sid: 'SignStatements',
      Effect: 'Allow',
      Action: ['kms:GetPublicKey', 'kms:Sign'],
      Resource: signingKeyArn(stage),
    },
  ],
};

const USES_ROOT_KEYS: readonly Need[] = ['provider:generate', 'provider:unwrap', 'provider:rewrap'];

/** A refused use is explained by the key's state: without this, a deletion or missing material looks like an outage. */
function describeRootKeys(stage: Stage): Statement {
  return {
    Sid: 'DescribeRootKeys',
    Effect: 'Allow',
    Action: 'kms:DescribeKey',
    Resource: namedKeys(rootKeyArns(stage)),
  };
}

export function statementsFor(
  stage: Stage,
  needs: readonly Need[],
  ledgerRights: readonly LedgerRight[],
): Statement[] {
  return [
    ...ledgerRights.flatMap((right): readonly Statement[] => LEDGER_RIGHTS[right]),
    ...needs.flatMap((need) => NEED_RIGHTS[need](stage)),
    ...(needs.some((need) => USES_ROOT_KEYS.includes(need)) ? [describeRootKeys(stage)] : []),
  ];
}
