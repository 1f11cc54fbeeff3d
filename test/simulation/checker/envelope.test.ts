import { createSecretKey } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createKek, makeTombstone, reencryptBatch, rewrap, seal } from '../../../shared/envelope/index.ts';
import { digestOf } from '../../../shared/signing/canonical-json.ts';
import { digestOf as ownDigestOf } from '../../../simulation/checker/canonical.ts';
import { decrypt, parseEnvelope, parseTombstone } from '../../../simulation/checker/envelope.ts';
import { createSearch } from '../../../simulation/checker/search.ts';

/** What the checker reads by itself is held to what the project writes. */

const KEY_ID = '0190d2f0-5c4b-7a3e-9f21-6b8d4c2e1a07';
const key32 = fc.uint8Array({ minLength: 32, maxLength: 32 });
const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 30 });
const place = fc.record({
  tenant: name,
  recordSet: name,
  recordId: fc.array(fc.string({ unit: 'grapheme', maxLength: 300 }), { minLength: 1, maxLength: 8 }),
  field: name,
});
/** Around each length of the string's head. */
const plaintext = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.constantFrom(7, 8, 239, 240, 65_519, 65_520).map((length) => new Uint8Array(length).fill(7)),
);

test('the decoder opens whatever is sealed, rewrapped and encrypted anew', () => {
  fc.assert(
    fc.property(
      plaintext,
      place,
      key32,
      key32,
      fc.integer({ min: 1, max: 2 ** 31 }),
      (text, at, one, two, version) => {
        const from = createKek({ keyId: KEY_ID, version, key: one });
        const to = createKek({ keyId: KEY_ID, version: version + 1, key: two });
        const envelope = seal(text, from, at);
        const opened = (bytes: Uint8Array, key: Uint8Array, elsewhere = at) => {
          const parsed = parseEnvelope(bytes);
          if (parsed === null) throw new Error('not parsed');
          const { recordId: id, ...rest } = elsewhere;
          return { ...parsed, plaintext: decrypt(parsed, createSecretKey(key), { ...rest, id }) };
        };
        const first = opened(envelope, one);
        expect(first).toMatchObject({ keyId: KEY_ID, version });
        expect(first.plaintext).toEqual(Buffer.from(text));
        const second = opened(rewrap(envelope, from, to), two);
        expect(second).toMatchObject({ version: version + 1, body: first.body });
        expect(second.plaintext).toEqual(Buffer.from(text));
        const [anew] = reencryptBatch([{ envelope, context: at }], [from], to);
        if (anew?.status !== 'rewrapped') throw new Error('not encrypted anew');
        expect(opened(anew.envelope, two).plaintext).toEqual(Buffer.from(text));
        expect(opened(envelope, two).plaintext).toBeNull();
        expect(opened(envelope, one, { ...at, field: `${at.field}x` }).plaintext).toBeNull();
      },
    ),
    { numRuns: 100 },
  );
});

test('a changed bit is no envelope, another version, or does not open', () => {
  const kek = createKek({ keyId: KEY_ID, version: 3, key: new Uint8Array(32) });
  const at = { tenant: 'acme', recordSet: 'people', recordId: ['1'], field: 'email' };
  const envelope = seal(Buffer.from('ada@example.org'), kek, at);
  for (let bit = 0; bit < envelope.length * 8; bit++) {
    const changed = Uint8Array.from(envelope);
    changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    const parsed = parseEnvelope(changed);
    if (parsed === null || parsed.keyId !== KEY_ID || parsed.version !== 3) continue;
    expect(decrypt(parsed, createSecretKey(new Uint8Array(32)), { ...at, id: at.recordId })).toBeNull();
  }
  expect(parseEnvelope(envelope.subarray(1))).toBeNull();
  expect(parseEnvelope(Buffer.concat([envelope, Buffer.of(0)]))).toBeNull();
});

test('a tombstone says what it stands for', () => {
  const requestId = Buffer.alloc(32, 5).toString('base64url');
  const stone = makeTombstone({ keyId: KEY_ID, version: 3, at: '2026-01-31T12:00:00.000Z', requestId });
  expect(parseTombstone(stone)).toEqual({ keyId: KEY_ID, version: 3, requestId });
  expect(parseEnvelope(stone)).toBeNull();
  expect(parseTombstone(new Uint8Array(102))).toBeNull();
});

test('canonical JSON is that of the audit', () => {
  fc.assert(
    fc.property(fc.dictionary(fc.string({ unit: 'grapheme' }), fc.jsonValue()), (value) => {
      expect(ownDigestOf(value)).toBe(digestOf(value));
    }),
  );
});

test('a search finds what is in a text, and nothing else', () => {
  const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), minLength: 8, maxLength: 12 });
  const text = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 60 });
  fc.assert(
    fc.property(fc.array(word, { maxLength: 5 }), text, fc.option(fc.nat(4)), (words, around, which) => {
      const inside = which === null ? around : `${around}${words[which] ?? ''}${around}`;
      expect(createSearch(words).finds(inside)).toBe(words.some((one) => inside.includes(one)));
    }),
    { numRuns: 500 },
  );
});
