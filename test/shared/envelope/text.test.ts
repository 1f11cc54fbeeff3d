import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromText, toText } from '../../../shared/envelope/index.ts';
import { expectCode } from './fixtures.ts';

describe('the text form', () => {
  it('is base64url without padding, both ways', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        const text = toText(bytes);
        expect(text).toMatch(/^[A-Za-z0-9_-]*$/);
        expect(fromText(text)).toEqual(bytes);
      }),
    );
    expect(toText(Uint8Array.of(0xfb, 0xff, 0xfe, 0xff))).toBe('-__-_w');
  });

  it('is of the view, not of the memory around it', () => {
    expect(toText(Uint8Array.of(9, 1, 2, 3, 9).subarray(1, 4))).toBe('AQID');
    expect(fromText('AQID').buffer.byteLength).toBe(3);
  });

  it.each([
    ['padding', '-w=='],
    ['the other alphabet', '+/+/'],
    ['white space', 'AQ ID'],
    ['a line end', 'AQID\n'],
    ['a character of neither alphabet', 'AQ!D'],
    ['a length that no bytes have', 'AQIDA'],
    ['trailing bits that are not zero', '-x'],
    ['text that is not ASCII', 'AQIÐ'],
  ])('is refused with %s', (_, text) => {
    expectCode(() => fromText(text), 'ENVELOPE_MALFORMED');
  });
});
