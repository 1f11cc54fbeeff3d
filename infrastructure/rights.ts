import type { Need } from '../shared/deps/needs.ts';
import { STATE_MACHINES } from '../shared/executions/executions.ts';
import {
  CANARY,
  LIST_INDEX,
  LIST_KEY,
  LIST_ORDER,
  OUTBOX,
  OUTBOX_MAC,
  PARTITION_KEY,
  SORT_KEY,
} from '../shared/ledger/attributes.ts';
import { STATE_CONTEXT } from '../shared/ledger/authentication/state-context.ts';
import { CONTEXT_NAMES } from '../shared/providers/aws-kms/encryption-context.ts';
import { archiveStatements } from './archive.ts';
import { arn, getAtt } from './cloudformation.ts';
import {
  KEY_TAG,
  namedKeys,
  rootKeyArns,
  signingKeyArn,
  stateKeyArns,
  stateMachineArn,
  wrappingKeyArns,
} from './names.ts';
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
export const LEDGER_ITEMS = {
  state: 'STATE#*',
  keys: 'KEY#*',
  jobs: 'JOB#*',
  quarantine: 'QUARANTINE#*',
  censuses: 'CENSUS#*',
  approvals: 'APPROVAL#*',
  certificates: 'CERTIFICATE#*',
  restores: 'RESTORE',
  chains: 'AUDIT#*',
  events: 'EVENT#*',
  exports: 'EXPORT#*',
} as const;
type LedgerItems = keyof typeof LEDGER_ITEMS;

function ledger(sid: string, actions: readonly string[], ...items: readonly LedgerItems[]): Statement {
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: actions.map((action) => `dynamodb:${action}`),
    Resource: getAtt('LedgerTable'),
    Condition: {
      'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': items.map((item) => LEDGER_ITEMS[item]) },
    },
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

const PURPOSE = `kms:EncryptionContext:${CONTEXT_NAMES.purpose}`;

/** Whoever may use the keys of tenants may not use the state key by it, with which all state could be forged. */
export const OF_TENANTS = { ...IN_CONTEXT, StringNotEquals: { [PURPOSE]: STATE_CONTEXT.purpose } };
export const OF_STATE_KEY = { ...IN_CONTEXT, StringEquals: { [PURPOSE]: STATE_CONTEXT.purpose } };

function useOf(
  keys: readonly unknown[],
  sid: string,
  action: string,
  condition: Statement['Condition'] = OF_TENANTS,
): Statement {
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: [`kms:${action}`],
    Resource: namedKeys(keys),
    ...(condition && { Condition: condition }),
  };
}

/**
 * An update that names no attribute of an item but these: the key, and what no MAC covers. It answers with nothing else.
 * D/amazondynamodb/latest/developerguide/specifying-conditions.html
 */
function markUse(): Statement {
  const update = ledger('MarkUse', ['UpdateItem'], 'keys');
  return {
    ...update,
    Condition: {
      'ForAllValues:StringLike': { 'dynamodb:LeadingKeys': [LEDGER_ITEMS.keys] },
      'ForAllValues:StringEquals': { 'dynamodb:Attributes': [PARTITION_KEY, SORT_KEY, CANARY] },
      // Where a request named none, every set of names would do.
      Null: { 'dynamodb:Attributes': 'false', 'dynamodb:LeadingKeys': 'false' },
      StringEqualsIfExists: { 'dynamodb:ReturnValues': ['NONE', 'UPDATED_OLD', 'UPDATED_NEW'] },
    },
  };
}

/** What a change has told the audit is taken out of its item once it is in the chain: an update of nothing else. */
function closeOutboxes(): Statement {
  const update = ledger(
    'CloseOutboxes',
    ['UpdateItem'],
    'keys',
    'jobs',
    'approvals',
    'certificates',
    'censuses',
    'restores',
    'events',
  );
  return {
    ...update,
    Condition: {
      ...update.Condition,
      'ForAllValues:StringEquals': {
        'dynamodb:Attributes': [
          ...[PARTITION_KEY, SORT_KEY, OUTBOX, OUTBOX_MAC, 'eventId', LIST_KEY, LIST_ORDER],
        ],
      },
      Null: { 'dynamodb:Attributes': 'false', 'dynamodb:LeadingKeys': 'false' },
    },
  };
}

/** What a function may do in the ledger; functions.ts names these. */
export const LEDGER_RIGHTS = {
  /** Makes the state key, or has it wrapped anew. */
  changeState: [ledger('ChangeState', ['PutItem'], 'state')],
  readKeys: [ledger('ReadKeys', ['GetItem'], 'keys')],
  markUse: [markUse()],
  changeKeys: [ledger('ChangeKeys', ['GetItem', 'PutItem'], 'keys')],
  readJobs: [ledger('ReadJobs', ['GetItem', 'Query'], 'jobs')],
  changeJobs: [ledger('ChangeJobs', ['GetItem', 'Query', 'PutItem'], 'jobs')],
  /** Pages and counts beside a job, which itself stays as it is: the audit is told nothing. */
  workOnJobs: [ledger('WorkOnJobs', ['GetItem', 'Query', 'PutItem'], 'jobs')],
  /** Counts on a page that is there; it makes no job and changes none. */
  reportChunks: [ledger('ReportChunks', ['UpdateItem'], 'jobs')],
  readQuarantine: [ledger('ReadQuarantine', ['Query'], 'quarantine')],
  addQuarantined: [ledger('AddQuarantined', ['PutItem'], 'quarantine')],
  settleQuarantine: [ledger('SettleQuarantine', ['Query', 'DeleteItem'], 'quarantine')],
  keepCensus: [ledger('KeepCensus', ['GetItem', 'PutItem'], 'censuses')],
  askForApproval: [ledger('AskForApproval', ['GetItem', 'Query', 'PutItem'], 'approvals')],
  keepCertificate: [ledger('KeepCertificate', ['GetItem', 'PutItem'], 'certificates')],
  /** Goes with every right to change what the audit is told of. */
  appendAudit: [ledger('AppendAudit', ['PutItem', 'Query'], 'chains')],
  /** What is no change of an item: KMS events, requests on the bus. */
  recordEvents: [ledger('RecordEvents', ['GetItem', 'PutItem'], 'events')],
  exportAudit: [
    ledger('AppendAudit', ['PutItem', 'Query'], 'chains'),
    closeOutboxes(),
    ledger('MarkExports', ['GetItem', 'PutItem'], 'exports'),
  ],
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

/**
 * People with the command line: whatever they ask for is in the audit, and what they write by other means has no MAC. In
 * few statements, for a managed policy is short.
 */
export function operatorLedger(): readonly Statement[] {
  const everything = Object.keys(LEDGER_ITEMS) as LedgerItems[];
  return [
    ledger('ReadLedger', ['GetItem', 'Query'], ...everything),
    ledger(
      'ChangeLedger',
      ['PutItem'],
      ...(['state', 'keys', 'jobs', 'approvals', 'censuses', 'restores', 'chains', 'events'] as const),
    ),
    ledger('SettleQuarantine', ['DeleteItem'], 'quarantine'),
    ...LEDGER_RIGHTS.listLedger,
    {
      // The keys that a restore may touch: no index that lags behind says which.
      Sid: 'ScanKeys',
      Effect: 'Allow',
      Action: 'dynamodb:Scan',
      Resource: getAtt('LedgerTable'),
    },
  ];
}

export type LedgerRight = keyof typeof LEDGER_RIGHTS;

/** What a declared need gives. The ledger's is split up further, by LEDGER_RIGHTS. */
const NEED_RIGHTS: Readonly<Record<Need, (stage: Stage) => readonly Statement[]>> = {
  ledger: (stage) => [
    ledger('ReadState', ['GetItem'], 'state'),
    useOf(stateKeyArns(stage), 'UnwrapStateKey', 'Decrypt', OF_STATE_KEY),
  ],
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
    // The state key's too.
    useOf(rootKeyArns(stage), 'RewrapKeksFrom', 'ReEncryptFrom', IN_CONTEXT),
    useOf(wrappingKeyArns(stage), 'RewrapKeksTo', 'ReEncryptTo', IN_CONTEXT),
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
  archive: archiveStatements,
  sign: (stage) => [
    {
      Sid: 'SignStatements',
      Effect: 'Allow',
      Action: ['kms:GetPublicKey', 'kms:Sign'],
      Resource: signingKeyArn(stage),
    },
  ],
};

/** The command line makes the state key, along with the first key of all. */
export function makeStateKey(stage: Stage): Statement {
  return useOf(stateKeyArns(stage), 'MakeStateKey', 'GenerateDataKeyWithoutPlaintext', OF_STATE_KEY);
}

/** What changes of these say is told to the audit, in the same write. */
const AUDITED: readonly LedgerRight[] = [
  'recordEvents',
  'changeKeys',
  'changeJobs',
  'askForApproval',
  'keepCensus',
  'keepCertificate',
];

const USES_ROOT_KEYS: readonly Need[] = ['ledger', 'provider:generate', 'provider:unwrap', 'provider:rewrap'];

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
  const isAudited = ledgerRights.some((right) => AUDITED.includes(right));
  return [
    ...ledgerRights.flatMap((right): readonly Statement[] => LEDGER_RIGHTS[right]),
    ...(isAudited ? LEDGER_RIGHTS.appendAudit : []),
    ...needs.flatMap((need) => NEED_RIGHTS[need](stage)),
    ...(needs.some((need) => USES_ROOT_KEYS.includes(need)) ? [describeRootKeys(stage)] : []),
  ];
}
