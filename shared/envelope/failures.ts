import { EnvelopeError, type EnvelopeErrorCode } from '../errors/errors.ts';

/** What can be wrong with an envelope: one message for each code, whoever finds it. */
const FAILURES = {
  ENVELOPE_MALFORMED: {
    message: 'the bytes are not exactly one envelope',
    remedy: 'Compare the value with docs/envelope.md: it may be plaintext, truncated, or of another writer.',
  },
  KEY_MISMATCH: {
    message: 'the envelope names another key than the one given',
    remedy:
      "Look the key up by the envelope's kid (inspect), or check which record set and tenant it came from.",
  },
  VERSION_UNKNOWN: {
    message: 'the envelope names a version of the key that was not given',
    remedy: 'Give the version that inspect shows; if it was destroyed, restore the record from before.',
  },
  VERSION_NEWER: {
    message: 'the envelope is on a later version than the target, whose KEK was not given',
    remedy: "Use the key's active version as the target.",
  },
  RECORD_TOMBSTONED: {
    message: 'the value was given up: a tombstone stands in the place of its envelope',
    remedy:
      "`keyturn inspect` shows when, and by which approval; the tenant's audit has the reason. Only a backup may still have the value.",
  },
  // Nothing here tells a wrong KEK from a changed byte or another context (RFC 9052 §11; protocol.md).
  DECRYPTION_FAILED: {
    message: 'the envelope does not open with this key and context',
    remedy:
      'Check that tenant, record set, record id and field are those it was sealed for, then restore the value.',
  },
  ENVELOPE_ARGUMENT: {
    message: 'an argument has the wrong type, length or range',
    remedy: 'Compare the call with docs/envelope.md.',
  },
  REWRAP_UNVERIFIED: {
    message:
      'the new wrapping did not unwrap to the same DEK and was discarded; the old envelope is untouched',
    remedy: 'Try again; if it repeats, suspect the memory or the processor of this machine.',
  },
} as const satisfies Record<EnvelopeErrorCode, { message: string; remedy: string }>;

export function envelopeFailure(code: EnvelopeErrorCode): EnvelopeError {
  const { message, remedy } = FAILURES[code];
  return new EnvelopeError(code, message, { remedy });
}
