import { createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { keyCheck, proveKek } from '../../../shared/keyring/key-check.ts';

const KEY_ID = '01900000-0000-7000-8000-000000000001';
const bytes = Buffer.alloc(32, 7);
const kek = createSecretKey(bytes);

describe('keyCheck', () => {
  it('is the truncated HMAC of label and kid', () => {
    const kid = Buffer.concat([Buffer.from(KEY_ID.replaceAll('-', ''), 'hex'), Buffer.from([0, 0, 1, 2])]);
    const mac = createHmac('sha256', bytes)
      .update(Buffer.concat([Buffer.from('keyturn key check v1'), kid]))
      .digest();
    expect(keyCheck(kek, KEY_ID, 258)).toBe(mac.subarray(0, 16).toString('base64url'));
  });

  it('stays the same for ever: it is stored', () => {
    expect(keyCheck(kek, KEY_ID, 1)).toBe('3zxon9hYH-pyAy8IOpD1OA');
  });

  it('differs by key, id and version', () => {
    const other = createSecretKey(randomBytes(32));
    const checks = [
      keyCheck(kek, KEY_ID, 1),
      keyCheck(kek, KEY_ID, 2),
      keyCheck(kek, KEY_ID.replace('1', '2'), 1),
      keyCheck(other, KEY_ID, 1),
    ];
    expect(new Set(checks).size).toBe(4);
  });
});

describe('proveKek', () => {
  it('returns the check of a KEK that works and is the expected one', () => {
    const check = keyCheck(kek, KEY_ID, 1);
    expect(proveKek(kek, KEY_ID, 1, null)).toBe(check);
    expect(proveKek(kek, KEY_ID, 1, check)).toBe(check);
  });

  it('refuses another KEK than the one that was proved', () => {
    const other = createSecretKey(randomBytes(32));
    expect(() => proveKek(other, KEY_ID, 1, keyCheck(kek, KEY_ID, 1))).toThrow(
      expect.objectContaining({ name: 'KeyError', code: 'KEY_CHECK_FAILED' }),
    );
  });
});
