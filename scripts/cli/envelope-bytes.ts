import { fromText } from '../../shared/envelope/index.ts';
import { EnvelopeError } from '../../shared/errors/errors.ts';

/** First byte of CBOR tag 96 (COSE_Encrypt); no text form begins with it. */
const CBOR_TAG = 0xd8;
/** First byte of a tombstone. */
const TOMBSTONE = 0x85;

/** The bytes of an envelope that is given as it is, as base64url, or as PostgreSQL prints bytea (`\x…`). */
export function envelopeBytes(input: Uint8Array): Uint8Array {
  if (input[0] === CBOR_TAG || input[0] === TOMBSTONE) return input;
  const text = Buffer.from(input).toString('latin1').trim();
  if (!text.startsWith('\\x')) return fromText(text);
  const hex = text.slice(2);
  if (hex.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(hex)) {
    throw new EnvelopeError('ENVELOPE_MALFORMED', 'the text after \\x is not hexadecimal');
  }
  return new Uint8Array(Buffer.from(hex, 'hex'));
}
