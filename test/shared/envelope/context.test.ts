import { encode } from 'cbor2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createAadEncoder } from '../../../shared/envelope/context.ts';
import { type EnvelopeContext, seal } from '../../../shared/envelope/index.ts';
import { CONTEXT, contexts, expectCode, kekOf, unhex, utf8 } from './fixtures.ts';

/** Enc_structure of RFC 9052 §5.3, and the context in it, by an implementation of CBOR that is not ours. */
function expected({ tenant, recordSet, recordId, field }: EnvelopeContext): Uint8Array {
  const externalAad = encode([tenant, recordSet, [...recordId], field]);
  return encode(['Encrypt', unhex('a10103'), externalAad]);
}

function aadOf(context: EnvelopeContext): Uint8Array {
  return Uint8Array.from(createAadEncoder().encode(context));
}

describe('additional authenticated data', () => {
  it('is the Enc_structure that cbor2 encodes, for any context', () => {
    fc.assert(
      fc.property(contexts, (context) => {
        expect(aadOf(context)).toEqual(expected(context));
      }),
    );
  });

  it.each([1, 22, 23, 24, 255, 256, 65_000])('is so for texts of %i units, ASCII or not', (length) => {
    for (const unit of ['x', 'é', '€']) {
      if (length * 3 > 65_000 && unit !== 'x') continue;
      const context = { ...CONTEXT, field: unit.repeat(length) };
      expect(aadOf(context)).toEqual(expected(context));
    }
  });

  it('comes out of one encoder for one context after the other', () => {
    const encoder = createAadEncoder();
    fc.assert(
      fc.property(contexts, (context) => {
        expect(Uint8Array.from(encoder.encode(context))).toEqual(expected(context));
      }),
    );
  });
});

describe('a context is refused', () => {
  const invalid: [string, unknown][] = [
    ['without a tenant', { ...CONTEXT, tenant: '' }],
    ['without a record set', { ...CONTEXT, recordSet: '' }],
    ['without a field', { ...CONTEXT, field: '' }],
    ['with a lone surrogate', { ...CONTEXT, tenant: 'a\ud800' }],
    ['with a lone surrogate in the record id', { ...CONTEXT, recordId: ['\udfff'] }],
    ['with no record id', { ...CONTEXT, recordId: [] }],
    ['with 9 parts of a record id', { ...CONTEXT, recordId: Array(9).fill('x') }],
    ['with a number in the record id', { ...CONTEXT, recordId: [4711] }],
    ['with a record id that is a text', { ...CONTEXT, recordId: '4711' }],
    ['with a missing part', { tenant: 'acme', recordSet: 'customers', recordId: ['1'] }],
    ['beyond 64 Ki units', { ...CONTEXT, field: 'x'.repeat(65_536) }],
    ['that is null', null],
  ];

  it.each(invalid)('%s', (_, context) => {
    // What reaches us from JavaScript, or from JSON, has no types.
    const untyped: (context: never) => unknown = (value) => seal(utf8('x'), kekOf(1), value);
    expectCode(() => Reflect.apply(untyped, undefined, [context]), 'ENVELOPE_ARGUMENT');
  });

  it('but not for 8 parts, nor for empty ones', () => {
    const context = { ...CONTEXT, recordId: ['', '', '', '', '', '', '', ''] };
    expect(aadOf(context)).toEqual(expected(context));
  });
});
