import { EnvelopeError } from '../errors/errors.ts';
import { encryptContent } from './content.ts';
import { createAadEncoder } from './context.ts';
import { wrapDek } from './dek.ts';
import { frameEnvelope } from './format.ts';
import { DEK_LENGTH, IV_OFFSET, KID_FROM_END, MAX_PLAINTEXT_LENGTH, WRAPPED_DEK_FROM_END } from './layout.ts';
import { fillRandom, SEED_LENGTH } from './seed.ts';
import type { EnvelopeContext, Kek, RandomFill } from './types.ts';

/**
 * Encrypts one field: a fresh DEK and IV, AES-256-GCM over the plaintext bound to its context, and the DEK wrapped
 * under `kek` (docs/envelope.md). `random` draws 44 bytes at once: the DEK, then the IV.
 *
 * @throws EnvelopeError ENVELOPE_ARGUMENT for a plaintext beyond 64 MiB or an invalid context.
 */
export function seal(
  plaintext: Uint8Array,
  kek: Kek,
  context: EnvelopeContext,
  random: RandomFill = fillRandom,
): Uint8Array {
  if (!(plaintext instanceof Uint8Array) || plaintext.length > MAX_PLAINTEXT_LENGTH) {
    throw new EnvelopeError('ENVELOPE_ARGUMENT', 'plaintext is not a Uint8Array of at most 64 MiB');
  }
  const aad = createAadEncoder().encode(context);
  const seed = new Uint8Array(SEED_LENGTH);
  random(seed);
  const dek = seed.subarray(0, DEK_LENGTH);
  const iv = seed.subarray(DEK_LENGTH);
  const { envelope, ciphertextOffset } = frameEnvelope(plaintext.length);
  envelope.set(iv, IV_OFFSET);
  encryptContent(dek, iv, aad, plaintext, envelope, ciphertextOffset);
  envelope.set(kek.kid, envelope.length - KID_FROM_END);
  envelope.set(wrapDek(kek.key, dek), envelope.length - WRAPPED_DEK_FROM_END);
  seed.fill(0);
  return envelope;
}
