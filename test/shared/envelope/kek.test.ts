import { createPublicKey, createSecretKey, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createKek, type KekInput, kidOf, parseKid } from '../../../shared/envelope/index.ts';
import { expectCode, hex, KEY_ID, keyBytes } from './fixtures.ts';

const VALID: KekInput = { keyId: KEY_ID, version: 1, key: keyBytes('kek') };

describe('createKek', () => {
  it('takes bytes or a KeyObject, and copies the bytes', () => {
    const bytes = keyBytes('kek');
    const kek = createKek({ ...VALID, key: bytes });
    bytes.fill(0);
    expect(kek.key.equals(createSecretKey(keyBytes('kek')))).toBe(true);
    expect(createKek({ ...VALID, key: createSecretKey(keyBytes('kek')) }).key.equals(kek.key)).toBe(true);
    expect(kek).toMatchObject({ keyId: KEY_ID, version: 1 });
    expect(hex(kek.kid)).toBe('019000000000700080000000000000aa00000001');
  });

  it.each([
    ['upper case', { keyId: KEY_ID.toUpperCase() }],
    ['no hyphens', { keyId: KEY_ID.replaceAll('-', '') }],
    ['a line end', { keyId: `${KEY_ID}\n` }],
    ['an empty id', { keyId: '' }],
    ['version 0', { version: 0 }],
    ['a negative version', { version: -1 }],
    ['a fraction', { version: 1.5 }],
    ['NaN', { version: Number.NaN }],
    ['2^32', { version: 2 ** 32 }],
    ['16 key bytes', { key: new Uint8Array(16) }],
    ['33 key bytes', { key: new Uint8Array(33) }],
    ['a secret key of 16 bytes', { key: createSecretKey(new Uint8Array(16)) }],
    ['a public key', { key: createPublicKey(generateKeyPairSync('ed25519').privateKey) }],
  ])('refuses %s', (_, part) => {
    expectCode(() => createKek({ ...VALID, ...part }), 'ENVELOPE_ARGUMENT');
  });

  it('mentions no key bytes in its errors', () => {
    const key = new Uint8Array(33).fill(0xab);
    const { message } = expectCode(() => createKek({ ...VALID, key }), 'ENVELOPE_ARGUMENT');
    expect(message).not.toMatch(/ab, ?ab|abab|171/);
  });
});

describe('kid', () => {
  it('names id and version, both ways', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.integer({ min: 1, max: 0xffff_ffff }), (keyId, version) => {
        const kid = kidOf(keyId, version);
        expect(kid).toHaveLength(20);
        expect(Buffer.from(kid).readUInt32BE(16)).toBe(version);
        expect(hex(kid.subarray(0, 16))).toBe(keyId.replaceAll('-', ''));
        expect(parseKid(kid)).toEqual({ keyId, version });
      }),
    );
  });

  it('is refused with another length, or with version 0', () => {
    for (const length of [0, 19, 21])
      expectCode(() => parseKid(new Uint8Array(length)), 'ENVELOPE_MALFORMED');
    expectCode(() => parseKid(new Uint8Array(20)), 'ENVELOPE_MALFORMED');
  });
});
