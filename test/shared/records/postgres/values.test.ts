import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import {
  byteaEndArray,
  type IdentifierType,
  identifierArray,
  isCanonical,
} from '../../../../shared/records/postgres/values.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';

/** The binary arrays are what PostgreSQL itself reads them as. */

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

async function readBack(array: Buffer, type: string, shown = 'v::text'): Promise<unknown> {
  const { rows } = await postgres.admin.query(
    `SELECT coalesce(json_agg(${shown} ORDER BY i), '[]') AS values FROM unnest($1::${type}[]) WITH ORDINALITY AS c(v, i)`,
    [array],
  );
  return z.tuple([z.object({ values: z.unknown() })]).parse(rows)[0].values;
}

const integer = (bits: number) => {
  const least = -(2n ** BigInt(bits - 1));
  return fc
    .oneof(
      fc.bigInt({ min: least, max: -least - 1n }),
      fc.integer({ min: -40_000, max: 40_000 }).map(BigInt),
      // Around the halves of an int8, and where text of 15 characters ends.
      fc.constantFrom(
        2n ** 31n,
        2n ** 32n,
        999_999_999_999_999n,
        1_000_000_000_000_000n,
        2n ** 53n,
        -least - 1n,
      ),
    )
    .chain((value) => fc.constantFrom(value, -value, -value - 1n))
    .filter((value) => value >= least && value < -least)
    .map(String);
};

const IDENTIFIERS: readonly [IdentifierType, fc.Arbitrary<string>][] = [
  ['int2', integer(16)],
  ['int4', integer(32)],
  ['int8', integer(64)],
  ['uuid', fc.uuid()],
  ['text', fc.string({ unit: 'grapheme' }).filter((text) => !text.includes('\0'))],
];

it.each(IDENTIFIERS)('identifiers of type %s', async (type, identifier) => {
  await fc.assert(
    fc.asyncProperty(fc.array(identifier, { maxLength: 20 }), async (texts) => {
      expect(texts.every((text) => isCanonical(type, text))).toBe(true);
      expect(await readBack(identifierArray(type, texts), type)).toEqual(texts);
    }),
    { numRuns: 50 },
  );
});

it('an integer that the type does not hold, or that PostgreSQL writes in another way, is not canonical', () => {
  for (const text of [
    '9223372036854775808',
    '-9223372036854775809',
    '1000000000000000000000',
    '-0',
    '007',
    '1.5',
    ' 1',
  ]) {
    expect(isCanonical('int8', text)).toBe(false);
  }
  expect(isCanonical('int4', '2147483648')).toBe(false);
  expect(isCanonical('int2', '32768')).toBe(false);
});

it('the ends of byte strings, and NULL where there is none', async () => {
  const bytes = fc.uint8Array({ minLength: 3, maxLength: 9 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.option(bytes), { maxLength: 20 }),
      fc.integer({ min: 0, max: 3 }),
      async (values, length) => {
        const ends = values.map(
          (value) => value && Buffer.from(value.subarray(value.length - length)).toString('hex'),
        );
        expect(await readBack(byteaEndArray(values, length), 'bytea', "encode(v, 'hex')")).toEqual(ends);
      },
    ),
    { numRuns: 50 },
  );
});
