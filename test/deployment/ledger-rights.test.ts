import { type DynamoDBClient, DynamoDBServiceException } from '@aws-sdk/client-dynamodb';
import { afterAll, describe, expect, it } from 'vitest';
import { z } from 'zod';
import { FUNCTION_NAMES, type FunctionName, roleLogicalId } from '../../infrastructure/functions.ts';
import { approve } from '../../shared/approvals/approve.ts';
import { createDynamoDbLedger } from '../../shared/ledger/dynamodb-ledger.ts';
import { createLedgerTable } from '../../shared/ledger/table.ts';
import { requestAdoption, requestPurge, requestRotation } from '../../shared/rotation/request-job.ts';
import { requestRollback } from '../../shared/rotation/rollback.ts';
import { createTestRootKeys, type TestRootKeys } from '../../simulation/models/root-keys.ts';
import { testState } from '../../simulation/models/state-key.ts';
import { createApprovers } from '../support/approvers.ts';
import { connect, startTestDynamoDb } from '../support/dynamodb.ts';
import { FUNCTIONS, kebab } from '../support/function-runner.ts';
import { type Around, deliver, runAdoption, runPurge, runRotation } from '../support/memory-machine.ts';
import { FIELDS, fill, KEY, prepareWorlds, stateOf, TENANT, type World } from '../support/memory-world.ts';
import { allows, type Statement, statementsOf } from './support/policies.ts';
import { arnOf, readTemplate } from './support/template.ts';

/**
 * Whole jobs on a real DynamoDB whose every request is held against the packaged role of the function that sends it:
 * what the role does not allow is denied, as in AWS; and what no function ever asks for is no right of its role.
 */

const template = readTemplate('dynamodb');
const policies = new Map(FUNCTION_NAMES.map((name) => [name, statementsOf(template, roleLogicalId(name))]));

/** Who runs now; empty: a person, or the test itself. */
const running: FunctionName[] = [];
/** Statements that allowed something, by function. */
const used = new Map<FunctionName, Set<string>>();

const request = z.looseObject({
  IndexName: z.string().optional(),
  Key: z.looseObject({ pk: z.object({ S: z.string() }) }).optional(),
  Item: z.looseObject({ pk: z.object({ S: z.string() }) }).optional(),
  UpdateExpression: z.string().optional(),
  ExpressionAttributeNames: z.record(z.string(), z.string()).default({}),
  ExpressionAttributeValues: z.record(z.string(), z.looseObject({ S: z.string().optional() })).default({}),
});

/** The partition that the request is for. Of a query, the value that is one of the ledger's. */
function partitionOf(input: z.output<typeof request>): string {
  const asked = Object.values(input.ExpressionAttributeValues).find(({ S }) => /^[A-Z]+#/.test(S ?? ''));
  return input.Key?.pk.S ?? input.Item?.pk.S ?? asked?.S ?? '';
}

function enforce(client: DynamoDBClient): DynamoDBClient {
  client.middlewareStack.add(
    (next, { commandName = '' }) =>
      async (args) => {
        const name = running.at(-1);
        if (name !== undefined) check(name, commandName.replace(/Command$/, ''), request.parse(args.input));
        return next(args);
      },
    { step: 'initialize' },
  );
  return client;
}

function check(name: FunctionName, command: string, input: z.output<typeof request>): void {
  const table = arnOf(template, 'LedgerTable');
  const asked = {
    action: `dynamodb:${command}`,
    resource: input.IndexName === undefined ? table : `${table}/index/${input.IndexName}`,
    context: {
      'dynamodb:LeadingKeys': [partitionOf(input)],
      ...(input.UpdateExpression !== undefined && {
        'dynamodb:Attributes': ['pk', 'sk', ...Object.values(input.ExpressionAttributeNames)],
      }),
    },
  };
  const statements = policies.get(name) ?? [];
  if (!allows(statements, asked)) {
    throw new DynamoDBServiceException({
      name: 'AccessDeniedException',
      $fault: 'client',
      $metadata: {},
      message: `${name} may not ${command} ${partitionOf(input)}`,
    });
  }
  const sids = used.get(name) ?? new Set();
  for (const statement of statements) if (allows([statement], asked)) sids.add(statement.Sid);
  used.set(name, sids);
}

async function as<T>(name: FunctionName, run: () => Promise<T>): Promise<T> {
  running.push(name);
  try {
    return await run();
  } finally {
    running.pop();
  }
}

const around: Around = (state, step) => as(nameOf(kebab(state)), step);
const work = (world: World) => as('process-chunk', () => deliver(world));

function nameOf(folder: string): FunctionName {
  return z.enum(FUNCTION_NAMES as [FunctionName, ...FunctionName[]]).parse(folder);
}

function call(world: World, name: FunctionName, event: unknown = {}): Promise<unknown> {
  const create = FUNCTIONS.get(name);
  if (create === undefined) throw new Error(`no function ${name}`);
  return as(name, () => create(world.deps)(event, { getRemainingTimeInMillis: () => 600_000 }));
}

const dynamodb = await startTestDynamoDb();
const worlds = await prepareWorlds();
const client = enforce(connect(dynamodb.server.endpoint));
afterAll(async () => {
  client.destroy();
  await worlds.remove();
  await dynamodb.stop();
});

async function makeWorld(rotation: object = {}, roots?: TestRootKeys, approvals?: object): Promise<World> {
  const tableName = dynamodb.newTableName();
  await createLedgerTable(dynamodb.client, tableName);
  const other = {
    ...(roots !== undefined && { provider: roots.provider }),
    ...(approvals !== undefined && { approvals }),
  };
  const world = await worlds.makeWorld(
    createDynamoDbLedger({ client, tableName, authenticator: testState }),
    rotation,
    other,
  );
  // Both record sets are in one database, which has the writers' fence: what it is told is in the audit.
  world.people.minimums = new Map();
  world.notes.minimums = world.people.minimums;
  await fill(world, 6);
  return world;
}

function askForRotation(world: World, purpose = 'default'): Promise<unknown> {
  const detail = { schemaVersion: 1, tenant: TENANT, purpose, requestId: 'r', requestedBy: 'test' };
  const time = new Date(world.clock.now()).toISOString();
  return call(world, 'rotation-request', {
    'detail-type': 'TenantKeyRotationRequested',
    source: 'app',
    time,
    detail,
  });
}

describe('with the rights of its role, every function does its part of', () => {
  it('a rotation by a request, and its purge by the daily sweep', async () => {
    const world = await makeWorld();
    await askForRotation(world);
    const [rotation] = await world.ledger.listJobs();
    expect(await runRotation(world, rotation?.jobId ?? '', around, work)).toBe('CLEAN');
    world.passGrace();
    await call(world, 'monitor');
    expect(await call(world, 'sweep')).toMatchObject({ failed: 0, purges: 1 });
    const [due] = await world.ledger.listJobs({ kind: 'purge' });
    expect(await runPurge(world, due?.jobId ?? '', around)).toBe(true);
  });

  it('a rollback, of whose version the fence is told before it is active', async () => {
    const world = await makeWorld();
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId, around, work);
    const { request } = await requestRollback(world.deps, { ...KEY, to: 1 });
    expect(await runRotation(world, request?.job.jobId ?? '', around, work)).toBe('CLEAN');
    // What is refused is in the audit, too.
    await expect(askForRotation(world, 'none')).rejects.toThrow('KEY_NOT_FOUND');
    const last = await world.ledger.lastAuditEntry(TENANT);
    expect(last?.entry?.type).toBe('request.refused');
  });

  it('a rotation and a purge with a record in quarantine, which is mended', async () => {
    const world = await makeWorld();
    const setEmail = (value: Uint8Array | null) => {
      const row = world.people.rows.get(JSON.stringify(['1']));
      if (row === undefined) throw new Error('no row');
      row.values[0] = value;
    };
    setEmail(Buffer.from('no envelope'));
    const { job } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, job.jobId, around, work)).toBe('CLEAN');
    await call(world, 'monitor');
    world.passGrace();
    const purging = await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, purging.job.jobId, around)).toBe(false);
    // Gone from the row, it is settled by the next round's end and by the next purge.
    setEmail(null);
    const again = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, again.job.jobId, around, work)).toBe('CLEAN');
    expect(await world.ledger.listQuarantined((await world.key()).keyId)).toEqual([]);
  });

  it('a purge that people approve, and the export of what was told of it', async () => {
    const approvers = await createApprovers('ada', 'grace');
    const pinned = await approvers.configured('ada', 'grace');
    const world = await makeWorld({}, undefined, { required: 2, approvers: pinned });
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId, around, work);
    world.passGrace();
    const purging = await requestPurge(world.deps, { ...KEY, version: 1 });
    const paused = { code: 'JOB_PAUSED' };
    await expect(runPurge(world, purging.job.jobId, around)).rejects.toMatchObject(paused);
    await call(world, 'export-audit');
    const { approvalId } = await world.job(purging.job.jobId);
    for (const name of ['ada', 'grace'])
      await approve(world.deps, approvalId ?? '', name, approvers.signer(name));
    await requestPurge(world.deps, { ...KEY, version: 1 });
    expect(await runPurge(world, purging.job.jobId, around)).toBe(true);
    await call(world, 'export-audit');
    await approvers.remove();
  });

  it('a purge of a version that an application asks for, and then a worker', async () => {
    const world = await makeWorld();
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId, around, work);
    world.passGrace();
    const begin = async () => {
      const purging = await requestPurge(world.deps, { ...KEY, version: 1 });
      await call(world, 'begin-purge', { jobId: purging.job.jobId });
    };
    await begin();
    await world.makeKeyring().version(TENANT, KEY.purpose, 1);
    await call(world, 'monitor');
    expect(await stateOf(world, 1)).toBe('RETIRING');
    await begin();
    await world.write(world.people, 99, 'restored by hand', 1);
    const next = await requestRotation(world.deps, KEY);
    await runRotation(world, next.job.jobId, around, work);
    await call(world, 'monitor');
    expect(await stateOf(world, 1)).toBe('RETIRING');
  });

  it('a rotation whose workers do nothing, which the monitor looks at', async () => {
    const world = await makeWorld({ maxRounds: 1 });
    const { job } = await requestRotation(world.deps, KEY);
    expect(await runRotation(world, job.jobId, around, async (w) => w.pass(600))).toBe('BLOCKED');
    const other = await makeWorld();
    await requestRotation(other.deps, KEY);
    other.pass(86_400);
    await call(other, 'monitor');
  });

  it('an adoption', async () => {
    const world = await makeWorld();
    world.people.rows.set(JSON.stringify(['9']), {
      key: ['9'],
      tenant: TENANT,
      values: FIELDS.map(() => null),
      plaintext: FIELDS.map((field) => Buffer.from(field)),
    });
    const adoption = { tenant: TENANT, recordSet: 'people', requestedBy: 'test' };
    const { job } = await requestAdoption(world.deps, adoption);
    expect(await runAdoption(world, job.jobId, around, work)).toBe('CLEAN');
  });

  it('a purge that failed, which is stopped', async () => {
    const world = await makeWorld();
    const { job } = await requestRotation(world.deps, KEY);
    await runRotation(world, job.jobId, around, work);
    world.passGrace();
    const purging = await requestPurge(world.deps, { ...KEY, version: 1 });
    await call(world, 'begin-purge', { jobId: purging.job.jobId });
    const stop = { jobId: purging.job.jobId, error: { Error: 'PermanentError', Cause: 'X: y' } };
    await call(world, 'stop-job', stop);
    expect(await world.job(purging.job.jobId)).toMatchObject({ status: 'BLOCKED' });
  });

  it.each(['create-version', 'prove-version'] as const)(
    'a root key that is disabled before %s',
    async (name) => {
      const roots = createTestRootKeys();
      const world = await makeWorld({}, roots);
      const rootKeyId = roots.provider.rootKeyFor(TENANT);
      const { jobId } = (await requestRotation(world.deps, KEY)).job;
      if (name === 'prove-version') await call(world, 'create-version', { jobId });
      roots.set(rootKeyId, 'DISABLED');
      await call(world, name, { jobId }).catch(() => undefined);
      const event = { id: 'e-1', source: 'aws.kms', detail: { 'key-id': rootKeyId } };
      await call(world, 'kms-event', event);
      expect(await world.job(jobId)).toMatchObject({ status: 'PAUSED' });
      roots.set(rootKeyId, 'ENABLED');
      await call(world, 'kms-event', event);
      expect(await call(world, 'sweep')).toMatchObject({ failed: 0 });
    },
  );

  it.each<readonly [string, (world: World) => Promise<unknown>]>([
    [
      'restore, which goes on',
      async ({ deps, clock }) => {
        const at = new Date(clock.now()).toISOString();
        const restore = {
          ...{
            restoreId: 'restore-1',
            store: 'main',
            backupTime: at,
            backupEnd: at,
            status: 'BEGUN' as const,
            keys: null,
          },
          ...{ requestedBy: 'test', begunAt: at, readyAt: null, endedAt: null, refusal: null, revision: 1 },
        };
        await deps.ledger.createRestore(restore);
        await deps.ledger.replaceRestore({ ...restore, status: 'READY', keys: 1, readyAt: at, revision: 2 });
      },
    ],
    [
      'request for approval, an approval and a void',
      async ({ deps, clock, key }) => {
        const at = new Date(clock.now()).toISOString();
        const requestId = 'request-1';
        const { keyId, tenant, purpose } = await key();
        await deps.ledger.createApprovalRequest({
          ...{
            requestId,
            action: 'purge',
            keyId,
            tenant,
            purpose,
            version: 1,
            restoreEpoch: 0,
            evidence: {},
          },
          ...{ subject: 'digest', summary: 'x', requestedBy: 'test', requestedAt: at, expiresAt: at },
        });
        const approval = { requestId, approver: 'ada', breakGlass: false, at, jws: 'x.y.z' };
        await deps.ledger.createApproval(approval);
        await deps.ledger.voidApprovalRequest({ requestId, at, why: 'x' });
      },
    ],
    [
      'certificate',
      async ({ deps, clock, key }) => {
        const { keyId, tenant, purpose } = await key();
        const issuedAt = new Date(clock.now()).toISOString();
        await deps.ledger.createCertificate({ tenant, purpose, keyId, version: 1, issuedAt, jws: 'x.y.z' });
      },
    ],
    [
      'stored census',
      async (world) => {
        const { keyId, tenant, purpose, active, restoreEpoch } = await world.key();
        const takenAt = new Date(world.clock.now()).toISOString();
        const found = { coverage: {}, excluded: [], undeclared: null, onVersion: 0, stale: 0, malformed: 0 };
        await world.deps.ledger.putStoredCensus({
          ...{ censusId: 'census-1', keyId, tenant, purpose, active, restoreEpoch, version: 1 },
          ...{ jobId: null, attempt: null, round: null },
          result: { takenAt, takenBy: 'test', reach: 'tenant', foreign: 0, ...found },
        });
      },
    ],
    [
      'event of no item',
      ({ deps }) => deps.audit.record(TENANT, { eventId: 'e-1', type: 'census.taken', detail: {} }),
    ],
  ])('the export of what was told of a %s, also where a crash left it in its outbox', async (_, change) => {
    const world = await makeWorld();
    const left = world.ledger;
    await change(world);
    const outboxes = await left.listOpenOutboxes();
    expect(outboxes.length).toBeGreaterThan(0);
    expect(await call(world, 'export-audit')).toMatchObject({
      failed: 0,
      pending: 0,
      settled: outboxes.length,
    });
    expect(await left.listOpenOutboxes()).toEqual([]);
  });

  it('a root key that is disabled while the workers run', async () => {
    const roots = createTestRootKeys();
    const world = await makeWorld({}, roots);
    const { jobId } = (await requestRotation(world.deps, KEY)).job;
    const outage = async (w: World) => {
      w.restart();
      roots.set(roots.provider.rootKeyFor(TENANT), 'DISABLED');
      await work(w);
    };
    await runRotation(world, jobId, around, outage).catch(() => undefined);
    expect(await world.job(jobId)).toMatchObject({ status: 'PAUSED' });
  });
});

describe('a role has no right to the ledger that', () => {
  it.each(FUNCTION_NAMES)('%s never uses', (name) => {
    const granted = (policies.get(name) ?? []).filter(isTried).map(({ Sid }) => Sid);
    const unused = granted.filter((sid) => !used.get(name)?.has(sid));
    expect(unused).toEqual([]);
  });
});

/** The state key is opened beside the ledger, and here it is a test's: see shared/ledger/authentication/. */
const NOT_TRIED = ['ReadState', 'ChangeState'];

function isTried({ Sid, Resource }: Statement): boolean {
  return (
    !NOT_TRIED.includes(Sid) &&
    Resource.some((resource) => resource.startsWith(arnOf(template, 'LedgerTable')))
  );
}
