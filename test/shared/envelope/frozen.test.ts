import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { createKek, inspect, open, rewrap, seal } from '../../../shared/envelope/index.ts';
import { hex, unhex } from './fixtures.ts';

/**
 * Envelopes of format version 1, written once and never again: stored data looks like this for ever. A change that
 * fails here needs a new format version beside this one, not a new file.
 */
const frozen = z
  .array(
    z.object({
      name: z.string(),
      kek: z.object({ keyId: z.string(), version: z.number(), key: z.string() }),
      context: z.object({
        tenant: z.string(),
        recordSet: z.string(),
        recordId: z.array(z.string()),
        field: z.string(),
      }),
      random: z.string(),
      plaintext: z.string(),
      envelope: z.string(),
      rewrapTo: z.object({ version: z.number(), key: z.string() }),
      rewrapped: z.string(),
    }),
  )
  .min(5)
  .parse(JSON.parse(readFileSync(new URL('./frozen-v1.json', import.meta.url), 'utf8')));

describe.each(frozen)('$name', ({ kek: { key, ...kid }, context, random, plaintext, envelope, ...after }) => {
  const kek = createKek({ ...kid, key: unhex(key) });
  const to = createKek({ keyId: kid.keyId, version: after.rewrapTo.version, key: unhex(after.rewrapTo.key) });

  it('opens, before and after its rewrap', () => {
    expect(hex(open(unhex(envelope), kek, context))).toBe(plaintext);
    expect(hex(open(unhex(after.rewrapped), to, context))).toBe(plaintext);
    expect(inspect(unhex(envelope))).toMatchObject(kid);
  });

  it('is sealed and rewrapped to the same bytes', () => {
    const fill = (buffer: Uint8Array) => buffer.set(unhex(random));
    expect(hex(seal(unhex(plaintext), kek, context, fill))).toBe(envelope);
    expect(hex(rewrap(unhex(envelope), kek, to))).toBe(after.rewrapped);
  });
});
