import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { decryptContent, encryptContent } from '../../../shared/envelope/content.ts';
import { hex, keyBytes, readVectors, unhex } from './fixtures.ts';

const file = z.object({
  testGroups: z.array(
    z.object({
      keySize: z.number(),
      ivSize: z.number(),
      tagSize: z.number(),
      tests: z.array(
        z.object({
          key: z.string(),
          iv: z.string(),
          aad: z.string(),
          msg: z.string(),
          ct: z.string(),
          tag: z.string(),
          result: z.enum(['valid', 'invalid', 'acceptable']),
        }),
      ),
    }),
  ),
});
const wycheproof = readVectors('wycheproof_aes_gcm_test.json');

function encrypt(key: string, iv: string, aad: string, msg: string): string {
  const target = new Uint8Array(msg.length / 2 + 16 + 2);
  encryptContent(unhex(key), unhex(iv), unhex(aad), unhex(msg), target, 1);
  expect([target.at(0), target.at(-1)]).toEqual([0, 0]); // Nothing around its place is touched.
  return hex(target.subarray(1, -1));
}

describe('content encryption', () => {
  it.skipIf(wycheproof === undefined)(
    'Wycheproof AES-GCM: 256-bit key, 96-bit IV, 128-bit tag (skipped when ../shared/vectors is not there)',
    () => {
      const selected = file
        .parse(wycheproof)
        .testGroups.filter(
          ({ keySize, ivSize, tagSize }) => keySize === 256 && ivSize === 96 && tagSize === 128,
        )
        .flatMap(({ tests }) => tests);
      expect(selected.filter(({ result }) => result === 'valid').length).toBeGreaterThan(0);
      expect(selected.filter(({ result }) => result === 'invalid').length).toBeGreaterThan(0);
      for (const { key, iv, aad, msg, ct, tag, result } of selected) {
        const plaintext = decryptContent(unhex(key), unhex(iv), unhex(aad), unhex(ct + tag));
        expect(plaintext === undefined ? 'refused' : hex(plaintext)).toBe(
          result === 'valid' ? msg : 'refused',
        );
        if (result === 'valid') expect(encrypt(key, iv, aad, msg)).toBe(ct + tag);
      }
    },
  );

  it('NIST GCM test case 16 (256-bit key, 96-bit IV, with additional data)', () => {
    const key = 'feffe9928665731c6d6a8f9467308308'.repeat(2);
    const aad = 'feedfacedeadbeeffeedfacedeadbeefabaddad2';
    const msg =
      'd9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39';
    const ct =
      '522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662';
    expect(encrypt(key, 'cafebabefacedbaddecaf888', aad, msg)).toBe(`${ct}76fc6ece0f4e1768cddf8853bb2d551b`);
  });

  it('returns nothing when the tag does not fit', () => {
    const target = new Uint8Array(3 + 16);
    const [dek, iv, aad] = [keyBytes('dek'), new Uint8Array(12), new Uint8Array(5)];
    encryptContent(dek, iv, aad, Uint8Array.of(1, 2, 3), target, 0);
    expect(decryptContent(dek, iv, aad, target)).toEqual(Buffer.of(1, 2, 3));
    expect(decryptContent(dek, iv, new Uint8Array(6), target)).toBeUndefined();
  });
});
