import type { EnvelopeErrorCode } from '../../shared/errors/errors.ts';

/** Why a value is in quarantine, in words, by the code of the error that set it aside. */
const WHY: Partial<Record<EnvelopeErrorCode, string>> = {
  ENVELOPE_MALFORMED: 'it is no envelope: damaged, or plaintext that was never sealed',
  KEY_MISMATCH: "it is an envelope of another tenant's or purpose's key",
  VERSION_UNKNOWN: 'it names a version that the key never had, or that is destroyed',
  DECRYPTION_FAILED: 'it is damaged, or was sealed for another record',
  REWRAP_UNVERIFIED: 'its new wrapping could not be verified; nothing is wrong with it',
  ENVELOPE_ARGUMENT: 'it cannot be sealed: it is larger than an envelope may be',
};

export function whyQuarantined(code: string): string {
  return Object.entries(WHY).find(([known]) => known === code)?.[1] ?? code;
}
