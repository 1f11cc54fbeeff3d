import { expect, it, vi } from 'vitest';
import { open, reencryptBatch, rewrap, rewrapBatch, seal } from '../../../shared/envelope/index.ts';
import { CONTEXT, expectCode, kekOf, utf8 } from './fixtures.ts';

type KeyWrap = typeof import('../../../shared/envelope/aes-key-wrap.ts');

/** A key wrap that writes the SECOND record of each batch wrong, as a broken memory cell or processor would. */
const fault = vi.hoisted(() => ({ spoil: (_words: Int32Array, _offsets: Int32Array): void => {} }));

vi.mock('../../../shared/envelope/aes-key-wrap.ts', async (importOriginal) => {
  const original = await importOriginal<KeyWrap>();
  const wrapKeys: KeyWrap['wrapKeys'] = (kek, keys, wrapped) => {
    original.wrapKeys(kek, keys, wrapped);
    fault.spoil(wrapped.words, wrapped.offsets);
  };
  return { ...original, wrapKeys };
});

const [v1, v2] = [kekOf(1), kekOf(2)];
const envelopes = ['a', 'b', 'c'].map((text) => seal(utf8(text), v1, CONTEXT));
const items = envelopes.map((envelope) => ({ envelope, context: CONTEXT }));

const flipBit = (words: Int32Array, offsets: Int32Array) => {
  const at = (offsets[1] ?? offsets[0] ?? 0) + 3;
  words[at] = (words[at] ?? 0) ^ 1;
};

/** Valid under the target KEK, but of another record's DEK: only the comparison finds it (MongoDB's failure). */
const wrongDek = (words: Int32Array, offsets: Int32Array) => {
  words.copyWithin(offsets[1] ?? 0, offsets[0] ?? 0, (offsets[0] ?? 0) + 10);
};

it.each([
  ['does not unwrap', flipBit],
  ['unwraps to another DEK', wrongDek],
])('a new wrapping that %s is not handed out, and the others are', (_, spoil) => {
  fault.spoil = spoil;
  for (const outcomes of [rewrapBatch(envelopes, [v1], v2), reencryptBatch(items, [v1], v2)]) {
    expect(outcomes).toMatchObject([
      { status: 'rewrapped' },
      { status: 'failed', code: 'REWRAP_UNVERIFIED' },
      { status: 'rewrapped' },
    ]);
    const [first] = outcomes;
    expect(first?.status === 'rewrapped' && open(first.envelope, v2, CONTEXT)).toEqual(utf8('a'));
  }
});

it('rewrap throws instead', () => {
  fault.spoil = flipBit;
  expectCode(() => rewrap(seal(utf8('x'), v1, CONTEXT), v1, v2), 'REWRAP_UNVERIFIED');
});
