import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { asciiJson } from '../../../shared/queue/ascii-json.ts';
import { CHUNK_KEY_BYTES, cutChunks } from '../../../shared/rotation/chunk.ts';

const bytesOf = (keys: readonly (readonly string[])[]) =>
  keys.reduce((sum, key) => sum + Buffer.byteLength(asciiJson(key)) + 1, 0);

const anyKeys = fc.array(
  fc.array(
    fc.oneof(
      fc.string({ unit: 'binary', maxLength: 20 }),
      fc.integer({ min: 1, max: 30_000 }).map((length) => 'ü'.repeat(length)),
    ),
    { minLength: 1, maxLength: 3 },
  ),
  { maxLength: 60 },
);

describe('cutting keys into chunks', () => {
  it('loses none, keeps their order, and keeps the limits', () => {
    fc.assert(
      fc.property(
        anyKeys,
        fc.integer({ min: 1, max: 12 }),
        fc.integer({ min: 1, max: 10 }),
        (keys, size, most) => {
          const { chunks, rest } = cutChunks(keys, size, most);
          const taken = chunks.flat();
          expect(taken).toEqual(keys.slice(0, taken.length));
          expect(rest).toBe(taken.length < keys.length);
          expect(chunks.length).toBeLessThanOrEqual(most);
          if (rest) expect(chunks.length).toBe(most);
          for (const chunk of chunks) {
            expect(chunk.length).toBeGreaterThan(0);
            expect(chunk.length).toBeLessThanOrEqual(size);
            if (chunk.length > 1) expect(bytesOf(chunk)).toBeLessThanOrEqual(CHUNK_KEY_BYTES);
          }
          // No chunk ends early: the key behind it would not have fitted.
          for (const [i, chunk] of chunks.slice(0, -1).entries()) {
            const next = chunks[i + 1]?.[0] ?? [];
            expect(chunk.length === size || bytesOf([...chunk, next]) > CHUNK_KEY_BYTES).toBe(true);
          }
        },
      ),
      { numRuns: 200, seed: 1 },
    );
  });

  it('gives a key that is larger than the limit a chunk of its own', () => {
    const large = ['x'.repeat(CHUNK_KEY_BYTES + 1)];
    expect(cutChunks([['a'], large, ['b']], 10, 10)).toEqual({
      chunks: [[['a']], [large], [['b']]],
      rest: false,
    });
    expect(cutChunks([large], 10, 10)).toEqual({ chunks: [[large]], rest: false });
  });

  it('of nothing is nothing, and says exactly when something is left over', () => {
    expect(cutChunks([], 5, 5)).toEqual({ chunks: [], rest: false });
    const keys = Array.from({ length: 7 }, (_, n) => [String(n)]);
    expect(cutChunks(keys.slice(0, 6), 3, 2)).toMatchObject({ rest: false });
    expect(cutChunks(keys, 3, 2)).toMatchObject({ rest: true });
  });
});
