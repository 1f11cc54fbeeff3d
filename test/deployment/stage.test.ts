import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { accessPolicies } from '../../infrastructure/access.ts';
import { archive } from '../../infrastructure/archive.ts';
import { environmentOf } from '../../infrastructure/environment.ts';
import { keys } from '../../infrastructure/keys.ts';
import { MOST_NAMED_KEYS } from '../../infrastructure/names.ts';
import { IN_CONTEXT, OF_STATE_KEY, OF_TENANTS, statementsFor } from '../../infrastructure/rights.ts';
import { functionRoles } from '../../infrastructure/roles.ts';
import { filesOf, readStage } from '../../infrastructure/stage.ts';
import { template } from '../../infrastructure/template.ts';
import { checkTemplate } from '../../scripts/deploy/check-template.ts';
import { shellExports, variablesOf } from '../../scripts/deploy/environment.ts';
import { liveKeys } from '../../scripts/deploy/remove.ts';
import type { TenantKey } from '../../shared/keyring/key.ts';

const folder = await mkdtemp(join(tmpdir(), 'keyturn-stage-'));
afterAll(() => rm(folder, { recursive: true, force: true }));

const ROOT_KEY = 'arn:aws:kms:eu-central-1:111122223333:key/00000000-0000-4000-8000-000000000000';
const SECRET = 'arn:aws:secretsmanager:eu-central-1:111122223333:secret:db-AbCdEf';
const base = {
  provider: { type: 'aws-kms' },
  stores: { main: { type: 'postgres', secret: SECRET, database: 'app' } },
  recordSets: {},
  deployment: { region: 'eu-central-1' },
};

async function stageOf(changes: object) {
  await writeFile(join(folder, 'keyturn.test.yaml'), stringify({ ...base, ...changes }));
  return readStage('test', folder);
}

describe("a stage's file", () => {
  it.each([
    ['no deployment section', { deployment: undefined }, /no deployment section/],
    ['the local provider', { provider: { type: 'local', keystore: 'k', keyFile: 'f' } }, /local provider/],
    [
      'a database by a URL',
      { stores: { main: { type: 'postgres', urlFrom: 'URL' } } },
      /stores\.main has no secret/,
    ],
    [
      'a database without TLS',
      { stores: { main: { type: 'postgres', secret: SECRET, tls: 'off' } } },
      /without TLS/,
    ],
    ['a signing key in a file', { signing: { type: 'local', keyFile: 'k' } }, /local signing key/],
    [
      'an archive in a folder',
      { audit: { archive: { type: 'file', folder: 'f' } } },
      /a folder on one machine/,
    ],
    ['an unknown setting', { deployment: { region: 'eu-central-1', regoin: 'x' } }, /regoin/],
    ['a bad region', { deployment: { region: 'Frankfurt' } }, /AWS region/],
    [
      'a retention that CloudWatch does not have',
      { deployment: { region: 'eu-central-1', logRetentionDays: 8 } },
      /one of 1, 3, 5/,
    ],
  ])('with %s is refused', async (_, changes, message) => {
    await expect(stageOf(changes)).rejects.toThrow(message);
    await expect(stageOf(changes)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('that is not there is refused, and so is a name that makes names too long', () => {
    expect(() => readStage('nowhere', folder)).toThrow(expect.objectContaining({ code: 'CONFIG_NOT_FOUND' }));
    expect(() => readStage('a-stage-with-a-long-name', folder)).toThrow(/no name for a stage/);
    expect(() => readStage('../etc', folder)).toThrow(/no name for a stage/);
  });

  it('brings its certificate authorities into the bundles', async () => {
    const stores = { main: { ...base.stores.main, tls: { ca: './certs/database.pem' } } };
    expect(filesOf(await stageOf({ stores }), folder)).toEqual(['keyturn.test.yaml', 'certs/database.pem']);
  });

  it('names of IAM roles stay within 64 characters in the longest region', () => {
    const names = Object.values(template('dynamodb').resources.Resources).flatMap(({ Type, Properties }) =>
      Type === 'AWS::IAM::Role' ? [String(Properties?.['RoleName'])] : [],
    );
    const longest = Math.max(...names.map((name) => name.length));
    // `dynamodb` has 8 characters of 16, and eu-central-1 12 of the 14 of ap-southeast-1.
    expect(
      longest - 'dynamodb'.length + 16 - 'eu-central-1'.length + 'ap-southeast-1'.length,
    ).toBeLessThanOrEqual(64);
  });

  it('changes schedules, and leaves what it does not name', async () => {
    const { events } = await import('../../infrastructure/events.ts');
    const deployment = {
      ...base.deployment,
      schedules: { sweep: { expression: 'cron(0 4 * * ? *)', timezone: 'Europe/Berlin' } },
    };
    const { SweepSchedule, MonitorSchedule } = events(await stageOf({ deployment }));
    expect(SweepSchedule?.Properties).toMatchObject({
      ScheduleExpression: 'cron(0 4 * * ? *)',
      ScheduleExpressionTimezone: 'Europe/Berlin',
      FlexibleTimeWindow: { Mode: 'FLEXIBLE', MaximumWindowInMinutes: 30 },
    });
    expect(MonitorSchedule?.Properties?.['ScheduleExpression']).toBe('rate(15 minutes)');
  });

  it('with a signing key and an audit bucket of its own makes neither, and gives rights on those', async () => {
    const key = ROOT_KEY.replace(/0$/, '1');
    const audit = { archive: { type: 's3', bucket: 'evidence' } };
    const stage = await stageOf({ signing: { type: 'aws-kms', key }, audit });
    const made = { ...keys(stage), ...archive(stage) };
    expect(Object.keys(made)).toEqual(['RootKey', 'AlarmKey']);
    const role = JSON.stringify(functionRoles(stage)['ExportAuditRole']);
    expect(role).toContain(key);
    expect(role).toContain(':s3:::evidence');
    const environment = environmentOf(stage, ['sign', 'archive']);
    for (const name of ['KEYTURN_SIGNING_KEY_ARN', 'KEYTURN_AUDIT_BUCKET'])
      expect(environment).not.toHaveProperty(name);
  });

  it('with a root key of its own makes none', async () => {
    const stage = await stageOf({ provider: { type: 'aws-kms', rootKey: ROOT_KEY } });
    const { keys } = await import('../../infrastructure/keys.ts');
    const { functionRoles } = await import('../../infrastructure/roles.ts');
    expect(Object.keys(keys(stage))).toEqual(['SigningKey', 'AlarmKey']);
    expect(JSON.stringify(functionRoles(stage)['ProveVersionRole'])).toContain(ROOT_KEY);
  });
});

describe('checks before a deployment', () => {
  it('find what the template names and does not make', () => {
    const Resources = {
      Queue: { Type: 'AWS::SQS::Queue', DependsOn: ['Gone'] },
      Role: {
        Type: 'AWS::IAM::Role',
        Properties: { A: { 'Fn::Sub': `\${AWS::Region}-\${Lost.Arn}` }, B: { Ref: 'Queue' } },
      },
    };
    expect(checkTemplate({ Resources }).problems).toEqual([
      'the template names Gone, which it does not make',
      'the template names Lost, which it does not make',
    ]);
  });

  it('find a policy over the limits of IAM', () => {
    const Statement = [{ Resource: Array.from({ length: 200 }, () => ({ 'Fn::GetAtt': ['Role', 'Arn'] })) }];
    const Resources = {
      Managed: { Type: 'AWS::IAM::ManagedPolicy', Properties: { PolicyDocument: { Statement } } },
      Role: { Type: 'AWS::IAM::Role', Properties: { Policies: [{ PolicyDocument: { Statement } }] } },
      Key: { Type: 'AWS::KMS::Key', Properties: { KeyPolicy: { Statement } } },
    };
    expect(checkTemplate({ Resources }).problems).toEqual([
      expect.stringMatching(/^the policy of Managed has about \d+ characters, over 6144$/),
      expect.stringMatching(/^the policy of Role has about \d+ characters, over 10240$/),
    ]);
  });

  it.each([0, MOST_NAMED_KEYS - 1, MOST_NAMED_KEYS, 100])('let %d tenants bring their root keys', (count) => {
    const base = readStage('dynamodb');
    const keyOf = (i: number) => `arn:aws:kms:eu-central-1:${111122223333 + i}:key/${'0'.repeat(36)}`;
    const tenantRootKeys = Object.fromEntries(
      Array.from({ length: count }, (_, i) => [`tenant-${i}`, keyOf(i)]),
    );
    const stage = { ...base, provider: { ...base.provider, tenantRootKeys } };
    const made = { ...functionRoles(stage), ...accessPolicies(stage), ...keys(stage) };
    expect(
      checkTemplate({ Resources: made }).problems.filter((problem) => problem.includes('policy')),
    ).toEqual([]);
    // Where a pattern stands for the keys, a use is bound by the encryption context, and the rest only reads.
    const uses = statementsFor(
      stage,
      ['provider:generate', 'provider:unwrap', 'provider:rewrap', 'provider:inspect'],
      [],
    );
    for (const { Resource, Action, Condition } of uses) {
      if (!JSON.stringify(Resource).includes('key/*')) continue;
      const readsOnly = [Action].flat().every((action) => /^kms:(Describe|Get|List)/.test(action));
      const inContext = [IN_CONTEXT, OF_TENANTS, OF_STATE_KEY].some((one) => one === Condition);
      expect(readsOnly || inContext).toBe(true);
    }
    expect(JSON.stringify(uses).includes('key/*')).toBe(count >= MOST_NAMED_KEYS);
  });

  it('let functions that open stores decrypt by keys of the data, through DynamoDB and Secrets Manager only', () => {
    const base = readStage('dynamodb');
    const dataKeys = ['arn:aws:kms:eu-central-1:111122223333:key/data'];
    const stage = { ...base, deployment: { ...base.deployment, dataKeys } };
    expect(statementsFor(stage, ['stores:read'], [])).toContainEqual({
      Sid: 'DecryptTablesAndSecrets',
      Effect: 'Allow',
      Action: ['kms:Decrypt'],
      Resource: dataKeys,
      Condition: {
        StringLike: { 'kms:ViaService': ['dynamodb.*.amazonaws.com', 'secretsmanager.*.amazonaws.com'] },
      },
    });
    expect(JSON.stringify(statementsFor(base, ['stores:read'], []))).not.toContain('kms:');
  });

  it('find a template over the limits', () => {
    const many = Array.from({ length: 501 }, (_, i) => [
      `R${i}`,
      { Type: 'X', Properties: { text: 'x'.repeat(2000) } },
    ]);
    expect(checkTemplate({ Resources: Object.fromEntries(many) }).problems).toEqual([
      '501 resources, over 500',
      expect.stringMatching(/^a template of 10\d\d kB, over 1000 kB$/),
    ]);
  });
});

describe('the removal', () => {
  const key = (tenant: string, ...states: string[]) =>
    ({
      tenant,
      versions: Object.fromEntries(states.map((state, i) => [String(i + 1), { state }])),
    }) as unknown as TenantKey;

  it('is refused by every key with a version that is not destroyed', () => {
    const alive = liveKeys([
      key('active', 'DESTROYED', 'ACTIVE'),
      key('gone', 'DESTROYED', 'DESTROYED'),
      key('suspended', 'SUSPENDED'),
      key('pending', 'DESTROY_PENDING', 'DESTROYED'),
    ]);
    expect(alive.map(({ tenant }) => tenant)).toEqual(['active', 'suspended', 'pending']);
  });
});

describe('the variables of the command line', () => {
  it('are the outputs that are described by a name of a variable', () => {
    expect(
      variablesOf([
        { OutputKey: 'A', Description: 'KEYTURN_QUEUE_URL', OutputValue: 'https://q' },
        { OutputKey: 'B', Description: 'Subscribe to be told of alarms', OutputValue: 'arn' },
        { OutputKey: 'C', OutputValue: 'bucket' },
      ]),
    ).toEqual({ KEYTURN_QUEUE_URL: 'https://q' });
  });

  it('are quoted for a shell', () => {
    expect(shellExports({ A: "it's $HOME", B: 'x' })).toEqual(["export A='it'\\''s $HOME'", "export B='x'"]);
  });
});
