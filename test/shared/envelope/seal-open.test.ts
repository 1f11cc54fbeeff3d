import { decode, Tag } from 'cbor2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createKek,
  type EnvelopeContext,
  inspect,
  MAX_PLAINTEXT_LENGTH,
  open,
  seal,
} from '../../../shared/envelope/index.ts';
import {
  CONTEXT,
  contexts,
  contextText,
  errorOf,
  expectCode,
  KEY_ID,
  kekOf,
  keyBytes,
  OTHER_KEY_ID,
  seededRandom,
  unhex,
  utf8,
} from './fixtures.ts';

const kek = kekOf(7);

describe('seal and open', () => {
  it('round trip for any plaintext and context', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), contexts, (plaintext, context) => {
        expect(open(seal(plaintext, kek, context), kek, context)).toEqual(plaintext);
      }),
    );
  });

  // Both sides of each form of the length header: ciphertext lengths 16, 23, 24, 255, 256, 65535 and 65536.
  it.each([0, 7, 8, 239, 240, 65_519, 65_520, 1_000_000])('round trip %i bytes', (length) => {
    const plaintext = new Uint8Array(length);
    seededRandom('plaintext')(plaintext);
    const envelope = seal(plaintext, kek, CONTEXT);
    expect(Buffer.compare(open(envelope, kek, CONTEXT), plaintext)).toBe(0);
    expect(inspect(envelope)).toEqual({
      keyId: KEY_ID,
      version: 7,
      kid: kek.kid,
      contentAlgorithm: 'A256GCM',
      keyWrapAlgorithm: 'A256KW',
      plaintextLength: length,
      length: envelope.length,
    });
  });

  it('takes 64 MiB, and nothing beyond', () => {
    const plaintext = new Uint8Array(MAX_PLAINTEXT_LENGTH + 1);
    expectCode(() => seal(plaintext, kek, CONTEXT), 'ENVELOPE_ARGUMENT');
    const envelope = seal(plaintext.subarray(1), kek, CONTEXT);
    expect(open(envelope, kek, CONTEXT)).toHaveLength(MAX_PLAINTEXT_LENGTH);
  });

  it('draws a DEK and an IV of its own for each envelope, and only those', () => {
    const a = seal(utf8('same'), kek, CONTEXT);
    const b = seal(utf8('same'), kek, CONTEXT);
    expect(a.subarray(10, 22)).not.toEqual(b.subarray(10, 22));
    expect(a.subarray(-40)).not.toEqual(b.subarray(-40));
    expect(seal(utf8('same'), kek, CONTEXT, seededRandom('s'))).toEqual(
      seal(utf8('same'), kek, CONTEXT, seededRandom('s')),
    );
  });

  it('writes the COSE_Encrypt that cbor2 reads', () => {
    const envelope = seal(utf8('hello'), kek, CONTEXT);
    const message = decode(envelope);
    expect(message).toBeInstanceOf(Tag);
    const { tag, contents } = message instanceof Tag ? message : { tag: 0, contents: undefined };
    expect(tag).toBe(96);
    expect(contents).toEqual([
      unhex('a10103'),
      new Map([[5, envelope.slice(10, 22)]]),
      envelope.slice(23, 23 + 5 + 16),
      [
        [
          new Uint8Array(0),
          new Map<number, unknown>([
            [1, -5],
            [4, kek.kid],
          ]),
          envelope.slice(-40),
        ],
      ],
    ]);
  });
});

describe('open selects the KEK by the kid', () => {
  const envelope = seal(utf8('hello'), kekOf(2), CONTEXT);

  it('among versions, and among keys', () => {
    const keks = [kekOf(1), kekOf(2, OTHER_KEY_ID), kekOf(2), kekOf(3)];
    expect(open(envelope, keks, CONTEXT)).toEqual(utf8('hello'));
  });

  it('and never tries another', () => {
    const sameBytes = keyBytes(`${KEY_ID}/2`);
    const renamed = createKek({ keyId: KEY_ID, version: 3, key: sameBytes });
    expectCode(() => open(envelope, renamed, CONTEXT), 'VERSION_UNKNOWN');
    const other = createKek({ keyId: OTHER_KEY_ID, version: 2, key: sameBytes });
    expectCode(() => open(envelope, [other], CONTEXT), 'KEY_MISMATCH');
    expectCode(() => open(envelope, [], CONTEXT), 'ENVELOPE_ARGUMENT');
  });
});

describe('what was changed does not open', () => {
  const envelope = seal(utf8('hello, world'), kek, CONTEXT, seededRandom('tamper'));

  it('for any single bit', () => {
    const codes = new Map<string, number>();
    for (let bit = 0; bit < envelope.length * 8; bit++) {
      const changed = Uint8Array.from(envelope);
      changed[bit >>> 3] = (changed[bit >>> 3] ?? 0) ^ (1 << (bit & 7));
      const { code } = errorOf(() => open(changed, kek, CONTEXT));
      codes.set(code, (codes.get(code) ?? 0) + 1);
    }
    // IV, ciphertext, tag and wrapped DEK; key id; version; everything else is fixed by the format.
    const opaque = (12 + 12 + 16 + 40) * 8;
    const fixed = (10 + 2 + 8 + 2) * 8;
    expect(Object.fromEntries(codes)).toEqual({
      DECRYPTION_FAILED: opaque,
      KEY_MISMATCH: 16 * 8,
      VERSION_UNKNOWN: 4 * 8,
      ENVELOPE_MALFORMED: fixed,
    });
  });

  it('for any truncation, and for anything appended or put before', () => {
    for (let length = 0; length < envelope.length; length++) {
      expectCode(() => open(envelope.subarray(0, length), kek, CONTEXT), 'ENVELOPE_MALFORMED');
      if (length > 0) expectCode(() => open(envelope.subarray(length), kek, CONTEXT), 'ENVELOPE_MALFORMED');
    }
    for (const byte of [0x00, 0x40, 0x80, 0xf6, 0xff]) {
      expectCode(() => open(Uint8Array.of(...envelope, byte), kek, CONTEXT), 'ENVELOPE_MALFORMED');
      expectCode(() => open(Uint8Array.of(byte, ...envelope), kek, CONTEXT), 'ENVELOPE_MALFORMED');
    }
    expectCode(() => open(Uint8Array.of(...envelope, ...envelope), kek, CONTEXT), 'ENVELOPE_MALFORMED');
  });

  it('for random bytes, with or without the right ends', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expectCode(() => open(bytes, kek, CONTEXT), 'ENVELOPE_MALFORMED');
        const { code } = errorOf(() =>
          open(Uint8Array.of(...envelope.subarray(0, 22), ...bytes, ...envelope.subarray(-70)), kek, CONTEXT),
        );
        expect(['ENVELOPE_MALFORMED', 'DECRYPTION_FAILED']).toContain(code);
      }),
    );
  });

  it('for a length header that is not the shortest', () => {
    const [head, body] = [envelope.subarray(0, 22), envelope.subarray(24)];
    expect([...envelope.subarray(22, 24)]).toEqual([0x58, 28]);
    for (const header of ['59001c', '5a0000001c', '5b000000000000001c', '5f581c', '78', '5c']) {
      const bytes = Uint8Array.of(...head, ...unhex(header), ...body);
      expectCode(() => open(bytes, kek, CONTEXT), 'ENVELOPE_MALFORMED');
    }
    const small = seal(new Uint8Array(0), kek, CONTEXT);
    const longer = Uint8Array.of(...small.subarray(0, 22), 0x58, 16, ...small.subarray(23));
    expectCode(() => open(longer, kek, CONTEXT), 'ENVELOPE_MALFORMED');
  });

  it('for version 0', () => {
    const bytes = Uint8Array.from(envelope);
    bytes.fill(0, envelope.length - 46, envelope.length - 42);
    expectCode(() => open(bytes, kek, CONTEXT), 'ENVELOPE_MALFORMED');
    expectCode(() => inspect(bytes), 'ENVELOPE_MALFORMED');
  });

  it('under another KEK of the same name, with the same opaque error as for another context', () => {
    const forged = createKek({ keyId: KEY_ID, version: 7, key: keyBytes('forged') });
    const wrongKek = expectCode(() => open(envelope, forged, CONTEXT), 'DECRYPTION_FAILED');
    const wrongContext = expectCode(
      () => open(envelope, kek, { ...CONTEXT, field: 'phone' }),
      'DECRYPTION_FAILED',
    );
    expect(wrongKek.message).toBe(wrongContext.message);
    expect(wrongKek.cause).toBeUndefined();
  });

  it('for what is not bytes', () => {
    const untyped: (...args: never) => unknown = open;
    expectCode(() => Reflect.apply(untyped, undefined, ['text', kek, CONTEXT]), 'ENVELOPE_ARGUMENT');
    expectCode(() => Reflect.apply(untyped, undefined, [null, kek, CONTEXT]), 'ENVELOPE_ARGUMENT');
  });
});

describe('in another place it does not open', () => {
  it('with any part of the context changed', () => {
    const parts = ['tenant', 'recordSet', 'field'] as const;
    fc.assert(
      fc.property(contexts, contextText, fc.nat(3), (context, text, index) => {
        const part = parts[index];
        const changed: EnvelopeContext =
          part === undefined
            ? { ...context, recordId: [text, ...context.recordId.slice(1)] }
            : { ...context, [part]: text };
        fc.pre(JSON.stringify(changed) !== JSON.stringify(context));
        const envelope = seal(utf8('x'), kek, context);
        expectCode(() => open(envelope, kek, changed), 'DECRYPTION_FAILED');
      }),
    );
  });

  const swapped: [string, Partial<EnvelopeContext>][] = [
    ['tenant and record set', { tenant: 'customers', recordSet: 'acme' }],
    ['record set and field', { recordSet: 'email', field: 'customers' }],
    ['tenant and field', { tenant: 'email', field: 'acme' }],
    ['the parts of the record id', { recordId: ['4711', 'eu'] }],
    ['the parts of the record id, joined', { recordId: ['eu4711'] }],
    ['a part less', { recordId: ['eu'] }],
    ['a part more', { recordId: ['eu', '4711', ''] }],
    ['a part across the border', { recordId: ['eu', '4711', 'email'] }],
    ['a text in another Unicode form', { tenant: 'acme\u0301' }],
  ];
  it.each(swapped)('with %s', (_, part) => {
    const envelope = seal(utf8('x'), kek, CONTEXT);
    expectCode(() => open(envelope, kek, { ...CONTEXT, ...part }), 'DECRYPTION_FAILED');
  });
});
