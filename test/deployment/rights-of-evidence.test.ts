import { describe, expect, it } from 'vitest';
import { FUNCTION_NAMES, roleLogicalId } from '../../infrastructure/functions.ts';
import { allows, denies, type Request, statementsOf } from './support/policies.ts';
import { ACCOUNT, arnOf } from './support/template.ts';
import { dynamodb, functionsThatMay, functionsThatNeed, othersThatMay } from './support/who-may.ts';

/** Who may sign certificates and anchors, and who may write where the audit chain is kept, as the packaged policies say it. */

const signingKey = arnOf(dynamodb, 'SigningKey');

describe('the signing key', () => {
  const algorithm = { 'kms:SigningAlgorithm': 'RSASSA_PSS_SHA_256' };

  it('signs for the functions that need it, and for nobody outside the stack', () => {
    const sign = { action: 'kms:Sign', resource: signingKey, context: algorithm };
    expect(functionsThatNeed('sign').length).toBeGreaterThan(0);
    expect(functionsThatMay(sign)).toEqual(functionsThatNeed('sign'));
    expect(othersThatMay(sign)).toEqual([]);
    expect(functionsThatMay({ ...sign, resource: arnOf(dynamodb, 'RootKey') })).toEqual([]);
  });

  it('shows its public key to them, and to the people who verify', () => {
    const show = { action: 'kms:GetPublicKey', resource: signingKey };
    expect(functionsThatMay(show)).toEqual(functionsThatNeed('sign'));
    expect(othersThatMay(show)).toEqual(['OperatorPolicy']);
  });

  it('lets in, by its own policy, the roles of those functions, with one algorithm, and nobody else', () => {
    const policy = statementsOf(dynamodb, 'SigningKey');
    const by = (role: string, context: Request['context'] = algorithm): Request => ({
      action: 'kms:Sign',
      resource: '*',
      context: { ...context, 'aws:PrincipalArn': role },
    });
    for (const name of FUNCTION_NAMES) {
      const may = functionsThatNeed('sign').includes(name);
      expect(allows(policy, by(arnOf(dynamodb, roleLogicalId(name)))), name).toBe(may);
    }
    const signer = arnOf(dynamodb, roleLogicalId('destroy-version'));
    expect(allows(policy, by(signer, { 'kms:SigningAlgorithm': 'RSASSA_PKCS1_V1_5_SHA_256' }))).toBe(false);
    expect(allows(policy, by(`arn:aws:iam::${ACCOUNT}:role/admin`))).toBe(false);
  });

  it('is deleted by nobody before its policy was changed', () => {
    const policy = statementsOf(dynamodb, 'SigningKey');
    const context = { 'aws:PrincipalArn': `arn:aws:iam::${ACCOUNT}:root` };
    expect(denies(policy, { action: 'kms:ScheduleKeyDeletion', resource: '*', context })).toBe(true);
  });
});

describe('the audit archive', () => {
  const bucket = arnOf(dynamodb, 'AuditBucket');
  const entry = `${bucket}/acme/1`;
  const policy = statementsOf(dynamodb, 'AuditBucketPolicy');

  it('refuses to overwrite, to delete, and to talk without TLS, whoever asks', () => {
    const put = { action: 's3:PutObject', resource: entry };
    expect(denies(policy, put)).toBe(true);
    expect(denies(policy, { ...put, context: { 's3:if-none-match': '*' } })).toBe(false);
    expect(denies(policy, { action: 's3:DeleteObject', resource: entry })).toBe(true);
    expect(denies(policy, { action: 's3:PutLifecycleConfiguration', resource: bucket })).toBe(true);
    const plain = { 'aws:SecureTransport': 'false' };
    expect(denies(policy, { action: 's3:GetObject', resource: entry, context: plain })).toBe(true);
    expect(denies(policy, { action: 's3:GetObject', resource: entry })).toBe(false);
  });

  it('is deleted from, and has its retention changed, by nobody in the stack', () => {
    for (const action of [
      's3:DeleteObject',
      's3:DeleteObjectVersion',
      's3:BypassGovernanceRetention',
      's3:PutObjectRetention',
      's3:PutBucketPolicy',
    ]) {
      expect(functionsThatMay({ action, resource: entry }), action).toEqual([]);
      expect(othersThatMay({ action, resource: entry }), action).toEqual([]);
    }
  });
});
