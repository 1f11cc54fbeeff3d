import { ABSENT, clearKeys, copyKey, isIntact, type KeyBatch, loadKeys, unwrapKeys } from './aes-key-wrap.ts';
import {
  type EnvelopeBatch,
  failed,
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
  const seeds = new Uint8Array(records.length * SEED_LENGTH);
  random(seeds);
  const offsets = wrappedDekOffsets(batch, records);
  const oldDeks = unwrapKeys(from.key, { words: batch.words, offsets });
  const newDeks = loadSeedDeks(seeds);
  const oldDek = new Uint8Array(DEK_LENGTH);
  const oldDekWords = new Int32Array(oldDek.buffer);
  for (let key = 0; key < records.length; key++) {
    const record = records[key] ?? 0;
    const item = items[record];
    const aad = item && encodeAad(encoder, item.context);
    if (aad === undefined) batch.outcomes[record] = failed('ENVELOPE_ARGUMENT');
    copyKey(oldDeks, key, oldDekWords);
    const seed = seeds.subarray(key * SEED_LENGTH, (key + 1) * SEED_LENGTH);
    if (aad === undefined || !isIntact(oldDeks, key) || !reencryptContent(batch, record, oldDek, seed, aad)) {
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
  seed: Uint8Array,
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
  const iv = seed.subarray(DEK_LENGTH);
  bytes.set(iv, ivStart);
  encryptContent(seed.subarray(0, DEK_LENGTH), iv, aad, plaintext, bytes, ciphertext);
  plaintext.fill(0);
  return true;
}

function loadSeedDeks(seeds: Uint8Array<ArrayBuffer>): KeyBatch {
  const words = new Int32Array(seeds.buffer);
  const offsets = Int32Array.from(
    { length: seeds.length / SEED_LENGTH },
    (_, key) => (key * SEED_LENGTH) / 4,
  );
  return loadKeys(words, offsets);
}

function encodeAad(encoder: AadEncoder, context: EnvelopeContext): Uint8Array | undefined {
  try {
    return encoder.encode(context);
  } catch {
    return undefined;
  }
}
