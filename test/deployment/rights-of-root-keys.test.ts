import { describe, expect, it } from 'vitest';
import { FUNCTION_NAMES, roleLogicalId } from '../../infrastructure/functions.ts';
import { STATE_CONTEXT } from '../../shared/ledger/authentication/state-context.ts';
import { CONTEXT_NAMES } from '../../shared/providers/aws-kms/encryption-context.ts';
import { allows, denies, type Request, statementsOf } from './support/policies.ts';
import { ACCOUNT, arnOf, REGION } from './support/template.ts';
import { dynamodb, functionsThatMay, functionsThatNeed, othersThatMay, postgres } from './support/who-may.ts';

/** Who may wrap and unwrap KEKs, and who may have a key deleted, as the packaged policies say it. */

const rootKey = arnOf(dynamodb, 'RootKey');
const otherKey = `arn:aws:kms:${REGION}:${ACCOUNT}:key/somebody-elses`;
const context = contextOf(Object.values(CONTEXT_NAMES));

/** As KMS gives an encryption context to policies. */
function contextOf(names: readonly string[]): Record<string, string | readonly string[]> {
  const values = names.map((name) => [`kms:EncryptionContext:${name}`, 'x']);
  return { 'kms:EncryptionContextKeys': names, ...Object.fromEntries(values) };
}

describe('the root key', () => {
  it.each([
    ['kms:Decrypt', ['process-chunk', 'prove-version', 'sweep'], ['ApplicationPolicy', 'OperatorKeysPolicy']],
    ['kms:GenerateDataKeyWithoutPlaintext', ['create-version'], ['OperatorKeysPolicy']],
    // Everybody who uses it, for the state key too: a refused use is explained by its state.
    ['kms:DescribeKey', functionsThatNeed('ledger'), ['ApplicationPolicy', 'OperatorKeysPolicy']],
    ['kms:ReEncryptFrom', ['kms-event', 'sweep'], []],
    ['kms:ReEncryptTo', ['kms-event', 'sweep'], []],
  ])('%s: only %j, and outside the stack %j', (action, functions, others) => {
    const request = { action, resource: rootKey, context };
    expect(functionsThatMay(request)).toEqual(functions);
    expect(othersThatMay(request)).toEqual(others);
  });

  it.each(['kms:Decrypt', 'kms:GenerateDataKeyWithoutPlaintext', 'kms:ReEncryptFrom'])(
    '%s: nobody on another key, without a context, with a part of it, or with more',
    (action) => {
      for (const request of [
        { action, resource: otherKey, context },
        { action, resource: rootKey },
        { action, resource: rootKey, context: contextOf(['keyturn:tenant']) },
        { action, resource: rootKey, context: contextOf([...Object.values(CONTEXT_NAMES), 'other']) },
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

describe('the state key', () => {
  const ofState = { ...context, 'kms:EncryptionContext:keyturn:purpose': STATE_CONTEXT.purpose };
  const on = (action: string, resource = rootKey): Request => ({ action, resource, context: ofState });

  it('is unwrapped by all who use the ledger, and by no application', () => {
    expect(functionsThatMay(on('kms:Decrypt'))).toEqual(functionsThatNeed('ledger'));
    expect(othersThatMay(on('kms:Decrypt'))).toEqual(['OperatorKeysPolicy']);
  });

  it('is made by the command line alone', () => {
    expect(functionsThatMay(on('kms:GenerateDataKeyWithoutPlaintext'))).toEqual([]);
    expect(othersThatMay(on('kms:GenerateDataKeyWithoutPlaintext'))).toEqual(['OperatorKeysPolicy']);
  });

  it("is never under a tenant's key", () => {
    const own = 'arn:aws:kms:eu-central-1:111122223333:key/11111111-1111-4111-8111-111111111111';
    const tenants = 'arn:aws:kms:eu-central-1:444455556666:key/22222222-2222-4222-8222-222222222222';
    const former = 'arn:aws:kms:eu-central-1:111122223333:key/33333333-3333-4333-8333-333333333333';
    expect(functionsThatMay(on('kms:Decrypt', own), postgres)).toEqual(functionsThatNeed('ledger'));
    expect(functionsThatMay(on('kms:Decrypt', former), postgres)).toEqual(functionsThatNeed('ledger'));
    expect(functionsThatMay(on('kms:Decrypt', tenants), postgres)).toEqual([]);
  });

  it("the root key's own policy says the same", () => {
    const policy = statementsOf(dynamodb, 'RootKey');
    const by = (action: string, role: string): Request => ({
      action,
      resource: '*',
      context: { ...ofState, 'aws:PrincipalArn': role },
    });
    for (const name of FUNCTION_NAMES) {
      const role = arnOf(dynamodb, roleLogicalId(name));
      const may = functionsThatMay(on('kms:Decrypt')).includes(name);
      expect(allows(policy, by('kms:Decrypt', role)), name).toBe(may);
      expect(allows(policy, by('kms:GenerateDataKeyWithoutPlaintext', role)), name).toBe(false);
    }
    expect(allows(policy, by('kms:Decrypt', `arn:aws:iam::${ACCOUNT}:role/app`))).toBe(false);
  });
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
    'with a window of %i days: by a purge, or by who gives up a version that never encrypted; of a key that was made for one version',
    (days) => {
      expect(functionsThatMay(deletion(days, 'version'))).toEqual(functionsThatNeed('provider:destroy'));
      expect(functionsThatNeed('provider:destroy')).toEqual(['destroy-version', 'rotation-request', 'sweep']);
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
