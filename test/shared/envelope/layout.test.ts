import { expect, it } from 'vitest';
import { seal } from '../../../shared/envelope/index.ts';
import * as layout from '../../../shared/envelope/layout.ts';
import { CONTEXT, hex, kekOf } from './fixtures.ts';

const kek = kekOf(0x01020304);

it.each([0, 1, 7, 8, 239, 240, 65_519, 65_520])('holds for a plaintext of %i bytes', (length) => {
  const envelope = seal(new Uint8Array(length), kek, CONTEXT);
  const end = envelope.length;
  expect(envelope.subarray(0, layout.IV_OFFSET)).toEqual(layout.HEADER_PREFIX);
  expect(envelope.subarray(end - layout.KID_FROM_END).subarray(0, layout.KID_LENGTH)).toEqual(kek.kid);
  expect(hex(envelope.subarray(end - layout.VERSION_FROM_END).subarray(0, 4))).toBe('01020304');
  expect(envelope.subarray(end - layout.TAIL_LENGTH).subarray(0, 8)).toEqual(layout.TAIL_PREFIX);
  const form = layout.LENGTH_HEADERS.find(({ min, max }) => length + 16 >= min && length + 16 <= max);
  const variable = end - layout.LENGTH_HEADER_OFFSET - layout.TAIL_LENGTH;
  expect(variable).toBe((form?.bytes ?? Number.NaN) + length + layout.TAG_LENGTH);
});

it('says how long envelopes are', () => {
  expect(seal(new Uint8Array(0), kek, CONTEXT)).toHaveLength(layout.MIN_ENVELOPE_LENGTH);
  expect([layout.KID_FROM_END, layout.WRAPPED_DEK_FROM_END, layout.TAIL_LENGTH]).toEqual([62, 40, 70]);
  expect(layout.LENGTH_HEADERS.map(({ min, max }) => [min, max])).toEqual([
    [16, 23],
    [24, 255],
    [256, 65_535],
    [65_536, 64 * 1024 * 1024 + 16],
  ]);
});
