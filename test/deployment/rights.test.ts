import { describe, expect, it } from 'vitest';
import { allows, denies, type Request, type Statement, statementsOf } from './support/policies.ts';
import { ACCOUNT, arnOf, ofType, REGION } from './support/template.ts';
import { dynamodb, functionsThatMay, functionsThatNeed, othersThatMay, postgres } from './support/who-may.ts';

/** Who may read and write what, as the packaged policies say it. */

const table = arnOf(dynamodb, 'LedgerTable');

describe('the ledger', () => {
  const on = (action: string, item: string): Request => ({
    action: `dynamodb:${action}`,
    resource: table,
    context: { 'dynamodb:LeadingKeys': [item] },
  });

  it('every function reads jobs or keys, and no more than asked for', () => {
    expect(functionsThatMay(on('GetItem', 'KEY#acme#default'))).not.toContain('check-sweep');
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
  });

  it('the monitor counts and sets aside nothing', () => {
    for (const action of ['PutItem', 'UpdateItem', 'DeleteItem'])
      expect(functionsThatMay(on(action, 'QUARANTINE#1'))).not.toContain('monitor');
    for (const item of ['KEY#a', 'JOB#1'])
      expect(functionsThatMay(on('UpdateItem', item))).not.toContain('monitor');
  });

  it('the state key is read by all who use the ledger, and written by the daily sweep and the command line', () => {
    expect(functionsThatMay(on('GetItem', 'STATE#KEY'))).toEqual(functionsThatNeed('ledger'));
    expect(functionsThatMay(on('PutItem', 'STATE#KEY'))).toEqual(['sweep']);
    expect(othersThatMay(on('PutItem', 'STATE#KEY'))).toEqual(['OperatorPolicy']);
    for (const action of ['UpdateItem', 'DeleteItem'])
      expect(functionsThatMay(on(action, 'STATE#KEY'))).toEqual([]);
  });

  describe('an application', () => {
    const application = statementsOf(dynamodb, 'ApplicationPolicy');
    const update = (attributes: readonly string[] | undefined, more: Record<string, string> = {}) => {
      const request = on('UpdateItem', 'KEY#acme#default');
      const named = attributes === undefined ? {} : { 'dynamodb:Attributes': attributes };
      return { ...request, context: { ...request.context, ...named, ...more } };
    };

    it('says what it used, and changes nothing else of a key', () => {
      expect(allows(application, update(['pk', 'sk', 'canary']))).toBe(true);
      expect(allows(application, update(['pk', 'canary'], { 'dynamodb:ReturnValues': 'NONE' }))).toBe(true);
      for (const attribute of ['versions', 'active', 'revision', 'mac', 'holds', 'pendingAudit', 'list'])
        expect(allows(application, update(['pk', 'sk', 'canary', attribute])), attribute).toBe(false);
      expect(allows(application, update(undefined))).toBe(false);
      expect(allows(application, update(['pk', 'canary'], { 'dynamodb:ReturnValues': 'ALL_NEW' }))).toBe(
        false,
      );
    });

    it('puts and deletes nothing, and reads keys alone', () => {
      for (const action of ['PutItem', 'DeleteItem', 'BatchWriteItem', 'PartiQLUpdate', 'TransactWriteItems'])
        expect(allows(application, on(action, 'KEY#acme#default')), action).toBe(false);
      expect(allows(application, on('GetItem', 'KEY#acme#default'))).toBe(true);
      for (const item of ['STATE#KEY', 'JOB#1', 'QUARANTINE#1', 'APPROVAL#1', 'AUDIT#acme']) {
        expect(allows(application, on('GetItem', item)), item).toBe(false);
        expect(allows(application, { ...update(['pk', 'canary']), ...on('UpdateItem', item) }), item).toBe(
          false,
        );
      }
    });
  });

  it('keys are changed by those whose step it is', () => {
    expect(functionsThatMay(on('PutItem', 'KEY#acme#default'))).toEqual([
      'activate-version',
      'begin-purge',
      'check-barrier',
      // They settle the quarantine, and say of a version that values were found on it.
      'conclude-adoption',
      'conclude-round',
      'create-version',
      'destroy-version',
      'kms-event',
      'monitor',
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
      // People find the keys that a restore may touch without an index.
      const readsAll = request.action === 'dynamodb:Scan' ? ['OperatorPolicy'] : [];
      expect(othersThatMay(request), request.action).toEqual(readsAll);
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
    expect(functionsThatNeed('executions')).toEqual(['kms-event', 'monitor', 'rotation-request', 'sweep']);
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
    KeepInArchive: 'names of objects are made as the chain grows',
    ReadArchive: 'names of objects are made as the chain grows',
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
