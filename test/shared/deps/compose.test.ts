import { describe, expect, it } from 'vitest';
import { configSchema } from '../../../shared/config/schema.ts';
import { composeFromEnvironment, providerSecret, storeUrl } from '../../../shared/deps/compose.ts';
import { silentLog } from '../../../shared/log/log.ts';

const config = configSchema.parse({
  provider: { type: 'local', keystore: 'keystore.json', passphraseFrom: 'PASSPHRASE' },
  stores: { main: { type: 'postgres', urlFrom: 'MAIN_URL' }, local: { type: 'postgres', embedded: 'app' } },
  recordSets: {},
});
const { main, local } = config.stores;
if (main?.type !== 'postgres' || local?.type !== 'postgres') throw new Error('no stores');
const { provider } = config;
if (provider.type !== 'local') throw new Error('another provider');

const URL = 'postgres://user:SECRET@db.example.org/app';

describe('what the environment holds', () => {
  it('is the keystore’s passphrase, or the path of its key file', () => {
    expect(providerSecret(provider, { PASSPHRASE: 'correct horse' })).toEqual({
      passphrase: 'correct horse',
    });
    const { passphraseFrom: _, ...byFile } = { ...provider, keyFile: '/k' };
    expect(providerSecret(byFile, {})).toEqual({ keyFilePath: '/k' });
  });

  it.each([undefined, ''])('is named when it is missing (%j)', (PASSPHRASE) => {
    const missing = { code: 'ENVIRONMENT_INVALID', remedy: expect.any(String) };
    expect(() => providerSecret(provider, { PASSPHRASE })).toThrow(
      expect.objectContaining({ ...missing, message: 'The environment variable PASSPHRASE is not set' }),
    );
    expect(() => storeUrl('main', main, { MAIN_URL: PASSPHRASE }, undefined)).toThrow(
      expect.objectContaining({ ...missing, message: 'The environment variable MAIN_URL is not set' }),
    );
  });

  it('is the URL of a store; the embedded one’s comes from the stack that runs', () => {
    expect(storeUrl('main', main, { MAIN_URL: URL }, undefined)).toBe(URL);
    expect(storeUrl('local', local, {}, (database) => `postgres://127.0.0.1/${database}`)).toBe(
      'postgres://127.0.0.1/app',
    );
    expect(() => storeUrl('local', local, {}, undefined)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID', message: expect.stringContaining('"local"') }),
    );
  });

  it('is named in one error where it is missing or wrong, without a value of it', async () => {
    const error: unknown = await composeFromEnvironment(
      { KEYTURN_CONFIG: '/none', KEYTURN_LEDGER_TABLE: 't', KEYTURN_QUEUE_URL: 'SECRET' },
      ['ledger', 'queue', 'bus', 'executions'],
      { log: silentLog, actor: 'function:test' },
    ).catch((e: unknown) => e);
    expect(error).toMatchObject({
      code: 'ENVIRONMENT_INVALID',
      message:
        'Environment variables are missing or invalid: KEYTURN_QUEUE_URL, KEYTURN_BUS_NAME, KEYTURN_ROTATE_KEY_ARN, KEYTURN_PURGE_VERSION_ARN, KEYTURN_ADOPT_RECORDS_ARN',
    });
    expect(String(error)).not.toContain('SECRET');
  });
});
