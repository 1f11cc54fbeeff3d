import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createKek,
  inspect,
  type Kek,
  open,
  type RewrapOutcome,
  reencryptBatch,
  rewrap,
  rewrapBatch,
  seal,
} from '../../../shared/envelope/index.ts';
import {
  CONTEXT,
  expectCode,
  KEY_ID,
  kekOf,
  keyBytes,
  OTHER_KEY_ID,
  seededRandom,
  utf8,
} from './fixtures.ts';

const [v1, v2, v3] = [kekOf(1), kekOf(2), kekOf(3)];

const contextOf = (index: number) => ({ ...CONTEXT, recordId: [String(index)] });
const plaintextOf = (index: number) => utf8(`value ${index}`.repeat(index % 5));

/** Both batch operations, on envelopes sealed for `contextOf` their index: what holds for one holds for the other. */
const operations: [string, (envelopes: Uint8Array[], from: Kek[], to: Kek) => RewrapOutcome[]][] = [
  ['rewrapBatch', rewrapBatch],
  [
    'reencryptBatch',
    (envelopes, from, to) =>
      reencryptBatch(
        envelopes.map((envelope, index) => ({ envelope, context: contextOf(index) })),
        from,
        to,
      ),
  ],
];

function sealed(keks: readonly Kek[]): Uint8Array[] {
  return keks.map((kek, index) => seal(plaintextOf(index), kek, contextOf(index)));
}

function envelopeOf(outcome: RewrapOutcome | undefined): Uint8Array {
  if (outcome?.status !== 'rewrapped') throw new Error(`not rewrapped: ${JSON.stringify(outcome)}`);
  return outcome.envelope;
}

const failed = (code: string) => ({ status: 'failed', code });

/** Header, IV and ciphertext: all before the 70 bytes of the recipient. */
const body = (envelope: Uint8Array) => Buffer.from(envelope.subarray(0, -70)).toString('hex');

describe.each(operations)('%s', (_, operation) => {
  it.each([0, 1, 2, 2000])('of %i envelopes: all, in order, and each opens with the target only', (count) => {
    const outcomes = operation(sealed(Array(count).fill(v1)), [v1], v2);
    expect(outcomes).toHaveLength(count);
    outcomes.forEach((outcome, index) => {
      const envelope = envelopeOf(outcome);
      expect(inspect(envelope)).toMatchObject({ keyId: KEY_ID, version: 2 });
      expect(open(envelope, v2, contextOf(index))).toEqual(plaintextOf(index));
      if (index === 0) expectCode(() => open(envelope, v1, contextOf(index)), 'VERSION_UNKNOWN');
    });
  });

  it('does not touch its input, nor share memory with it', () => {
    const envelopes = sealed([v1, v1]);
    const before = envelopes.map((envelope) => Uint8Array.from(envelope));
    const outcomes = operation(envelopes, [v1], v2);
    expect(envelopes).toEqual(before);
    for (const envelope of envelopes) envelope.fill(0);
    expect(open(envelopeOf(outcomes[1]), v2, contextOf(1))).toEqual(plaintextOf(1));
  });

  it('handles any mix of versions, keys, damage and bytes, each on its own', () => {
    const [older, target, newer] = [kekOf(20), kekOf(21), kekOf(22)];
    const sealedBy = (kek: Kek) => (index: number) => seal(plaintextOf(index), kek, contextOf(index));
    const sealedOld = sealedBy(v1);
    const kinds: [string, (index: number) => Uint8Array][] = [
      ['rewrapped', sealedOld],
      ['rewrapped', sealedBy(older)],
      ['current', sealedBy(target)],
      ['VERSION_NEWER', sealedBy(newer)],
      ['VERSION_UNKNOWN', sealedBy(v2)],
      ['KEY_MISMATCH', sealedBy(kekOf(1, OTHER_KEY_ID))],
      ['DECRYPTION_FAILED', (index) => flip(sealedOld(index), -1)],
      ['ENVELOPE_MALFORMED', (index) => sealedOld(index).subarray(1)],
      ['ENVELOPE_MALFORMED', () => keyBytes('not an envelope')],
      ['ENVELOPE_MALFORMED', () => new Uint8Array(0)],
    ];
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...kinds), { maxLength: 30 }), (mix) => {
        const envelopes = mix.map(([, make], index) => make(index));
        const outcomes = operation(envelopes, [v1, older, v3], target);
        const summary = outcomes.map((outcome) =>
          outcome.status === 'failed' ? outcome.code : outcome.status,
        );
        expect(summary).toEqual(mix.map(([expected]) => expected));
        outcomes.forEach((outcome, index) => {
          if (outcome.status !== 'rewrapped') return;
          expect(open(outcome.envelope, target, contextOf(index))).toEqual(plaintextOf(index));
        });
      }),
    );
  });

  it('takes views at any offset of other memory', () => {
    const envelope = seal(utf8('x'), v1, contextOf(0));
    for (let offset = 0; offset < 9; offset++) {
      const memory = new Uint8Array(envelope.length + 20);
      memory.set(envelope, offset);
      const view = memory.subarray(offset, offset + envelope.length);
      const buffer = Buffer.from(memory.buffer, offset, envelope.length);
      expect(open(envelopeOf(operation([view], [v1], v2)[0]), v2, contextOf(0))).toEqual(utf8('x'));
      expect(open(envelopeOf(operation([buffer], [v1], v2)[0]), v2, contextOf(0))).toEqual(utf8('x'));
    }
  });

  it('fails what is not bytes alone', () => {
    const good = seal(utf8('x'), v1, contextOf(1));
    const untyped: (...args: never) => unknown = operation;
    expect(Reflect.apply(untyped, undefined, [[null, good, 'text'], [v1], v2])).toMatchObject([
      failed('ENVELOPE_MALFORMED'),
      { status: 'rewrapped' },
      failed('ENVELOPE_MALFORMED'),
    ]);
  });

  it('throws for keys that do not belong together', () => {
    expectCode(() => operation([], [kekOf(1, OTHER_KEY_ID)], v2), 'ENVELOPE_ARGUMENT');
    expectCode(() => operation([], [v1, v1], v2), 'ENVELOPE_ARGUMENT');
  });

  it('fails under a KEK that has the right name and other bytes', () => {
    const forged = createKek({ keyId: KEY_ID, version: 1, key: keyBytes('forged') });
    expect(operation(sealed([v1]), [forged], v2)).toEqual([failed('DECRYPTION_FAILED')]);
  });

  it('goes back to an earlier version only from one that was given', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 0xffff_fff0 }),
        fc.integer({ min: 1, max: 5 }),
        (version, ahead) => {
          const [on, to] = [kekOf(version + ahead), kekOf(version)];
          const envelope = seal(utf8('x'), on, contextOf(0));
          expect(operation([envelope], [], to)).toEqual([failed('VERSION_NEWER')]);
          expect(open(envelopeOf(operation([envelope], [on], to)[0]), to, contextOf(0))).toEqual(utf8('x'));
        },
      ),
    );
  });
});

describe('rewrapBatch', () => {
  it('changes version and wrapped DEK, and nothing else', () => {
    const envelopes = sealed(Array(50).fill(v1));
    rewrapBatch(envelopes, [v1], v2).forEach((outcome, index) => {
      const [before, after] = [envelopes[index] ?? new Uint8Array(0), envelopeOf(outcome)];
      expect(body(after)).toBe(body(before));
      expect(after.subarray(-70, -46)).toEqual(before.subarray(-70, -46));
      expect(after.subarray(-40)).not.toEqual(before.subarray(-40));
    });
  });

  it('gives what it was given, there and back by way of two versions', () => {
    const envelope = seal(utf8('x'), v1, CONTEXT);
    const there = envelopeOf(rewrapBatch([envelope], [v1], v3)[0]);
    const direct = rewrap(rewrap(envelope, v1, v2), v2, v3);
    expect(direct).toEqual(there); // AES-KW is deterministic.
  });

  it('leaves a changed ciphertext changed: only open authenticates it', () => {
    const envelope = flip(seal(utf8('hello'), v1, CONTEXT), 24);
    const after = envelopeOf(rewrapBatch([envelope], [v1], v2)[0]);
    expectCode(() => open(after, v2, CONTEXT), 'DECRYPTION_FAILED');
  });
});

describe('rewrap', () => {
  it('gives the envelope, or throws the code of its failure', () => {
    const envelope = seal(utf8('x'), v2, CONTEXT);
    expect(open(rewrap(envelope, v2, v3), v3, CONTEXT)).toEqual(utf8('x'));
    expect(rewrap(envelope, v1, v2)).toEqual(envelope);
    expectCode(() => rewrap(envelope, v1, v3), 'VERSION_UNKNOWN');
    expectCode(() => rewrap(envelope, v3, v1), 'VERSION_NEWER');
    expect(open(rewrap(envelope, v2, v1), v1, CONTEXT)).toEqual(utf8('x'));
    expectCode(() => rewrap(flip(envelope, -1), v2, v3), 'DECRYPTION_FAILED');
    expectCode(() => rewrap(flip(envelope, 0), v2, v3), 'ENVELOPE_MALFORMED');
    const other = [kekOf(2, OTHER_KEY_ID), kekOf(3, OTHER_KEY_ID)] as const;
    expectCode(() => rewrap(envelope, ...other), 'KEY_MISMATCH');
    expectCode(() => rewrap(envelope, v2, other[1]), 'ENVELOPE_ARGUMENT');
  });
});

describe('reencryptBatch', () => {
  const item = (index: number) => ({
    envelope: seal(plaintextOf(index), v1, contextOf(index)),
    context: contextOf(index),
  });

  it('encrypts anew: IV, ciphertext and DEK are others', () => {
    const { envelope, context } = item(3);
    const after = envelopeOf(reencryptBatch([{ envelope, context }], [v1], v2)[0]);
    expect(after.subarray(10, 22)).not.toEqual(envelope.subarray(10, 22));
    expect(body(after)).not.toBe(body(envelope));
    expect(after).toHaveLength(envelope.length);
  });

  it('is what seal makes of the plaintext with the same random bytes', () => {
    const { envelope, context } = item(4);
    const after = envelopeOf(reencryptBatch([{ envelope, context }], [v1], v2, seededRandom('r'))[0]);
    expect(after).toEqual(seal(plaintextOf(4), v2, context, seededRandom('r')));
  });

  it('gives the same bytes for the same random bytes, and no DEK or IV twice in a batch', () => {
    const items = Array.from({ length: 20 }, (_, index) => item(index));
    const once = reencryptBatch(items, [v1], v2, seededRandom('r')).map(envelopeOf);
    expect(reencryptBatch(items, [v1], v2, seededRandom('r')).map(envelopeOf)).toEqual(once);
    expect(new Set(once.map((envelope) => envelope.subarray(10, 22).join())).size).toBe(20);
    expect(new Set(once.map((envelope) => envelope.subarray(-40).join())).size).toBe(20);
  });

  it('fails a wrong or invalid context, and a changed ciphertext, alone', () => {
    const good = item(2);
    const outcomes = reencryptBatch(
      [
        good,
        { ...good, context: contextOf(9) },
        { ...good, context: { ...CONTEXT, tenant: '' } },
        { ...good, envelope: flip(good.envelope, 30) },
        good,
      ],
      [v1],
      v2,
    );
    expect(outcomes).toMatchObject([
      { status: 'rewrapped' },
      failed('DECRYPTION_FAILED'),
      failed('ENVELOPE_ARGUMENT'),
      failed('DECRYPTION_FAILED'),
      { status: 'rewrapped' },
    ]);
    expect(open(envelopeOf(outcomes[4]), v2, good.context)).toEqual(plaintextOf(2));
  });
});

function flip(envelope: Uint8Array, at: number): Uint8Array {
  const changed = Uint8Array.from(envelope);
  changed.set([(changed.at(at) ?? 0) ^ 1], at < 0 ? changed.length + at : at);
  return changed;
}
