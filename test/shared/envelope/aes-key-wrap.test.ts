import { createCipheriv, createDecipheriv, createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import {
  ABSENT,
  clearKeys,
  copyKey,
  intactKeys,
  loadKeys,
  sameKeys,
  unwrapKeys,
  wrapKeys,
} from '../../../shared/envelope/aes-key-wrap.ts';
import { unwrapDek, wrapDek } from '../../../shared/envelope/dek.ts';
import { hex, keyBytes, readVectors, unhex } from './fixtures.ts';

const WRAPPED_WORDS = 10;
const A6 = Buffer.alloc(8, 0xa6);

function wordsOf(parts: readonly Uint8Array[]): Int32Array {
  return new Int32Array(new Uint8Array(Buffer.concat(parts)).buffer);
}

/** Many keys under one KEK through the batched implementation. */
function wrapAll(kek: Uint8Array, deks: readonly Uint8Array[]): Uint8Array[] {
  const words = new Int32Array(deks.length * WRAPPED_WORDS);
  const offsets = Int32Array.from(deks, (_, key) => key * WRAPPED_WORDS);
  wrapKeys(createSecretKey(kek), loadKeys(wordsOf(deks)), { words, offsets });
  return deks.map((_, key) => new Uint8Array(words.buffer.slice(key * 40, key * 40 + 40)));
}

/** undefined for a key whose integrity check failed. */
function unwrapAll(kek: Uint8Array, wrapped: readonly Uint8Array[]): (Uint8Array | undefined)[] {
  const offsets = Int32Array.from(wrapped, (_, key) => key * WRAPPED_WORDS);
  const keys = unwrapKeys(createSecretKey(kek), { words: wordsOf(wrapped), offsets });
  const intact = intactKeys(keys);
  return wrapped.map((_, key) => {
    const dek = new Int32Array(8);
    copyKey(keys, key, dek);
    return intact[key] === 1 ? new Uint8Array(dek.buffer) : undefined;
  });
}

function opensslWrap(kek: Uint8Array, dek: Uint8Array): Uint8Array {
  const cipher = createCipheriv('id-aes256-wrap', createSecretKey(kek), A6);
  return new Uint8Array(Buffer.concat([cipher.update(dek), cipher.final()]));
}

function opensslUnwrap(kek: Uint8Array, wrapped: Uint8Array): Uint8Array {
  const decipher = createDecipheriv('id-aes256-wrap', createSecretKey(kek), A6);
  return new Uint8Array(Buffer.concat([decipher.update(wrapped), decipher.final()]));
}

describe('published vectors', () => {
  it('RFC 3394 §4.6: 256 bits of key data with a 256-bit KEK', () => {
    const kek = unhex('000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f');
    const dek = unhex('00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f');
    const wrapped = '28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21';
    expect(wrapAll(kek, [dek]).map(hex)).toEqual([wrapped]);
    expect(unwrapAll(kek, [unhex(wrapped)])).toEqual([dek]);
    expect(hex(wrapDek(createSecretKey(kek), dek))).toBe(wrapped);
  });

  const coseVector = z.object({
    input: z.object({
      mac: z.object({ recipients: z.tuple([z.object({ key: z.object({ k: z.string() }) })]) }),
    }),
    intermediates: z.object({ CEK_hex: z.string() }),
    output: z.object({ cbor: z.string() }),
  });
  const cose = ['cose_aes-wrap-256-01.json', 'cose_aes-wrap-256-02.json'].map(readVectors);

  it.skipIf(cose.includes(undefined))(
    'COSE examples with A256KW and a 256-bit CEK (skipped when ../shared/vectors is not there)',
    () => {
      const selected = cose
        .map((vector) => coseVector.parse(vector))
        .filter(({ intermediates }) => intermediates.CEK_hex.length === 64); // Of the two: 02. 01 wraps 128 bits.
      expect(selected).toHaveLength(1);
      for (const { input, intermediates, output } of selected) {
        const kek = new Uint8Array(Buffer.from(input.mac.recipients[0].key.k, 'base64url'));
        const cek = unhex(intermediates.CEK_hex);
        // The recipient is the message's last item, and its ciphertext the last of that: the final 40 bytes.
        const wrapped = unhex(output.cbor).slice(-40);
        expect(wrapAll(kek, [cek])).toEqual([wrapped]);
        expect(unwrapAll(kek, [wrapped])).toEqual([cek]);
      }
    },
  );

  const wycheproof = readVectors('wycheproof_aes_wrap_test.json');
  const keywrapFile = z.object({
    testGroups: z.array(
      z.object({
        keySize: z.number(),
        tests: z.array(
          z.object({
            key: z.string(),
            msg: z.string(),
            ct: z.string(),
            result: z.enum(['valid', 'invalid', 'acceptable']),
          }),
        ),
      }),
    ),
  });

  it.skipIf(wycheproof === undefined)(
    'Wycheproof AES-WRAP: 256-bit KEK and 40 bytes wrapped (skipped when ../shared/vectors is not there)',
    () => {
      const selected = keywrapFile
        .parse(wycheproof)
        .testGroups.filter(({ keySize }) => keySize === 256)
        .flatMap(({ tests }) => tests)
        .filter(({ ct }) => ct.length === 80);
      expect(selected.filter(({ result }) => result === 'valid').length).toBeGreaterThan(0);
      expect(selected.filter(({ result }) => result === 'invalid').length).toBeGreaterThan(0);
      for (const { key, msg, ct, result } of selected) {
        const unwrapped = [
          unwrapAll(unhex(key), [unhex(ct)])[0],
          unwrapDek(createSecretKey(unhex(key)), unhex(ct)),
        ].map((dek) => (dek === undefined ? 'refused' : hex(dek)));
        expect(unwrapped).toEqual(result === 'valid' ? [msg, msg] : ['refused', 'refused']);
        if (result === 'valid') expect(wrapAll(unhex(key), [unhex(msg)]).map(hex)).toEqual([ct]);
      }
    },
  );
});

describe('against OpenSSL id-aes256-wrap, one by one', () => {
  const key = fc.uint8Array({ minLength: 32, maxLength: 32 });

  it('wraps and unwraps to the same bytes, whatever the size of the batch', () => {
    fc.assert(
      fc.property(key, fc.array(key, { minLength: 1, maxLength: 40 }), (kek, deks) => {
        const wrapped = wrapAll(kek, deks);
        expect(wrapped).toEqual(deks.map((dek) => opensslWrap(kek, dek)));
        expect(wrapped.map((bytes) => opensslUnwrap(kek, bytes))).toEqual(deks);
        expect(unwrapAll(kek, wrapped)).toEqual(deks);
      }),
    );
  });

  it('refuses exactly the ones that are damaged', () => {
    const damage = fc.array(fc.option(fc.nat(319), { freq: 2 }), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(key, damage, (kek, bits) => {
        const deks = bits.map((_, index) => keyBytes(`dek ${index}`));
        const wrapped = deks.map((dek) => opensslWrap(kek, dek));
        bits.forEach((bit, index) => {
          const bytes = wrapped[index];
          if (bit !== null && bytes) bytes[bit >>> 3] = (bytes[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
        });
        expect(unwrapAll(kek, wrapped)).toEqual(
          deks.map((dek, index) => (bits[index] === null ? dek : undefined)),
        );
      }),
    );
  });
});

describe('a batch', () => {
  const deks = [0, 1, 2].map((index) => keyBytes(`dek ${index}`));

  it('leaves out absent keys, and does not write for them', () => {
    const words = new Int32Array(3 * WRAPPED_WORDS).fill(7);
    const offsets = Int32Array.of(0, ABSENT, 2 * WRAPPED_WORDS);
    const kek = createSecretKey(keyBytes('kek'));
    wrapKeys(kek, loadKeys(wordsOf(deks)), { words, offsets });
    expect(words.slice(WRAPPED_WORDS, 2 * WRAPPED_WORDS).every((word) => word === 7)).toBe(true);
    expect([...intactKeys(unwrapKeys(kek, { words, offsets }))]).toEqual([1, 0, 1]);
  });

  it('tells which keys are the same, for a difference in any bit', () => {
    const original = wordsOf(deks);
    for (let bit = 0; bit < 256; bit++) {
      const changed = Int32Array.from(original);
      const at = 8 + (bit >>> 5);
      changed[at] = (changed[at] ?? 0) ^ (1 << (bit & 31));
      expect([...sameKeys(loadKeys(original), loadKeys(changed))]).toEqual([1, 0, 1]);
    }
    expect([...sameKeys(loadKeys(original), loadKeys(original))]).toEqual([1, 1, 1]);
  });

  it('keeps the keys through a wrap, and loses them when cleared', () => {
    const keys = loadKeys(wordsOf(deks));
    wrapKeys(createSecretKey(keyBytes('kek')), keys, {
      words: new Int32Array(30),
      offsets: Int32Array.of(0, 10, 20),
    });
    expect([...sameKeys(keys, loadKeys(wordsOf(deks)))]).toEqual([1, 1, 1]);
    clearKeys(keys);
    expect(keys.registers.map(({ length }) => length)).toEqual([0, 0, 0, 0]);
  });
});
