import { parseEnvelope } from './format.ts';
import { parseKid } from './kek.ts';
import type { EnvelopeInfo } from './types.ts';

/**
 * What an envelope says of itself. It needs no key and proves nothing: only `open` and the rewraps authenticate.
 *
 * @throws EnvelopeError ENVELOPE_MALFORMED, or RECORD_TOMBSTONED: `readTombstone` tells more
 */
export function inspect(envelope: Uint8Array): EnvelopeInfo {
  const { kid, plaintextLength } = parseEnvelope(envelope);
  return {
    ...parseKid(kid),
    kid: Uint8Array.from(kid),
    contentAlgorithm: 'A256GCM',
    keyWrapAlgorithm: 'A256KW',
    plaintextLength,
    length: envelope.length,
  };
}
