import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect } from 'vitest';
import {
  createKek,
  type EnvelopeContext,
  type Kek,
  type RandomFill,
} from '../../../shared/envelope/index.ts';
import type { EnvelopeErrorCode } from '../../../shared/errors/errors.ts';
import { EnvelopeError } from '../../../shared/errors/errors.ts';

export const KEY_ID = '01900000-0000-7000-8000-0000000000aa';
export const OTHER_KEY_ID = '01900000-0000-7000-8000-0000000000bb';

/** Versions of one key, each with bytes of its own. */
export function kekOf(version: number, keyId = KEY_ID): Kek {
  return createKek({ keyId, version, key: keyBytes(`${keyId}/${version}`) });
}

export function keyBytes(label: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(label).digest());
}

export const CONTEXT: EnvelopeContext = {
  tenant: 'acme',
  recordSet: 'customers',
  recordId: ['eu', '4711'],
  field: 'email',
};

/** The same bytes for the same seed. */
export function seededRandom(seed: string): RandomFill {
  let drawn = 0;
  return (buffer) => {
    for (let at = 0; at < buffer.length; at += 32) {
      const block = createHash('sha256').update(`${seed}/${drawn++}`).digest();
      buffer.set(block.subarray(0, Math.min(32, buffer.length - at)), at);
    }
  };
}

export function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

export function unhex(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, 'hex'));
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

/** The error that the call throws: asserted to be an EnvelopeError with this code. */
export function expectCode(call: () => unknown, code: EnvelopeErrorCode): EnvelopeError {
  const error = errorOf(call);
  expect(error.code).toBe(code);
  return error;
}

export function errorOf(call: () => unknown): EnvelopeError {
  let result: unknown;
  try {
    result = call();
  } catch (error) {
    expect(error).toBeInstanceOf(EnvelopeError);
    if (error instanceof EnvelopeError) return error;
    throw error;
  }
  throw new Error(`nothing was thrown; returned ${typeof result}`);
}

/** Context texts: any well-formed one that is not empty. */
export const contextText = fc.string({ minLength: 1, maxLength: 40, unit: 'grapheme' });

export const contexts: fc.Arbitrary<EnvelopeContext> = fc.record({
  tenant: contextText,
  recordSet: contextText,
  recordId: fc.array(fc.string({ maxLength: 40, unit: 'grapheme' }), { minLength: 1, maxLength: 8 }),
  field: contextText,
});

/** A file of ../shared/vectors, or undefined where the checkout is alone. The data stays outside the repository. */
export function readVectors(name: string): unknown {
  const url = new URL(`../../../../shared/vectors/${name}`, import.meta.url);
  return existsSync(url) ? JSON.parse(readFileSync(url, 'utf8')) : undefined;
}
