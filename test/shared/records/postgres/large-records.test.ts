import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { z } from 'zod';
import { readCatalog } from '../../../../shared/records/postgres/catalog.ts';
import { readFrames, readRecords } from '../../../../shared/records/postgres/records.ts';
import { readShape } from '../../../../shared/records/postgres/table.ts';
import { asQueryable, type Queryable } from '../../../../shared/records/postgres/transaction.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';
import { INT_KEY, makeFixture, recordSetConfig, type TableCase } from '../../../support/postgres-records.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

const TEXT_KEY: TableCase = {
  ...INT_KEY,
  name: 'text',
  ddl: 'CREATE TABLE %T (id int8 PRIMARY KEY, tenant text NOT NULL, secret text, secret_plain text)',
  textFields: true,
};

/** Small, on either side of what is read with its neighbours, more than fits one statement together, and alone. */
const SIZES = [
  ...[0, 100, 8_000, 8_192, 8_193, 3_000_000, 4_000_000, 2_000_000, 9_000_000, 20_000, 1, 6_000_000],
  ...Array.from({ length: 30 }, () => 500_000),
];
const MIB = 1024 * 1024;

const packedSchema = z.tuple([z.object({ packed: z.string() })]);

/** A table with values of these sizes, and what each statement that reads them answers, in bytes. */
async function makeTable(tableCase: TableCase) {
  const fixture = await makeFixture(postgres, tableCase);
  const values = SIZES.map((size) => randomBytes(size));
  const keys = values.map((_, n) => fixture.keyOf(n));
  await fixture.insert(values.map((value, n) => ({ key: keys[n] ?? [], tenant: 'acme', values: [value] })));
  const admin = asQueryable(postgres.admin);
  const catalog = await readCatalog(admin, fixture.table);
  if (catalog === undefined) throw new Error('The table is not there.');
  const { shape } = readShape(recordSetConfig(fixture.table, tableCase), catalog);
  const answers: number[] = [];
  const observed: Queryable = {
    async query(statement) {
      const result = await admin.query(statement);
      answers.push(Buffer.from(packedSchema.parse(result.rows)[0].packed, 'base64').length);
      return result;
    },
  };
  return { fixture, keys, values, shape, observed, answers };
}

it.each([INT_KEY, TEXT_KEY])(
  'large records are read in answers of bounded size: $name',
  async (tableCase) => {
    const { fixture, keys, values, shape, observed, answers } = await makeTable(tableCase);
    const records = await readRecords(observed, shape, [...keys, ['-1']]);
    expect(records.pop()).toBeNull();
    for (const [i, value] of values.entries()) {
      expect(records[i]?.key).toEqual(keys[i]);
      expect(Buffer.compare(records[i]?.values[0] ?? Buffer.alloc(0), value)).toBe(0);
    }
    const largest = 9_000_000 * (tableCase.textFields ? 4 / 3 : 1);
    expect(Math.max(...answers)).toBeLessThan(largest + 1_000);
    expect(answers.filter((bytes) => bytes > 8 * MIB).length).toBe(1);
    // Not a statement for each of them.
    expect(answers.length).toBeLessThan(10);
    await fixture.close();
  },
);

it('frames of large records come in one answer', async () => {
  const { fixture, keys, shape, observed, answers } = await makeTable(INT_KEY);
  const records = await readFrames(observed, shape, keys);
  const lengths = records.map((record) => {
    const { bytes, omitted } = record?.frames[0] ?? { bytes: '', omitted: 0 };
    return bytes.length + omitted;
  });
  expect(lengths).toEqual(SIZES);
  expect(answers.length).toBe(1);
  expect(answers[0]).toBeLessThan(keys.length * 250);
  await fixture.close();
});

it('a record that has grown since its size was told is read all the same', async () => {
  const { fixture, keys, shape, observed } = await makeTable(INT_KEY);
  const grown = randomBytes(1_000_000);
  let statements = 0;
  const growing: Queryable = {
    async query(statement) {
      const result = await observed.query(statement);
      statements += 1;
      if (statements === 1) await fixture.write(keys[9] ?? [], 0, grown);
      return result;
    },
  };
  const [record] = await readRecords(growing, shape, [keys[9] ?? []]);
  expect(Buffer.compare(record?.values[0] ?? Buffer.alloc(0), grown)).toBe(0);
  expect(statements).toBe(3);
  await fixture.close();
});
