import { EnvelopeError } from '../errors/errors.ts';
import { ABSENT, clearKeys, copyKey, intactKeys, loadKeys, unwrapKeys } from './aes-key-wrap.ts';
import {
  ENVELOPE_ARGUMENT,
  type EnvelopeBatch,
  stageBatch,
  type VersionGroup,
  wrapAndVerify,
  wrappedDekOffsets,
} from './batch.ts';
import { decryptContent, encryptContent } from './content.ts';
import { type AadEncoder, createAadEncoder } from './context.ts';
import { DEK_LENGTH, IV_LENGTH, IV_OFFSET, TAIL_LENGTH } from './layout.ts';
import { fillRandom, SEED_LENGTH } from './seed.ts';
import type { EnvelopeContext, Kek, RandomFill, RewrapOutcome } from './types.ts';

export interface ReencryptItem {
  readonly envelope: Uint8Array;
  readonly context: EnvelopeContext;
}

/**
 * Opens each envelope and seals its plaintext again under a new DEK and IV, for `to`. Order, failures, shared
 * memory and errors are as in `rewrapBatch`; an item whose context is invalid fails with ENVELOPE_ARGUMENT.
 */
export function reencryptBatch(
  items: readonly ReencryptItem[],
  from: readonly Kek[],
  to: Kek,
  random: RandomFill = fillRandom,
): RewrapOutcome[] {
  const batch = stageBatch(
    items.map(({ envelope }) => envelope),
    from,
    to,
  );
  const encoder = createAadEncoder();
  for (const group of batch.groups) reencryptGroup(batch, group, items, encoder, random);
  return batch.outcomes;
}

function reencryptGroup(
  batch: EnvelopeBatch,
  { from, records }: VersionGroup,
  items: readonly ReencryptItem[],
  encoder: AadEncoder,
  random: RandomFill,
): void {
  const count = records.length;
  const seeds = new Uint8Array(count * SEED_LENGTH); // All DEKs, so that they are aligned, then all IVs.
  random(seeds);
  const offsets = wrappedDekOffsets(batch, records);
  const oldDeks = unwrapKeys(from.key, { words: batch.words, offsets });
  const intact = intactKeys(oldDeks);
  const newDeks = loadKeys(new Int32Array(seeds.buffer, 0, (count * DEK_LENGTH) / 4));
  const oldDek = new Uint8Array(DEK_LENGTH);
  const oldDekWords = new Int32Array(oldDek.buffer);
  for (let key = 0; key < count; key++) {
    const record = records[key] ?? 0;
    const aad = encodeAad(encoder, items[record]?.context);
    if (aad === undefined) batch.outcomes[record] = ENVELOPE_ARGUMENT;
    copyKey(oldDeks, key, oldDekWords);
    const seed = {
      dek: seeds.subarray(key * DEK_LENGTH, (key + 1) * DEK_LENGTH),
      iv: seeds.subarray(count * DEK_LENGTH + key * IV_LENGTH, count * DEK_LENGTH + (key + 1) * IV_LENGTH),
    };
    if (aad === undefined || intact[key] !== 1 || !reencryptContent(batch, record, oldDek, seed, aad)) {
      offsets[key] = ABSENT;
    }
  }
  wrapAndVerify(batch, records, newDeks, offsets);
  clearKeys(oldDeks);
  clearKeys(newDeks);
  oldDek.fill(0);
  seeds.fill(0);
}

/** Replaces IV and ciphertext in the batch's copy of an envelope; false when the old ones do not open. */
function reencryptContent(
  { bytes, starts, ends, ciphertexts }: EnvelopeBatch,
  record: number,
  oldDek: Uint8Array,
  seed: { readonly dek: Uint8Array; readonly iv: Uint8Array },
  aad: Uint8Array,
): boolean {
  const ivStart = (starts[record] ?? 0) + IV_OFFSET;
  const ciphertext = ciphertexts[record] ?? 0;
  const plaintext = decryptContent(
    oldDek,
    bytes.subarray(ivStart, ivStart + IV_LENGTH),
    aad,
    bytes.subarray(ciphertext, (ends[record] ?? 0) - TAIL_LENGTH),
  );
  if (plaintext === undefined) return false;
  bytes.set(seed.iv, ivStart);
  encryptContent(seed.dek, seed.iv, aad, plaintext, bytes, ciphertext);
  plaintext.fill(0);
  return true;
}

function encodeAad(encoder: AadEncoder, context: EnvelopeContext | undefined): Uint8Array | undefined {
  if (context === undefined) return undefined;
  try {
    return encoder.encode(context);
  } catch (error) {
    if (error instanceof EnvelopeError) return undefined;
    throw error;
  }
}
