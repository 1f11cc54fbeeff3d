import { EnvelopeError } from '../errors/errors.ts';
import { decryptContent } from './content.ts';
import { createAadEncoder } from './context.ts';
import { unwrapDek } from './dek.ts';
import { envelopeFailure } from './failures.ts';
import { parseEnvelope } from './format.ts';
import { parseKid } from './kek.ts';
import { IV_LENGTH, IV_OFFSET, TAIL_LENGTH } from './layout.ts';
import type { EnvelopeContext, Kek } from './types.ts';

/**
 * The plaintext of an envelope. The KEK is the one that the envelope names: none is tried to find out.
 *
 * @throws EnvelopeError ENVELOPE_MALFORMED, RECORD_TOMBSTONED, KEY_MISMATCH, VERSION_UNKNOWN, or DECRYPTION_FAILED for everything that
 * only decryption can tell: another KEK under the same name, a changed byte, another context.
 */
export function open(envelope: Uint8Array, keks: Kek | readonly Kek[], context: EnvelopeContext): Uint8Array {
  const { kid, wrappedDek, ciphertextOffset } = parseEnvelope(envelope);
  const aad = createAadEncoder().encode(context);
  const kek = selectKek(kid, 'keyId' in keks ? [keks] : keks);
  const dek = unwrapDek(kek.key, wrappedDek);
  if (dek === undefined) throw envelopeFailure('DECRYPTION_FAILED');
  const plaintext = decryptContent(
    dek,
    envelope.subarray(IV_OFFSET, IV_OFFSET + IV_LENGTH),
    aad,
    envelope.subarray(ciphertextOffset, envelope.length - TAIL_LENGTH),
  );
  dek.fill(0);
  if (plaintext === undefined) throw envelopeFailure('DECRYPTION_FAILED');
  // A Buffer of its own memory; as a plain Uint8Array, since its slice() copies and its JSON is no surprise.
  return new Uint8Array(plaintext.buffer, plaintext.byteOffset, plaintext.length);
}

function selectKek(kid: Uint8Array, keks: readonly Kek[]): Kek {
  if (keks.length === 0) throw new EnvelopeError('ENVELOPE_ARGUMENT', 'no KEK was given');
  const { keyId, version } = parseKid(kid);
  const versions = keks.filter((kek) => kek.keyId === keyId);
  if (versions.length === 0) throw envelopeFailure('KEY_MISMATCH');
  const kek = versions.find((candidate) => candidate.version === version);
  if (kek === undefined) throw envelopeFailure('VERSION_UNKNOWN');
  return kek;
}
