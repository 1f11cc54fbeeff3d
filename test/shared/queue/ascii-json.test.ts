import fc from 'fast-check';
import { expect, it } from 'vitest';
import { asciiJson } from '../../../shared/queue/ascii-json.ts';

it('is JSON of the same value, of characters that every queue takes', () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: 'binary' }), (value) => {
      const text = asciiJson(value);
      expect(text).toMatch(/^[ -~]*$/);
      expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});
