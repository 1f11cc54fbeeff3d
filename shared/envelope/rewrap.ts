import { EnvelopeError } from '../errors/errors.ts';
import { ABSENT, clearKeys, intactKeys, unwrapKeys } from './aes-key-wrap.ts';
import {
  type EnvelopeBatch,
  stageBatch,
  type VersionGroup,
  wrapAndVerify,
  wrappedDekOffsets,
} from './batch.ts';
import { envelopeFailure } from './failures.ts';
import type { Kek, RewrapOutcome } from './types.ts';

/**
 * Wraps the DEK of each envelope under `to` instead of the version of `from` that it is on. The ciphertext stays
 * bit for bit. Outcomes are in the order of the envelopes, and a bad envelope fails alone, with a code.
 *
 * Numbers do not say which version is to be used: a rollback brings envelopes to a lower one. Who gives a later version
 * in `from` says that `to` is the key's active version all the same; an envelope on a later one that was not given is
 * left alone (VERSION_NEWER).
 *
 * The rewrapped envelopes are views of one slab of memory: keeping one keeps them all. Copy what outlives the batch.
 *
 * A rewrap needs no ciphertext, so an envelope may come as a frame: what is before its ciphertext and what is after
 * it, and in `omitted` the length of the ciphertext between them, which was left out (0: nothing was). Frames come
 * out as frames.
 *
 * @throws EnvelopeError ENVELOPE_ARGUMENT for keys that are not versions of one key; never for an envelope.
 */
export function rewrapBatch(
  envelopes: readonly Uint8Array[],
  from: readonly Kek[],
  to: Kek,
  omitted?: readonly number[],
): RewrapOutcome[] {
  const batch = stageBatch(envelopes, from, to, omitted);
  for (const group of batch.groups) rewrapGroup(batch, group);
  return batch.outcomes;
}

/**
 * One envelope, rewrapped. One that is already on `to` is returned as a copy.
 *
 * @throws EnvelopeError with the code that `rewrapBatch` gives.
 */
export function rewrap(envelope: Uint8Array, from: Kek, to: Kek): Uint8Array {
  if (!(envelope instanceof Uint8Array)) {
    throw new EnvelopeError('ENVELOPE_ARGUMENT', 'envelope is not a Uint8Array');
  }
  const [outcome] = rewrapBatch([envelope], [from], to);
  if (outcome?.status === 'rewrapped') return outcome.envelope;
  if (outcome?.status === 'current') return Uint8Array.from(envelope);
  throw envelopeFailure(outcome?.code ?? 'ENVELOPE_MALFORMED');
}

function rewrapGroup(batch: EnvelopeBatch, { from, records }: VersionGroup): void {
  const offsets = wrappedDekOffsets(batch, records);
  const deks = unwrapKeys(from.key, { words: batch.words, offsets });
  const intact = intactKeys(deks);
  for (let key = 0; key < records.length; key++) {
    if (intact[key] !== 1) offsets[key] = ABSENT; // Its outcome already is DECRYPTION_FAILED.
  }
  wrapAndVerify(batch, records, deks, offsets);
  clearKeys(deks);
}
