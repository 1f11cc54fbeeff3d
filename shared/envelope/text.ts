import { EnvelopeError } from '../errors/errors.ts';

/** The envelope for a text column: base64url without padding (RFC 4648 §5). */
export function toText(envelope: Uint8Array): string {
  if (!(envelope instanceof Uint8Array)) {
    throw new EnvelopeError('ENVELOPE_ARGUMENT', 'envelope is not a Uint8Array');
  }
  return Buffer.from(envelope.buffer, envelope.byteOffset, envelope.byteLength).toString('base64url');
}

/**
 * The bytes of a text column's envelope. Only the exact text that `toText` writes is taken: Node's decoder skips
 * what it does not know, and two texts for the same bytes would defeat compare-and-set on the text.
 *
 * @throws EnvelopeError ENVELOPE_MALFORMED for another alphabet, padding, white space or non-zero trailing bits.
 */
export function fromText(text: string): Uint8Array {
  if (typeof text !== 'string') throw new EnvelopeError('ENVELOPE_ARGUMENT', 'text is not a string');
  const decoded = Buffer.from(text, 'base64url');
  if (decoded.toString('base64url') !== text) {
    throw new EnvelopeError('ENVELOPE_MALFORMED', 'the text is not canonical base64url without padding');
  }
  // A small Buffer lies in Node's shared pool: a copy of its own keeps neighbours out of `.buffer`.
  return new Uint8Array(decoded);
}
