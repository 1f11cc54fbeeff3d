import { describe, expect, it } from 'vitest';
import { FUNCTION_NEEDS } from '../../functions/needs.ts';
import { FUNCTION_NAMES, roleLogicalId } from '../../infrastructure/functions.ts';
import { CONTEXT_NAMES } from '../../shared/providers/aws-kms/encryption-context.ts';
import { allows, denies, type Request, type Statement, statementsOf } from './support/policies.ts';
import { ACCOUNT, arnOf, ofType, type PackagedTemplate, REGION, readTemplate } from './support/template.ts';

/** Who may do what, as the packaged policies say it. */

const dynamodb = readTemplate('dynamodb');
const postgres = readTemplate('postgres');

const table = arnOf(dynamodb, 'LedgerTable');
const rootKey = arnOf(dynamodb, 'RootKey');
const otherKey = `arn:aws:kms:${REGION}:${ACCOUNT}:key/somebody-elses`;
const context = { 'kms:EncryptionContextKeys': Object.values(CONTEXT_NAMES) };

function functionsThatMay(request: Request, template: PackagedTemplate = dynamodb): string[] {
  return FUNCTION_NAMES.filter((name) => allows(statementsOf(template, roleLogicalId(name)), request)).sort();
}

/** Everything else that has rights: state machines, the scheduler, and who is outside the stack. */
const OTHERS = [
  'RotateKeyStateMachineRole',
  'PurgeVersionStateMachineRole',
  'AdoptRecordsStateMachineRole',
  'SchedulerRole',
  'ApplicationPolicy',
  'OperatorPolicy',
];

function othersThatMay(request: Request): string[] {
  return OTHERS.filter((id) => allows(statementsOf(dynamodb, id), request));
}

function functionsThatNeed(need: string): string[] {
  return FUNCTION_NAMES.filter((name) => (FUNCTION_NEEDS[name] as readonly string[]).includes(need)).sort();
}

describe('the root key', () => {
  it.each([
    ['kms:Decrypt', ['process-chunk', 'prove-version', 'sweep'], ['ApplicationPolicy', 'OperatorPolicy']],
    ['kms:GenerateDataKeyWithoutPlaintext', ['create-version'], ['OperatorPolicy']],
    ['kms:ReEncryptFrom', ['kms-event', 'sweep'], []],
    ['kms:ReEncryptTo', ['kms-event', 'sweep'], []],
  ])('%s: only %j, and outside the stack %j', (action, functions, others) => {
    const request = { action, resource: rootKey, context };
    expect(functionsThatMay(request)).toEqual(functions);
    expect(othersThatMay(request)).toEqual(others);
  });

  it.each(['kms:Decrypt', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:ReEncryptFrom'])(
    '%s: nobody on another key, without a context, or with another one',
    (action) => {
      for (const request of [
        { action, resource: otherKey, context },
        { action, resource: rootKey },
        { action, resource: rootKey, context: { 'kms:EncryptionContextKeys': ['keyturn:tenant', 'other'] } },
      ]) {
        expect(functionsThatMay(request)).toEqual([]);
        expect(othersThatMay(request)).toEqual([]);
      }
    },
  );

  it.each(['kms:Encrypt', 'kms:GenerateDataKey', 'kms:CreateGrant', 'kms:PutKeyPolicy', 'kms:DisableKey'])(
    '%s: nobody',
    (action) => {
      const request = { action, resource: rootKey, context };
      expect(functionsThatMay(request)).toEqual([]);
      expect(othersThatMay(request)).toEqual([]);
    },
  );
});

describe('root keys that the stage names', () => {
  const own = 'arn:aws:kms:eu-central-1:111122223333:key/11111111-1111-4111-8111-111111111111';
  const tenants = 'arn:aws:kms:eu-central-1:444455556666:key/22222222-2222-4222-8222-222222222222';
  const former = 'arn:aws:kms:eu-central-1:111122223333:key/33333333-3333-4333-8333-333333333333';
  const may = (action: string) =>
    [own, tenants, former].map(
      (resource) => functionsThatMay({ action, resource, context }, postgres).length > 0,
    );

  it('unwrap, former ones too; only current ones wrap', () => {
    expect(may('kms:Decrypt')).toEqual([true, true, true]);
    expect(may('kms:ReEncryptFrom')).toEqual([true, true, true]);
    expect(may('kms:GenerateDataKeyWithoutPlaintext')).toEqual([true, true, false]);
    expect(may('kms:ReEncryptTo')).toEqual([true, true, false]);
  });

  it('take the place of one that the stack makes', () => {
    expect(postgres.Resources['RootKey']).toBeUndefined();
    expect(Object.values(postgres.Outputs).map(({ Description }) => Description)).not.toContain(
      'KEYTURN_ROOT_KEY_ARN',
    );
  });
});

describe("the root key's own policy", () => {
  const policy = statementsOf(dynamodb, 'RootKey');
  const on = (action: string, role: string): Request => ({
    action,
    resource: '*',
    context: { ...context, 'aws:PrincipalArn': role },
  });
  const roleOf = (name: (typeof FUNCTION_NAMES)[number]) => arnOf(dynamodb, roleLogicalId(name));
  const application = `arn:aws:iam::${ACCOUNT}:role/app`;

  it('lets in those whose roles may, and no others', () => {
    for (const name of FUNCTION_NAMES) {
      for (const action of [
        'kms:Decrypt',
        'kms:GenerateDataKeyWithoutPlaintext',
        'kms:ReEncryptFrom',
        'kms:ReEncryptTo',
      ]) {
        const may = functionsThatMay({ action, resource: rootKey, context }).includes(name);
        expect(allows(policy, on(action, roleOf(name))), `${name} ${action}`).toBe(may);
      }
    }
  });

  it("lets the stage's applications unwrap, and nothing else", () => {
    expect(allows(policy, on('kms:Decrypt', application))).toBe(true);
    expect(allows(policy, on('kms:GenerateDataKeyWithoutPlaintext', application))).toBe(false);
    expect(allows(policy, on('kms:Decrypt', `${application}-of-another`))).toBe(false);
    expect(
      allows(policy, { ...on('kms:Decrypt', application), context: { 'aws:PrincipalArn': application } }),
    ).toBe(false);
  });

  it('denies its deletion to everybody, the account and the purge function too', () => {
    for (const role of [`arn:aws:iam::${ACCOUNT}:root`, roleOf('destroy-version'), application]) {
      expect(denies(policy, on('kms:ScheduleKeyDeletion', role))).toBe(true);
    }
  });

  it('lets administrators look after it and use it for nothing', () => {
    const admin = `arn:aws:iam::${ACCOUNT}:role/admin`;
    expect(allows(policy, on('kms:PutKeyPolicy', admin))).toBe(true);
    for (const action of [
      'kms:Decrypt',
      'kms:Encrypt',
      'kms:GenerateDataKey',
      'kms:ReEncryptTo',
      'kms:CreateGrant',
    ])
      expect(allows(policy, on(action, admin)), action).toBe(false);
  });
});

describe('the deletion of a key', () => {
  const deletion = (days: number, tag: string | undefined, resource = otherKey): Request => ({
    action: 'kms:ScheduleKeyDeletion',
    resource,
    context: {
      'kms:ScheduleKeyDeletionPendingWindowInDays': String(days),
      ...(tag !== undefined && { 'aws:ResourceTag/keyturn:key': tag }),
    },
  });

  it.each([7, 30])(
    'with a window of %i days: only the purge function, of a key that was made for one version',
    (days) => {
      expect(functionsThatMay(deletion(days, 'version'))).toEqual(['destroy-version']);
      expect(othersThatMay(deletion(days, 'version'))).toEqual([]);
    },
  );

  it.each([
    ['a window of 6 days', deletion(6, 'version')],
    ['a window of 31 days', deletion(31, 'version')],
    ['a key without the tag', deletion(30, undefined)],
    ['a root key', deletion(30, 'root', rootKey)],
    ['no window', { ...deletion(30, 'version'), context: { 'aws:ResourceTag/keyturn:key': 'version' } }],
  ])('%s: nobody', (_, request) => {
    expect(functionsThatMay(request)).toEqual([]);
    expect(othersThatMay(request)).toEqual([]);
  });

  it.each(['kms:DeleteImportedKeyMaterial', 'kms:DisableKey', 'kms:DeleteAlias'])('%s: nobody', (action) => {
    const request = { action, resource: otherKey, context: { 'aws:ResourceTag/keyturn:key': 'version' } };
    expect(functionsThatMay(request)).toEqual([]);
  });
});

describe('the ledger', () => {
  const on = (action: string, item: string): Request => ({
    action: `dynamodb:${action}`,
    resource: table,
    context: { 'dynamodb:LeadingKeys': [item] },
  });

  it('every function reads jobs or keys, and no more than asked for', () => {
    expect(functionsThatMay(on('GetItem', 'KEY#acme#default'))).not.toContain('check-barrier');
    expect(functionsThatMay(on('Query', 'QUARANTINE#1'))).toEqual([
      'conclude-adoption',
      'conclude-round',
      'destroy-version',
      'monitor',
    ]);
  });

  it('chunks are counted, and records set aside, by the worker alone', () => {
    expect(functionsThatMay(on('UpdateItem', 'JOB#1'))).toEqual(['process-chunk']);
    expect(functionsThatMay(on('PutItem', 'QUARANTINE#1'))).toEqual(['process-chunk']);
    expect(functionsThatMay(on('PutItem', 'JOB#1'))).not.toContain('monitor');
  });

  it('the monitor only reads', () => {
    for (const action of ['PutItem', 'UpdateItem', 'DeleteItem'])
      for (const item of ['KEY#a', 'JOB#1', 'QUARANTINE#1'])
        expect(functionsThatMay(on(action, item))).not.toContain('monitor');
  });

  it('keys are changed by those whose step it is', () => {
    expect(functionsThatMay(on('PutItem', 'KEY#acme#default'))).toEqual([
      'activate-version',
      'begin-purge',
      'create-version',
      'destroy-version',
      'kms-event',
      'process-chunk',
      'prove-version',
      'retire-version',
      'rotation-request',
      'stop-job',
      'sweep',
    ]);
  });

  it('nobody deletes a key or a job, scans, or changes the table', () => {
    for (const request of [
      on('DeleteItem', 'KEY#acme#default'),
      on('DeleteItem', 'JOB#1'),
      on('Scan', 'KEY#acme#default'),
      on('BatchWriteItem', 'KEY#acme#default'),
      on('PartiQLUpdate', 'KEY#acme#default'),
      { action: 'dynamodb:DeleteTable', resource: table },
      { action: 'dynamodb:UpdateTable', resource: table },
    ]) {
      expect(functionsThatMay(request), request.action).toEqual([]);
      expect(othersThatMay(request), request.action).toEqual([]);
    }
  });
});

describe('records', () => {
  const records = `arn:aws:dynamodb:${REGION}:${ACCOUNT}:table/customers`;
  const index = `${records}/index/by-tenant`;
  const secret = `arn:aws:secretsmanager:${REGION}:${ACCOUNT}:secret:rds-db-credentials-AbCdEf`;

  it('are read by those that need stores, and written by the worker alone', () => {
    expect(functionsThatMay({ action: 'dynamodb:UpdateItem', resource: records })).toEqual(['process-chunk']);
    for (const action of ['dynamodb:BatchGetItem', 'dynamodb:Scan'])
      expect(functionsThatMay({ action, resource: records })).toEqual(functionsThatNeed('stores:read'));
    expect(functionsThatMay({ action: 'dynamodb:Query', resource: index })).toEqual(
      functionsThatNeed('stores:read'),
    );
  });

  it('are never put, deleted, or read elsewhere', () => {
    for (const action of ['dynamodb:PutItem', 'dynamodb:DeleteItem', 'dynamodb:BatchWriteItem'])
      expect(functionsThatMay({ action, resource: records })).toEqual([]);
    expect(functionsThatMay({ action: 'dynamodb:Scan', resource: `${records}-of-others` })).toEqual([]);
  });

  it('in PostgreSQL: the secret is read by those that open stores, and no other secret', () => {
    const read = { action: 'secretsmanager:GetSecretValue', resource: secret };
    expect(functionsThatMay(read, postgres)).toEqual(functionsThatNeed('stores:read'));
    expect(functionsThatMay({ ...read, resource: `${secret}2` }, postgres)).toEqual([]);
    expect(functionsThatMay(read)).toEqual([]);
  });

  it('network interfaces are for Lambda and not for the code', () => {
    const make = { action: 'ec2:CreateNetworkInterface', resource: '*' };
    expect(functionsThatMay(make, postgres)).toEqual(functionsThatNeed('stores:read'));
    const byCode = {
      ...make,
      context: {
        'lambda:SourceFunctionArn': `arn:aws:lambda:${REGION}:${ACCOUNT}:function:keyturn-postgres-process-chunk`,
      },
    };
    expect(functionsThatMay(byCode, postgres)).not.toContain('process-chunk');
    expect(functionsThatMay(make)).toEqual([]);
  });
});

describe('queue, bus and state machines', () => {
  const workQueue = arnOf(dynamodb, 'WorkQueue');

  it('chunks are sent by the lister, and taken by the worker', () => {
    expect(functionsThatMay({ action: 'sqs:SendMessage', resource: workQueue })).toEqual(
      functionsThatNeed('queue'),
    );
    expect(functionsThatNeed('queue')).toEqual(['list-segment']);
    expect(functionsThatMay({ action: 'sqs:ReceiveMessage', resource: workQueue })).toEqual([
      'process-chunk',
    ]);
    expect(functionsThatMay({ action: 'sqs:DeleteMessage', resource: workQueue })).toEqual(['process-chunk']);
    expect(functionsThatMay({ action: 'sqs:PurgeQueue', resource: workQueue })).toEqual([]);
  });

  it('executions are started by what events call', () => {
    const machine = arnOf(dynamodb, 'RotateKeyStateMachine');
    expect(functionsThatMay({ action: 'states:StartExecution', resource: machine })).toEqual(
      functionsThatNeed('executions'),
    );
    expect(functionsThatNeed('executions')).toEqual(['kms-event', 'rotation-request', 'sweep']);
  });

  it('news is published by those that need the bus', () => {
    expect(functionsThatMay({ action: 'events:PutEvents', resource: arnOf(dynamodb, 'EventBus') })).toEqual(
      functionsThatNeed('bus'),
    );
  });

  it('a state machine calls exactly its functions', () => {
    for (const [machine, functions] of [
      ['PurgeVersion', ['BeginPurge', 'CheckBarrier', 'DestroyVersion', 'StopJob', 'TakeCensus']],
      [
        'AdoptRecords',
        ['CheckBarrier', 'CheckSweep', 'ConcludeAdoption', 'ListSegment', 'PlanSweep', 'StopJob'],
      ],
    ] as const) {
      const statements = statementsOf(dynamodb, `${machine}StateMachineRole`);
      const called = [...ofType(dynamodb, 'AWS::Lambda::Function').keys()].filter((id) =>
        allows(statements, { action: 'lambda:InvokeFunction', resource: arnOf(dynamodb, id) }),
      );
      expect(
        called.map((id) => id.replace('Dash', '').replace('LambdaFunction', '').toLowerCase()).sort(),
      ).toEqual(functions.map((name) => name.toLowerCase()));
    }
  });

  it('queues and the topic refuse connections without TLS', () => {
    for (const [policy, resource, action] of [
      ['WorkQueuePolicy', 'WorkQueue', 'sqs:SendMessage'],
      ['WorkDeadLettersPolicy', 'WorkDeadLetters', 'sqs:ReceiveMessage'],
      ['EventDeadLettersPolicy', 'EventDeadLetters', 'sqs:SendMessage'],
      ['AlarmTopicPolicy', 'AlarmTopic', 'sns:Publish'],
    ] as const) {
      const request = {
        action,
        resource: arnOf(dynamodb, resource),
        context: { 'aws:SecureTransport': 'false' },
      };
      expect(denies(statementsOf(dynamodb, policy), request), policy).toBe(true);
    }
  });
});

describe('wildcards', () => {
  /** Every statement of a role or managed policy that names an action or a resource by a wildcard, and why it has to. */
  const REASONS: Readonly<Record<string, string>> = {
    Logs: "streams of the function's own log group have names that Lambda makes",
    Traces: 'X-Ray segments have no resource to name',
    LogDelivery: "log deliveries are the account's: they have no resource to name",
    LookAtAndStopJobs: 'executions of the three state machines, each named by its job',
    DestroyVersionKeys: 'a key for one version is made later; its tag and the window bind the right',
    NetworkInterfaces:
      'Lambda makes the interfaces, so their ids are not known before; the code is denied it',
  };

  it.each([
    ['dynamodb', dynamodb],
    ['postgres', postgres],
  ] as const)('of %s stand only where a reason is given', (_, template) => {
    const ids = [
      ...ofType(template, 'AWS::IAM::Role').keys(),
      ...ofType(template, 'AWS::IAM::ManagedPolicy').keys(),
    ];
    const found = ids.flatMap((id) => statementsOf(template, id)).filter(hasWildcard);
    expect([...new Set(found.map(({ Sid }) => Sid))].filter((sid) => REASONS[sid] === undefined)).toEqual([]);
    for (const { Sid, Action } of found)
      expect(
        Action.some((action) => action.includes('*')),
        Sid,
      ).toBe(false);
  });

  it('have no reason without a statement', () => {
    const ids = [...ofType(postgres, 'AWS::IAM::Role').keys()];
    const sids = new Set(
      ids
        .flatMap((id) => statementsOf(postgres, id))
        .filter(hasWildcard)
        .map(({ Sid }) => Sid),
    );
    expect(Object.keys(REASONS).filter((sid) => !sids.has(sid))).toEqual([]);
  });

  function hasWildcard({ Effect, Action, Resource }: Statement): boolean {
    return Effect === 'Allow' && [...Action, ...Resource].some((text) => text.includes('*'));
  }
});
