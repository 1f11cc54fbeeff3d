import { randomBytes } from 'node:crypto';
import { decode } from 'cbor2';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createKek,
  inspect,
  isTombstone,
  MIN_ENVELOPE_LENGTH,
  makeTombstone,
  open,
  readTombstone,
  reencryptBatch,
  rewrap,
  rewrapBatch,
  seal,
  type Tombstone,
} from '../../../shared/envelope/index.ts';

const KEY_ID = '0190d2f0-5c4b-7a3e-9f21-6b8d4c2e1a07';
const CONTEXT = { tenant: 't', recordSet: 'r', recordId: ['1'], field: 'f' };
const kek = (version: number) => createKek({ keyId: KEY_ID, version, key: Buffer.alloc(32, version) });

const facts: Tombstone = {
  keyId: KEY_ID,
  version: 3,
  at: '2026-01-31T12:00:00.000Z',
  requestId: Buffer.alloc(32, 7).toString('base64url'),
};

const anyFacts = fc.record({
  keyId: fc.uuid(),
  version: fc.option(fc.integer({ min: 1, max: 0xffff_ffff })),
  at: fc
    .date({ min: new Date('2000-01-01'), max: new Date('9999-12-31'), noInvalidDate: true })
    .map((date) => date.toISOString()),
  requestId: fc.option(
    fc
      .uint8Array({ minLength: 32, maxLength: 32 })
      .filter((bytes) => bytes.some((byte) => byte !== 0))
      .map((bytes) => Buffer.from(bytes).toString('base64url')),
  ),
});

describe('a tombstone', () => {
  it('says what was written into it', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        expect(readTombstone(makeTombstone(given))).toEqual(given);
      }),
    );
  });

  it('is CBOR that any library reads', () => {
    const [name, format, kid, time, request] = decode<unknown[]>(makeTombstone(facts));
    expect(name).toBe('keyturn tombstone');
    expect(format).toBe(1);
    expect(Buffer.from(kid as Uint8Array).toString('hex')).toBe(`${KEY_ID.replaceAll('-', '')}00000003`);
    expect(time).toEqual(new Date(facts.at));
    expect(Buffer.from(request as Uint8Array).toString('base64url')).toBe(facts.requestId);
  });

  it('is of one length, shorter than any envelope: it fits wherever one fits, as text too', () => {
    fc.assert(
      fc.property(anyFacts, (given) => {
        expect(makeTombstone(given)).toHaveLength(102);
      }),
    );
    expect(MIN_ENVELOPE_LENGTH).toBeGreaterThan(102);
  });

  it('is told by inspect, open and the rewraps as what it is, never as malformed', () => {
    const stone = makeTombstone(facts);
    const given = expect.objectContaining({ code: 'RECORD_TOMBSTONED' });
    expect(() => inspect(stone)).toThrow(given);
    expect(() => open(stone, kek(3), CONTEXT)).toThrow(given);
    expect(() => rewrap(stone, kek(3), kek(4))).toThrow(given);
    const failed = { status: 'failed', code: 'RECORD_TOMBSTONED' };
    const envelope = seal(Buffer.from('x'), kek(3), CONTEXT);
    expect(rewrapBatch([stone, envelope], [kek(3)], kek(4))).toMatchObject([failed, { status: 'rewrapped' }]);
    const items = [stone, envelope].map((each) => ({ envelope: each, context: CONTEXT }));
    expect(reencryptBatch(items, [kek(3)], kek(4))).toMatchObject([failed, { status: 'rewrapped' }]);
    // A frame of so many bytes, whose ciphertext was left out, is none.
    expect(rewrapBatch([stone], [kek(3)], kek(4), [5])).toMatchObject([{ code: 'ENVELOPE_MALFORMED' }]);
  });

  it('and an envelope are never the same bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (plaintext) => {
        expect(isTombstone(seal(plaintext, kek(1), CONTEXT))).toBe(false);
      }),
    );
    // Whatever is done to a tombstone, or an envelope of the same length: one of the two at most.
    const bytes = fc.oneof(
      anyFacts.map(makeTombstone),
      fc.constant(seal(new Uint8Array(), kek(1), CONTEXT)),
      fc.uint8Array({ minLength: 95, maxLength: 115 }),
    );
    const damage = fc.array(fc.tuple(fc.nat({ max: 114 }), fc.nat({ max: 255 })), { maxLength: 4 });
    fc.assert(
      fc.property(bytes, damage, (value, changes) => {
        const changed = Uint8Array.from(value);
        for (const [at, byte] of changes) if (at < changed.length) changed[at] = byte;
        let envelope = true;
        try {
          inspect(changed);
        } catch (error) {
          envelope = false;
          expect(error).toMatchObject({
            code: isTombstone(changed) ? 'RECORD_TOMBSTONED' : 'ENVELOPE_MALFORMED',
          });
        }
        expect(envelope && isTombstone(changed)).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  it('is no tombstone with a byte more, a byte less, or one of its fixed bytes changed', () => {
    const stone = makeTombstone(facts);
    expect(isTombstone(stone.subarray(1))).toBe(false);
    expect(isTombstone(Buffer.concat([stone, Buffer.alloc(1)]))).toBe(false);
    const fixed = [...Array(21).keys(), 41, 42, 43, 68, 69];
    for (const [at] of stone.entries()) {
      const changed = Uint8Array.from(stone);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(isTombstone(changed), `byte ${at}`).toBe(!fixed.includes(at));
    }
    expect(readTombstone(randomBytes(102))).toBeNull();
  });

  it.each([
    ['a key id', { keyId: 'nobody' }],
    ['a version', { version: 0 }],
    ['a version', { version: 1.5 }],
    ['a time', { at: '2026-01-31' }],
    ['a request id', { requestId: 'short' }],
  ])('is not made of what is not %s', (_, wrong) => {
    expect(() => makeTombstone({ ...facts, ...wrong })).toThrow(
      expect.objectContaining({ code: 'ENVELOPE_ARGUMENT' }),
    );
  });
});
