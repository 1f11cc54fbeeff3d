import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { loadConfig, parseConfig } from '../../../shared/config/load.ts';

const set = {
  store: 'main',
  table: 'people',
  key: ['id'],
  tenant: { fixed: 'acme' },
  fields: [{ name: 'email', column: 'email_enc' }],
};
const valid = {
  provider: { type: 'local', keystore: 'k', keyFile: 'f' },
  stores: { main: { type: 'postgres', urlFrom: 'URL' } },
  recordSets: { people: set },
};
const onDynamoDb = (change: object) => ({ ...people(change), stores: { main: { type: 'dynamodb' } } });
const people = (changes: object) => ({ ...valid, recordSets: { people: { ...set, ...changes } } });
const rotation = (changes: object) => ({ ...valid, rotation: changes });
const approvals = (changes: object) => ({ ...valid, approvals: changes });
const KEY_A = { kty: 'OKP', crv: 'Ed25519', x: '_NtL4PeigQ56mpmksG4hdH1rriDto_qDTlVl4pPqroU' };
const store = (changes: object) => ({ ...valid, stores: { main: { type: 'postgres', ...changes } } });
const provider = (changes: object) => ({
  ...valid,
  provider: { type: 'local', keystore: 'k', ...changes },
});

describe('a configuration', () => {
  it('is complete with its defaults', () => {
    const config = parseConfig(JSON.stringify(valid), 'test');
    expect(config.rotation).toMatchObject({
      mode: 'rewrap',
      graceSeconds: 35 * 86_400,
      acceptShortGrace: false,
    });
    expect(config.stores['main']).toMatchObject({ tls: 'verify-full' });
    expect(config.recordSets['people']).toMatchObject({ purpose: 'default' });
    expect(config.retired).toEqual([]);
  });

  it.each([
    ['a misspelt setting at the top', { ...valid, recordset: {} }, /\(top level\): .*"recordset"/],
    ['a misspelt setting of the rotation', rotation({ gracSeconds: 5 }), /rotation: .*"gracSeconds"/],
    ['a misspelt setting of a record set', people({ purpos: 'x' }), /recordSets\.people: .*"purpos"/],
    [
      'a misspelt setting of a field',
      people({ fields: [{ name: 'a', column: 'b', plaintextColum: 'c' }] }),
      /recordSets\.people\.fields\.0: .*"plaintextColum"/,
    ],
    ['a missing setting', people({ table: undefined }), /recordSets\.people\.table: /],
    ['a wrong type', rotation({ chunkSize: '512' }), /rotation\.chunkSize: .*number/],
    ['a number out of range', rotation({ chunkSize: 0 }), /rotation\.chunkSize: .*1/],
    ['a fraction', rotation({ segments: 1.5 }), /rotation\.segments: .*int/],
    ['a value that is none of the choices', rotation({ mode: 'rewrapp' }), /rotation\.mode: .*"re-encrypt"/],
    [
      'an unknown type of store',
      store({ type: 'postgress', urlFrom: 'URL' }),
      /stores\.main\.type: .*'postgres'/,
    ],
    ['an unknown type of provider', provider({ type: 'locale', keyFile: 'f' }), /provider\.type: /],
    [
      'an unknown store',
      people({ store: 'mian' }),
      /recordSets\.people\.store: "mian" is not one of the stores: main/,
    ],
    [
      'a URL where a variable is named',
      store({ urlFrom: 'postgres://u:p@h/d' }),
      /stores\.main\.urlFrom: is not a name/,
    ],
    [
      'neither urlFrom nor embedded',
      store({}),
      /stores\.main: needs exactly one of urlFrom, secret and embedded/,
    ],
    [
      'both of them',
      store({ urlFrom: 'URL', embedded: 'app' }),
      /stores\.main: needs exactly one of urlFrom/,
    ],
    [
      'neither passphrase nor key file',
      provider({}),
      /provider: needs exactly one of passphraseFrom and keyFile/,
    ],
    ['both of them', provider({ keyFile: 'f', passphraseFrom: 'P' }), /provider: needs exactly one of/],
    [
      'a grace that is too short',
      rotation({ graceSeconds: 60 }),
      /rotation\.graceSeconds: is 60, shorter than 3024000.*acceptShortGrace/,
    ],
    [
      'a grace shorter than the queue keeps messages',
      rotation({ graceSeconds: 86_400, backupRetentionSeconds: 0 }),
      /rotation\.graceSeconds: is 86400, shorter than 2419200/,
    ],
    [
      'no approvals, without saying that it is a trial',
      approvals({ required: 0 }),
      /approvals\.required: is 0.*acceptNoApprovals/,
    ],
    [
      'fewer approvers than approvals',
      approvals({ approvers: { alice: { publicKey: KEY_A } } }),
      /approvals\.approvers: are 1, fewer than required \(2\)/,
    ],
    [
      'one key for two approvers',
      approvals({ approvers: { alice: { publicKey: KEY_A }, bob: { publicKey: KEY_A } } }),
      /approvals\.approvers\.bob: has the key of "alice"/,
    ],
    [
      'approvals that are over when they are asked for',
      approvals({ expirySeconds: 60 }),
      /approvals\.expirySeconds: is 60; it must be longer than rotation\.clockSkewSeconds \(60\)/,
    ],
    [
      'a ceiling below the cache age',
      rotation({ cacheMaxAgeSeconds: 300, cacheCeilingSeconds: 200 }),
      /rotation\.cacheCeilingSeconds: is 200, shorter than cacheMaxAgeSeconds \(300\)/,
    ],
    [
      'a column that stands twice',
      people({ fields: [set.fields[0], { name: 'b', column: 'email_enc' }] }),
      /recordSets\.people\.fields\.1\.column: "email_enc" stands twice/,
    ],
    [
      'a field that stands twice',
      people({ fields: [set.fields[0], { name: 'email', column: 'b' }] }),
      /recordSets\.people\.fields\.1\.name: "email" stands twice/,
    ],
    ['no fields', people({ fields: [] }), /recordSets\.people\.fields: /],
    ['a quoted table', people({ table: '"people"' }), /recordSets\.people\.table: .*without quotes/],
    [
      'a name that PostgreSQL would cut',
      people({ key: ['k'.repeat(64)] }),
      /recordSets\.people\.key\.0: has 64 characters; .* at most 63/,
    ],
    ['an index on PostgreSQL', people({ index: 'by-tenant' }), /people\.index: goes with a dynamodb store/],
    [
      'a table of DynamoDB with a schema',
      onDynamoDb({ table: 'a b' }),
      /people\.table: is no name of a DynamoDB/,
    ],
    [
      'more key attributes than DynamoDB has',
      onDynamoDb({ key: ['a', 'b', 'c'] }),
      /people\.key: names 3 attributes; .*at most one sort key/,
    ],
    [
      'plaintext to adopt on DynamoDB',
      onDynamoDb({ fields: [{ ...set.fields[0], plaintextColumn: 'email' }] }),
      /people\.fields\.0\.plaintextColumn: adoption in place is not offered on DynamoDB/,
    ],
    [
      'an index where every record is of one tenant',
      onDynamoDb({ tenant: { fixed: 'acme' }, index: 'by-tenant' }),
      /people\.index: finds the records of one of several tenants/,
    ],
    [
      'an index on what is the partition key already',
      onDynamoDb({ key: ['tenant'], tenant: { column: 'tenant' }, index: 'by-tenant' }),
      /people\.index: "tenant" is the table's partition key/,
    ],
    [
      'an envelope in a key attribute',
      onDynamoDb({ key: ['email_enc'] }),
      /people\.fields\.0\.column: "email_enc" is a key or the tenant already/,
    ],
    [
      'a URL for DynamoDB',
      { ...valid, stores: { main: { type: 'dynamodb', urlFrom: 'URL' } } },
      /stores\.main: .*"urlFrom"/,
    ],
    [
      'a region that is none',
      { ...valid, stores: { main: { type: 'dynamodb', region: 'Frankfurt' } } },
      /stores\.main\.region: is not a name of an AWS region/,
    ],
    ['a name with capitals', { ...valid, recordSets: { People: set } }, /recordSets\.People: /],
    ['a retired table without its store', { ...valid, retired: [{ table: 'old' }] }, /retired\.0\.store: /],
    ['nothing', null, /\(top level\): /],
    ['a list', [], /\(top level\): /],
  ])('names what is wrong: %s', (_, raw, message) => {
    const parse = () => parseConfig(JSON.stringify(raw), 'keyturn.yaml');
    expect(parse).toThrow(message);
    expect(parse).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(/^keyturn\.yaml is not valid:\n/),
        remedy: expect.stringContaining('docs/configuration.md'),
      }),
    );
  });

  it('names everything that is wrong at once', () => {
    const raw = rotation({ chunkSize: 0, mode: 'x', segments: 99 });
    expect(() => parseConfig(JSON.stringify(raw), 'test')).toThrow(
      /rotation\.chunkSize[\s\S]*rotation\.mode|rotation\.mode[\s\S]*rotation\.chunkSize/,
    );
  });

  it('allows a short grace where it is accepted', () => {
    const config = parseConfig(JSON.stringify(rotation({ graceSeconds: 1, acceptShortGrace: true })), 'test');
    expect(config.rotation.graceSeconds).toBe(1);
  });

  it.each([
    ['an indentation', 'provider:\n  type: local\n keystore: k\n', 3],
    ['a key twice', 'provider: {}\nstores: {}\nstores: {}\n', 3],
    ['an open bracket', 'provider: {type: local\n', 2],
    ['a tab', 'provider:\n\ttype: local\n', 2],
    ['an unfinished string', '{\n"provider": "x\n', 3],
  ])('has the line of a mistake in its syntax: %s', (_, text, line) => {
    expect(() => parseConfig(text, 'keyturn.yaml')).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(
          new RegExp(`^keyturn\\.yaml is neither JSON nor YAML: [A-Z_]+ at line ${line}$`),
        ),
      }),
    );
  });

  it('never repeats a value from the file where its syntax is wrong', () => {
    expect(() => parseConfig('password: "hunter2\n', 'test')).not.toThrow(/hunter2/);
  });
});

describe('the file', () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'keyturn-config-'));
  });
  afterAll(() => rm(dir, { recursive: true, force: true }));

  it('that is not there is named', async () => {
    const path = join(dir, 'none.yaml');
    await expect(loadConfig(path)).rejects.toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: expect.stringContaining(path),
      remedy: expect.stringContaining('keyturn init'),
    });
    await expect(loadConfig(dir)).rejects.toMatchObject({ code: 'CONFIG_NOT_FOUND' });
  });

  it('has its paths relative to its folder', async () => {
    const path = join(dir, 'keyturn.yaml');
    await writeFile(
      path,
      'provider: { type: local, keystore: keys/k.json, keyFile: /etc/k }\n' +
        'stores: { main: { type: postgres, urlFrom: URL, tls: { ca: ca.pem } } }\nrecordSets: {}\n',
    );
    const { config, path: found } = await loadConfig(path);
    expect(found).toBe(path);
    expect(config.provider).toMatchObject({ keystore: join(dir, 'keys/k.json'), keyFile: '/etc/k' });
    expect(config.stores['main']).toMatchObject({ tls: { ca: join(dir, 'ca.pem') } });
  });
});
