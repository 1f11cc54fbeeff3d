import { afterAll, beforeAll, expect, it } from 'vitest';
import { KID_FROM_END, rewrapBatch, TAIL_LENGTH } from '../../../../shared/envelope/index.ts';
import type { Frame } from '../../../../shared/records/record-store.ts';
import { envelope, KEY_ID, kek } from '../../../contracts/record-store.ts';
import { startTestPostgres, type TestPostgres } from '../../../support/postgres.ts';
import { INT_KEY, makeFixture } from '../../../support/postgres-records.ts';

let postgres: TestPostgres;
beforeAll(async () => {
  postgres = await startTestPostgres();
});
afterAll(() => postgres.stop());

const key = INT_KEY.keyOf(1);
const LONG = 'x'.repeat(300);

async function oneRecord() {
  const fixture = await makeFixture(postgres, INT_KEY);
  const value = envelope(1, KEY_ID, LONG);
  await fixture.insert([{ key, tenant: 'acme', values: [value] }]);
  const [record] = await fixture.store.readFrames([key]);
  const before = record?.frames[0];
  if (!before) throw new Error('The frame is not there.');
  const [outcome] = rewrapBatch([before.bytes], [kek(1)], kek(2), [before.omitted]);
  if (outcome?.status !== 'rewrapped') throw new Error('The rewrap failed.');
  const after: Frame = { bytes: outcome.envelope, omitted: before.omitted };
  const replace = (from: Frame, to: Frame, notAfter?: number) =>
    fixture.store.replaceFrames(
      [{ key, tenant: 'acme', changes: [{ field: 0, before: from, after: to }] }],
      notAfter,
    );
  return { fixture, value, before, after, replace };
}

it('a frame leaves out the ciphertext', async () => {
  const { fixture, value, before } = await oneRecord();
  expect(before.omitted).toBe(LONG.length + 16);
  expect(before.bytes.length).toBe(value.length - before.omitted);
  await fixture.close();
});

it('a frame that changes in more than its recipient is refused, and nothing is written', async () => {
  const { fixture, value, before, after, replace } = await oneRecord();
  const flipped = (at: number): Frame => {
    const bytes = Uint8Array.from(after.bytes);
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    return { ...after, bytes };
  };
  const short: Frame = { bytes: new Uint8Array(TAIL_LENGTH - 1), omitted: 0 };
  const wrong: readonly (readonly [Frame, Frame])[] = [
    [before, flipped(0)],
    [before, flipped(after.bytes.length - KID_FROM_END - 1)],
    [before, { ...after, omitted: after.omitted + 1 }],
    [before, { ...after, bytes: after.bytes.subarray(1) }],
    [short, short],
  ];
  for (const [from, to] of wrong) await expect(replace(from, to)).rejects.toThrow(RangeError);
  expect((await fixture.rows())[0]?.values[0]).toEqual(Buffer.from(value));
  expect(await replace(before, after)).toEqual(['replaced']);
  await fixture.close();
});

it('a rewrap never puts back ciphertext that it did not see', async () => {
  const { fixture, value, before, after, replace } = await oneRecord();
  // No envelope of ours keeps its wrapped DEK with another ciphertext; whatever wrote this, it stays.
  const other = Buffer.from(value);
  other[100] = (other[100] ?? 0) ^ 1;
  await fixture.write(key, 0, other);
  expect(await replace(before, after)).toEqual(['replaced']);
  const now = Buffer.from((await fixture.rows())[0]?.values[0] ?? []);
  const recipient = now.length - KID_FROM_END;
  expect(now.subarray(0, recipient)).toEqual(other.subarray(0, recipient));
  await fixture.close();
});

it('a write that the database begins too late changes nothing, though the very old bytes stand there again', async () => {
  const { fixture, value, before, after, replace } = await oneRecord();
  expect(await replace(before, after, Date.now() + 60_000)).toEqual(['replaced']);
  // A rollback: AES key wrap gives the same bytes as before.
  expect(await replace(after, before, Date.now() + 60_000)).toEqual(['replaced']);
  expect((await fixture.rows())[0]?.values[0]).toEqual(Buffer.from(value));
  expect(await replace(before, after, Date.now() - 60_000)).toEqual(['conflict']);
  const whole = { field: 0, before: value, after: envelope(2, KEY_ID, LONG) };
  const late = fixture.store.replace([{ key, tenant: 'acme', changes: [whole] }], Date.now() - 60_000);
  expect(await late).toEqual(['conflict']);
  expect((await fixture.rows())[0]?.values[0]).toEqual(Buffer.from(value));
  await fixture.close();
});
